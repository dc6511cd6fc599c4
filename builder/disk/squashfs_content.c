/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed content that a later squashfs can take over. The content of all files that come from archives
 * is the first part of the file system and depends on nothing else; where each file is in it is kept as a
 * small record, so that a change of other files costs neither reading nor compressing these.
 */
#include "disk/squashfs_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "disk/endian.h"

#include <sqfs/block.h>
#include <sqfs/frag_table.h>
#include <sqfs/inode.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "ingotsq1"
#define HEAD_SIZE (8 + DIGEST_SIZE + 8 + 4 + 4) /* magic, key, end, fragments, files */
#define FRAGMENT_SIZE (8 + 4)                   /* place, size */
#define FILE_SIZE (2 + 8 + 8 + 4 + 4 + 4)       /* type, place, sparse, fragment, blocks */
#define BLOCK_SIZE 4

static struct squashfs_entry *entry_of(const struct squashfs_archived *list, size_t i)
{
	return &list->inodes->items[list->items[i]];
}

static int list_file(const struct tree_node *node, const char *path, void *context, struct err *err)
{
	struct squashfs_archived *list = context;
	size_t place = node->inode->mark - 1;
	struct squashfs_entry *entry = &list->inodes->items[place];
	const struct tree_data *data = &node->inode->data;

	(void)path, (void)err;
	if (node->inode->type != TREE_FILE || data->bytes || data->size == 0 || entry->archived)
		return 0;
	entry->archived = true;
	list->bytes += data->size;
	VEC_ADD(list->items, list->count, list->room, place);
	return 0;
}

int squashfs_archived_list(const struct tree *tree, struct squashfs_inodes *inodes,
			   struct squashfs_archived *ret, struct err *err)
{
	ret->inodes = inodes;
	return tree_walk(tree, list_file, ret, err);
}

/* Archives are told apart by the order of their first file. */
static void make_key(const struct squashfs_archived *archived,
		     const struct squashfs_options *options, struct digest *ret)
{
	CLEANUP_FREE int *fds = NULL;
	struct digest_ctx *ctx = digest_start();
	size_t count = 0, room = 0;
	char line[512], hex[DIGEST_HEX_SIZE];

	snprintf(line, sizeof(line), "%s\n%s %u %u\n%s\n", MAGIC, options->compression,
		 options->level, options->block, digest_hex(options->archives, hex));
	digest_add(ctx, line, strlen(line));
	digest_add(ctx, squashfs_version(), strlen(squashfs_version()) + 1);
	for (size_t i = 0; i < archived->count; i++) {
		const struct tree_data *data = &entry_of(archived, i)->inode->data;
		size_t k = 0;

		while (k < count && fds[k] != data->fd)
			k++;
		if (k == count)
			VEC_ADD(fds, count, room, data->fd);
		snprintf(line, sizeof(line), "%zu %llu %llu\n", k, (unsigned long long)data->offset,
			 (unsigned long long)data->size);
		digest_add(ctx, line, strlen(line));
	}
	digest_finish(ctx, ret);
}

int squashfs_content_key(const struct tree *tree, const struct squashfs_options *options,
			 struct digest *ret, struct err *err)
{
	struct squashfs_inodes inodes = {0};
	struct squashfs_archived archived = {0};
	int r = squashfs_inodes_number(tree, &inodes, err);

	if (r == 0)
		r = squashfs_archived_list(tree, &inodes, &archived, err);
	if (r == 0)
		make_key(&archived, options, ret);
	free(archived.items);
	squashfs_inodes_free(&inodes);
	return r;
}

/* ---- the record ---- */

static void add_le(struct str *text, uint64_t value, size_t bytes)
{
	uint8_t le[8];

	put_le64(le, value);
	str_add_bytes(text, le, bytes);
}

static void save_file(struct str *text, const sqfs_inode_generic_t *inode)
{
	size_t blocks = sqfs_inode_get_file_block_count(inode);
	bool extended = inode->base.type == SQFS_INODE_EXT_FILE;
	sqfs_u64 place = 0;
	sqfs_u32 index = 0, offset = 0;

	sqfs_inode_get_file_block_start(inode, &place);
	sqfs_inode_get_frag_location(inode, &index, &offset);
	add_le(text, inode->base.type, 2);
	add_le(text, place, 8);
	add_le(text, extended ? inode->data.file_ext.sparse : 0, 8);
	add_le(text, index, 4);
	add_le(text, offset, 4);
	add_le(text, blocks, 4);
	for (size_t i = 0; i < blocks; i++)
		add_le(text, inode->extra[i], BLOCK_SIZE);
}

