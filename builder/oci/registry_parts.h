/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the registry client share: where to ask, and one authorised request.
 */
#ifndef INGOT_OCI_REGISTRY_PARTS_H
#define INGOT_OCI_REGISTRY_PARTS_H

#include "net/http.h"
#include "oci/registry.h"

#include <pthread.h>

#define OCI_STALL_S 30 /* a transfer this long under 1 KiB/s is taken up again */
#define OCI_RETRIES 5
#define OCI_SESSIONS_MAX 32

struct oci_known {
	char *name;
	struct strv mirrors;
	char *ca;
	bool insecure;
};

struct oci_auth;

struct oci_client {
	struct oci_known *known;
	size_t known_count;
	struct oci_auth *auth;
	long stall_s;
	int retries;
	pthread_mutex_t lock;                            /* of what follows */
	struct http_session *sessions[OCI_SESSIONS_MAX]; /* not in use */
	size_t session_count;
	struct strv dead; /* mirrors that could not be reached: not asked again */
};

/* One place where a repository may be: a mirror, or the registry itself. */
struct oci_place {
	const char *name; /* host[:port], for messages and credentials; borrowed */
	const char *host; /* where its API is; borrowed */
	const char *ca;   /* or NULL; borrowed */
	bool insecure, mirror;
	struct str *notes; /* what went wrong at mirrors; borrowed */
};

/* Does something at one place. Returns 0; 1 when this place cannot and another may be asked; -1 when no other would
 * do any better. Both 1 and -1 set the error. */
typedef int oci_place_try(struct oci_client *client, const struct oci_reference *ref,
			  const struct oci_place *place, void *context, struct err *err);

/* Calls the function with each place of the reference's registry, mirrors first, until one returns 0 or -1. The error
 * is that of the registry itself, with the mirrors' after it. */
int oci_places_try(struct oci_client *client, const struct oci_reference *ref, oci_place_try *try,
		   void *context, struct err *err);

/* What to ask a registry for. */
struct oci_ask {
	const char *method; /* "GET" or "HEAD" */
	const char *path;   /* below the repository: "manifests/1.4" */
	const char *accept; /* or NULL */
	size_t answer_max;
	const struct http_sink *sink; /* or NULL */
	bool once;                    /* no second try: it failed before, in another way */
	const uint64_t *offset;       /* how much the sink has, kept by it; NULL without a sink */
};

/* Asks, with credentials where the registry wants them (twice at most). An error status other than 401 is an
 * answer. ERR_NETWORK with a hint, or what the sink failed with (fault HTTP_FAULT_SINK). */
int oci_ask(struct oci_client *client, const struct oci_reference *ref,
	    const struct oci_place *place, const struct oci_ask *ask, struct http_answer *answer,
	    struct err *err);

/* The error for a status that is none of success, with the registry's own words and a hint. Returns -1. */
int oci_status_error(const struct oci_reference *ref, const struct oci_place *place,
		     const struct http_answer *answer, struct err *err);

#endif
