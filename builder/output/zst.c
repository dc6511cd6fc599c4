/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw.zst: a zstd frame for each chunk of the disk, and a seek table in a skippable frame at the end (zstd's
 * seekable format). `zstd -d` makes the raw disk of it; who knows the table can read anywhere.
 */
#include "output/formats.h"

#include "base/fd.h"
#include "base/mem.h"
#include "disk/endian.h"
#include "output/compress.h"
#include "output/sinkfile.h"
#include "output/zst.h"

#include <string.h>
#include <zstd.h>

#define FRAME_ROOM ZSTD_COMPRESSBOUND(OUTPUT_CHUNK)
#define BUFFER ((size_t)256 << 10)

/* A compressed chunk. */
struct frame {
	uint32_t len; /* 0: it could not be compressed */
	uint8_t bytes[];
};

/* What the seek table says of a frame. */
struct entry {
	uint32_t packed, sum;
};

struct zst {
	int fd;
	char *path;
	uint64_t size; /* of the disk */
	bool no_sync;
	struct compressor *compressor;
	struct frame *zero; /* a chunk of zeros, whose frame is always the same */

	struct entry *entries; /* one per frame */
	size_t count, room;
	struct digest_ctx *digest; /* of the file up to at */
	uint64_t at, flushed;
	uint8_t *buffer; /* small things that were not written yet, in front of at */
	size_t buffered;
};

static struct frame *make_frame(struct zst *z, const uint8_t *bytes, size_t len)
{
	struct frame *frame = mem_resize(NULL, 1, sizeof(*frame) + FRAME_ROOM);

	frame->len =
		(uint32_t)compressor_frame(z->compressor, bytes, len, frame->bytes, FRAME_ROOM);
	return frame;
}

static void zst_close(struct output_sink *sink)
{
	struct zst *z = (struct zst *)sink;

	if (!z)
		return;
	compressor_free(z->compressor);
	digest_ctx_free(z->digest);
	free(z->zero);
	free(z->entries);
	free(z->buffer);
	free(z->path);
	free(z);
}

static struct frame *make_zero_frame(struct zst *z, size_t len)
{
	CLEANUP_FREE uint8_t *zeros = mem_alloc(OUTPUT_CHUNK);

	return make_frame(z, zeros, len);
}

static struct output_sink *zst_open(int fd, const char *path, const struct region_list *disk,
				    const struct output_options *options, struct err *err)
{
	struct zst *z = mem_alloc(sizeof(*z));

	(void)err;
	z->fd = fd;
	z->path = mem_strdup(path);
	z->size = disk->size;
	z->no_sync = options->no_sync;
	z->compressor = compressor_new(COMPRESS_ZSTD);
	z->zero = make_zero_frame(z, OUTPUT_CHUNK);
	z->digest = digest_start();
	z->buffer = mem_alloc(BUFFER);
	return (struct output_sink *)z;
}

static void *zst_prepare(struct output_sink *sink, const struct output_chunk *chunk)
{
	return chunk->bytes ? make_frame((struct zst *)sink, chunk->bytes, chunk->len) : NULL;
}

static int put(struct zst *z, const uint8_t *bytes, size_t len, struct err *err)
{
	if (fd_pwrite(z->fd, bytes, len, z->at, z->path, err) < 0)
		return -1;
	digest_add(z->digest, bytes, len);
	z->at += len;
	return 0;
}

static int flush(struct zst *z, struct err *err)
{
	size_t len = z->buffered;

	z->buffered = 0;
	return len > 0 ? put(z, z->buffer, len, err) : 0;
}

/* Appends to the file; a hole gives hundreds of frames of some bytes each, hence the buffer. */
static int append(struct zst *z, const uint8_t *bytes, size_t len, struct err *err)
{
	if (len > BUFFER - z->buffered && flush(z, err) < 0)
		return -1;
	if (len > BUFFER)
		return put(z, bytes, len, err);
	memcpy(z->buffer + z->buffered, bytes, len);
	z->buffered += len;
	return 0;
}

static int add_frame(struct zst *z, const struct frame *frame, struct err *err)
{
	/* The frame's checksum is just what the table wants: the low bits of XXH64 of the content. */
	struct entry entry = {.packed = frame->len};

	if (frame->len < 4)
		return err_set(err, ERR_OTHER, "cannot write '%s': out of memory", z->path);
	entry.sum = get_le32(frame->bytes + frame->len - 4);
	VEC_ADD(z->entries, z->count, z->room, entry);
	return append(z, frame->bytes, frame->len, err);
}

static int zst_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		     struct err *err)
{
	struct zst *z = (struct zst *)sink;
	CLEANUP_FREE struct frame *frame = prepared;

	if (!frame && chunk->len < OUTPUT_CHUNK)
		frame = make_zero_frame(z, chunk->len);
	if (add_frame(z, frame ? frame : z->zero, err) < 0)
		return -1;
	if (!z->no_sync)
		sinkfile_hint(z->fd, &z->flushed, z->at);
	return 0;
}

static int zst_finish(struct output_sink *sink, const struct output_content *content,
		      struct digest *ret_digest, struct err *err)
{
	struct zst *z = (struct zst *)sink;
	uint8_t bytes[12];
	uint64_t left = z->size;

	(void)content;
	put_le32(bytes, ZST_TABLE_MAGIC);
	put_le32(bytes + 4, (uint32_t)(z->count * sizeof(bytes) + ZST_TABLE_FOOTER));
	if (append(z, bytes, ZST_SKIPPABLE_HEADER, err) < 0)
		return -1;
	for (size_t i = 0; i < z->count; i++) {
		uint32_t len = left < OUTPUT_CHUNK ? (uint32_t)left : (uint32_t)OUTPUT_CHUNK;

		put_le32(bytes, z->entries[i].packed);
		put_le32(bytes + 4, len);
		put_le32(bytes + 8, z->entries[i].sum);
		left -= len;
		if (append(z, bytes, sizeof(bytes), err) < 0)
			return -1;
	}
	put_le32(bytes, (uint32_t)z->count);
	bytes[4] = ZST_TABLE_SUMS;
	put_le32(bytes + 5, ZST_SEEKABLE_MAGIC);
	if (append(z, bytes, ZST_TABLE_FOOTER, err) < 0 || flush(z, err) < 0)
		return -1;
	digest_finish(MEM_STEAL(z->digest), ret_digest);
	return 0;
}

static bool is_zst(const uint8_t *head, const uint8_t *tail)
{
	uint32_t magic = get_le32(head);

	(void)tail;
	/* What compresses with several processes may put a skippable frame in front. */
	return magic == ZST_FRAME_MAGIC || (magic & ~15u) == ZST_SKIPPABLE_MAGIC;
}

const struct output_format format_raw_zst = {
	.name = "raw.zst",
	.suffix = ".raw.zst",
	.summary = "the raw disk, compressed with zstd; can be read anywhere (seek table)",
	.with = "bmap",
	.size_max = ZST_FRAMES_MAX * OUTPUT_CHUNK,
	.open = zst_open,
	.prepare = zst_prepare,
	.write = zst_write,
	.finish = zst_finish,
	.drop = free,
	.close = zst_close,
	.is = is_zst,
	.read = zst_read,
};
