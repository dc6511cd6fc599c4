/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A registry client for tests, the server of tests/fake/registry that it asks, and what it must get from there.
 */
#ifndef TESTS_FAKE_CLIENT_H
#define TESTS_FAKE_CLIENT_H

#include "fake/registry.h"

#include "base/clock.h"
#include "base/mem.h"
#include "oci/registry_parts.h"

#define LAYER_SIZE (3 << 20)

static unsigned int port;
static char host[64];
static struct oci_registry known = {.name = host, .insecure = true};
static struct oci_client *client;

/* Starts the server and a client for it. */
__attribute__((unused)) static void start(void)
{
	port = fake_registry(NULL);
	snprintf(host, sizeof(host), "127.0.0.1:%u", port);
	client = oci_client_new(&known, 1);
	client->retries = 3;
	client->stall_s = 1;
}

__attribute__((unused)) static struct oci_reference reference(const char *repository)
{
	char text[256];
	struct oci_reference ref;
	struct err err = {0};

	snprintf(text, sizeof(text), "%s/%s:1", host, repository);
	CHECK_OK(oci_reference_parse(text, &ref, &err), &err);
	return ref;
}

/* What arrived. */
struct taken {
	struct str bytes;
	int restarts;
	uint64_t fail_at; /* the sink fails there; 0: never */
};

__attribute__((unused)) static int take(void *context, const void *bytes, size_t len,
					struct err *err)
{
	struct taken *t = context;

	CHECK(len > 0);
	if (t->fail_at && t->bytes.len + len >= t->fail_at)
		return err_set(err, ERR_SPACE, "the sink is full");
	str_add_bytes(&t->bytes, bytes, len);
	return 0;
}

__attribute__((unused)) static int forget(void *context, struct err *err)
{
	struct taken *t = context;

	(void)err;
	t->bytes.len = 0;
	t->restarts++;
	return 0;
}

/* The layer's descriptor, which is the same in every repository. */
__attribute__((unused)) static struct oci_descriptor layer(void)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = reference("good");
	struct oci_document doc CLEANUP(oci_document_free) = {0};
	struct oci_descriptor d;
	struct err err = {0};
	json_t *manifest, *entry;

	CHECK_OK(oci_client_resolve(client, &ref, &d, &err), &err);
	CHECK_STR(d.media_type, OCI_TYPE_MANIFEST);
	CHECK_OK(oci_client_manifest(client, &ref, &d.digest, &doc, &err), &err);
	CHECK_U64(doc.descriptor.size, d.size);
	CHECK_U64(doc.body.len, d.size);
	CHECK_STR(doc.descriptor.media_type, OCI_TYPE_MANIFEST);
	CHECK_MEM(&doc.descriptor.digest, &d.digest, sizeof(d.digest));
	manifest = json_parse(doc.body.data, doc.body.len, "manifest", &err);
	CHECK_OK_PTR(manifest, &err);
	entry = json_array_get(json_object_get(manifest, "layers"), 0);
	d.size = (uint64_t)json_integer_value(json_object_get(entry, "size"));
	CHECK_U64(d.size, LAYER_SIZE);
	CHECK_OK(digest_parse(json_member_string(entry, "digest") + 7, &d.digest, &err), &err);
	json_decref(manifest);
	return d;
}

__attribute__((unused)) static int fetch(const char *repository, struct taken *taken,
					 struct err *err)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = reference(repository);
	struct oci_descriptor d = layer();
	const struct oci_sink sink = {take, forget, taken};

	return oci_client_blob(client, &ref, &d, &sink, err);
}

__attribute__((unused)) static void check_layer(const struct taken *taken)
{
	struct oci_descriptor d = layer();
	struct digest got;

	CHECK_U64(taken->bytes.len, d.size);
	digest_bytes(taken->bytes.data, taken->bytes.len, &got);
	CHECK_MEM(&got, &d.digest, sizeof(got));
}

/* The layer comes, after so many restarts. */
__attribute__((unused)) static void gets(const char *repository, int restarts)
{
	struct taken taken = {0};
	struct err err = {0};

	CHECK_OK(fetch(repository, &taken, &err), &err);
	check_layer(&taken);
	CHECK_INT(taken.restarts, restarts);
	str_free(&taken.bytes);
}

__attribute__((unused)) static void fails(const char *repository, int code, const char *part)
{
	struct taken taken = {0};
	struct err err = {0};

	CHECK_ERR(fetch(repository, &taken, &err), &err, code, part);
	CHECK_CONTAINS(err.msg, "cannot fetch blob sha256:");
	str_free(&taken.bytes);
}

__attribute__((unused)) static int resolve(const char *repository, struct oci_descriptor *ret,
					   struct err *err)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = reference(repository);

	return oci_client_resolve(client, &ref, ret, err);
}

__attribute__((unused)) static void resolves(const char *repository, const char *media_type)
{
	struct oci_descriptor d, good;
	struct err err = {0};

	CHECK_OK(resolve("good", &good, &err), &err);
	CHECK_OK(resolve(repository, &d, &err), &err);
	CHECK_MEM(&d.digest, &good.digest, sizeof(d.digest));
	CHECK_U64(d.size, good.size);
	CHECK_STR(d.media_type, media_type);
}

__attribute__((unused)) static struct err unresolved(const char *repository, int code,
						     const char *part)
{
	struct oci_descriptor d;
	struct err err = {0};

	CHECK_ERR(resolve(repository, &d, &err), &err, code, part);
	CHECK_CONTAINS(err.msg, "cannot resolve '127.0.0.1:");
	for (const char *p = err.msg; *p; p++)
		CHECK((unsigned char)*p >= ' ');
	return err;
}

/* All requests of one server that have this in them. */
__attribute__((unused)) static unsigned int asked_at(unsigned int at, const char *scheme,
						     const char *part)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};
	char url[128];
	unsigned int count = 0;

	snprintf(url, sizeof(url), "%s://127.0.0.1:%u/log", scheme, at);
	CHECK_OK(http_do(&(struct http_request){.url = url, .ca = known.ca}, &a, &err), &err);
	for (char *line = a.body.len ? strtok(a.body.data, "\n") : NULL; line;
	     line = strtok(NULL, "\n"))
		count += strstr(line, part) != NULL;
	return count;
}

__attribute__((unused)) static unsigned int asked(const char *part)
{
	return asked_at(port, "http", part);
}

#endif
