/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a database file. Every page is visited at most once and every element lies inside its page, so that time and
 * memory are bounded by the size of the file, whatever is in it.
 */
#include "agent/containers/bolt_parts.h"

#include "base/fd.h"

#include <stdlib.h>

struct reader {
	const uint8_t *file;
	size_t size;
	uint64_t page_size, pages; /* the size in bytes, and how many are in use */
	uint8_t *seen;             /* one bit per page */
	struct bolt *bolt;
	const char *name;
	struct err *err;
};

static int damaged(struct reader *r, const char *what)
{
	return err_set(r->err, ERR_VERIFY, "cannot read the database '%s': %s", r->name, what);
}

/* True when a valid meta page starts at that offset; *ret_meta points behind its header. */
static bool find_meta(const struct reader *r, size_t offset, const uint8_t **ret_meta)
{
	const uint8_t *meta;

	if (offset > r->size || r->size - offset < BOLT_HEADER_SIZE + BOLT_META_SIZE)
		return false;
	meta = r->file + offset + BOLT_HEADER_SIZE;
	*ret_meta = meta;
	return bolt_get32(meta) == BOLT_MAGIC && bolt_get32(meta + 4) == BOLT_VERSION &&
	       bolt_get64(meta + 56) == bolt_checksum(meta);
}

/* The meta page that counts. The second one is searched where each page size would put it, because the first may be
 * the one that a crash left half-written. */
static const uint8_t *choose_meta(const struct reader *r)
{
	const uint8_t *first = NULL, *second = NULL;

	if (!find_meta(r, 0, &first))
		first = NULL;
	for (size_t size = 512; size <= 65536 && !second; size *= 2)
		if (!find_meta(r, size, &second) || bolt_get32(second + 8) != size)
			second = NULL;
	if (!first || (second && bolt_get64(second + 48) > bolt_get64(first + 48)))
		return second;
	return first;
}

/* Marks the run of pages as used; fails when a part of it was already. */
static int claim(struct reader *r, uint64_t page, uint64_t count)
{
	for (uint64_t i = page; i < page + count; i++) {
		uint8_t bit = (uint8_t)(1U << (i % 8));

		if (r->seen[i / 8] & bit)
			return damaged(r, "a page is used twice");
		r->seen[i / 8] |= bit;
	}
	return 0;
}

/* A page with its overflow, or what an inline bucket has instead. */
struct page {
	const uint8_t *bytes;
	size_t size;
	unsigned flags, count;
};

static int open_page(struct reader *r, uint64_t number, struct page *page)
{
	uint64_t overflow;

	if (number < 2 || number >= r->pages)
		return damaged(r, "a page is outside of the file");
	page->bytes = r->file + number * r->page_size;
	overflow = bolt_get32(page->bytes + 12);
	if (bolt_get64(page->bytes) != number || overflow >= r->pages - number)
		return damaged(r, "the header of a page is wrong");
	page->size = (overflow + 1) * r->page_size;
	page->flags = bolt_get16(page->bytes + 8);
	page->count = bolt_get16(page->bytes + 10);
	return claim(r, number, overflow + 1);
}

/* Start of element i, all of which is inside the page; NULL otherwise. */
static const uint8_t *element(const struct page *page, unsigned i)
{
	size_t at = BOLT_HEADER_SIZE + (size_t)i * BOLT_ELEMENT_SIZE;

	if (page->size < BOLT_ELEMENT_SIZE || at > page->size - BOLT_ELEMENT_SIZE)
		return NULL;
	return page->bytes + at;
}

/* Points to size bytes, pos bytes behind the start of the element; NULL when they are not all in the page. */
static const uint8_t *payload(const struct page *page, const uint8_t *from, uint32_t pos,
			      uint64_t size)
{
	uint64_t at = (uint64_t)(from - page->bytes) + pos;

	return at <= page->size && size <= page->size - at ? page->bytes + at : NULL;
}

static int read_bucket(struct reader *r, const uint8_t *value, size_t size, unsigned depth,
		       struct bolt_bucket *bucket);

static int read_leaf(struct reader *r, const struct page *page, unsigned depth,
		     struct bolt_bucket *bucket)
{
	for (unsigned i = 0; i < page->count; i++) {
		const uint8_t *e = element(page, i);
		struct bolt_entry entry = {0};
		const struct bolt_entry *last =
			bucket->count ? &bucket->entries[bucket->count - 1] : NULL;
		uint32_t flags;

		if (!e)
			return damaged(r, "a page has more elements than room");
		flags = bolt_get32(e);
		entry.key_size = bolt_get32(e + 8);
		entry.value_size = bolt_get32(e + 12);
		entry.key = payload(page, e, bolt_get32(e + 4),
				    (uint64_t)entry.key_size + entry.value_size);
		if (!entry.key || entry.key_size == 0 || entry.key_size > BOLT_KEY_MAX ||
		    flags > BOLT_ELEMENT_BUCKET)
			return damaged(r, "an element is wrong");
		entry.value = entry.key + entry.key_size;
		if (last) {
			size_t common =
				last->key_size < entry.key_size ? last->key_size : entry.key_size;
			int order = memcmp(last->key, entry.key, common);

			if (order > 0 || (order == 0 && last->key_size >= entry.key_size))
				return damaged(r, "keys are not in order");
		}
		if (++r->bolt->entries > BOLT_ENTRIES_MAX)
			return damaged(r, "it has too many keys");
		if (flags == BOLT_ELEMENT_BUCKET)
			entry.bucket = bolt_new_bucket(r->bolt);
		bolt_append(bucket, &entry);
		if (entry.bucket &&
		    read_bucket(r, entry.value, entry.value_size, depth + 1, entry.bucket) < 0)
			return -1;
	}
	return 0;
}

