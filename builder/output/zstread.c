/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading raw disks in zstd, which may be hostile: by the seek table, or by the headers of the frames when
 * there is none. Each frame must be small, as it is expanded whole for a byte of it.
 */
#include "output/formats.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "disk/endian.h"
#include "output/zst.h"

#include <string.h>
#include <zstd.h>

#define FRAME_MAX (32 * MIB)         /* of the disk in one frame */
#define PACKED_MAX (FRAME_MAX + MIB) /* its bytes in the file */
#define CACHE_BYTES (64 * MIB)
#define CACHE_MAX 16
#define HEADER_MAX 18 /* bytes of a frame header (RFC 8878, 3.1.1.1) */
#define BLOCKS_MAX ((uint64_t)16 << 20)
#define EMPTY_MAX 64 /* bytes of a frame without content */
#define NONE UINT64_MAX

/* Where a frame starts. */
struct place {
	uint64_t file, disk;
};

/* A frame that was expanded. */
struct cached {
	uint64_t frame; /* NONE: empty */
	uint64_t used;  /* age */
	uint8_t *bytes;
};

struct zst_image {
	struct image image;
	int fd;
	char *name;
	uint64_t file_size;
	struct place *frames; /* count of them, and the end behind */
	size_t count, room;
	uint64_t largest; /* frame, bytes of the disk */
	uint64_t clock;
	size_t cache_count;
	struct cached cache[CACHE_MAX];
	uint8_t *packed; /* room for a frame's bytes in the file */
	size_t packed_room;
	ZSTD_DCtx *dctx;
};

static int damaged(const struct zst_image *z, const char *what, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read '%s': damaged zstd file: %s", z->name, what);
}

static int refuse(const struct zst_image *z, const char *what, struct err *err)
{
	err_set(err, ERR_VERIFY, "cannot read '%s': it has no seek table and %s", z->name, what);
	return err_hint(err, "expand it first: zstd -d FILE");
}

/* Adds a frame; the one behind it, or the end, is expected where it ends. */
static int add_frame(struct zst_image *z, uint64_t packed, uint64_t size, struct err *err)
{
	struct place end = {packed, size};

	if (z->count == 0)
		VEC_ADD(z->frames, z->count, z->room, (struct place){0});
	if (z->count > ZST_FRAMES_MAX)
		return damaged(z, "too many frames", err);
	if (size > FRAME_MAX || packed > PACKED_MAX)
		return damaged(z, "a frame is too large", err);
	end.file += z->frames[z->count - 1].file;
	end.disk += z->frames[z->count - 1].disk;
	VEC_ADD(z->frames, z->count, z->room, end);
	if (size > z->largest)
		z->largest = size;
	return 0;
}

/* Nobody would miss a frame that the table says to be empty, so it is looked at. */
static int check_empty(struct zst_image *z, uint64_t offset, uint32_t len, struct err *err)
{
	uint8_t bytes[EMPTY_MAX], to[1];

	if (len > sizeof(bytes) || offset > z->file_size || len > z->file_size - offset)
		return damaged(z, "the seek table does not fit the frames", err);
	if (fd_pread(z->fd, bytes, len, offset, z->name, err) < 0)
		return -1;
	if (ZSTD_decompressDCtx(z->dctx, to, sizeof(to), bytes, len) != 0)
		return damaged(z, "a frame cannot be expanded", err);
	return 0;
}

/* Reads the entries of the table, whose first one is at offset in the file. */
static int read_entries(struct zst_image *z, uint64_t offset, uint64_t count, size_t entry_size,
			struct err *err)
{
	CLEANUP_FREE uint8_t *bytes = mem_alloc(entry_size * 4096);

