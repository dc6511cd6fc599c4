/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA256SUMS, in the format of GNU sha256sum, and its detached signature SHA256SUMS.sig: the raw bytes that
 * `openssl pkeyutl -verify -rawin` takes.
 */
#ifndef INGOT_ATTEST_SUMS_H
#define INGOT_ATTEST_SUMS_H

#include "base/digest.h"
#include "base/err.h"
#include "base/sign.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define SUMS_FILE "SHA256SUMS"
#define SUMS_SIGNATURE_SUFFIX ".sig"
#define SUMS_MAX ((size_t)1 << 20) /* bytes of a file */

struct sums_entry {
	char *name; /* of a file beside SHA256SUMS */
	struct digest digest;
};

/* {0} is valid and empty. */
struct sums {
	struct sums_entry *items;
	size_t count, room;
};

/* Frees the entries and makes it empty. Usable with CLEANUP(). */
void sums_free(struct sums *sums);

/* True for the name of a file in the folder itself: 1 to 255 bytes of UTF-8 without '/' and control
 * characters, not "." or "..". SHA256SUMS names and manifests must keep to it. */
bool sums_is_name(const char *name);

/* Adds a file; the name is copied. ERR_OTHER when it is no sums_is_name or is there already. */
int sums_add(struct sums *sums, const char *name, const struct digest *digest, struct err *err);

/* The entry of a file, or NULL. */
const struct sums_entry *sums_find(const struct sums *sums, const char *name);

/* Appends the text, sorted by name bytewise: the same files give the same bytes. */
void sums_text(const struct sums *sums, struct str *text);

/* Reads len bytes of text, which may be hostile; name is for messages. Every line must be as sums_text
 * writes it (lower case; a '*' for binary mode and GNU's escapes are allowed; any order). ERR_VERIFY names
 * the line; no file at all and a file that is named twice are ERR_VERIFY too. */
int sums_parse(const char *text, size_t len, const char *name, struct sums *ret, struct err *err);

/* Signs the file at path (at most SUMS_MAX bytes) and writes PATH.sig by way of a temporary file, synced.
 * A signature of the same key that is there already and right is kept: ECDSA makes another one each time. */
int sums_sign(const char *path, const struct sign_key *key, struct err *err);

#endif
