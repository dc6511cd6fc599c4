/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Databases of bbolt: what is written is read back, with every kind of page; and no byte of a damaged file does harm.
 * That the real bbolt reads and writes them is tried in tests/build/containerd-store.t.
 */
#include "tap.h"

#include "agent/containers/bolt_parts.h"

#include "base/mem.h"

#define PAGE 4096

static struct err err;

static void put(struct bolt *bolt, struct bolt_bucket *bucket, const char *key, const void *value,
		size_t size)
{
	CHECK_OK(bolt_put(bolt, bucket, key, strlen(key), value, size, &err), &err);
}

static struct bolt_bucket *make(struct bolt *bolt, struct bolt_bucket *bucket, const char *name)
{
	struct bolt_bucket *made = bolt_make_bucket(bolt, bucket, name, &err);

	CHECK_OK_PTR(made, &err);
	return made;
}

static void check_equal(const struct bolt_bucket *a, const struct bolt_bucket *b)
{
	CHECK_U64(a->sequence, b->sequence);
	CHECK_U64(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct bolt_entry *x = &a->entries[i], *y = &b->entries[i];

		CHECK_U64(x->key_size, y->key_size);
		CHECK_MEM(x->key, y->key, x->key_size);
		CHECK((x->bucket != NULL) == (y->bucket != NULL));
		if (x->bucket) {
			check_equal(x->bucket, y->bucket);
			continue;
		}
		CHECK_U64(x->value_size, y->value_size);
		CHECK_MEM(x->value, y->value, x->value_size);
	}
}

/* Writes, reads, compares, and writes again: the bytes are the same. Returns the file. */
static struct str round_trip(struct bolt *bolt)
{
	CLEANUP(str_free) struct str again = {0};
	struct str file = {0};
	struct bolt *back;

	CHECK_OK(bolt_write(bolt, &file, &err), &err);
	CHECK_U64(file.len % PAGE, 0);
	back = bolt_parse(file.data, file.len, "test", &err);
	CHECK_OK_PTR(back, &err);
	check_equal(bolt_root(bolt), bolt_root(back));
	CHECK(!bolt_changed(back));
	CHECK_OK(bolt_write(back, &again, &err), &err);
	CHECK_U64(again.len, file.len);
	CHECK_MEM(again.data, file.data, file.len);
	bolt_free(back);
	return file;
}

/* A small database with all that one can have: an inline bucket, one that is too large for it, one with a bucket. */
static struct bolt *small(void)
{
	struct bolt *bolt = bolt_new();
	struct bolt_bucket *version = make(bolt, bolt_root(bolt), "v1");
	struct bolt_bucket *inner = make(bolt, version, "inner"), *large;
	char bytes[1500];

	memset(bytes, 'x', sizeof(bytes));
	put(bolt, version, "version", "\x06", 1);
	put(bolt, inner, "a", "1", 1);
	put(bolt, inner, "b", "", 0);
	bolt_set_sequence(bolt, inner, 7);
	make(bolt, version, "empty");
	large = make(bolt, version, "large");
	put(bolt, large, "bytes", bytes, sizeof(bytes));
	bolt_set_sequence(bolt, version, UINT64_MAX);
	return bolt;
}

TEST(an_empty_database)
{
	struct bolt *bolt = bolt_new();
	CLEANUP(str_free) struct str file = round_trip(bolt);
	const uint8_t *meta = (uint8_t *)file.data + PAGE + BOLT_HEADER_SIZE;

	/* Two metas, the freelist, the root's leaf: as bbolt makes a new one. */
	CHECK_U64(file.len, 4 * PAGE);
	CHECK_HEX(bolt_get32(meta), 0xED0CDAED);
	CHECK_U64(bolt_get32(meta + 8), PAGE);
	CHECK_U64(bolt_get64(meta + 16), 3); /* root */
	CHECK_U64(bolt_get64(meta + 32), 2); /* freelist */
	CHECK_U64(bolt_get64(meta + 40), 4); /* pages */
	CHECK_U64(bolt_get64(meta + 48), 1); /* transaction */
	CHECK_U64(bolt_get16((uint8_t *)file.data + 2 * PAGE + 8), BOLT_FREELIST);
	bolt_free(bolt);
}

