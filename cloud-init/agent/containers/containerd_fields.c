/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of containerd's objects: numbers, times and labels as Go's encoding/binary and metadata/boltutil write them.
 */
#include "agent/containers/containerd_parts.h"

#include "base/mem.h"

#include <string.h>

#define NUMBER_MAX 10 /* bytes of a varint of 64 bits */

char *containerd_digest(const struct digest *digest, char text[CONTAINERD_DIGEST_SIZE])
{
	digest_hex(digest, stpcpy(text, "sha256:"));
	return text;
}

struct bolt_bucket *containerd_make(struct bolt *bolt, struct bolt_bucket *bucket,
				    const char *const *names, struct err *err)
{
	for (; bucket && *names; names++)
		bucket = bolt_make_bucket(bolt, bucket, *names, err);
	return bucket;
}

int containerd_put_number(struct bolt *bolt, struct bolt_bucket *bucket, const char *key,
			  uint64_t value, bool is_signed, struct err *err)
{
	uint8_t bytes[NUMBER_MAX];
	size_t len = 0;

	/* No number of ours is negative, so that zigzag is a shift. */
	if (is_signed)
		value <<= 1;
	for (; value >= 0x80; value >>= 7)
		bytes[len++] = (uint8_t)(value | 0x80);
	bytes[len++] = (uint8_t)value;
	return bolt_put(bolt, bucket, key, strlen(key), bytes, len, err);
}

bool containerd_get_number(const struct bolt_bucket *bucket, const char *key, uint64_t *ret)
{
	const struct bolt_entry *entry = bolt_value(bucket, key);

	*ret = 0;
	if (!entry || entry->value_size == 0 || entry->value_size > NUMBER_MAX)
		return false;
	for (uint32_t i = 0; i < entry->value_size; i++) {
		bool last = i + 1 == entry->value_size;

		if (((entry->value[i] & 0x80) == 0) != last ||
		    (i == NUMBER_MAX - 1 && entry->value[i] > 1))
			return false;
		*ret |= (uint64_t)(entry->value[i] & 0x7f) << (7 * i);
	}
	return true;
}

int containerd_put_times(struct containerd_store *store, struct bolt *bolt,
			 struct bolt_bucket *bucket, bool touch, struct err *err)
{
	static const char *const keys[] = {"createdat", "updatedat"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (bolt_value(bucket, keys[i]) && !(touch && i == 1))
			continue;
		if (bolt_put(bolt, bucket, keys[i], strlen(keys[i]), store->now, sizeof(store->now),
			     err) < 0)
			return -1;
	}
	return 0;
}

int containerd_put_label(struct bolt *bolt, struct bolt_bucket *object, const char *key,
			 const char *value, struct err *err)
{
	struct bolt_bucket *labels = bolt_make_bucket(bolt, object, "labels", err);

	return labels ? bolt_put_text(bolt, labels, key, value, err) : -1;
}

char *containerd_get_text(const struct bolt_bucket *bucket, const char *key)
{
	const struct bolt_entry *entry = bolt_value(bucket, key);

	return entry ? mem_strndup((const char *)entry->value, entry->value_size) : NULL;
}
