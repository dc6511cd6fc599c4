/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HMAC-SHA256 (RFC 2104, FIPS 198-1) and HKDF-SHA256 (RFC 5869), by OpenSSL: how keys are made of a shared
 * secret, and how requests are signed with one.
 */
#ifndef INGOT_BASE_HMAC_H
#define INGOT_BASE_HMAC_H

#include "base/digest.h"

#include <stddef.h>

#define HKDF_MAX ((size_t)255 * DIGEST_SIZE) /* bytes that one HKDF can give */

/* The code of len bytes under a key of at least one byte. The caller wipes ret when it is a key. */
void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
		 struct digest *ret);

/* Makes out_len bytes (1 to HKDF_MAX) of key from a secret of at least one byte. salt may be NULL with length
 * 0; info says what the key is for. The caller wipes out. */
void hkdf_sha256(const void *secret, size_t secret_len, const void *salt, size_t salt_len,
		 const void *info, size_t info_len, void *out, size_t out_len);

#endif