TEST(a_small_database)
{
	struct bolt *bolt = small();
	CLEANUP(str_free) struct str file = round_trip(bolt);

	/* large and v1 have a page each, the others are inline. */
	CHECK_U64(file.len, 6 * PAGE);
	bolt_free(bolt);
}

TEST(inline_buckets_end_where_those_of_bbolt_do)
{
	/* A page of 1024 bytes with one element of 16, a key of 1 and the rest as value. */
	for (size_t size = 990; size <= 993; size++) {
		struct bolt *bolt = bolt_new();
		struct bolt_bucket *bucket = make(bolt, bolt_root(bolt), "b");
		char bytes[1000] = {0};
		struct str file;

		put(bolt, bucket, "k", bytes, size);
		file = round_trip(bolt);
		CHECK_U64(file.len, (size <= 991 ? 4 : 5) * PAGE);
		str_free(&file);
		bolt_free(bolt);
	}
}

static void number(char text[8], unsigned value)
{
	for (unsigned i = 8; i-- > 0; value /= 10)
		text[i] = (char)('0' + value % 10);
}

/* Count keys of key_size bytes with values of value_size bytes; returns how high the tree of the bucket is. */
static unsigned many(unsigned count, unsigned key_size, unsigned value_size)
{
	struct bolt *bolt = bolt_new();
	struct bolt_bucket *bucket = make(bolt, bolt_root(bolt), "many");
	CLEANUP_FREE char *key = mem_alloc(key_size + 1), *value = mem_alloc(value_size + 1);
	CLEANUP(str_free) struct str file = {0};
	struct bolt *back;
	unsigned height = 0;
	uint64_t page;

	memset(key, 'k', key_size);
	for (unsigned i = 0; i < count; i++) {
		/* Not in order. */
		number(key + key_size - 8, i * 7919 % count);
		snprintf(value, value_size + 1, "%u", i * 7919 % count);
		put(bolt, bucket, key, value, value_size);
	}
	CHECK_U64(bucket->count, count);
	file = round_trip(bolt);
	back = bolt_parse(file.data, file.len, "many", &err);
	CHECK_OK_PTR(back, &err);
	bucket = bolt_bucket(bolt_root(back), "many");
	for (unsigned i = 0; i < count; i++) {
		const struct bolt_entry *entry;

		number(key + key_size - 8, i);
		snprintf(value, value_size + 1, "%u", i);
		entry = bolt_value(bucket, key);
		CHECK(entry != NULL);
		CHECK_U64(entry->value_size, value_size);
		CHECK(strncmp((const char *)entry->value, value, value_size) == 0);
	}
	page = bolt_get64(bolt_find(bolt_root(back), "many", 4)->value);
	while (bolt_get16((uint8_t *)file.data + page * PAGE + 8) == BOLT_BRANCH) {
		CHECK(bolt_get16((uint8_t *)file.data + page * PAGE + 10) >= 2);
		page = bolt_get64((uint8_t *)file.data + page * PAGE + BOLT_HEADER_SIZE + 8);
		height++;
	}
	bolt_free(back);
	bolt_free(bolt);
	return height;
}

TEST(thousands_of_keys)
{
	CHECK_INT(many(10, 20, 1000), 1);
	CHECK_INT(many(5000, 20, 100), 2);
	CHECK_INT(many(20000, 8, 8), 1);
}

TEST(long_keys_make_high_trees)
{
	/* Two keys per branch page, which is longer than a page. */
	CHECK(many(33, 3000, 10) >= 4);
	CHECK(many(600, 1500, 5000) >= 6);
}

TEST(values_over_many_pages)
{
	CHECK_INT(many(3, 10, 100000), 1);
	CHECK_INT(many(1, 10, 5 << 20), 0);
}

TEST(a_database_that_is_too_large_is_not_written)
{
	struct bolt *bolt = bolt_new();
	CLEANUP_FREE char *value = mem_alloc(BOLT_FILE_MAX);
	CLEANUP(str_free) struct str file = {0};

	put(bolt, bolt_root(bolt), "k", value, BOLT_FILE_MAX);
	CHECK_ERR(bolt_write(bolt, &file, &err), &err, ERR_SPACE, "64 MiB");
	bolt_free(bolt);
}

