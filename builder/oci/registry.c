/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry client: where a repository may be, what a tag stands for, manifests by digest. Blobs are in
 * registry_blob.c, requests in registry_request.c.
 */
#include "oci/registry_parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "oci/auth.h"

#include <string.h>

#define DEFAULT_REGISTRY "docker.io"
/* The Hub's API is at another name than its images: a fact of its protocol. */
#define DEFAULT_REGISTRY_API "registry-1.docker.io"
#define DIGEST_PREFIX "sha256:"
#define ACCEPT \
	OCI_TYPE_INDEX ", " OCI_TYPE_MANIFEST ", " DOCKER_TYPE_INDEX ", " DOCKER_TYPE_MANIFEST

struct oci_client *oci_client_new(const struct oci_registry *registries, size_t count)
{
	struct oci_client *c = mem_alloc(sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	c->auth = oci_auth_new();
	c->stall_s = OCI_STALL_S;
	c->retries = OCI_RETRIES;
	c->known = mem_alloc_array(count, sizeof(*c->known));
	c->known_count = count;
	for (size_t i = 0; i < count; i++) {
		c->known[i].name = mem_strdup(registries[i].name);
		c->known[i].ca = mem_strdup(registries[i].ca);
		c->known[i].insecure = registries[i].insecure;
		for (size_t m = 0; m < registries[i].mirror_count; m++)
			strv_add(&c->known[i].mirrors, registries[i].mirrors[m]);
	}
	return c;
}

void oci_client_free(struct oci_client *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->known_count; i++) {
		free(c->known[i].name);
		free(c->known[i].ca);
		strv_free(&c->known[i].mirrors);
	}
	free(c->known);
	for (size_t i = 0; i < c->session_count; i++)
		http_session_free(c->sessions[i]);
	strv_free(&c->dead);
	oci_auth_free(c->auth);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void oci_document_free(struct oci_document *document)
{
	str_free(&document->body);
	memset(document, 0, sizeof(*document));
}

static const char *api_host(const char *name)
{
	return strcmp(name, DEFAULT_REGISTRY) == 0 ? DEFAULT_REGISTRY_API : name;
}

static bool is_dead(struct oci_client *c, const char *mirror)
{
	bool dead;

	pthread_mutex_lock(&c->lock);
	dead = strv_has(&c->dead, mirror);
	pthread_mutex_unlock(&c->lock);
	return dead;
}

/* Puts what the mirrors said behind the error of the registry itself. */
static void add_notes(const struct str *notes, struct err *err)
{
	struct err own;

	if (!err || !notes->len)
		return;
	own = *err;
	err_set(err, own.code, "%s%s", own.msg, notes->data);
	if (own.hint[0])
		err_hint(err, "%s", own.hint);
}

int oci_places_try(struct oci_client *c, const struct oci_reference *ref, oci_place_try *try,
		   void *context, struct err *err)
{
	CLEANUP(str_free) struct str notes = {0};
	static const struct oci_known unknown = {0};
	const struct oci_known *known = &unknown;
	struct oci_place place;
	int r;

	for (size_t i = 0; i < c->known_count; i++)
		if (strcmp(c->known[i].name, ref->registry) == 0)
			known = &c->known[i];
	place = (struct oci_place){.ca = known->ca, .insecure = known->insecure, .mirror = true};
	for (size_t i = 0; i < known->mirrors.count; i++) {
		struct err mirror_err = {0};

		place.name = known->mirrors.items[i];
		place.host = api_host(place.name);
		if (is_dead(c, place.name)) {
			str_addf(&notes, "; mirror '%s' could not be reached before", place.name);
			continue;
		}
		r = try(c, ref, &place, context, &mirror_err);
		if (r <= 0) {
			if (r < 0 && err)
				*err = mirror_err;
			return r;
		}
		log_debug("mirror '%s': %s", place.name, mirror_err.msg);
		str_addf(&notes, "; mirror '%s': %.300s", place.name, mirror_err.msg);
	}
	place.name = ref->registry;
	place.host = api_host(place.name);
	place.mirror = false;
	if (try(c, ref, &place, context, err) == 0)
		return 0;
	add_notes(&notes, err);
	return -1;
}

/* The media type without parameters; "" for one that says nothing about manifests. */
static void take_media_type(const struct http_answer *answer, char ret[OCI_MEDIA_TYPE_MAX])
{
	const char *type = http_header(answer, "Content-Type", 0);
	size_t len;

	ret[0] = '\0';
	if (!type || !str_has_prefix(type, "application/vnd."))
		return;
	len = strcspn(type, "; \t");
	if (len >= OCI_MEDIA_TYPE_MAX)
		return;
	for (size_t i = 0; i < len; i++)
		if (type[i] < '!' || type[i] > '~')
			return;
	memcpy(ret, type, len);
	ret[len] = '\0';
}

/* True when the answer names a SHA-256 digest. */
static bool take_digest(const struct http_answer *answer, struct digest *ret)
{
	const char *text = http_header(answer, "Docker-Content-Digest", 0);
	struct err ignored = {0};

	return text && str_has_prefix(text, DIGEST_PREFIX) &&
	       digest_parse(text + strlen(DIGEST_PREFIX), ret, &ignored) == 0;
}

static bool take_size(const struct http_answer *answer, uint64_t *ret)
{
	const char *text = http_header(answer, "Content-Length", 0);
	size_t digits = text ? strspn(text, "0123456789") : 0;

	if (digits == 0 || digits > 12 || text[digits])
		return false;
	*ret = strtoull(text, NULL, 10);
	return true;
}

/* Takes a descriptor from the answer to a HEAD, if it says all of it. */
static bool take_head(const struct http_answer *answer, struct oci_descriptor *ret)
{
	take_media_type(answer, ret->media_type);
	return answer->status == 200 && take_digest(answer, &ret->digest) &&
	       take_size(answer, &ret->size) && ret->size > 0 && ret->size <= OCI_DOCUMENT_MAX;
}

/* Fetches what a tag stands for and computes its digest. */
static int resolve_by_get(struct oci_client *c, const struct oci_reference *ref,
			  const struct oci_place *place, const struct oci_ask *ask,
			  struct oci_descriptor *ret, struct err *err)
{
	struct http_answer answer CLEANUP(http_answer_free) = {0};
	struct digest said;

