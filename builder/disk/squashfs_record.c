/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a segment: where in it the content of each file of its archive is, as positions from its start,
 * so that its bytes can be put anywhere into another squashfs. Little-endian, ended by its own digest.
 */
#include "disk/squashfs_parts.h"

#include "base/mem.h"
#include "disk/endian.h"

#include <sqfs/block.h>
#include <sqfs/frag_table.h>
#include <sqfs/inode.h>

#include <stdlib.h>
#include <string.h>

#define MAGIC "ingotsq2"
#define NO_FRAGMENT 0xFFFFFFFF
#define STORED_SIZE(size) ((size)&0xFFFFFF) /* bytes on disk; the bit above says how */

enum {
	HEAD_KEY = 8,
	HEAD_DIGEST = HEAD_KEY + DIGEST_SIZE, /* of the segment */
	HEAD_LENGTH = HEAD_DIGEST + DIGEST_SIZE,
	HEAD_FRAGMENTS = HEAD_LENGTH + 8, /* how many */
	HEAD_FILES = HEAD_FRAGMENTS + 4,
	HEAD_SIZE = HEAD_FILES + 4,

	FRAGMENT_BYTES = 8, /* behind the place */
	FRAGMENT_SIZE = FRAGMENT_BYTES + 4,

	FILE_PLACE = 2, /* behind the type */
	FILE_SPARSE = FILE_PLACE + 8,
	FILE_FRAGMENT = FILE_SPARSE + 8,
	FILE_OFFSET = FILE_FRAGMENT + 4, /* in the fragment */
	FILE_BLOCKS = FILE_OFFSET + 4,
	FILE_SIZE = FILE_BLOCKS + 4,
	BLOCK_SIZE = 4,
};

static void add_le(struct str *text, uint64_t value, size_t bytes)
{
	uint8_t le[8];

	put_le64(le, value);
	str_add_bytes(text, le, bytes);
}

/* ---- saving ---- */

static void save_file(struct str *text, const struct squashfs_part *part,
		      const sqfs_inode_generic_t *inode)
{
	size_t blocks = sqfs_inode_get_file_block_count(inode);
	bool extended = inode->base.type == SQFS_INODE_EXT_FILE;
	sqfs_u32 index = 0, offset = 0;
	sqfs_u64 place = 0;
	uint64_t stored = 0;

	sqfs_inode_get_file_block_start(inode, &place);
	sqfs_inode_get_frag_location(inode, &index, &offset);
	for (size_t i = 0; i < blocks; i++)
		stored += STORED_SIZE(inode->extra[i]);
	add_le(text, inode->base.type, 2);
	/* A file of fragments and holes only has no place, which is 0 everywhere. */
	add_le(text, stored ? place - part->start : 0, 8);
	add_le(text, extended ? inode->data.file_ext.sparse : 0, 8);
	add_le(text, index == NO_FRAGMENT ? index : index - part->fragment, 4);
	add_le(text, offset, 4);
	add_le(text, blocks, 4);
	for (size_t i = 0; i < blocks; i++)
		add_le(text, inode->extra[i], BLOCK_SIZE);
}

void squashfs_record_save(struct squashfs_part *part, const struct squashfs_inodes *inodes,
			  sqfs_frag_table_t *fragments)
{
	static const struct digest unknown;
	struct str *text = &part->record;

	str_add_bytes(text, MAGIC, HEAD_KEY);
	str_add_bytes(text, part->key.bytes, DIGEST_SIZE);
	str_add_bytes(text, unknown.bytes, DIGEST_SIZE);
	add_le(text, part->end - part->start, 8);
	add_le(text, part->fragments, 4);
	add_le(text, part->count, 4);
	for (size_t i = 0; i < part->fragments; i++) {
		sqfs_fragment_t fragment = {0};

		sqfs_frag_table_lookup(fragments, (sqfs_u32)(part->fragment + i), &fragment);
		add_le(text, fragment.start_offset - part->start, 8);
		add_le(text, fragment.size, 4);
	}
	for (size_t i = 0; i < part->count; i++)
		save_file(text, part, inodes->items[part->items[i]].file);
}

void squashfs_record_seal(struct squashfs_part *part)
{
	struct digest whole;

	memcpy(part->record.data + HEAD_DIGEST, part->digest.bytes, DIGEST_SIZE);
	digest_bytes(part->record.data, part->record.len, &whole);
	str_add_bytes(&part->record, whole.bytes, DIGEST_SIZE);
}

/* ---- loading ---- */

/* A position in a record, and what its numbers must stay below. */
struct cursor {
	const uint8_t *at;
	size_t left;
	uint64_t length;  /* of the segment */
	size_t fragments; /* in it */
	uint32_t block;   /* bytes */
};

static const uint8_t *take(struct cursor *c, size_t len)
{
	const uint8_t *at = c->at;

	if (len > c->left)
		return NULL;
	c->at += len;
	c->left -= len;
	return at;
}

/* True when the blocks and the fragment of the file are in the segment and add up to its size. */
static bool file_fits(const struct cursor *c, const uint8_t *head, const uint8_t *sizes,
		      uint64_t size)
{
	size_t blocks = get_le32(head + FILE_BLOCKS);
	uint32_t fragment = get_le32(head + FILE_FRAGMENT);
	uint64_t tail = blocks <= size / c->block ? size - (uint64_t)blocks * c->block : 0;
	uint64_t place = get_le64(head + FILE_PLACE), stored = 0;

	for (size_t i = 0; i < blocks; i++)
		stored += STORED_SIZE(get_le32(sizes + i * BLOCK_SIZE));
	if (place > c->length || stored > c->length - place || get_le64(head + FILE_SPARSE) > size)
		return false;
	if (fragment == NO_FRAGMENT)
		return tail == 0;
	return fragment < c->fragments && tail && tail < c->block &&
	       get_le32(head + FILE_OFFSET) <= c->block - tail;
}

