/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References to container images: a hand-written reader of the grammar of github.com/distribution/reference,
 * with Docker's rules for names that leave out the registry.
 */
#include "oci/reference.h"

#include "base/mem.h"
#include "base/str.h"

#include <stddef.h>
#include <string.h>

#define DEFAULT_REGISTRY "docker.io"
#define LEGACY_REGISTRY "index.docker.io"
#define OFFICIAL "library/"
#define NAME_MAX_BYTES 255
#define TAG_MAX_BYTES 128
#define REFERENCE_MAX_BYTES 1024
#define DIGEST_PREFIX "sha256:"

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_lower(c) || is_upper(c) || is_digit(c);
}

/* The message, with the reference as far as it can be shown. */
static int refuse(const char *text, const char *cause, struct err *err)
{
	CLEANUP(str_free) struct str shown = {0};
	size_t len = strlen(text);

	str_add_utf8(&shown, text, len < 300 ? len : 300);
	return err_set(err, ERR_PROFILE, "cannot read image reference '%s%s': %s",
		       shown.data ? shown.data : "", len < 300 ? "" : "...", cause);
}

/* domain-component of the grammar, joined by dots: letters, digits and inner hyphens. */
static bool is_host_name(const char *s, size_t len)
{
	size_t start = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && s[i] != '.') {
			if (!is_alnum(s[i]) && s[i] != '-')
				return false;
			continue;
		}
		if (i == start || s[start] == '-' || s[i - 1] == '-')
			return false;
		start = i + 1;
	}
	return true;
}

/* "[" IPv6 address "]"; returns its length, 0 when it is none. */
static size_t bracketed(const char *s, size_t len)
{
	size_t i = 1;

	while (i < len && (is_digit(s[i]) || s[i] == ':' || (s[i] >= 'a' && s[i] <= 'f') ||
			   (s[i] >= 'A' && s[i] <= 'F')))
		i++;
	return i > 1 && i < len && s[i] == ']' ? i + 1 : 0;
}

static bool is_registry(const char *s, size_t len)
{
	size_t host = 0, port;

	if (len && s[0] == '[') {
		host = bracketed(s, len);
		if (!host)
			return false;
	} else {
		while (host < len && s[host] != ':')
			host++;
		if (!is_host_name(s, host))
			return false;
	}
	if (host == len)
		return true;
	port = len - host - 1;
	if (s[host] != ':' || port < 1 || port > 5)
		return false;
	for (size_t i = host + 1; i < len; i++)
		if (!is_digit(s[i]))
			return false;
	return strtoul(s + host + 1, NULL, 10) <= 65535;
}

/* The separators inside a path component: ".", "_", "__" or any number of "-". */
static size_t separator(const char *s, size_t len)
{
	size_t n = 0;

	if (s[0] == '.')
		return 1;
	if (s[0] == '_')
		return len > 1 && s[1] == '_' ? 2 : 1;
	while (n < len && s[n] == '-')
		n++;
	return n;
}

/* What is wrong with one component of a repository's path, or NULL. */
static const char *component_fault(const char *s, size_t len)
{
	size_t i = 0;

	if (len == 0)
		return "a part of the name is empty";
	for (;;) {
		size_t start = i;

		while (i < len && (is_lower(s[i]) || is_digit(s[i])))
			i++;
		if (i < len && is_upper(s[i]))
			return "the name of a repository is in lower case";
		if (i < len && !strchr("._-", s[i]))
			return "the name has a character that is not allowed there";
		if (i == start)
			return "a part of the name begins or ends with '.', '_' or '-', or has "
			       "several of them in a row";
		if (i == len)
			return NULL;
		i += separator(s + i, len - i);
	}
}

static const char *repository_fault(const char *path, size_t len)
{
	size_t start = 0;

	for (size_t i = 0; i <= len; i++) {
		const char *fault;

		if (i < len && path[i] != '/')
			continue;
		fault = component_fault(path + start, i - start);
		if (fault)
			return fault;
		start = i + 1;
	}
	return NULL;
}

static const char *tag_fault(const char *tag, size_t len)
{
	if (len == 0)
		return "the tag is empty";
	if (len > TAG_MAX_BYTES)
		return "the tag is longer than 128 bytes";
	if (!is_alnum(tag[0]) && tag[0] != '_')
		return "a tag begins with a letter, a digit or '_'";
	for (size_t i = 1; i < len; i++)
		if (!is_alnum(tag[i]) && !strchr("_.-", tag[i]))
			return "the tag has a character that is not allowed there";
	return NULL;
}

static const char *take_digest(const char *text, struct digest *ret)
{
	struct err err = {0};

	if (!str_has_prefix(text, DIGEST_PREFIX))
		return "the digest is not 'sha256:' and 64 digits; others are not taken";
	text += strlen(DIGEST_PREFIX);
	for (const char *p = text; *p; p++)
		if (is_upper(*p))
			return "the digits of a digest are in lower case";
	if (digest_parse(text, ret, &err) < 0)
		return "the digest is not 'sha256:' and 64 hexadecimal digits";
	return NULL;
}