/* Reads the page and what hangs on it into the bucket; level counts branch pages above it. */
static int read_pages(struct reader *r, uint64_t number, unsigned level, unsigned depth,
		      struct bolt_bucket *bucket)
{
	struct page page = {0};

	if (level > BOLT_DEPTH_MAX)
		return damaged(r, "its tree is too high");
	if (open_page(r, number, &page) < 0)
		return -1;
	if (page.flags == BOLT_LEAF)
		return read_leaf(r, &page, depth, bucket);
	if (page.flags != BOLT_BRANCH || page.count == 0)
		return damaged(r, "a page is of the wrong kind");
	for (unsigned i = 0; i < page.count; i++) {
		const uint8_t *e = element(&page, i);

		if (!e)
			return damaged(r, "a page has more elements than room");
		if (read_pages(r, bolt_get64(e + 8), level + 1, depth, bucket) < 0)
			return -1;
	}
	return 0;
}

static int read_bucket(struct reader *r, const uint8_t *value, size_t size, unsigned depth,
		       struct bolt_bucket *bucket)
{
	struct page page = {0};
	uint64_t root;

	if (size < BOLT_BUCKET_SIZE)
		return damaged(r, "a bucket is too short");
	if (depth > BOLT_DEPTH_MAX)
		return damaged(r, "buckets are nested too deeply");
	root = bolt_get64(value);
	bucket->sequence = bolt_get64(value + 8);
	if (root != 0)
		return read_pages(r, root, 0, depth, bucket);
	/* A small bucket is a leaf page inside the value. */
	page.bytes = value + BOLT_BUCKET_SIZE;
	page.size = size - BOLT_BUCKET_SIZE;
	if (page.size < BOLT_HEADER_SIZE)
		return damaged(r, "a bucket is too short");
	page.flags = bolt_get16(page.bytes + 8);
	page.count = bolt_get16(page.bytes + 10);
	if (page.flags != BOLT_LEAF)
		return damaged(r, "a bucket is of the wrong kind");
	return read_leaf(r, &page, depth, bucket);
}

static int read_all(struct reader *r)
{
	const uint8_t *meta = choose_meta(r);
	int result;

	if (r->size > BOLT_FILE_MAX)
		return damaged(r, "it is too large");
	if (!meta)
		return damaged(r, "it has no valid start");
	r->page_size = bolt_get32(meta + 8);
	if (r->page_size < 512 || r->page_size > 65536 || (r->page_size & (r->page_size - 1)))
		return damaged(r, "its page size is wrong");
	/* Pages that the file ends before were never written. */
	r->pages = bolt_get64(meta + 40);
	if (r->pages > r->size / r->page_size)
		r->pages = r->size / r->page_size;
	r->seen = mem_alloc(r->pages / 8 + 1);
	r->bolt->root->sequence = bolt_get64(meta + 24);
	result = read_pages(r, bolt_get64(meta + 16), 0, 0, r->bolt->root);
	free(r->seen);
	return result;
}

static int parse(struct bolt *bolt, const void *bytes, size_t size, const char *name,
		 struct err *err)
{
	struct reader r = {.file = bytes, .size = size, .bolt = bolt, .name = name, .err = err};

	return read_all(&r);
}

struct bolt *bolt_parse(const void *bytes, size_t size, const char *name, struct err *err)
{
	struct bolt *bolt = bolt_new();

	if (parse(bolt, bytes, size, name, err) == 0)
		return bolt;
	bolt_free(bolt);
	return NULL;
}

struct bolt *bolt_read(int fd, const char *name, struct err *err)
{
	CLEANUP(bolt_cleanup) struct bolt *bolt = bolt_new();
	uint64_t size;

	if (fd_size(fd, name, &size, err) < 0)
		return NULL;
	if (size > BOLT_FILE_MAX) {
		err_set(err, ERR_VERIFY, "cannot read the database '%s': it is too large", name);
		return NULL;
	}
	bolt->file.data = mem_alloc(size);
	bolt->file.len = bolt->file.room = size;
	if (fd_pread(fd, bolt->file.data, size, 0, name, err) < 0 ||
	    parse(bolt, bolt->file.data, size, name, err) < 0)
		return NULL;
	return MEM_STEAL(bolt);
}
