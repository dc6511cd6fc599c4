/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types of container images and registries: the shape of a reference, by the grammar of
 * github.com/distribution/reference. builder/oci parses them; here mistakes get their place in the file.
 */
#include "profile/schema.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL "([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
#define HOST "(" LABEL "([.]" LABEL ")*|\\[[0-9A-Fa-f:]+\\])(:[0-9]+)?"
#define PART "[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*"
#define NAME "(" HOST "/)?" PART "(/" PART ")*"
#define TAG ":[A-Za-z0-9_][A-Za-z0-9_.-]*"
#define NAME_MAX_BYTES 255
#define TAG_MAX_BYTES 128
#define DIGEST_BYTES 71 /* "sha256:" and 64 digits */

/* The start of the tag of a reference without a digest, or NULL. */
static const char *tag_of(const char *text, size_t len)
{
	for (size_t i = len; i-- > 0 && text[i] != '/';)
		if (text[i] == ':')
			return text + i + 1;
	return NULL;
}

static bool has_variable(const char *text)
{
	return strchr(text, '$') != NULL;
}

/* Why text is not the digest of a reference. */
static void note_digest(const char *digest, struct schema_value *ret)
{
	if (!str_has_prefix(digest, "sha256:"))
		snprintf(ret->note, sizeof(ret->note), "a digest starts with sha256:");
	else
		snprintf(ret->note, sizeof(ret->note),
			 "expected 64 lower-case hex digits behind sha256:");
}

static bool digest_is_good(const char *digest)
{
	return strlen(digest) == DIGEST_BYTES && str_has_prefix(digest, "sha256:") &&
	       strspn(digest + 7, "0123456789abcdef") == DIGEST_BYTES - 7;
}

/* Says what was probably meant by text that no reference looks like. */
static void note_mistake(const char *text, size_t name_len, struct schema_value *ret)
{
	const char *scheme = strstr(text, "://");
	const char *slash = memchr(text, '/', name_len);
	size_t from = slash ? (size_t)(slash - text) : 0;

	if (scheme) {
		snprintf(ret->note, sizeof(ret->note), "write it without '%.*s'",
			 (int)(scheme + 3 - text > 20 ? 20 : scheme + 3 - text), text);
		return;
	}
	if (has_variable(text)) {
		snprintf(ret->note, sizeof(ret->note), "a profile has no variables");
		return;
	}
	for (size_t i = from; i < name_len; i++)
		if (isupper((unsigned char)text[i]))
			snprintf(ret->note, sizeof(ret->note),
				 "names of images are in lower case, only tags may have others");
}

static bool read_reference(const char *text, struct schema_value *ret)
{
	const char *at = strchr(text, '@');
	size_t len = at ? (size_t)(at - text) : strlen(text);
	const char *tag = tag_of(text, len);
	size_t name_len = tag ? (size_t)(tag - 1 - text) : len;

	if (name_len > NAME_MAX_BYTES || (tag && len - name_len - 1 > TAG_MAX_BYTES)) {
		snprintf(ret->problem, sizeof(ret->problem), "the %s of an image is too long",
			 name_len > NAME_MAX_BYTES ? "name" : "tag");
		snprintf(ret->note, sizeof(ret->note), "at most %d bytes",
			 name_len > NAME_MAX_BYTES ? NAME_MAX_BYTES : TAG_MAX_BYTES);
		return false;
	}
	/* Docker takes this for the ID of an image. */
	if (len == 64 && strspn(text, "0123456789abcdef") == 64) {
		snprintf(ret->note, sizeof(ret->note), "64 hex digits alone are no name");
		return false;
	}
	if (at && !digest_is_good(at + 1)) {
		note_digest(at + 1, ret);
		return false;
	}
	note_mistake(text, name_len, ret);
	return true;
}

static bool read_image(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	(void)row;
	return read_reference(text, ret);
}

static bool read_image_name(const struct schema_row *row, const char *text,
			    struct schema_value *ret)
{
	(void)row;
	if (!strchr(text, '@'))
		return read_reference(text, ret);
	snprintf(ret->note, sizeof(ret->note), "the digest follows from what is in it");
	return false;
}

/* A host with or without a port; what follows it, if anything, is wrong already. */
static bool read_mirror(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	const char *scheme = strstr(text, "://"), *bracket = strrchr(text, ']');
	const char *colon = strrchr(bracket ? bracket : text, ':');
	char *end;

	(void)row;
	if (scheme) {
		snprintf(ret->note, sizeof(ret->note), "write only the host, without '%.*s'",
			 (int)(scheme + 3 - text > 20 ? 20 : scheme + 3 - text), text);
	} else if (strchr(text, '/')) {
		snprintf(ret->note, sizeof(ret->note), "write only the host, without a path");
	} else if (colon && isdigit((unsigned char)colon[1])) {
		unsigned long port = strtoul(colon + 1, &end, 10);

		if (*end || (port >= 1 && port <= UINT16_MAX))
			return true;
		snprintf(ret->problem, sizeof(ret->problem), "port '%.60s' is out of range",
			 colon + 1);
		snprintf(ret->note, sizeof(ret->note), "expected 1 to 65535");
		return false;
	}
	return true;
}

/* The first part of a reference is a registry only when it looks like one. */
static bool read_registry(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	if (!read_mirror(row, text, ret))
		return false;
	if (ret->note[0] || strpbrk(text, ".:") || strcmp(text, "localhost") == 0)
		return true;
	for (const char *p = text; *p; p++)
		if (isupper((unsigned char)*p))
			return true;
	snprintf(ret->problem, sizeof(ret->problem), "'%.60s' is not the name of a registry", text);
	snprintf(ret->note, sizeof(ret->note),
		 "in references a registry has a dot or a port, or is localhost");
	return false;
}

#define TYPE(id) const struct schema_type schema_type_##id

TYPE(image) = {
	.name = "image",
	.article = "a reference of a container image",
	.expected = "a name with a tag or a digest, such as 'registry.example.com/team/app:1.4' or "
		    "'debian:12@sha256:...'",
	.pattern = "^" NAME "(" TAG ")?(@sha256:[0-9a-f]+)?$",
	.max = NAME_MAX_BYTES + 1 + TAG_MAX_BYTES + 1 + DIGEST_BYTES,
	.read = read_image,
};
TYPE(image_name) = {
	.name = "image",
	.article = "a name of a container image",
	.expected = "a name with a tag, such as 'team/app:1.4'",
	.pattern = "^" NAME "(" TAG ")?$",
	.max = NAME_MAX_BYTES + 1 + TAG_MAX_BYTES,
	.read = read_image_name,
};
TYPE(registry) = {
	.name = "host",
	.article = "a registry",
	.expected = "a host with its port, if it has one, such as 'registry.example.com:5000'",
	.pattern = "^" HOST "$",
	.max = 253,
	.read = read_registry,
};
TYPE(mirror) = {
	.name = "host",
	.article = "a mirror of a registry",
	.expected = "a host with its port, if it has one, such as 'mirror.example.net:5000'",
	.pattern = "^" HOST "$",
	.max = 253,
	.read = read_mirror,
};
