/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of container registries: OCI distribution specification 1.1 and Docker's registry API V2, reading
 * only. Every byte that it hands out has been checked against a digest, or is the one thing that was asked for
 * by a tag.
 */
#ifndef INGOT_OCI_REGISTRY_H
#define INGOT_OCI_REGISTRY_H

#include "base/str.h"
#include "oci/manifest.h"
#include "oci/reference.h"

#include <stddef.h>

/* What a user says about one registry. */
struct oci_registry {
	const char *name;           /* host[:port] as in references */
	const char *const *mirrors; /* host[:port], tried first, in this order */
	size_t mirror_count;
	const char *ca; /* file with certificates that are trusted besides the system's, or NULL */
	bool insecure;  /* plain HTTP, for it and its mirrors */
};

/* A client; remembers tokens per registry and repository. May be used from several threads. */
struct oci_client;

/* Makes a client; registries are copied. Credentials are looked up when a registry asks for them, in this order:
 * $DOCKER_AUTH_CONFIG (JSON text), $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json, ~/.docker/config.json,
 * $XDG_RUNTIME_DIR/containers/auth.json; with credHelpers and credsStore (programs docker-credential-NAME). Free
 * with oci_client_free. */
struct oci_client *oci_client_new(const struct oci_registry *registries, size_t count);

/* Frees the client and wipes what it knows; NULL is allowed. */
void oci_client_free(struct oci_client *client);

/* A manifest or index as it came. */
struct oci_document {
	struct oci_descriptor descriptor;
	struct str body;
};

/* Frees it; usable with CLEANUP() on a zeroed one. */
void oci_document_free(struct oci_document *document);

/* Asks what a reference stands for: its own digest, or that of its tag (HEAD, GET where a registry does not
 * answer that). ERR_NETWORK, with a hint for what is not there or not allowed. Blocks. */
int oci_client_resolve(struct oci_client *client, const struct oci_reference *ref,
		       struct oci_descriptor *ret, struct err *err);

/* Fetches a manifest or index of at most 4 MiB by digest (of ref's repository); the bytes are verified: ERR_VERIFY.
 * Free with oci_document_free. Blocks. */
int oci_client_manifest(struct oci_client *client, const struct oci_reference *ref,
			const struct digest *digest, struct oci_document *ret, struct err *err);

/* Where a blob's bytes go, in order. */
struct oci_sink {
	int (*write)(void *context, const void *bytes, size_t len, struct err *err);
	/* Forget what was written: the bytes were wrong and another mirror is asked. */
	int (*restart)(void *context, struct err *err);
	void *context;
};

/* Fetches a blob of ref's repository and hands it to the sink while it comes. Interrupted transfers are taken up
 * where they stopped (Range), with backoff; each mirror is tried, then the registry. Size and digest are checked
 * when all has come: until this returns 0 the bytes are not to be trusted. ERR_VERIFY, ERR_NETWORK. Blocks;
 * several threads may fetch at once. */
int oci_client_blob(struct oci_client *client, const struct oci_reference *ref,
		    const struct oci_descriptor *blob, const struct oci_sink *sink,
		    struct err *err);

#endif
