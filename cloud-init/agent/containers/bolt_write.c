/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a database: the pages of each bucket follow each other, children before what points to them, so that one walk
 * over the tree is enough and nothing is free. What bbolt would keep inside its parent is inside its parent.
 */
#include "agent/containers/bolt_parts.h"

#include <stdlib.h>

#define INLINE_MAX \
	(BOLT_PAGE_SIZE / 4) /* bytes of an inline bucket's page, as bbolt's maxInlineBucketSize */
#define FREELIST_PAGE 2

struct writer {
	struct str *file;
	struct err *err;
};

/* An element that waits for its page: of a leaf (flags, value) or of a branch (page). */
struct item {
	const uint8_t *key, *value;
	uint32_t key_size, value_size, flags;
	uint64_t page;
};

struct items {
	struct item *list;
	size_t count, room;
};

static size_t item_size(const struct item *item)
{
	return BOLT_ELEMENT_SIZE + (size_t)item->key_size + item->value_size;
}

/* Appends count pages of zeros and returns the first one's number; 0 when the file would be too large. */
static uint64_t add_pages(struct writer *w, size_t count)
{
	static const uint8_t zeros[BOLT_PAGE_SIZE];
	uint64_t number = w->file->len / BOLT_PAGE_SIZE;

	if (count > BOLT_FILE_MAX / BOLT_PAGE_SIZE - number) {
		err_set(w->err, ERR_SPACE, "a database of more than %zu MiB is not written",
			BOLT_FILE_MAX >> 20);
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		str_add_bytes(w->file, zeros, sizeof(zeros));
	return number;
}

/* Writes header and elements of a page to bytes, which are zero. */
static void fill_page(uint8_t *bytes, uint64_t number, unsigned flags, const struct item *items,
		      size_t count)
{
	size_t data = BOLT_HEADER_SIZE + count * BOLT_ELEMENT_SIZE;

	bolt_set64(bytes, number);
	bolt_set16(bytes + 8, (uint16_t)flags);
	bolt_set16(bytes + 10, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		size_t at = BOLT_HEADER_SIZE + i * BOLT_ELEMENT_SIZE;
		const struct item *item = &items[i];

		if (flags == BOLT_LEAF) {
			bolt_set32(bytes + at, item->flags);
			bolt_set32(bytes + at + 4, (uint32_t)(data - at));
			bolt_set32(bytes + at + 8, item->key_size);
			bolt_set32(bytes + at + 12, item->value_size);
		} else {
			bolt_set32(bytes + at, (uint32_t)(data - at));
			bolt_set32(bytes + at + 4, item->key_size);
			bolt_set64(bytes + at + 8, item->page);
		}
		if (item->key_size)
			memcpy(bytes + data, item->key, item->key_size);
		data += item->key_size;
		if (item->value_size)
			memcpy(bytes + data, item->value, item->value_size);
		data += item->value_size;
	}
}

/* How many of the items the next page takes. A branch has two children at least, the last one too. */
static size_t page_takes(const struct item *items, size_t count, unsigned flags, size_t *ret_size)
{
	size_t least = flags == BOLT_BRANCH ? 2 : 1, size = BOLT_HEADER_SIZE, n = 0;

	while (n < count && n < BOLT_COUNT_MAX &&
	       (n < least || size + item_size(&items[n]) <= BOLT_PAGE_SIZE))
		size += item_size(&items[n++]);
	if (flags == BOLT_BRANCH && count - n == 1) {
		if (n > least)
			size -= item_size(&items[--n]);
		else
			size += item_size(&items[n++]);
	}
	*ret_size = size;
	return n;
}

/* Writes the items into pages of that kind and puts one item per page into parents. */
static int write_level(struct writer *w, const struct items *items, unsigned flags,
		       struct items *parents)
{
	size_t i = 0;

	do {
		/* An empty bucket has no list. */
		const struct item *next = items->count ? &items->list[i] : NULL;
		size_t size, n = page_takes(next, items->count - i, flags, &size);
		size_t pages = (size + BOLT_PAGE_SIZE - 1) / BOLT_PAGE_SIZE;
		uint64_t number = add_pages(w, pages);
		uint8_t *bytes;
		struct item parent = {.page = number};

		if (number == 0)
			return -1;
		bytes = (uint8_t *)w->file->data + number * BOLT_PAGE_SIZE;
		fill_page(bytes, number, flags, next, n);
		bolt_set32(bytes + 12, (uint32_t)(pages - 1));
		if (n > 0) {
			parent.key = next->key;
			parent.key_size = next->key_size;
		}
		VEC_ADD(parents->list, parents->count, parents->room, parent);
		i += n;
	} while (i < items->count);
	return 0;
}

/* Writes the leaf items with the branches above them; *ret_root is the page on top. */
static int write_tree(struct writer *w, const struct items *leaves, uint64_t *ret_root)
{
	struct items level = {0}, above = {0};
	int result = write_level(w, leaves, BOLT_LEAF, &level);

	while (result == 0 && level.count > 1) {
		result = write_level(w, &level, BOLT_BRANCH, &above);
		free(level.list);
		level = above;
		above = (struct items){0};
	}
	if (result == 0)
		*ret_root = level.list[0].page;
	free(level.list);
	free(above.list);
	return result;
}

static int write_bucket(struct writer *w, const struct bolt_bucket *bucket, bool may_inline,
			struct str *value);

/* Values of the buckets in a bucket: written first, because the leaf holds their root pages. */
static int collect(struct writer *w, const struct bolt_bucket *bucket, struct items *items,
		   struct str *values)
{
	for (size_t i = 0; i < bucket->count; i++) {
		const struct bolt_entry *entry = &bucket->entries[i];
		struct item item = {
			.key = entry->key,
			.key_size = entry->key_size,
			.value = entry->value,
			.value_size = entry->value_size,
		};

		if (entry->bucket) {
			if (write_bucket(w, entry->bucket, true, &values[i]) < 0)
				return -1;
			item.flags = BOLT_ELEMENT_BUCKET;
			item.value = (uint8_t *)values[i].data;
			item.value_size = (uint32_t)values[i].len;
		}
		VEC_ADD(items->list, items->count, items->room, item);
	}
	return 0;
}

/* Size of the page when the bucket may be inline: small and without buckets; 0 otherwise. */
static size_t inline_size(const struct items *items)
{
	size_t size = BOLT_HEADER_SIZE;

	for (size_t i = 0; i < items->count; i++) {
		size += item_size(&items->list[i]);
		if (items->list[i].flags || size > INLINE_MAX)
			return 0;
	}
	return size;
}

/* Writes the pages of a bucket and sets value to what its parent holds for it. */
static int write_bucket(struct writer *w, const struct bolt_bucket *bucket, bool may_inline,
			struct str *value)
{
	uint8_t head[BOLT_BUCKET_SIZE] = {0}, page[INLINE_MAX] = {0};
	struct str *values = mem_alloc_array(bucket->count, sizeof(*values));
	struct items items = {0};
	uint64_t root = 0;
	size_t size = 0;
	int result = collect(w, bucket, &items, values);

	if (result == 0 && may_inline)
		size = inline_size(&items);
	if (size > 0)
		fill_page(page, 0, BOLT_LEAF, items.list, items.count);
	else if (result == 0)
		result = write_tree(w, &items, &root);
	bolt_set64(head, root);
	bolt_set64(head + 8, bucket->sequence);
	str_add_bytes(value, head, sizeof(head));
	str_add_bytes(value, page, size);
	for (size_t i = 0; i < bucket->count; i++)
		str_free(&values[i]);
	free(values);
	free(items.list);
	return result;
}

static void fill_meta(uint8_t *bytes, uint64_t number, uint64_t pages, const struct str *root)
{
	uint8_t *meta = bytes + BOLT_HEADER_SIZE;

	bolt_set64(bytes, number);
	bolt_set16(bytes + 8, BOLT_META);
	bolt_set32(meta, BOLT_MAGIC);
	bolt_set32(meta + 4, BOLT_VERSION);
	bolt_set32(meta + 8, BOLT_PAGE_SIZE);
	memcpy(meta + 16, root->data, BOLT_BUCKET_SIZE);
	bolt_set64(meta + 32, FREELIST_PAGE);
	bolt_set64(meta + 40, pages);
	bolt_set64(meta + 48,
		   number); /* the transaction: both say the same, the later one counts */
	bolt_set64(meta + 56, bolt_checksum(meta));
}

int bolt_write(const struct bolt *bolt, struct str *file, struct err *err)
{
	struct writer w = {.file = file, .err = err};
	CLEANUP(str_free) struct str root = {0};
	uint64_t pages;

	str_free(file);
	add_pages(&w, FREELIST_PAGE + 1);
	if (write_bucket(&w, bolt->root, false, &root) < 0)
		return -1;
	pages = file->len / BOLT_PAGE_SIZE;
	for (uint64_t i = 0; i < FREELIST_PAGE; i++)
		fill_meta((uint8_t *)file->data + i * BOLT_PAGE_SIZE, i, pages, &root);
	fill_page((uint8_t *)file->data + FREELIST_PAGE * BOLT_PAGE_SIZE, FREELIST_PAGE,
		  BOLT_FREELIST, NULL, 0);
	return 0;
}
