/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DSSE envelopes, version 1 (secure-systems-lab/dsse, protocol.md and envelope.md): a payload, its type and
 * one signature over both, as one line of JSON. We put in-toto statements into them.
 */
#ifndef INGOT_ATTEST_DSSE_H
#define INGOT_ATTEST_DSSE_H

#include "base/err.h"
#include "base/sign.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define DSSE_IN_TOTO "application/vnd.in-toto+json"
#define DSSE_MAX ((size_t)32 << 20) /* bytes of an envelope */

/* An envelope that was read. {0} is valid. */
struct dsse {
	char *type;         /* of the payload */
	struct str payload; /* decoded; data is never NULL */
	char *key_id;       /* what the envelope says, a hint only; NULL: nothing */
	struct str signature;
};

/* Frees the members. Usable with CLEANUP(). */
void dsse_free(struct dsse *envelope);

/* Appends the envelope of len bytes of payload, signed by key, as a line of JSON with its newline. */
int dsse_wrap(const void *payload, size_t len, const char *type, const struct sign_key *key,
	      struct str *line, struct err *err);

/* Reads one envelope, which may be hostile; name is for messages. ERR_VERIFY when it is none, or has not
 * just one signature. The signature is not looked at. Free with dsse_free. */
int dsse_parse(const char *text, size_t len, const char *name, struct dsse *ret, struct err *err);

/* True when the signature is one of the key over payload and type. */
bool dsse_verify(const struct dsse *envelope, const struct sign_key *key);

/* Wraps the file at path, an in-toto statement, into an envelope at path_envelope, written by way of a
 * temporary file, synced. An envelope of the same statement and key that is there already and right is
 * kept: ECDSA makes another signature each time. */
int dsse_write(const char *path, const char *path_envelope, const struct sign_key *key,
	       struct err *err);

#endif
