/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading Google Cloud's archives: gzip around a tar of old GNU format (or a plain one) whose only member
 * is disk.raw. They may be hostile: all that the tar says is checked against what it has, in the one pass
 * that indexes the gzip file.
 */
#include "output/formats.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/size.h"
#include "output/bigendian.h"
#include "output/gzindex.h"
#include "output/oldtar.h"

#include <string.h>

#define SIZE_MAX_DISK ((uint64_t)1 << 46)
#define MAP_MAX ((size_t)1 << 20)       /* entries that are kept; 16 MiB */
#define ENTRIES_MAX ((uint64_t)1 << 24) /* entries that are read */
#define ZEROS_MAX MIB                   /* behind the member */
#define RATIO_MAX 1032                  /* deflate makes at most so many bytes of one */

/* Data of the disk; it goes on up to where the data of the next one starts. */
struct extent {
	uint64_t offset; /* on the disk */
	uint64_t data;   /* in the member's data */
};

enum state { IN_HEADER, IN_MAP, IN_DATA, IN_PADDING, IN_END };

struct gcp_image {
	struct image image;
	int fd;
	char *name;
	uint64_t file_size;
	struct gzindex *index;
	uint64_t data_at;  /* in the tar */
	uint64_t data_len; /* of the member */
	struct extent *map;
	size_t count, room;

	/* While the tar is read. */
	enum state state;
	uint8_t block[OLDTAR_BLOCK];
	size_t have;      /* bytes in block */
	uint64_t at;      /* in the tar */
	uint64_t left;    /* bytes of data or of padding to come */
	uint64_t entries; /* of the map that were seen */
	uint64_t mapped;  /* bytes that they have */
	uint64_t map_end; /* where the last one ends on the disk */
	bool map_done;    /* an unused entry was seen */
	uint64_t zeros;   /* bytes behind the member */
};

static int damaged(const struct gcp_image *g, const char *what, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read '%s': damaged tar archive: %s", g->name, what);
}

