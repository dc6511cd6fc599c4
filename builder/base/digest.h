/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256, the one digest of this program (FIPS 180-4, by OpenSSL); and SHA-1 for formats that cannot do
 * without.
 */
#ifndef INGOT_BASE_DIGEST_H
#define INGOT_BASE_DIGEST_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 32
#define DIGEST_HEX_SIZE 65 /* 64 lower-case hex digits and NUL */

struct digest {
	uint8_t bytes[DIGEST_SIZE];
};

/* A running digest; allocated, so that this header needs no OpenSSL. */
struct digest_ctx;

/* Starts a digest; end with digest_finish or digest_ctx_free. */
struct digest_ctx *digest_start(void);

/* Adds bytes. */
void digest_add(struct digest_ctx *ctx, const void *bytes, size_t len);

/* Writes the result and frees ctx. */
void digest_finish(struct digest_ctx *ctx, struct digest *ret);

/* Makes ctx ready for the next message, its initial state a copy of that of base (for salted
 * hashing of many blocks). Both stay owned by the caller. */
void digest_restart_from(struct digest_ctx *ctx, const struct digest_ctx *base);

/* Writes the result but keeps ctx, which must be restarted before its next use. */
void digest_peek(struct digest_ctx *ctx, struct digest *ret);

/* Frees a digest that is not wanted; NULL is allowed. */
void digest_ctx_free(struct digest_ctx *ctx);

/* Digest of bytes in memory. */
void digest_bytes(const void *bytes, size_t len, struct digest *ret);

/* Digest of a whole file. Blocks while reading. */
int digest_file(const char *path, struct digest *ret, struct err *err);

/* Writes 64 lower-case hex digits and NUL. Returns hex. */
char *digest_hex(const struct digest *d, char hex[DIGEST_HEX_SIZE]);

#define DIGEST_SHA1_HEX_SIZE 41 /* 40 lower-case hex digits and NUL */

/* Starts a SHA-1 digest, for what demands one (SPDX 2.3, 8.4 and 7.9): nothing here trusts it. It takes
 * digest_add and digest_ctx_free; end it with digest_finish_sha1. */
struct digest_ctx *digest_start_sha1(void);

/* Writes the result of a SHA-1 digest as 40 lower-case hex digits and NUL, and frees ctx. Returns hex. */
char *digest_finish_sha1(struct digest_ctx *ctx, char hex[DIGEST_SHA1_HEX_SIZE]);

/* Reads exactly 64 hex digits; ERR_VERIFY otherwise. */
int digest_parse(const char *hex, struct digest *ret, struct err *err);

#endif
