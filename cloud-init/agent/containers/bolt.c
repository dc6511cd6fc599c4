/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of buckets: looking up and changing it. Entries stand in sorted arrays, because the files hold them sorted
 * and both reading and writing walk them in that order.
 */
#include "agent/containers/bolt_parts.h"

#include <stdlib.h>

struct bolt *bolt_new(void)
{
	struct bolt *bolt = mem_alloc(sizeof(*bolt));

	bolt->arena = mem_arena_new();
	bolt->root = bolt_new_bucket(bolt);
	return bolt;
}

/* Buckets and bytes live in the arena, the arrays of entries do not: they grow. */
static void free_entries(struct bolt_bucket *bucket)
{
	for (size_t i = 0; i < bucket->count; i++)
		if (bucket->entries[i].bucket)
			free_entries(bucket->entries[i].bucket);
	free(bucket->entries);
	bucket->entries = NULL;
	bucket->count = bucket->room = 0;
}

void bolt_free(struct bolt *bolt)
{
	if (!bolt)
		return;
	free_entries(bolt->root);
	mem_arena_free(bolt->arena);
	str_free(&bolt->file);
	free(bolt);
}

struct bolt_bucket *bolt_new_bucket(struct bolt *bolt)
{
	return mem_arena_alloc(bolt->arena, sizeof(struct bolt_bucket));
}

struct bolt_bucket *bolt_root(struct bolt *bolt)
{
	return bolt->root;
}

bool bolt_changed(const struct bolt *bolt)
{
	return bolt->changed;
}

void bolt_append(struct bolt_bucket *bucket, const struct bolt_entry *entry)
{
	if (bucket->count == bucket->room) {
		/* Most buckets are small: a few fields of one object. */
		bucket->room = bucket->room ? 2 * bucket->room : 4;
		bucket->entries =
			mem_resize(bucket->entries, bucket->room, sizeof(*bucket->entries));
	}
	bucket->entries[bucket->count++] = *entry;
}

static int compare(const struct bolt_entry *entry, const void *key, size_t key_size)
{
	size_t common = entry->key_size < key_size ? entry->key_size : key_size;
	int r = common ? memcmp(entry->key, key, common) : 0;

	if (r != 0)
		return r;
	return entry->key_size < key_size ? -1 : entry->key_size > key_size;
}

