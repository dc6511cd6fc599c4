/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a registry gets to know who asks: challenges (RFC 9110, 11.6.1), bearer tokens (the token specification of
 * Docker's registry, RFC 6750), basic credentials (RFC 7617), and where these are kept on this machine.
 */
#ifndef INGOT_OCI_AUTH_H
#define INGOT_OCI_AUTH_H

#include "base/err.h"
#include "net/http.h"
#include "oci/credentials.h"

#include <stdbool.h>
#include <stddef.h>

#define OCI_CREDENTIALS_HINT                                                             \
	"credentials are looked for in $DOCKER_AUTH_CONFIG, $REGISTRY_AUTH_FILE, "       \
	"$DOCKER_CONFIG/config.json, ~/.docker/config.json and "                         \
	"$XDG_RUNTIME_DIR/containers/auth.json, where `docker login` and the like write" \
	" them"

/* What a client remembers of tokens and credentials. */
struct oci_auth;

/* Makes an empty memory; free with oci_auth_free. */
struct oci_auth *oci_auth_new(void);

/* Wipes and frees it; NULL is allowed. */
void oci_auth_free(struct oci_auth *auth);

/* Who asks whom for what. */
struct oci_auth_place {
	const char *name;       /* registry, host[:port] as in references */
	const char *repository; /* "library/debian" */
	const char *ca;         /* or NULL */
	bool insecure;          /* tokens may be fetched by plain HTTP */
	struct http_session *session;
};

/* The header line "Authorization: ..." that was good the last time, or NULL. Caller frees with oci_secret_free. */
char *oci_auth_known(struct oci_auth *auth, const struct oci_auth_place *place);

/* Meets the challenge in the answer (status 401) to a request with the header line used (or NULL): finds
 * credentials, fetches a token. *ret is a new header line, caller frees with oci_secret_free. ERR_NETWORK with a
 * hint when there is none, or the one that was used is already the best. Blocks; several threads may call it, and
 * fetch one token together. */
int oci_auth_meet(struct oci_auth *auth, const struct oci_auth_place *place,
		  const struct http_answer *answer, const char *used, char **ret, struct err *err);

/* The error for a registry that refuses what it was given. Returns -1. */
int oci_auth_refused(const struct oci_auth_place *place, const struct http_answer *answer,
		     const char *used, struct err *err);

#endif
