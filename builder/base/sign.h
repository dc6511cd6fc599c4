/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and signatures: Ed25519 (RFC 8032, over the message itself), ECDSA on P-256 or P-384 and RSA PKCS #1
 * v1.5, both with SHA-256. Keys come from PEM files or from a token (PKCS #11). By OpenSSL.
 */
#ifndef INGOT_BASE_SIGN_H
#define INGOT_BASE_SIGN_H

#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define SIGN_SIGNATURE_MAX ((size_t)4096) /* bytes; of RSA with 16384 bits it is half of that */

/* Where the passphrase of an encrypted key file or the PIN of a token comes from. */
#define SIGN_PASSPHRASE "INGOT_KEY_PASSPHRASE"

struct sign_key;

/* Opens a private key: a PEM file (PKCS #8 or older, perhaps encrypted) or a "pkcs11:" URI (RFC 7512) of a
 * key on a token. A passphrase or PIN comes from the environment variable SIGN_PASSPHRASE (for a token also
 * from pin-source or pin-value of the URI), never from a terminal. It is taken out of the environment, so
 * that programs started later do not get it: open keys before threads start. ERR_PROFILE when the key is
 * none, weak (RSA below 2048 bits, other curves) or does not open; ERR_TOOL when OpenSSL lacks PKCS #11.
 * May block on a token. Free with sign_close. */
struct sign_key *sign_open_private(const char *where, struct err *err);

/* Opens a public key: a PEM file with a public key or a certificate (of which only the key counts: neither
 * its dates nor its issuer are looked at). ERR_PROFILE when it is none or weak. Free with sign_close. */
struct sign_key *sign_open_public(const char *path, struct err *err);

/* As sign_open_public with the content of a file, which may be hostile; name is for messages. */
struct sign_key *sign_parse_public(const char *pem, size_t len, const char *name, struct err *err);

/* Wipes and frees a key; NULL is allowed. */
void sign_close(struct sign_key *key);

/* For CLEANUP(). */
static inline void sign_cleanup(struct sign_key **key)
{
	sign_close(*key);
}

/* The name of a key: SHA-256 of its public part as DER SubjectPublicKeyInfo, 64 hex digits. Borrowed. */
const char *sign_key_id(const struct sign_key *key);

/* "Ed25519", "ECDSA P-256", "RSA 3072", ...; borrowed. */
const char *sign_key_kind(const struct sign_key *key);

/* True when equal messages get equal signatures (all but ECDSA). */
bool sign_is_deterministic(const struct sign_key *key);

/* Signs len bytes with a private key; the raw signature (ECDSA: DER) is appended to signature. It is
 * verified before it is given out. Blocks on a token. */
int sign_bytes(const struct sign_key *key, const void *bytes, size_t len, struct str *signature,
	       struct err *err);

/* True when it is a signature of the key over the bytes. Any key will do. */
bool sign_verify(const struct sign_key *key, const void *bytes, size_t len, const void *signature,
		 size_t signature_len);

enum sign_type { SIGN_ED25519, SIGN_ECDSA, SIGN_RSA };

/* Makes a key pair: Ed25519, P-256 or RSA of 3072 bits (which takes a second). Free with sign_close. */
struct sign_key *sign_generate(enum sign_type type, struct err *err);

/* Writes the private key as PKCS #8 PEM with mode 0600, encrypted (PBES2: PBKDF2, AES-256) when
 * SIGN_PASSPHRASE is set and not empty (*ret_encrypted). A file that is there already is an error. */
int sign_write_private(const struct sign_key *key, const char *path, bool *ret_encrypted,
		       struct err *err);

/* Writes the public key as PEM (SubjectPublicKeyInfo). A file that is there already is an error. */
int sign_write_public(const struct sign_key *key, const char *path, struct err *err);

#endif
