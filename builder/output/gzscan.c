/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pass over a gzip file. Points from which expansion can start are ends of deflate's blocks. Each
 * would need the 32 KiB before it, because what follows may refer to them; after a full flush nothing
 * does, but a reader cannot tell that from other flushes. So it is tried: expansion goes on as if nothing
 * were before, and goes back once that fails.
 */
#include "output/gzindex_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "disk/endian.h"

#include <string.h>

#define SPACING_FREE ((uint64_t)65536)     /* between points without a window */
#define SPACING_WINDOW ((uint64_t)1 << 20) /* between points with one */
#define POINTS_MAX 65536
#define WINDOWS_MAX 640 /* 20 MiB */

/* Flags of the header (RFC 1952, 2.3.1). */
enum { GZ_TEXT = 1, GZ_CRC = 2, GZ_EXTRA = 4, GZ_NAME = 8, GZ_COMMENT = 16 };

struct scan {
	struct gzindex *index;
	const struct gzindex_sink *sink;
	uint64_t spacing_free, spacing_window; /* as they are now */
	size_t windows;                        /* points that have one */
	uint64_t told;                         /* bytes that sink has */
	uint32_t crc;                          /* of them */
	bool no_tries;                         /* this file has no full flushes */
	/* A point whose window may not be needed, while that is not known; else window is NULL. */
	struct gzpoint tried;
	uint32_t header_crc;
	uint8_t buffer[GZ_BLOCK];
};

static int next_byte(struct scan *s, uint8_t *ret, struct err *err)
{
	z_stream *z = &s->index->z;

	if (gzindex_fill(s->index, err) < 0)
		return -1;
	s->header_crc = (uint32_t)crc32(s->header_crc, z->next_in, 1);
	*ret = *z->next_in++;
	z->avail_in--;
	return 0;
}

static int next_bytes(struct scan *s, uint8_t *to, size_t len, struct err *err)
{
	for (size_t i = 0; i < len; i++)
		if (next_byte(s, to + i, err) < 0)
			return -1;
	return 0;
}

static int skip_string(struct scan *s, struct err *err)
{
	uint8_t c = 1;

	for (size_t len = 0; c != 0; len++) {
		if (len > 65535)
			return gzindex_damaged(s->index, "its header is too long", err);
		if (next_byte(s, &c, err) < 0)
			return -1;
	}
	return 0;
}

static int read_header(struct scan *s, struct err *err)
{
	uint8_t h[10], b[2];
	uint32_t crc;

	if (next_bytes(s, h, sizeof(h), err) < 0)
		return -1;
	if (h[0] != 0x1f || h[1] != 0x8b || h[2] != Z_DEFLATED || h[3] > 31)
		return gzindex_damaged(s->index, "its header is wrong", err);
	if (h[3] & GZ_EXTRA) {
		if (next_bytes(s, b, 2, err) < 0)
			return -1;
		for (unsigned left = get_le16(b); left > 0; left--)
			if (next_byte(s, b, err) < 0)
				return -1;
	}
	if ((h[3] & GZ_NAME && skip_string(s, err) < 0) ||
	    (h[3] & GZ_COMMENT && skip_string(s, err) < 0))
		return -1;
	crc = s->header_crc;
	if (!(h[3] & GZ_CRC))
		return 0;
	if (next_bytes(s, b, 2, err) < 0)
		return -1;
	return get_le16(b) == (crc & 0xffff)
		       ? 0
		       : gzindex_damaged(s->index, "the CRC of its header is wrong", err);
}

/* Lets every second point go, so that memory does not depend on the size. */
static void thin_out(struct scan *s)
{
	struct gzindex *index = s->index;
	size_t kept = 1;

	for (size_t i = 1; i < index->count; i++) {
		struct gzpoint *p = &index->points[i];

		if (i % 2 == 0) {
			index->points[kept++] = *p;
			continue;
		}
		s->windows -= p->window != NULL;
		free(p->window);
	}
	index->count = kept;
	s->spacing_free *= 2;
	s->spacing_window *= 2;
}

static void add_point(struct scan *s, const struct gzpoint *point)
{
	struct gzindex *index = s->index;

	if (index->count == index->room) {
		index->room = index->room ? 2 * index->room : 256;
		index->points = mem_resize(index->points, index->room, sizeof(*index->points));
	}
	index->points[index->count++] = *point;
	s->windows += point->window != NULL;
	if (index->count == POINTS_MAX || s->windows == WINDOWS_MAX)
		thin_out(s);
}