TEST(changing)
{
	struct bolt *bolt = bolt_new();
	struct bolt_bucket *root = bolt_root(bolt), *bucket;
	CLEANUP_FREE char *long_key = mem_alloc(BOLT_KEY_MAX + 2);

	CHECK(!bolt_changed(bolt));
	CHECK_OK(bolt_put_text(bolt, root, "k", "v", &err), &err);
	CHECK(bolt_changed(bolt));
	bolt->changed = false;
	CHECK_OK(bolt_put_text(bolt, root, "k", "v", &err), &err);
	bolt_set_sequence(bolt, root, 0);
	CHECK(!bolt_delete(bolt, root, "none", 4));
	CHECK(!bolt_changed(bolt));
	CHECK_OK(bolt_put_text(bolt, root, "k", "w", &err), &err);
	CHECK(bolt_changed(bolt));
	CHECK(bolt_value_is(root, "k", "w"));
	CHECK(!bolt_value_is(root, "k", "ww"));
	CHECK(!bolt_value_is(NULL, "k", "w"));
	CHECK_ERR_PTR(bolt_make_bucket(bolt, root, "k", &err), &err, ERR_VERIFY, "not a bucket");
	bucket = make(bolt, root, "b");
	CHECK(make(bolt, root, "b") == bucket);
	CHECK_ERR(bolt_put_text(bolt, root, "b", "v", &err), &err, ERR_VERIFY, "is a bucket");
	CHECK_ERR(bolt_put_text(bolt, root, "", "v", &err), &err, ERR_VERIFY, "0 bytes");
	memset(long_key, 'k', BOLT_KEY_MAX + 1);
	CHECK_ERR(bolt_put_text(bolt, root, long_key, "v", &err), &err, ERR_VERIFY, "32769 bytes");
	put(bolt, bucket, "in", "it", 2);
	CHECK_OK(bolt_rename(bolt, root, "b", "z", &err), &err);
	CHECK(bolt_bucket(root, "b") == NULL);
	CHECK(bolt_value_is(bolt_bucket(root, "z"), "in", "it"));
	CHECK_OK(bolt_rename(bolt, root, "z", "a", &err), &err);
	CHECK_ERR(bolt_rename(bolt, root, "a", "k", &err), &err, ERR_VERIFY, "taken");
	CHECK_ERR(bolt_rename(bolt, root, "b", "c", &err), &err, ERR_VERIFY, "none");
	CHECK_U64(root->count, 2);
	CHECK_MEM(root->entries[0].key, "a", 1);
	CHECK(bolt_delete(bolt, root, "a", 1));
	CHECK_U64(root->count, 1);
	bolt_free(bolt);
}

/* Reads what may be damaged; what can be read can be written. */
static bool survives(const struct str *file)
{
	struct bolt *bolt = bolt_parse(file->data, file->len, "damaged", &err);
	CLEANUP(str_free) struct str again = {0};

	if (!bolt) {
		CHECK_INT(err.code, ERR_VERIFY);
		CHECK_CONTAINS(err.msg, "cannot read the database 'damaged': ");
		return false;
	}
	if (bolt_write(bolt, &again, &err) < 0)
		CHECK_INT(err.code, ERR_SPACE);
	bolt_free(bolt);
	return true;
}

TEST_TIMEOUT(every_byte_flipped, 300)
{
	static const uint8_t flips[] = {0x01, 0x80, 0xff};
	struct bolt *bolt = small();
	CLEANUP(str_free) struct str file = round_trip(bolt);
	unsigned refused = 0;

	for (size_t i = 0; i < file.len; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(flips); j++) {
			file.data[i] = (char)(file.data[i] ^ flips[j]);
			refused += !survives(&file);
			file.data[i] = (char)(file.data[i] ^ flips[j]);
		}
	}
	/* Most bytes are free room; headers and elements are not. */
	CHECK(refused > 100);
	bolt_free(bolt);
}

TEST(every_end)
{
	struct bolt *bolt = small();
	CLEANUP(str_free) struct str file = round_trip(bolt);
	size_t len = file.len;

	for (file.len = 0; file.len < len; file.len += file.len < 3 * PAGE ? 61 : 509) {
		/* A copy, so that a sanitizer sees what is read behind the end. */
		struct str cut = {0};

		if (file.len)
			str_add_bytes(&cut, file.data, file.len);
		CHECK(!survives(&cut));
		str_free(&cut);
	}
	file.len = len;
	bolt_free(bolt);
}