/* The inode as the block processor would have left it; NULL when the record does not make sense. */
static sqfs_inode_generic_t *load_file(struct cursor *c, const struct squashfs_part *part,
				       uint64_t size)
{
	const uint8_t *head = take(c, FILE_SIZE), *sizes;
	sqfs_inode_generic_t *inode;
	uint64_t stored = 0;
	uint32_t fragment;
	size_t blocks;

	if (!head)
		return NULL;
	blocks = get_le32(head + FILE_BLOCKS);
	sizes = blocks <= size / c->block + 1 ? take(c, blocks * BLOCK_SIZE) : NULL;
	if (!sizes || !file_fits(c, head, sizes, size))
		return NULL;
	inode = mem_alloc(sizeof(*inode) + blocks * BLOCK_SIZE);
	inode->base.type = SQFS_INODE_FILE;
	inode->payload_bytes_available = (sqfs_u32)(blocks * BLOCK_SIZE);
	inode->payload_bytes_used = inode->payload_bytes_available;
	for (size_t i = 0; i < blocks; i++) {
		inode->extra[i] = get_le32(sizes + i * BLOCK_SIZE);
		stored += STORED_SIZE(inode->extra[i]);
	}
	fragment = get_le32(head + FILE_FRAGMENT);
	sqfs_inode_set_file_size(inode, size);
	sqfs_inode_set_frag_location(
		inode, fragment == NO_FRAGMENT ? fragment : fragment + (uint32_t)part->fragment,
		get_le32(head + FILE_OFFSET));
	sqfs_inode_set_file_block_start(inode,
					stored ? part->start + get_le64(head + FILE_PLACE) : 0);
	if (get_le16(head) == SQFS_INODE_EXT_FILE) {
		sqfs_inode_make_extended(inode);
		inode->data.file_ext.sparse = get_le64(head + FILE_SPARSE);
	}
	return inode;
}

static bool load_files(struct cursor *c, const struct squashfs_part *part,
		       struct squashfs_inodes *inodes)
{
	for (size_t i = 0; i < part->count; i++) {
		struct squashfs_entry *entry = &inodes->items[part->items[i]];

		entry->file = load_file(c, part, entry->inode->data.size);
		if (!entry->file)
			return false;
	}
	return c->left == 0;
}

static bool fragments_fit(const struct cursor *c, const uint8_t *from)
{
	for (size_t i = 0; i < c->fragments; i++, from += FRAGMENT_SIZE) {
		uint64_t place = get_le64(from);

		if (place > c->length ||
		    STORED_SIZE(get_le32(from + FRAGMENT_BYTES)) > c->length - place)
			return false;
	}
	return true;
}

/* Whole, of this segment, and as it was sealed. */
static bool head_fits(const struct str *record, const struct squashfs_part *part)
{
	const uint8_t *head = (const uint8_t *)record->data;
	size_t len = record->len - DIGEST_SIZE;
	struct digest whole;

	if (record->len < HEAD_SIZE + DIGEST_SIZE || memcmp(head, MAGIC, HEAD_KEY) != 0 ||
	    memcmp(head + HEAD_KEY, part->key.bytes, DIGEST_SIZE) != 0 ||
	    get_le32(head + HEAD_FILES) != part->count)
		return false;
	digest_bytes(head, len, &whole);
	return memcmp(head + len, whole.bytes, DIGEST_SIZE) == 0;
}

int squashfs_record_load(const struct squashfs_segment *segment, struct squashfs_part *part,
			 struct squashfs_inodes *inodes, uint32_t block,
			 sqfs_frag_table_t *fragments, const struct squashfs_file *file,
			 struct err *err)
{
	const struct str *record = &segment->record;
	const uint8_t *head = (const uint8_t *)record->data, *from;
	struct cursor c = {head, record->len - DIGEST_SIZE, 0, 0, block};
	int r = 0;

	if (!head_fits(record, part))
		return 0;
	take(&c, HEAD_SIZE);
	c.length = get_le64(head + HEAD_LENGTH);
	c.fragments = get_le32(head + HEAD_FRAGMENTS);
	from = take(&c, c.fragments * FRAGMENT_SIZE);
	if (!from || c.length != segment->length || c.length % SQUASHFS_PAD ||
	    !fragments_fit(&c, from) || !load_files(&c, part, inodes)) {
		for (size_t i = 0; i < part->count; i++) {
			sqfs_free(inodes->items[part->items[i]].file);
			inodes->items[part->items[i]].file = NULL;
		}
		return 0;
	}
	for (size_t i = 0; r == 0 && i < c.fragments; i++, from += FRAGMENT_SIZE)
		r = sqfs_frag_table_append(fragments, part->start + get_le64(from),
					   get_le32(from + FRAGMENT_BYTES), NULL);
	part->fragments = c.fragments;
	part->end = part->start + c.length;
	memcpy(part->expected.bytes, head + HEAD_DIGEST, DIGEST_SIZE);
	return r ? squashfs_failed(file, r, "write", err) : 1;
}
