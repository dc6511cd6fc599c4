/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs: streamed to a sink while their digest is computed, taken up where they stopped, also at another mirror.
 */
#include "oci/registry_parts.h"

#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

struct blob_run {
	const struct oci_descriptor *blob;
	const struct oci_sink *sink;
	struct digest_ctx *digest;
	uint64_t have;    /* bytes that the sink has */
	bool sink_failed; /* the caller's own error: nobody else is asked */
	bool too_much;    /* more came than the blob has */
	bool stale;       /* what came is wrong: the sink has to forget it before more comes */
};

static int take(void *context, const void *bytes, size_t len, struct err *err)
{
	struct blob_run *run = context;

	if (len > run->blob->size - run->have) {
		run->too_much = true;
		return err_set(err, ERR_VERIFY, "more than its %" PRIu64 " bytes came",
			       run->blob->size);
	}
	digest_add(run->digest, bytes, len);
	if (run->sink->write(run->sink->context, bytes, len, err) < 0) {
		run->sink_failed = true;
		return -1;
	}
	run->have += len;
	return 0;
}

/* Forgets what came, if it was wrong. */
static int restart_stale(struct blob_run *run, struct err *err)
{
	if (!run->stale)
		return 0;
	run->stale = run->too_much = false;
	digest_ctx_free(run->digest);
	run->digest = digest_start();
	if (run->have && run->sink->restart(run->sink->context, err) < 0) {
		run->sink_failed = true;
		return -1;
	}
	run->have = 0;
	return 0;
}

/* All has come: is it what was asked for? */
static int check(struct blob_run *run, const struct oci_place *place, struct err *err)
{
	char hex[DIGEST_HEX_SIZE];
	struct digest got;

	if (run->have != run->blob->size)
		return err_set(err, ERR_VERIFY,
			       "'%s' sends %" PRIu64 " bytes, %" PRIu64 " were expected",
			       place->name, run->have, run->blob->size);
	digest_finish(run->digest, &got);
	run->digest = digest_start();
	if (memcmp(&got, &run->blob->digest, sizeof(got)) != 0)
		return err_set(err, ERR_VERIFY, "'%s' sends bytes with the digest sha256:%s",
			       place->name, digest_hex(&got, hex));
	return 0;
}

/* One transfer from one place, from where the sink is. Returns 0; 1 when the connection or the server failed, what
 * came may be right; -1 when what came is wrong or the sink failed. */
static int transfer(struct oci_client *c, const struct oci_reference *ref,
		    const struct oci_place *place, struct blob_run *run, struct err *err)
{
	struct http_answer answer CLEANUP(http_answer_free) = {0};
	const struct http_sink sink = {take, run};
	char hex[DIGEST_HEX_SIZE];
	CLEANUP_FREE char *path =
		mem_printf("blobs/sha256:%s", digest_hex(&run->blob->digest, hex));
	const struct oci_ask ask = {
		.method = "GET", .path = path, .sink = &sink, .offset = &run->have};

	if (restart_stale(run, err) < 0)
		return -1;
	/* What is complete needs no empty range, which servers refuse. */
	if (run->have < run->blob->size || run->blob->size == 0) {
		if (oci_ask(c, ref, place, &ask, &answer, err) < 0) {
			if (run->too_much)
				err_wrap(err, "'%s' sends a wrong blob", place->name);
			return run->too_much || run->sink_failed ? -1 : 1;
		}
		if (answer.status != 200 && answer.status != 206) {
			oci_status_error(ref, place, &answer, err);
			return 1;
		}
	}
	return check(run, place, err);
}

static int blob_at(struct oci_client *c, const struct oci_reference *ref,
		   const struct oci_place *place, void *context, struct err *err)
{
	struct blob_run *run = context;
	bool mixed = run->have > 0 && !run->stale;
	int r = transfer(c, ref, place, run, err);

	if (r < 0 && mixed && !run->sink_failed) {
		/* The wrong bytes may be those of a mirror before this one. */
		run->stale = true;
		err_clear(err);
		r = transfer(c, ref, place, run, err);
	}
	if (r >= 0 || run->sink_failed)
		return r;
	run->stale = true;
	return 1;
}

int oci_client_blob(struct oci_client *c, const struct oci_reference *ref,
		    const struct oci_descriptor *blob, const struct oci_sink *sink, struct err *err)
{
	struct blob_run run = {.blob = blob, .sink = sink};
	CLEANUP_FREE char *name = oci_reference_name(ref);
	char hex[DIGEST_HEX_SIZE];
	int r;

	digest_hex(&blob->digest, hex);
	if (blob->size > OCI_BLOB_MAX)
		return err_set(err, ERR_VERIFY,
			       "cannot fetch blob sha256:%s of '%s': it has %" PRIu64
			       " bytes, more than %" PRIu64,
			       hex, name, blob->size, OCI_BLOB_MAX);
	run.digest = digest_start();
	r = oci_places_try(c, ref, blob_at, &run, err);
	digest_ctx_free(run.digest);
	if (r == 0)
		return 0;
	/* The sink knows better what it could not do. */
	return run.sink_failed ? -1
			       : err_wrap(err, "cannot fetch blob sha256:%s of '%s'", hex, name);
}
