/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading at any offset of what a gzip file expands to, from the points that the pass over it has found.
 */
#include "output/gzindex.h"

#include "base/fd.h"
#include "base/mem.h"
#include "output/gzindex_parts.h"

#include <string.h>

int gzindex_damaged(const struct gzindex *index, const char *what, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read '%s': damaged gzip file: %s", index->name,
		       what);
}

int gzindex_fill(struct gzindex *index, struct err *err)
{
	uint64_t left = index->file_size - index->in;
	size_t len = left < GZ_BLOCK ? (size_t)left : GZ_BLOCK;

	if (index->z.avail_in > 0)
		return 0;
	if (len == 0)
		return gzindex_damaged(index, "it ends early", err);
	if (fd_pread(index->fd, index->input, len, index->in, index->name, err) < 0)
		return -1;
	index->in += len;
	index->z.next_in = index->input;
	index->z.avail_in = (uInt)len;
	return 0;
}

int gzindex_start(struct gzindex *index, const struct gzpoint *point, struct err *err)
{
	z_stream *z = &index->z;
	uint8_t byte;
	int ret = inflateReset(z);

	if (point->bits) {
		if (fd_pread(index->fd, &byte, 1, point->in - 1, index->name, err) < 0)
			return -1;
		if (ret == Z_OK)
			ret = inflatePrime(z, point->bits, byte >> (8 - point->bits));
	}
	if (ret == Z_OK && point->window)
		ret = inflateSetDictionary(z, point->window, (uInt)GZ_WINDOW);
	if (ret != Z_OK)
		return err_set(err, ERR_OTHER, "cannot read '%s': zlib fails with %d", index->name,
			       ret);
	z->avail_in = 0;
	index->in = point->in;
	index->out = point->out;
	return 0;
}

/* The last point that is not behind offset; the first one is at 0. */
static const struct gzpoint *find_point(const struct gzindex *index, uint64_t offset)
{
	size_t low = 0, high = index->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (index->points[middle].out <= offset)
			low = middle;
		else
			high = middle;
	}
	return &index->points[low];
}

/* Expands the next len bytes. The pass has seen all of them: what is wrong now was changed since. */
static int expand(struct gzindex *index, uint8_t *to, size_t len, struct err *err)
{
	z_stream *z = &index->z;
	int ret = Z_OK;

	z->next_out = to;
	z->avail_out = (uInt)len;
	while (z->avail_out > 0) {
		if (ret != Z_OK && ret != Z_BUF_ERROR)
			return gzindex_damaged(index, "it changed while it was read", err);
		if (gzindex_fill(index, err) < 0)
			return -1;
		ret = inflate(z, Z_NO_FLUSH);
	}
	index->out += len;
	return 0;
}

static struct gzblock *oldest_block(struct gzindex *index)
{
	struct gzblock *oldest = index->blocks;

	for (size_t i = 1; i < GZ_BLOCKS; i++)
		if (index->blocks[i].used < oldest->used)
			oldest = &index->blocks[i];
	if (!oldest->bytes)
		oldest->bytes = mem_alloc(GZ_BLOCK);
	oldest->len = 0;
	return oldest;
}

/* Expands up to the end of the block that index->out is in, and keeps it if that is all of it. */
static int expand_block(struct gzindex *index, struct gzblock **ret, struct err *err)
{
	struct gzblock *block = oldest_block(index);
	uint64_t start = index->out, end = (start / GZ_BLOCK + 1) * GZ_BLOCK;

	if (end > index->size)
		end = index->size;
	if (expand(index, block->bytes, (size_t)(end - start), err) < 0)
		return -1;
	*ret = block;
	if (start % GZ_BLOCK != 0)
		return 0;
	block->number = start / GZ_BLOCK;
	block->len = (size_t)(end - start);
	block->used = ++index->clock;
	return 0;
}

static int get_block(struct gzindex *index, uint64_t number, struct gzblock **ret, struct err *err)
{
	uint64_t start = number * GZ_BLOCK;
	const struct gzpoint *point;

	for (size_t i = 0; i < GZ_BLOCKS; i++) {
		struct gzblock *block = &index->blocks[i];

		if (block->len == 0 || block->number != number)
			continue;
		block->used = ++index->clock;
		*ret = block;
		return 0;
	}
	/* Going on from where the last read ended is as good as a point before that. */
	point = find_point(index, start);
	if ((index->out > start || index->out < point->out) && gzindex_start(index, point, err) < 0)
		return -1;
	do {
		if (expand_block(index, ret, err) < 0) {
			index->out = UINT64_MAX; /* nothing goes on from here */
			return -1;
		}
	} while (index->out <= start);
	return 0;
}

int gzindex_read(struct gzindex *index, void *to, size_t len, uint64_t offset, struct err *err)
{
	uint8_t *bytes = to;

	if (offset > index->size || len > index->size - offset)
		return gzindex_damaged(index, "too short", err);
	while (len > 0) {
		size_t from = (size_t)(offset % GZ_BLOCK), n;
		struct gzblock *block;

		if (get_block(index, offset / GZ_BLOCK, &block, err) < 0)
			return -1;
		n = block->len - from < len ? block->len - from : len;
		memcpy(bytes, block->bytes + from, n);
		bytes += n;
		len -= n;
		offset += n;
	}
	return 0;
}

struct gzindex *gzindex_new(int fd, const char *name, const struct gzindex_sink *sink,
			    struct err *err)
{
	struct gzindex *index = mem_alloc(sizeof(*index));

	index->fd = fd;
	index->name = name;
	index->input = mem_alloc(GZ_BLOCK);
	if (fd_size(fd, name, &index->file_size, err) < 0)
		goto fail;
	if (inflateInit2(&index->z, -MAX_WBITS) != Z_OK) {
		err_set(err, ERR_OTHER, "cannot read '%s': zlib cannot start", name);
		goto fail;
	}
	if (gzindex_scan(index, sink, err) < 0)
		goto fail;
	return index;
fail:
	gzindex_free(index);
	return NULL;
}

void gzindex_free(struct gzindex *index)
{
	if (!index)
		return;
	for (size_t i = 0; i < index->count; i++)
		free(index->points[i].window);
	for (size_t i = 0; i < GZ_BLOCKS; i++)
		free(index->blocks[i].bytes);
	inflateEnd(&index->z);
	free(index->points);
	free(index->input);
	free(index);
}
