/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a database of bbolt. What can be read is written, read again, and the same. The checksums of both meta
 * pages are set right first: a fuzzer would not find them.
 */
#include "agent/containers/bolt_parts.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_equal(const struct bolt_bucket *a, const struct bolt_bucket *b)
{
	if (a->count != b->count || a->sequence != b->sequence)
		abort();
	for (size_t i = 0; i < a->count; i++) {
		const struct bolt_entry *x = &a->entries[i], *y = &b->entries[i];

		if (x->key_size != y->key_size || memcmp(x->key, y->key, x->key_size) != 0 ||
		    !x->bucket != !y->bucket)
			abort();
		if (x->bucket)
			check_equal(x->bucket, y->bucket);
		else if (x->value_size != y->value_size ||
			 memcmp(x->value, y->value, x->value_size) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(str_free) struct str file = {0}, written = {0};
	CLEANUP(bolt_cleanup) struct bolt *bolt = NULL, *again = NULL;
	struct err err = {0};

	if (size < 128 || size > 1 << 20)
		return 0;
	str_add_bytes(&file, data, size);
	for (size_t at = 0; at <= 4096 && at + BOLT_HEADER_SIZE + BOLT_META_SIZE <= size;
	     at += 4096) {
		uint8_t *meta = (uint8_t *)file.data + at + BOLT_HEADER_SIZE;

		bolt_set64(meta + 56, bolt_checksum(meta));
	}
	bolt = bolt_parse(file.data, file.len, "input", &err);
	if (!bolt || bolt_write(bolt, &written, &err) < 0)
		return 0;
	again = bolt_parse(written.data, written.len, "written", &err);
	if (!again)
		abort();
	check_equal(bolt_root(bolt), bolt_root(again));
	return 0;
}
