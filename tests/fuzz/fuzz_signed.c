/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as SHA256SUMS, as a DSSE envelope and as a public key: what verification reads before it knows
 * who wrote it. They are refused with an error, or have one meaning.
 */
#include "demand.h"
#include "attest/dsse.h"
#include "attest/sums.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char public_key[] = "-----BEGIN PUBLIC KEY-----\n"
				 "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
				 "-----END PUBLIC KEY-----\n";

static void demand_error(const struct err *err)
{
	demand(err->code != 0 && err->msg[0], "an error is told");
}

/* What was read and written again is read as the same. */
static void try_sums(const char *text, size_t size)
{
	CLEANUP(sums_free) struct sums sums = {0}, back = {0};
	CLEANUP(str_free) struct str first = {0}, second = {0};
	struct err err = {0};

	if (sums_parse(text, size, "sums", &sums, &err) < 0) {
		demand_error(&err);
		demand(sums.count == 0, "nothing is left of bad sums");
		return;
	}
	demand(sums.count > 0, "sums have files");
	for (size_t i = 0; i < sums.count; i++)
		demand(sums_is_name(sums.items[i].name) &&
			       sums_find(&sums, sums.items[i].name) == &sums.items[i],
		       "names are names and there once");
	sums_text(&sums, &first);
	demand(sums_parse(first.data, first.len, "back", &back, &err) == 0, "our text is read");
	sums_text(&back, &second);
	demand(back.count == sums.count && strcmp(first.data, second.data) == 0,
	       "our text is read as what it was");
}

static void try_envelope(const char *text, size_t size, const struct sign_key *key)
{
	CLEANUP(dsse_free) struct dsse envelope = {0};
	struct err err = {0};

	if (dsse_parse(text, size, "envelope", &envelope, &err) < 0) {
		demand_error(&err);
		return;
	}
	demand(envelope.type && envelope.payload.data && envelope.signature.data,
	       "an envelope has all parts");
	demand(!dsse_verify(&envelope, key), "nobody signed it");
}

static void try_key(const char *text, size_t size)
{
	struct err err = {0};
	CLEANUP(sign_cleanup) struct sign_key *key = sign_parse_public(text, size, "key", &err);

	if (!key) {
		demand_error(&err);
		return;
	}
	demand(strlen(sign_key_id(key)) == 64 && sign_key_kind(key)[0], "a key has a name");
	demand(!sign_verify(key, "text", 4, "signature", 9), "nothing is signed by it");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sign_key *key;

	if (!key)
		key = sign_parse_public(public_key, strlen(public_key), "key", NULL);
	demand(key != NULL, "a key");
	try_sums((const char *)data, size);
	try_envelope((const char *)data, size, key);
	try_key((const char *)data, size);
	return 0;
}
