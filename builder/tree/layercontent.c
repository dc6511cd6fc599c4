/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of a layer's entries: into our tar, and either by its checksum or as it is into tar-split.
 */
#include "tree/crc64.h"
#include "tree/layerparts.h"

int layer_broken(const struct layer_import *l, const char *why, struct err *err)
{
	return import_broken(&l->im, archive_entry_pathname(l->im.entry), why, err);
}

int layer_read_failed(struct layer_import *l, struct err *err)
{
	if (!l->err.code)
		return import_archive_failed(&l->im, err);
	if (err)
		*err = l->err;
	return -1;
}

struct block {
	const void *bytes;
	size_t len;
	uint64_t offset;
};

/* The next piece of content: 1, or 0 at the end, or -1 with err. done is where the last one ended. */
static int next_block(struct layer_import *l, uint64_t done, uint64_t size, struct block *ret,
		      struct err *err)
{
	int64_t offset;
	int r = archive_read_data_block(l->im.in, &ret->bytes, &ret->len, &offset);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK)
		return layer_read_failed(l, err);
	if (offset < 0 || (uint64_t)offset < done || (uint64_t)offset > size ||
	    ret->len > size - (uint64_t)offset)
		return layer_broken(l, "content does not fit its size", err);
	ret->offset = (uint64_t)offset;
	return 1;
}

int layer_drain(struct layer_import *l, struct err *err)
{
	struct block block;
	int r;

	while ((r = next_block(l, 0, INT64_MAX, &block, err)) > 0)
		if (layer_raw_until(l, layer_raw_position(l), err) < 0)
			return -1;
	return r;
}

/* A sparse file: holes become zeros, and its bytes in the stream are not those of the file. */
static int copy_sparse(struct layer_import *l, uint64_t size, struct block *block, int r,
		       struct err *err)
{
	uint64_t done = 0;

	for (; r > 0; r = next_block(l, done, size, block, err)) {
		if (pax_zeros(l->im.out, block->offset - done, err) < 0 ||
		    pax_data(l->im.out, block->bytes, block->len, err) < 0 ||
		    layer_raw_until(l, layer_raw_position(l), err) < 0)
			return -1;
		done = block->offset + block->len;
	}
	return r < 0 ? -1 : pax_zeros(l->im.out, size - done, err);
}

/* A file whose bytes stand in the stream in one piece; all before it is in split. */
static int copy_plain(struct layer_import *l, const struct tree_node *node, struct block *block,
		      int r, struct err *err)
{
	const struct tree_inode *inode = node->inode;
	struct layer_file file = {.node = node, .inode = inode};
	uint64_t done = 0, crc = 0;

	/* tar-split would be wrong without a sign of it, if the library counted in another way. */
	if (!layer_raw_is_next(l, block->bytes))
		return err_set(err, ERR_OTHER, "cannot read %s: lost in '%s'", l->im.origin,
			       l->im.path);
	layer_raw_skip(l, inode->data.size);
	for (; r > 0; r = next_block(l, done, inode->data.size, block, err)) {
		if (block->offset != done)
			return layer_broken(l, "content does not fit its size", err);
		crc = crc64_add(crc, block->bytes, block->len);
		if (pax_data(l->im.out, block->bytes, block->len, err) < 0)
			return -1;
		done += block->len;
	}
	if (r < 0)
		return -1;
	if (done != inode->data.size)
		return layer_broken(l, "content does not fit its size", err);
	file.where.offset = inode->data.offset;
	file.where.size = done;
	if (split_file(l->split, l->im.path, done, crc, &file.where.position, err) < 0)
		return -1;
	VEC_ADD(l->files, l->file_count, l->file_room, file);
	return 0;
}

int layer_copy_content(struct layer_import *l, const struct tree_node *node, struct err *err)
{
	uint64_t size = node->inode->data.size;
	struct block block;
	int r = next_block(l, 0, size, &block, err);
	bool plain = r > 0 && block.offset == 0 && archive_entry_sparse_count(l->im.entry) == 0;

	if (r < 0)
		return -1;
	/* Empty blocks come before holes only. */
	if (plain && block.len == 0)
		plain = false;
	if ((plain ? copy_plain(l, node, &block, r, err) : copy_sparse(l, size, &block, r, err)) <
	    0)
		return -1;
	return pax_end_data(l->im.out, err);
}
