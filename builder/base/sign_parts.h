/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sign.c (signatures), sign_key.c (key files) and sign_pkcs11.c (tokens) share. Private to them.
 */
#ifndef INGOT_BASE_SIGN_PARTS_H
#define INGOT_BASE_SIGN_PARTS_H

#include "base/sign.h"

#include <openssl/evp.h>

struct sign_token; /* what a key on a token needs to live */

struct sign_key {
	EVP_PKEY *secret; /* or NULL */
	EVP_PKEY *open;   /* the public part, always by OpenSSL itself */
	struct sign_token *token;
	OSSL_LIB_CTX *library; /* of secret; NULL: the default one */
	bool hash_first;       /* SHA-256 of the message is signed */
	char id[DIGEST_HEX_SIZE];
	char kind[32];
};

/* As err_set, with OpenSSL's own words for the first error behind it; forgets those. Returns -1. */
int sign_failed(struct err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Makes a key of secret or open (both taken over, also on error; secret may be NULL, and open too when
 * secret is there) after a look at its strength; where is for messages. NULL with ERR_PROFILE. */
struct sign_key *sign_new(EVP_PKEY *secret, EVP_PKEY *open, const char *where, struct err *err);

/* The passphrase, or NULL when none is set. The first call takes it out of the environment. Static. */
const char *sign_passphrase(void);

/* Opens a key on a token by a "pkcs11:" URI. */
struct sign_key *sign_open_token(const char *uri, struct err *err);

/* Frees it; NULL is allowed. */
void sign_token_free(struct sign_token *token);

#endif