static int refuse(const struct gcp_image *g, const char *what, struct err *err)
{
	err_set(err, ERR_VERIFY, "cannot read '%s': a gzip file %s", g->name, what);
	return err_hint(err, "only archives as Google Cloud takes them are read: "
			     "tar --format=oldgnu -Sczf NAME.tar.gz disk.raw");
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Octal digits, with spaces before and a space or NUL behind, or GNU's bytes. Returns 0 or -1. */
static int get_number(const uint8_t *from, size_t field, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0, digits = 0;

	if (from[0] == 0x80) {
		*ret = get_be64(from + field - 8);
		return field == 8 || all_zero(from + 1, field - 9) ? 0 : -1;
	}
	while (i < field && from[i] == ' ')
		i++;
	for (; i < field && from[i] >= '0' && from[i] <= '7'; i++, digits++)
		value = value << 3 | (uint64_t)(from[i] - '0');
	*ret = value;
	return digits > 0 && (i == field || from[i] == 0 || from[i] == ' ') ? 0 : -1;
}

static int add_extent(struct gcp_image *g, uint64_t offset, uint64_t len, struct err *err)
{
	struct extent *last = g->count > 0 ? &g->map[g->count - 1] : NULL;

	if (offset < g->map_end || offset > g->image.size || len > g->image.size - offset)
		return damaged(g, "the map of its holes is wrong", err);
	if (++g->entries > ENTRIES_MAX)
		return damaged(g, "the map of its holes is too long", err);
	g->map_end = offset + len;
	if (len == 0 || (last && last->offset + (g->mapped - last->data) == offset)) {
		g->mapped += len;
		return 0;
	}
	if (g->count == MAP_MAX)
		return damaged(g, "the map of its holes is too long", err);
	if (g->count == g->room) {
		g->room = g->room ? 2 * g->room : 64;
		g->map = mem_resize(g->map, g->room, sizeof(*g->map));
	}
	g->map[g->count++] = (struct extent){.offset = offset, .data = g->mapped};
	g->mapped += len;
	return 0;
}

/* Reads room entries; the first unused one ends the map. */
static int add_entries(struct gcp_image *g, const uint8_t *from, size_t room, struct err *err)
{
	for (size_t i = 0; i < room; i++, from += OLDTAR_ENTRY) {
		uint64_t offset, len;

		if (all_zero(from, OLDTAR_ENTRY)) {
			g->map_done = true;
			continue;
		}
		if (g->map_done || get_number(from, 12, &offset) < 0 ||
		    get_number(from + 12, 12, &len) < 0)
			return damaged(g, "the map of its holes is wrong", err);
		if (add_extent(g, offset, len, err) < 0)
			return -1;
	}
	return 0;
}

static int start_data(struct gcp_image *g, struct err *err)
{
	if (g->mapped != g->data_len)
		return damaged(g, "the map of its holes is wrong", err);
	g->data_at = g->at;
	g->left = g->data_len;
	g->state = IN_DATA;
	return 0;
}

/* One of a block of the map, whose flag says whether another one follows. */
static int after_entries(struct gcp_image *g, uint8_t more, struct err *err)
{
	if (more > 1 || (more && g->map_done))
		return damaged(g, "the map of its holes is wrong", err);
	if (!more)
		return start_data(g, err);
	g->state = IN_MAP;
	return 0;
}

static int check_checksum(const struct gcp_image *g, const uint8_t *h, struct err *err)
{
	uint64_t sum = 0, want;

	for (size_t i = 0; i < OLDTAR_BLOCK; i++)
		sum += i >= OLDTAR_AT_CHECKSUM && i < OLDTAR_AT_CHECKSUM + 8 ? ' ' : h[i];
	if (get_number(h + OLDTAR_AT_CHECKSUM, 8, &want) < 0 || want != sum)
		return refuse(g, "that has no tar archive in it", err);
	return 0;
}

static int read_header(struct gcp_image *g, struct err *err)
{
	const uint8_t *h = g->block;
	bool gnu = memcmp(h + OLDTAR_AT_MAGIC, "ustar  ", 8) == 0;
	bool ustar = memcmp(h + OLDTAR_AT_MAGIC,
			    "ustar\0"
			    "00",
			    8) == 0;
	uint64_t *size = &g->image.size;
	uint8_t type = h[OLDTAR_AT_TYPE];

	if (check_checksum(g, h, err) < 0)
		return -1;
	if (type == 'x' || type == 'g')
		return refuse(g, "with a tar archive of pax format", err);
	if (strncmp((const char *)h + OLDTAR_AT_NAME, OLDTAR_MEMBER, 100) != 0 ||
	    (ustar && h[OLDTAR_AT_PREFIX] != 0))
		return refuse(g, "with a tar archive whose first member is not disk.raw", err);
	if (!(gnu && type == 'S') && !((gnu || ustar) && (type == '0' || type == 0)))
		return refuse(g, "with a tar archive of another format than old GNU's", err);
	if (get_number(h + OLDTAR_AT_SIZE, 12, &g->data_len) < 0 ||
	    get_number(h + (type == 'S' ? OLDTAR_AT_REALSIZE : OLDTAR_AT_SIZE), 12, size) < 0 ||
	    *size == 0 || *size > SIZE_MAX_DISK || g->data_len > *size)
		return damaged(g, "the size of disk.raw is wrong", err);
	/* Before minutes are spent on a small file that claims to be a large disk. */
	if (g->data_len / RATIO_MAX > g->file_size)
		return damaged(g, "it cannot have as much as it says", err);
	if (type == 'S') {
		if (add_entries(g, h + OLDTAR_AT_MAP, OLDTAR_HEADER_ENTRIES, err) < 0)
			return -1;
		return after_entries(g, h[OLDTAR_AT_EXTENDED], err);
	}
	if (add_extent(g, 0, g->data_len, err) < 0)
		return -1;
	return start_data(g, err);
}

/* What to do with the full block. */
static int read_block(struct gcp_image *g, struct err *err)
{
	switch (g->state) {
	case IN_HEADER:
		return read_header(g, err);
	case IN_MAP:
		if (add_entries(g, g->block, OLDTAR_BLOCK_ENTRIES, err) < 0)
			return -1;
		return after_entries(g, g->block[OLDTAR_AT_MORE], err);
	case IN_DATA:
	case IN_PADDING:
	case IN_END:
	default:
		if (!all_zero(g->block, OLDTAR_BLOCK))
			return refuse(g, "with a tar archive of more than disk.raw", err);
		g->zeros += OLDTAR_BLOCK;
		return g->zeros <= ZEROS_MAX ? 0 : damaged(g, "it does not end", err);
	}
}

/* Gets the tar in order. */
static int add_tar(void *context, const uint8_t *bytes, size_t len, struct err *err)
{
	struct gcp_image *g = context;

	while (len > 0) {
		bool skip = g->state == IN_DATA || g->state == IN_PADDING;
		uint64_t want = skip ? g->left : OLDTAR_BLOCK - g->have;
		size_t n = want < len ? (size_t)want : len;

		if (!skip) {
			memcpy(g->block + g->have, bytes, n);
			g->have += n;
		} else {
			g->left -= n;
		}
		bytes += n;
		len -= n;
		g->at += n;
		if (g->have == OLDTAR_BLOCK) {
			g->have = 0;
			if (read_block(g, err) < 0)
				return -1;
		}
		if (g->state == IN_DATA && g->left == 0) {
			g->state = IN_PADDING;
			g->left = size_align(g->data_len, OLDTAR_BLOCK) - g->data_len;
		}
		if (g->state == IN_PADDING && g->left == 0)
			g->state = IN_END;
	}
	return 0;
}

/* The last extent that starts at or before offset; NULL when there is none. */
static const struct extent *find_extent(const struct gcp_image *g, uint64_t offset)
{
	size_t low = 0, high = g->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (g->map[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &g->map[low - 1] : NULL;
}

static int gcp_pread(struct image *image, void *bytes, size_t len, uint64_t offset, struct err *err)
{
	struct gcp_image *g = (struct gcp_image *)image;
	uint8_t *to = bytes;

	if (offset > image->size || len > image->size - offset)
		return err_set(err, ERR_VERIFY, "cannot read '%s': beyond the end", g->name);
	while (len > 0) {
		const struct extent *e = find_extent(g, offset), *next = e ? e + 1 : g->map;
		bool last = next == g->map + g->count;
		uint64_t data_end = last ? g->data_len : next->data;
		uint64_t end = last ? image->size : next->offset, n;

		/* In the data of an extent, or in the hole behind it. */
		if (e && offset - e->offset < data_end - e->data) {
			n = data_end - e->data - (offset - e->offset);
			n = n < len ? n : len;
			if (gzindex_read(g->index, to, n,
					 g->data_at + e->data + (offset - e->offset), err) < 0)
				return -1;
		} else {
			n = end - offset < len ? end - offset : len;
			memset(to, 0, n);
		}
		to += n;
		len -= n;
		offset += n;
	}
	return 0;
}

static void gcp_image_close(struct image *image)
{
	struct gcp_image *g = (struct gcp_image *)image;

	gzindex_free(g->index);
	fd_close(&g->fd);
	free(g->map);
	free(g->name);
	free(g);
}

bool gcp_is(const uint8_t *head, const uint8_t *tail)
{
	int like = (head[0] == 0x1f) + (head[1] == 0x8b) + (head[2] == 8);

	(void)tail;
	/* One damaged byte does not make a raw disk of it, which would have a mark at 510. */
	return (head[0] == 0x1f && head[1] == 0x8b) ||
	       (like == 2 && !(head[510] == 0x55 && head[511] == 0xaa));
}

struct image *gcp_read(int fd, const char *path, struct err *err)
{
	struct gcp_image *g = mem_alloc(sizeof(*g));
	const struct gzindex_sink sink = {.add = add_tar, .context = g};

	g->fd = fd;
	g->name = mem_strdup(path);
	g->image = (struct image){
		.format = "gcp", .name = g->name, .pread = gcp_pread, .close = gcp_image_close};
	if (fd_size(fd, g->name, &g->file_size, err) < 0)
		goto fail;
	g->index = gzindex_new(fd, g->name, &sink, err);
	if (!g->index)
		goto fail;
	if (g->state != IN_END || g->zeros == 0) {
		if (g->state == IN_HEADER)
			refuse(g, "that has no tar archive in it", err);
		else
			damaged(g, "it ends early", err);
		goto fail;
	}
	return &g->image;
fail:
	gcp_image_close(&g->image);
	return NULL;
}