/* Where the key is (then *ret_found), or belongs. */
static size_t position(const struct bolt_bucket *bucket, const void *key, size_t key_size,
		       bool *ret_found)
{
	size_t low = 0, high = bucket->count;

	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = compare(&bucket->entries[middle], key, key_size);

		if (r == 0) {
			*ret_found = true;
			return middle;
		}
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct bolt_entry *bolt_find(const struct bolt_bucket *bucket, const void *key, size_t key_size)
{
	bool found;
	size_t at = position(bucket, key, key_size, &found);

	return found ? &bucket->entries[at] : NULL;
}

struct bolt_bucket *bolt_bucket(const struct bolt_bucket *bucket, const char *name)
{
	const struct bolt_entry *entry = bucket ? bolt_find(bucket, name, strlen(name)) : NULL;

	return entry ? entry->bucket : NULL;
}

const struct bolt_entry *bolt_value(const struct bolt_bucket *bucket, const char *name)
{
	const struct bolt_entry *entry = bucket ? bolt_find(bucket, name, strlen(name)) : NULL;

	return entry && !entry->bucket ? entry : NULL;
}

bool bolt_value_is(const struct bolt_bucket *bucket, const char *name, const char *text)
{
	const struct bolt_entry *entry = bolt_value(bucket, name);
	size_t size = strlen(text);

	return entry && entry->value_size == size && memcmp(entry->value, text, size) == 0;
}

/* Makes room for an entry at that place and copies the key. */
static struct bolt_entry *insert(struct bolt *bolt, struct bolt_bucket *bucket, size_t at,
				 const void *key, size_t key_size)
{
	struct bolt_entry entry = {
		.key = (uint8_t *)mem_arena_strndup(bolt->arena, key, key_size),
		.key_size = (uint32_t)key_size,
	};

	bolt_append(bucket, &entry);
	memmove(&bucket->entries[at + 1], &bucket->entries[at],
		(bucket->count - 1 - at) * sizeof(entry));
	bucket->entries[at] = entry;
	bolt->changed = true;
	return &bucket->entries[at];
}

static int check_key(size_t key_size, struct err *err)
{
	if (key_size == 0 || key_size > BOLT_KEY_MAX)
		return err_set(err, ERR_VERIFY, "a key of %zu bytes does not fit into a database",
			       key_size);
	return 0;
}

struct bolt_bucket *bolt_make_bucket(struct bolt *bolt, struct bolt_bucket *bucket,
				     const char *name, struct err *err)
{
	size_t size = strlen(name);
	bool found;
	size_t at = position(bucket, name, size, &found);
	struct bolt_bucket *made;

	if (found && !bucket->entries[at].bucket) {
		err_set(err, ERR_VERIFY, "the key '%s' is not a bucket", name);
		return NULL;
	}
	if (found)
		return bucket->entries[at].bucket;
	if (check_key(size, err) < 0)
		return NULL;
	made = bolt_new_bucket(bolt);
	insert(bolt, bucket, at, name, size)->bucket = made;
	return made;
}

int bolt_put(struct bolt *bolt, struct bolt_bucket *bucket, const void *key, size_t key_size,
	     const void *value, size_t value_size, struct err *err)
{
	bool found;
	size_t at = position(bucket, key, key_size, &found);
	struct bolt_entry *entry;

	if (check_key(key_size, err) < 0)
		return -1;
	if (value_size > BOLT_FILE_MAX)
		return err_set(err, ERR_VERIFY, "a value of %zu bytes does not fit into a database",
			       value_size);
	if (found && bucket->entries[at].bucket)
		return err_set(err, ERR_VERIFY, "the key '%.*s' is a bucket", (int)key_size,
			       (const char *)key);
	entry = found ? &bucket->entries[at] : insert(bolt, bucket, at, key, key_size);
	if (found && entry->value_size == value_size &&
	    (value_size == 0 || memcmp(entry->value, value, value_size) == 0))
		return 0;
	entry->value = (uint8_t *)mem_arena_strndup(bolt->arena, value ? value : "", value_size);
	entry->value_size = (uint32_t)value_size;
	bolt->changed = true;
	return 0;
}

int bolt_put_text(struct bolt *bolt, struct bolt_bucket *bucket, const char *key, const char *text,
		  struct err *err)
{
	return bolt_put(bolt, bucket, key, strlen(key), text, strlen(text), err);
}

bool bolt_delete(struct bolt *bolt, struct bolt_bucket *bucket, const void *key, size_t key_size)
{
	bool found;
	size_t at = position(bucket, key, key_size, &found);

	if (!found)
		return false;
	if (bucket->entries[at].bucket)
		free_entries(bucket->entries[at].bucket);
	bucket->count--;
	memmove(&bucket->entries[at], &bucket->entries[at + 1],
		(bucket->count - at) * sizeof(bucket->entries[0]));
	bolt->changed = true;
	return true;
}

void bolt_set_sequence(struct bolt *bolt, struct bolt_bucket *bucket, uint64_t sequence)
{
	if (bucket->sequence == sequence)
		return;
	bucket->sequence = sequence;
	bolt->changed = true;
}

int bolt_rename(struct bolt *bolt, struct bolt_bucket *bucket, const char *from, const char *to,
		struct err *err)
{
	bool found;
	size_t at = position(bucket, to, strlen(to), &found);
	struct bolt_entry *entry = bolt_find(bucket, from, strlen(from));
	struct bolt_entry copy;

	if (!entry || found)
		return err_set(err, ERR_VERIFY, "cannot rename the key '%s': %s", from,
			       entry ? "the new name is taken" : "there is none");
	if (check_key(strlen(to), err) < 0)
		return -1;
	copy = *entry;
	entry = insert(bolt, bucket, at, to, strlen(to));
	entry->value = copy.value;
	entry->value_size = copy.value_size;
	entry->bucket = copy.bucket;
	/* Not bolt_delete: what is in it lives on. */
	at = position(bucket, from, strlen(from), &found);
	bucket->count--;
	memmove(&bucket->entries[at], &bucket->entries[at + 1],
		(bucket->count - at) * sizeof(bucket->entries[0]));
	return 0;
}
