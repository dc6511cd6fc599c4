/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials for registries as docker, podman and their helper programs keep them.
 */
#ifndef INGOT_OCI_CREDENTIALS_H
#define INGOT_OCI_CREDENTIALS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Either user and secret (a password), or identity (a refresh token), or bearer (a registry token); the others are
 * NULL. */
struct oci_credentials {
	char *user, *secret, *identity, *bearer;
};

/* Wipes and frees them; usable with CLEANUP() on zeroed ones. */
void oci_credentials_free(struct oci_credentials *credentials);

/* Wipes and frees a string and makes it NULL; usable with CLEANUP(). */
void oci_secret_free(char **secret);

/* The three strings in one, of which no copy lies around (as mem_printf leaves them). Caller frees with
 * oci_secret_free. */
char *oci_secret_join(const char *a, const char *b, const char *c);

/* Which helper program to ask, and for what. */
struct oci_helper {
	char *name;   /* NAME of docker-credential-NAME */
	char *server; /* what it is asked for */
};

/* Frees it; usable with CLEANUP() on a zeroed one. */
void oci_helper_free(struct oci_helper *helper);

/* Looks into the text of a config.json or auth.json (containers-auth.json(5)) for a repository of a registry; name
 * is for messages, which have nothing of the content. Entries for a repository or its parents come before that of
 * its host; credHelpers before auths before credsStore. Returns 1 when there are credentials, 2 when a helper is to
 * be asked (both are set, the caller frees them), 0 when there is nothing, -1 with ERR_OTHER when it cannot be
 * read. */
int oci_credentials_parse(const char *text, size_t len, const char *name, const char *registry,
			  const char *repository, struct oci_credentials *ret,
			  struct oci_helper *ret_helper, struct err *err);

/* Asks a helper program. Returns 1, 0 when it has nothing, -1 when it fails (ERR_OTHER, ERR_TOOL). Blocks while the
 * program runs. */
int oci_helper_ask(const struct oci_helper *helper, struct oci_credentials *ret, struct err *err);

/* Finds credentials in the places that oci_client_new names; the first that has any counts. Returns 1, 0 or -1 as
 * above. Reads files and may run a helper. */
int oci_credentials_find(const char *registry, const char *repository, struct oci_credentials *ret,
			 struct err *err);

#endif