	for (uint64_t i = 0, n; i < count; i += n, offset += n * entry_size) {
		n = count - i < 4096 ? count - i : 4096;
		if (fd_pread(z->fd, bytes, n * entry_size, offset, z->name, err) < 0)
			return -1;
		for (size_t k = 0; k < n; k++) {
			uint32_t packed = get_le32(bytes + k * entry_size);
			uint32_t size = get_le32(bytes + k * entry_size + 4);

			if (add_frame(z, packed, size, err) < 0)
				return -1;
			if (size == 0 &&
			    check_empty(z, z->frames[z->count - 2].file, packed, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* Sets *ret_found false when the file does not end with a seek table. */
static int read_table(struct zst_image *z, bool *ret_found, struct err *err)
{
	uint8_t footer[ZST_TABLE_FOOTER], header[ZST_SKIPPABLE_HEADER];
	uint64_t count, size;
	size_t entry_size;

	*ret_found = false;
	if (z->file_size < sizeof(footer) + sizeof(header))
		return 0;
	if (fd_pread(z->fd, footer, sizeof(footer), z->file_size - sizeof(footer), z->name, err) <
	    0)
		return -1;
	if (get_le32(footer + 5) != ZST_SEEKABLE_MAGIC)
		return 0;
	*ret_found = true;
	count = get_le32(footer);
	entry_size = footer[4] & ZST_TABLE_SUMS ? 12 : 8;
	size = count * entry_size + sizeof(footer);
	if (footer[4] & ZST_TABLE_RESERVED)
		return damaged(z, "unknown kind of seek table", err);
	if (count == 0 || count > ZST_FRAMES_MAX || size + sizeof(header) > z->file_size)
		return damaged(z, "the seek table does not fit the file", err);
	if (fd_pread(z->fd, header, sizeof(header), z->file_size - size - sizeof(header), z->name,
		     err) < 0)
		return -1;
	if (get_le32(header) != ZST_TABLE_MAGIC || get_le32(header + 4) != size)
		return damaged(z, "the seek table does not fit the file", err);
	if (read_entries(z, z->file_size - size, count, entry_size, err) < 0)
		return -1;
	if (z->frames[z->count - 1].file != z->file_size - size - sizeof(header))
		return damaged(z, "the seek table does not fit the frames", err);
	return 0;
}

/* Length of the frame header at h. */
static size_t header_size(const uint8_t *h)
{
	static const uint8_t id[] = {0, 1, 2, 4}, content[] = {0, 2, 4, 8};
	bool single = h[4] >> 5 & 1;

	return 5 + !single + id[h[4] & 3] + (h[4] >> 6 ? content[h[4] >> 6] : single);
}

/* Walks over the blocks of a frame (RFC 8878, 3.1.1.2) to its end. */
static int skip_blocks(struct zst_image *z, uint64_t *at, uint64_t *blocks, struct err *err)
{
	for (bool last = false; !last;) {
		uint8_t h[3];
		uint32_t header;

		if (*at > z->file_size || z->file_size - *at < sizeof(h))
			return damaged(z, "it ends inside of a frame", err);
		if (++*blocks > BLOCKS_MAX)
			return refuse(z, "too many blocks", err);
		if (fd_pread(z->fd, h, sizeof(h), *at, z->name, err) < 0)
			return -1;
		header = h[0] | (uint32_t)h[1] << 8 | (uint32_t)h[2] << 16;
		last = header & 1;
		if ((header >> 1 & 3) == 3)
			return damaged(z, "a block of an unknown type", err);
		*at += sizeof(h) + ((header >> 1 & 3) == 1 ? 1 : header >> 3);
	}
	return 0;
}

/* The frame at offset: where it ends, and how much of the disk it has. */
static int measure_frame(struct zst_image *z, uint64_t offset, uint64_t *ret_end,
			 uint64_t *ret_size, uint64_t *blocks, struct err *err)
{
	uint8_t h[HEADER_MAX] = {0};
	size_t len =
		z->file_size - offset < sizeof(h) ? (size_t)(z->file_size - offset) : sizeof(h);
	unsigned long long content;

	if (fd_pread(z->fd, h, len, offset, z->name, err) < 0)
		return -1;
	*ret_size = 0;
	if (len >= 8 && (get_le32(h) & ~15u) == ZST_SKIPPABLE_MAGIC) {
		*ret_end = offset + ZST_SKIPPABLE_HEADER + get_le32(h + 4);
		return 0;
	}
	content = ZSTD_getFrameContentSize(h, len);
	if (content == ZSTD_CONTENTSIZE_ERROR)
		return damaged(z, "no frame where one must start", err);
	if (content == ZSTD_CONTENTSIZE_UNKNOWN)
		return refuse(z, "a frame does not tell its size", err);
	if (content > FRAME_MAX)
		return refuse(z, "a frame is too large to be expanded for each read", err);
	*ret_size = content;
	*ret_end = offset + header_size(h);
	if (skip_blocks(z, ret_end, blocks, err) < 0)
		return -1;
	*ret_end += h[4] & 4 ? 4 : 0; /* the checksum */
	return 0;
}

static int walk_frames(struct zst_image *z, struct err *err)
{
	uint64_t blocks = 0, end = 0, size = 0, pending = 0;

	for (uint64_t at = 0; at < z->file_size; at = end) {
		if (measure_frame(z, at, &end, &size, &blocks, err) < 0)
			return -1;
		if (end > z->file_size)
			return damaged(z, "it ends inside of a frame", err);
		/* Frames without content are read with the one behind them, so that there are not more
		 * entries than frames with content. */
		pending += end - at;
		if (size == 0)
			continue;
		if (add_frame(z, pending, size, err) < 0)
			return -1;
		pending = 0;
	}
	return 0;
}

static int expand(struct zst_image *z, size_t frame, uint8_t *to, struct err *err)
{
	const struct place *from = &z->frames[frame], *end = from + 1;
	size_t len = (size_t)(end->file - from->file), size = (size_t)(end->disk - from->disk);

	if (len > z->packed_room) {
		z->packed = mem_resize(z->packed, len, 1);
		z->packed_room = len;
	}
	if (fd_pread(z->fd, z->packed, len, from->file, z->name, err) < 0)
		return -1;
	/* Also checks the checksum, if the frame has one. */
	if (ZSTD_decompressDCtx(z->dctx, to, size, z->packed, len) != size)
		return damaged(z, "a frame cannot be expanded", err);
	return 0;
}

static const uint8_t *get_frame(struct zst_image *z, size_t frame, struct err *err)
{
	struct cached *c = z->cache;

	for (size_t i = 0; i < z->cache_count; i++) {
		if (z->cache[i].bytes && z->cache[i].frame == frame) {
			z->cache[i].used = ++z->clock;
			return z->cache[i].bytes;
		}
		if (z->cache[i].used < c->used)
			c = &z->cache[i];
	}
	if (!c->bytes)
		c->bytes = mem_resize(NULL, z->largest, 1);
	c->frame = NONE;
	if (expand(z, frame, c->bytes, err) < 0)
		return NULL;
	c->frame = frame;
	c->used = ++z->clock;
	return c->bytes;
}

/* The frame that has the byte at offset. */
static size_t find_frame(const struct zst_image *z, uint64_t offset)
{
	size_t low = 0, high = z->count - 1;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (z->frames[middle].disk <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static int zst_pread(struct image *image, void *bytes, size_t len, uint64_t offset, struct err *err)
{
	struct zst_image *z = (struct zst_image *)image;
	uint8_t *to = bytes;

	if (offset > image->size || len > image->size - offset)
		return err_set(err, ERR_VERIFY, "cannot read '%s': beyond the end", z->name);
	while (len > 0) {
		size_t frame = find_frame(z, offset);
		uint64_t end = z->frames[frame + 1].disk;
		size_t n = end - offset < len ? (size_t)(end - offset) : len;
		bool whole = z->frames[frame].disk == offset && end - offset == n;
		const uint8_t *from;

		/* Who reads the whole disk needs no cache. */
		if (whole) {
			if (expand(z, frame, to, err) < 0)
				return -1;
		} else {
			from = get_frame(z, frame, err);
			if (!from)
				return -1;
			memcpy(to, from + (offset - z->frames[frame].disk), n);
		}
		to += n;
		len -= n;
		offset += n;
	}
	return 0;
}

static void zst_image_close(struct image *image)
{
	struct zst_image *z = (struct zst_image *)image;

	for (size_t i = 0; i < CACHE_MAX; i++)
		free(z->cache[i].bytes);
	fd_close(&z->fd);
	ZSTD_freeDCtx(z->dctx);
	free(z->frames);
	free(z->packed);
	free(z->name);
	free(z);
}

static int open_image(struct zst_image *z, struct err *err)
{
	bool found;

	z->dctx = ZSTD_createDCtx();
	if (!z->dctx)
		return err_set(err, ERR_OTHER, "cannot read '%s': out of memory", z->name);
	if (fd_size(z->fd, z->name, &z->file_size, err) < 0 || read_table(z, &found, err) < 0)
		return -1;
	if (!found && walk_frames(z, err) < 0)
		return -1;
	if (z->count == 0 || z->frames[z->count - 1].disk == 0)
		return damaged(z, "nothing is in it", err);
	z->image.size = z->frames[z->count - 1].disk;
	z->cache_count = CACHE_BYTES / z->largest;
	if (z->cache_count > CACHE_MAX)
		z->cache_count = CACHE_MAX;
	return 0;
}

struct image *zst_read(int fd, const char *path, struct err *err)
{
	struct zst_image *z = mem_alloc(sizeof(*z));

	z->fd = fd;
	z->name = mem_strdup(path);
	z->image = (struct image){
		.format = "raw.zst", .name = z->name, .pread = zst_pread, .close = zst_image_close};
	if (open_image(z, err) < 0) {
		zst_image_close(&z->image);
		return NULL;
	}
	return &z->image;
}