	if (oci_ask(c, ref, place, ask, &answer, err) < 0)
		return -1;
	if (answer.status != 200)
		return oci_status_error(ref, place, &answer, err);
	take_media_type(&answer, ret->media_type);
	ret->size = answer.body.len;
	digest_bytes(answer.body.len ? answer.body.data : "", answer.body.len, &ret->digest);
	if (take_digest(&answer, &said) && memcmp(&said, &ret->digest, sizeof(said)) != 0)
		return err_set(err, ERR_VERIFY,
			       "'%s' sends a manifest that does not have the digest that it names",
			       place->name);
	return 0;
}

static int resolve_at(struct oci_client *c, const struct oci_reference *ref,
		      const struct oci_place *place, void *context, struct err *err)
{
	struct http_answer answer CLEANUP(http_answer_free) = {0};
	struct oci_descriptor *ret = context;
	CLEANUP_FREE char *path = mem_printf("manifests/%s", ref->tag);
	struct oci_ask ask = {
		.method = "HEAD", .path = path, .accept = ACCEPT, .answer_max = OCI_DOCUMENT_MAX};

	if (oci_ask(c, ref, place, &ask, &answer, err) < 0)
		return 1;
	if (take_head(&answer, ret))
		return 0;
	/* Not every registry answers HEAD, and only GET says why not. */
	ask.method = "GET";
	ask.once = answer.status == 429 || answer.status >= 500;
	return resolve_by_get(c, ref, place, &ask, ret, err) < 0 ? 1 : 0;
}

/* "cannot <verb> '<reference>': " before the error. */
static int wrap(const char *verb, const struct oci_reference *ref, struct err *err)
{
	CLEANUP_FREE char *text = oci_reference_text(ref);

	return err_wrap(err, "cannot %s '%s'", verb, text);
}

int oci_client_resolve(struct oci_client *c, const struct oci_reference *ref,
		       struct oci_descriptor *ret, struct err *err)
{
	memset(ret, 0, sizeof(*ret));
	if (ref->has_digest) {
		ret->digest = ref->digest;
		return 0;
	}
	if (oci_places_try(c, ref, resolve_at, ret, err) < 0)
		return wrap("resolve", ref, err);
	return 0;
}

struct manifest_run {
	const struct digest *digest;
	struct oci_document *ret;
};

static int manifest_at(struct oci_client *c, const struct oci_reference *ref,
		       const struct oci_place *place, void *context, struct err *err)
{
	struct http_answer answer CLEANUP(http_answer_free) = {0};
	struct manifest_run *run = context;
	char hex[DIGEST_HEX_SIZE], got[DIGEST_HEX_SIZE];
	CLEANUP_FREE char *path =
		mem_printf("manifests/" DIGEST_PREFIX "%s", digest_hex(run->digest, hex));
	struct oci_ask ask = {
		.method = "GET", .path = path, .accept = ACCEPT, .answer_max = OCI_DOCUMENT_MAX};
	struct oci_descriptor *d = &run->ret->descriptor;

	if (oci_ask(c, ref, place, &ask, &answer, err) < 0)
		return 1;
	if (answer.status != 200) {
		oci_status_error(ref, place, &answer, err);
		return 1;
	}
	digest_bytes(answer.body.len ? answer.body.data : "", answer.body.len, &d->digest);
	if (memcmp(&d->digest, run->digest, sizeof(d->digest)) != 0) {
		err_set(err, ERR_VERIFY,
			"'%s' sends bytes with the digest " DIGEST_PREFIX "%s where " DIGEST_PREFIX
			"%s was asked for",
			place->name, digest_hex(&d->digest, got), hex);
		return 1;
	}
	take_media_type(&answer, d->media_type);
	d->size = answer.body.len;
	run->ret->body = answer.body;
	answer.body = (struct str){0};
	return 0;
}

int oci_client_manifest(struct oci_client *c, const struct oci_reference *ref,
			const struct digest *digest, struct oci_document *ret, struct err *err)
{
	struct manifest_run run = {digest, ret};

	memset(ret, 0, sizeof(*ret));
	if (oci_places_try(c, ref, manifest_at, &run, err) < 0) {
		oci_document_free(ret);
		return wrap("fetch a manifest of", ref, err);
	}
	return 0;
}