static void seal(struct str *file, unsigned number)
{
	uint8_t *meta = (uint8_t *)file->data + number * PAGE + BOLT_HEADER_SIZE;

	bolt_set64(meta + 56, bolt_checksum(meta));
}

TEST(one_meta_page_is_enough)
{
	struct bolt *bolt = small();
	CLEANUP(str_free) struct str file = round_trip(bolt);

	memset(file.data, 0, PAGE);
	CHECK(survives(&file));
	memset(file.data + PAGE, 0, PAGE);
	CHECK(!survives(&file));
	CHECK_CONTAINS(err.msg, "no valid start");
	bolt_free(bolt);
}

TEST(the_later_transaction_counts)
{
	struct bolt *bolt = small();
	CLEANUP(str_free) struct str file = round_trip(bolt);
	uint8_t *first = (uint8_t *)file.data + BOLT_HEADER_SIZE;

	/* The first says something else: that matters only when it is later, and whole. */
	bolt_set64(first + 16, 99);
	seal(&file, 0);
	CHECK(survives(&file));
	bolt_set64(first + 48, 5);
	CHECK(survives(&file));
	seal(&file, 0);
	CHECK(!survives(&file));
	CHECK_CONTAINS(err.msg, "outside of the file");
	bolt_free(bolt);
}

TEST(pages_that_lead_to_themselves)
{
	struct bolt *bolt = bolt_new();
	CLEANUP(str_free) struct str file = {0};
	uint8_t *page;

	for (unsigned i = 0; i < 150; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%04u", i);
		put(bolt, bolt_root(bolt), key, key, sizeof(key));
	}
	file = round_trip(bolt);
	/* Pages 3 and 4 are leaves, 5 is the branch. */
	page = (uint8_t *)file.data + 5 * PAGE;
	CHECK_U64(bolt_get16(page + 8), BOLT_BRANCH);
	bolt_set64(page + BOLT_HEADER_SIZE + BOLT_ELEMENT_SIZE + 8, 5);
	CHECK(!survives(&file));
	CHECK_CONTAINS(err.msg, "used twice");
	bolt_set64(page + BOLT_HEADER_SIZE + BOLT_ELEMENT_SIZE + 8, 3);
	CHECK(!survives(&file));
	CHECK_CONTAINS(err.msg, "used twice");
	bolt_set64(page + BOLT_HEADER_SIZE + BOLT_ELEMENT_SIZE + 8, 1);
	CHECK(!survives(&file));
	bolt_set64(page + BOLT_HEADER_SIZE + 8, 4);
	bolt_set64(page + BOLT_HEADER_SIZE + BOLT_ELEMENT_SIZE + 8, 3);
	CHECK(!survives(&file));
	CHECK_CONTAINS(err.msg, "not in order");
	bolt_free(bolt);
}

TEST(buckets_in_buckets_in_buckets)
{
	struct bolt *bolt = bolt_new();
	struct bolt_bucket *bucket = bolt_root(bolt);
	CLEANUP(str_free) struct str file = {0};

	for (unsigned i = 0; i < BOLT_DEPTH_MAX; i++)
		bucket = make(bolt, bucket, "b");
	put(bolt, bucket, "k", "v", 1);
	file = round_trip(bolt);
	make(bolt, bucket, "b");
	CHECK_OK(bolt_write(bolt, &file, &err), &err);
	CHECK(!survives(&file));
	CHECK_CONTAINS(err.msg, "too deeply");
	bolt_free(bolt);
}

TEST(files)
{
	struct bolt *bolt = small(), *back;
	CLEANUP(str_free) struct str file = round_trip(bolt);
	int fd = open("db", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK(write(fd, file.data, file.len) == (ssize_t)file.len);
	back = bolt_read(fd, "db", &err);
	CHECK_OK_PTR(back, &err);
	check_equal(bolt_root(bolt), bolt_root(back));
	bolt_free(back);
	CHECK(ftruncate(fd, BOLT_FILE_MAX + 1) == 0);
	CHECK_ERR_PTR(bolt_read(fd, "db", &err), &err, ERR_VERIFY, "too large");
	CHECK(ftruncate(fd, 0) == 0);
	CHECK_ERR_PTR(bolt_read(fd, "db", &err), &err, ERR_VERIFY, "no valid start");
	close(fd);
	bolt_free(bolt);
}
