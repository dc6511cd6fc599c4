/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small secrets sealed under the secret of a cluster, to lie in a store that others can read and write: AES-256-GCM
 * (NIST SP 800-38D) with a key by HKDF-SHA256. What is sealed opens only at the place that it was sealed for.
 */
#ifndef INGOT_BASE_SEAL_H
#define INGOT_BASE_SEAL_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#define SEAL_KEY_SIZE 32
#define SEAL_NONCE_SIZE 12
#define SEAL_TAG_SIZE 16
#define SEAL_MAX ((size_t)4096) /* bytes that are sealed at once */

struct seal_key {
	uint8_t bytes[SEAL_KEY_SIZE];
};

/* Where a sealed value belongs; moved to another place it does not open. */
struct seal_place {
	const char *cluster;
	uint64_t epoch;
	const char *name; /* of the value, "worker" */
};

/* Makes the key of a cluster for one purpose ("rendezvous") from its secret of at least one byte. Wipe it with
 * seal_key_wipe. */
void seal_key_derive(const char *secret, const char *purpose, const char *cluster,
		     struct seal_key *ret);

/* Overwrites the key; usable with CLEANUP(). */
void seal_key_wipe(struct seal_key *key);

/* Appends base64 of version, random nonce, ciphertext and tag of len bytes (at most SEAL_MAX). Fails only when the
 * kernel gives no random bytes. May be done 2^32 times with one key. */
int seal_bytes(const struct seal_key *key, const struct seal_place *place, const void *bytes,
	       size_t len, struct str *text, struct err *err);

/* Opens what seal_bytes wrote for the same place into bytes (room for size), and puts a NUL behind it: so at most
 * size - 1 bytes. ERR_VERIFY, and nothing of it in bytes, when it is damaged, from elsewhere or sealed under
 * another secret. The caller wipes bytes. */
int seal_open(const struct seal_key *key, const struct seal_place *place, const char *text,
	      char *bytes, size_t size, size_t *ret_len, struct err *err);

/* AES-256-GCM itself: encrypts len bytes from in to out, aad is protected too. */
void seal_gcm_encrypt(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_SIZE],
		      const void *aad, size_t aad_len, const void *in, size_t len, void *out,
		      uint8_t ret_tag[SEAL_TAG_SIZE]);

/* The way back: -1, and out is wiped, when the tag is not of these bytes. */
int seal_gcm_decrypt(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_SIZE],
		     const void *aad, size_t aad_len, const void *in, size_t len, void *out,
		     const uint8_t tag[SEAL_TAG_SIZE]);

#endif