/* True for what Docker takes as a registry when it stands before the first slash. */
static bool looks_like_registry(const char *s, size_t len)
{
	if (len == strlen("localhost") && memcmp(s, "localhost", len) == 0)
		return true;
	for (size_t i = 0; i < len; i++)
		if (s[i] == '.' || s[i] == ':' || is_upper(s[i]))
			return true;
	return false;
}

/* Host names have no case; but one that is a registry by its case alone keeps it. */
static char *registry_text(const char *s, size_t len)
{
	char *copy = mem_strndup(s, len);

	if (!memchr(s, '.', len) && !memchr(s, ':', len))
		return copy;
	for (char *p = copy; *p; p++)
		if (is_upper(*p))
			*p = (char)(*p - 'A' + 'a');
	return copy;
}

/* Splits name (without tag and digest) into registry and repository. */
static const char *take_name(const char *name, size_t len, struct oci_reference *ret)
{
	const char *slash = memchr(name, '/', len);
	size_t first = slash ? (size_t)(slash - name) : 0;
	const char *fault;

	if (slash && looks_like_registry(name, first)) {
		if (!is_registry(name, first))
			return "what stands before the first '/' is no host name, with or without "
			       "a port";
		ret->registry = registry_text(name, first);
		name += first + 1;
		len -= first + 1;
		if (strcmp(ret->registry, LEGACY_REGISTRY) == 0) {
			free(ret->registry);
			ret->registry = mem_strdup(DEFAULT_REGISTRY);
		}
	} else {
		ret->registry = mem_strdup(DEFAULT_REGISTRY);
	}
	fault = repository_fault(name, len);
	if (fault)
		return fault;
	if (strcmp(ret->registry, DEFAULT_REGISTRY) == 0 && !memchr(name, '/', len))
		ret->repository = mem_printf(OFFICIAL "%.*s", (int)len, name);
	else
		ret->repository = mem_strndup(name, len);
	if (strlen(ret->registry) + 1 + strlen(ret->repository) > NAME_MAX_BYTES)
		return "the name is longer than 255 bytes";
	return NULL;
}

/* 64 hexadecimal digits alone are an image ID for Docker, never a name. */
static bool is_identifier(const char *s, size_t len)
{
	if (len != 64)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	return true;
}

static const char *parse(const char *text, struct oci_reference *ret)
{
	size_t len = strlen(text);
	const char *at = memchr(text, '@', len), *last, *colon, *fault;

	if (len == 0)
		return "it is empty";
	if (len > REFERENCE_MAX_BYTES)
		return "it is too long";
	if (strstr(text, "://"))
		return "it is written without 'https://' or the like";
	if (is_identifier(text, len))
		return "64 hexadecimal digits are the ID of an image, not a name";
	if (at) {
		fault = take_digest(at + 1, &ret->digest);
		if (fault)
			return fault;
		ret->has_digest = true;
		len = (size_t)(at - text);
	}
	last = memrchr(text, '/', len);
	last = last ? last + 1 : text;
	colon = memchr(last, ':', len - (size_t)(last - text));
	if (colon) {
		size_t tag = len - (size_t)(colon + 1 - text);

		fault = tag_fault(colon + 1, tag);
		if (fault)
			return fault;
		ret->tag = mem_strndup(colon + 1, tag);
		len = (size_t)(colon - text);
	} else if (!ret->has_digest) {
		ret->tag = mem_strdup("latest");
	}
	return take_name(text, len, ret);
}

int oci_reference_parse(const char *text, struct oci_reference *ret, struct err *err)
{
	const char *fault;

	memset(ret, 0, sizeof(*ret));
	fault = parse(text, ret);
	if (!fault)
		return 0;
	oci_reference_free(ret);
	return refuse(text, fault, err);
}

/* Appends ":tag" and "@sha256:..." as far as they are there. */
static char *with_version(const struct oci_reference *ref, const char *name)
{
	char hex[DIGEST_HEX_SIZE];
	struct str text = {0};

	str_add(&text, name);
	if (ref->tag)
		str_addf(&text, ":%s", ref->tag);
	if (ref->has_digest)
		str_addf(&text, "@" DIGEST_PREFIX "%s", digest_hex(&ref->digest, hex));
	return str_steal(&text);
}

char *oci_reference_name(const struct oci_reference *ref)
{
	return mem_printf("%s/%s", ref->registry, ref->repository);
}

char *oci_reference_text(const struct oci_reference *ref)
{
	CLEANUP_FREE char *name = oci_reference_name(ref);

	return with_version(ref, name);
}

char *oci_reference_familiar(const struct oci_reference *ref)
{
	CLEANUP_FREE char *name = oci_reference_name(ref);
	const char *shown = name;

	if (strcmp(ref->registry, DEFAULT_REGISTRY) == 0) {
		const char *rest = ref->repository + strlen(OFFICIAL);

		shown = ref->repository;
		/* Without a second part the name would not come back to the same place. */
		if (str_has_prefix(ref->repository, OFFICIAL) && !strchr(rest, '/'))
			shown = rest;
	}
	return with_version(ref, shown);
}

void oci_reference_free(struct oci_reference *ref)
{
	free(ref->registry);
	free(ref->repository);
	free(ref->tag);
	memset(ref, 0, sizeof(*ref));
}