void squashfs_content_save(const struct squashfs_archived *archived,
			   const struct squashfs_options *options, const struct squashfs_file *file,
			   sqfs_frag_table_t *fragments, struct str *text)
{
	size_t count = sqfs_frag_table_get_size(fragments);
	struct digest key;

	make_key(archived, options, &key);
	str_add_bytes(text, MAGIC, 8);
	str_add_bytes(text, key.bytes, DIGEST_SIZE);
	add_le(text, file->size, 8);
	add_le(text, count, 4);
	add_le(text, archived->count, 4);
	for (size_t i = 0; i < count; i++) {
		sqfs_fragment_t fragment = {0};

		sqfs_frag_table_lookup(fragments, (sqfs_u32)i, &fragment);
		add_le(text, fragment.start_offset, 8);
		add_le(text, fragment.size, 4);
	}
	for (size_t i = 0; i < archived->count; i++)
		save_file(text, entry_of(archived, i)->file);
}

/* A position in a record. */
struct cursor {
	const uint8_t *at;
	size_t left;
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

/* The inode as the block processor would have left it; NULL when the record does not make sense. */
static sqfs_inode_generic_t *load_file(struct cursor *c, uint64_t size, uint32_t block)
{
	const uint8_t *head = take(c, FILE_SIZE), *sizes;
	sqfs_inode_generic_t *inode;
	size_t blocks;

	if (!head)
		return NULL;
	blocks = get_le32(head + 26);
	sizes = blocks <= size / block + 1 ? take(c, blocks * BLOCK_SIZE) : NULL;
	if (!sizes)
		return NULL;
	inode = mem_alloc(sizeof(*inode) + blocks * BLOCK_SIZE);
	inode->base.type = SQFS_INODE_FILE;
	inode->payload_bytes_available = (sqfs_u32)(blocks * BLOCK_SIZE);
	inode->payload_bytes_used = inode->payload_bytes_available;
	sqfs_inode_set_file_size(inode, size);
	sqfs_inode_set_frag_location(inode, get_le32(head + 18), get_le32(head + 22));
	sqfs_inode_set_file_block_start(inode, get_le64(head + 2));
	if (get_le16(head) == SQFS_INODE_EXT_FILE) {
		sqfs_inode_make_extended(inode);
		inode->data.file_ext.sparse = get_le64(head + 10);
	}
	for (size_t i = 0; i < blocks; i++)
		inode->extra[i] = get_le32(sizes + i * BLOCK_SIZE);
	return inode;
}

static bool load_files(const struct squashfs_archived *archived, struct cursor *c, uint32_t block)
{
	for (size_t i = 0; i < archived->count; i++) {
		struct squashfs_entry *entry = entry_of(archived, i);

		entry->file = load_file(c, entry->inode->data.size, block);
		if (entry->file)
			continue;
		while (i--) {
			sqfs_free(entry_of(archived, i)->file);
			entry_of(archived, i)->file = NULL;
		}
		return false;
	}
	return true;
}

static int load_fragments(sqfs_frag_table_t *fragments, const uint8_t *from, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++, from += FRAGMENT_SIZE)
		r = sqfs_frag_table_append(fragments, get_le64(from), get_le32(from + 8), NULL);
	return r;
}

int squashfs_content_restore(const struct squashfs_archived *archived,
			     const struct squashfs_options *options, struct squashfs_file *file,
			     sqfs_frag_table_t *fragments, struct err *err)
{
	const struct squashfs_earlier *earlier = options->earlier;
	struct cursor c;
	const uint8_t *head, *from;
	struct err ignored = {0};
	struct digest key;
	uint64_t end, size;
	size_t count;
	int r;

	if (!earlier || !options->archives || archived->count == 0)
		return 0;
	make_key(archived, options, &key);
	c = (struct cursor){(const uint8_t *)earlier->content, earlier->content_len};
	head = take(&c, HEAD_SIZE);
	if (!head || memcmp(head, MAGIC, 8) != 0 || memcmp(head + 8, key.bytes, DIGEST_SIZE) != 0)
		return 0;
	end = get_le64(head + 8 + DIGEST_SIZE);
	count = get_le32(head + 16 + DIGEST_SIZE);
	from = take(&c, count * FRAGMENT_SIZE);
	if (!from || get_le32(head + 20 + DIGEST_SIZE) != archived->count || end < file->size ||
	    fd_size(earlier->fd, file->name, &size, &ignored) < 0 || end > size ||
	    !load_files(archived, &c, options->block))
		return 0;
	/* The superblock is a part of it; it is written again at the end. */
	if (fd_copy(earlier->fd, 0, file->fd, 0, end, file->name, err) < 0)
		return -1;
	file->size = end;
	r = load_fragments(fragments, from, count);
	return r ? squashfs_failed(file, r, "write", err) : 1;
}