/* Hands over what is new of the len bytes in the buffer, the last expanded ones. */
static int tell(struct scan *s, size_t len, struct err *err)
{
	struct gzindex *index = s->index;
	uint64_t start = index->out - len;
	size_t known = s->told > start ? (size_t)(s->told - start) : 0;

	/* Bytes from before a try failed are the same the second time. */
	if (known >= len)
		return 0;
	s->told = index->out;
	s->crc = (uint32_t)crc32(s->crc, s->buffer + known, (uInt)(len - known));
	return s->sink->add(s->sink->context, s->buffer + known, len - known, err);
}

/* Ends a try: the window is not needed, as all that could have referred to it is expanded. */
static void confirm(struct scan *s)
{
	free(s->tried.window);
	s->tried.window = NULL;
	add_point(s, &s->tried);
}

/* Goes back to where a try began; from now on points keep their windows. */
static int give_up(struct scan *s, struct err *err)
{
	s->no_tries = true;
	if (gzindex_start(s->index, &s->tried, err) < 0)
		return -1;
	add_point(s, &s->tried);
	s->tried.window = NULL;
	return 0;
}

/* At the end of a block. */
static int consider_point(struct scan *s, struct err *err)
{
	struct gzindex *index = s->index;
	const struct gzpoint *last = &index->points[index->count - 1];
	struct gzpoint point = {.out = index->out,
				.in = index->in - index->z.avail_in,
				.bits = (uint8_t)(index->z.data_type & 7)};
	/* A flush ends with an empty stored block; so does a byte. */
	bool flush = point.bits == 0 && index->z.avail_out == GZ_BLOCK && !s->no_tries;
	uInt len = 0;

	if (s->tried.window || point.out < GZ_WINDOW ||
	    point.out - last->out < (flush ? s->spacing_free : s->spacing_window))
		return 0;
	point.window = mem_alloc(GZ_WINDOW);
	if (inflateGetDictionary(&index->z, point.window, &len) != Z_OK || len != GZ_WINDOW) {
		free(point.window);
		return 0;
	}
	if (!flush) {
		add_point(s, &point);
		return 0;
	}
	s->tried = point;
	if (inflateReset(&index->z) != Z_OK)
		return err_set(err, ERR_OTHER, "cannot read '%s': zlib fails", index->name);
	return 0;
}

/* Expands up to the end of a block or of the buffer. Returns zlib's result or -1. */
static int step(struct scan *s, struct err *err)
{
	struct gzindex *index = s->index;
	z_stream *z = &index->z;
	size_t len;
	int ret;

	if (gzindex_fill(index, err) < 0)
		return -1;
	z->next_out = s->buffer;
	z->avail_out = (uInt)sizeof(s->buffer);
	ret = inflate(z, Z_BLOCK);
	if (ret != Z_OK && ret != Z_STREAM_END && ret != Z_BUF_ERROR) {
		if (s->tried.window)
			return give_up(s, err);
		gzindex_damaged(index, z->msg ? z->msg : "it cannot be expanded", err);
		return -1;
	}
	len = sizeof(s->buffer) - z->avail_out;
	index->out += len;
	if (tell(s, len, err) < 0)
		return -1;
	if (s->tried.window && (index->out - s->tried.out >= GZ_WINDOW || ret == Z_STREAM_END))
		confirm(s);
	return ret == Z_STREAM_END ? Z_STREAM_END : Z_OK;
}

static int read_trailer(struct scan *s, struct err *err)
{
	uint8_t t[8];

	if (next_bytes(s, t, sizeof(t), err) < 0)
		return -1;
	if (get_le32(t) != s->crc)
		return gzindex_damaged(s->index, "its CRC is wrong", err);
	if (get_le32(t + 4) != (uint32_t)s->index->out)
		return gzindex_damaged(s->index, "its length is wrong", err);
	if (s->index->z.avail_in > 0 || s->index->in < s->index->file_size)
		return gzindex_damaged(s->index, "there is something behind its end", err);
	return 0;
}

int gzindex_scan(struct gzindex *index, const struct gzindex_sink *sink, struct err *err)
{
	CLEANUP_FREE struct scan *s = mem_alloc(sizeof(*s));
	int ret;

	s->index = index;
	s->sink = sink;
	s->spacing_free = SPACING_FREE;
	s->spacing_window = SPACING_WINDOW;
	if (read_header(s, err) < 0)
		return -1;
	add_point(s, &(struct gzpoint){.in = index->in - index->z.avail_in});
	do {
		ret = step(s, err);
		/* Bit 7: at the end of a block; bit 6: of the last one. */
		if (ret == Z_OK && (index->z.data_type & 0xc0) == 0x80)
			ret = consider_point(s, err);
	} while (ret == Z_OK);
	free(s->tried.window);
	if (ret != Z_STREAM_END || read_trailer(s, err) < 0)
		return -1;
	index->size = index->out;
	index->out = UINT64_MAX;
	return 0;
}
