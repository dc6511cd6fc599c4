/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading sparse VMDK extents, which may be hostile: each place is checked against the file before it is
 * used.
 */
#include "output/vmdkread_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "output/formats.h"
#include "output/vmdk.h"
#include "output/vmdk_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define TABLE_SIZE ((size_t)VMDK_TABLE_ENTRIES * 4)
#define NONE UINT64_MAX

/* Finds the entry of that number, or the oldest one, emptied, for the caller to fill. */
static struct cached *cache_get(struct vmdk_image *v, struct cached *cache, uint64_t number,
				size_t size)
{
	struct cached *oldest = cache;

	for (size_t i = 0; i < VMDK_CACHE; i++) {
		if (cache[i].bytes && cache[i].number == number) {
			cache[i].used = ++v->clock;
			return &cache[i];
		}
		if (cache[i].used < oldest->used)
			oldest = &cache[i];
	}
	if (!oldest->bytes)
		oldest->bytes = mem_alloc(size);
	oldest->number = NONE;
	oldest->used = ++v->clock;
	return oldest;
}

static int read_table(struct vmdk_image *v, uint64_t number, uint8_t *to, struct err *err)
{
	uint8_t other[TABLE_SIZE];

	if (vmdk_check_marker(v, v->tables[number], VMDK_MARKER_TABLE, err) < 0)
		return -1;
	if (vmdk_read_at(v, to, TABLE_SIZE, (uint64_t)v->tables[number] * VMDK_SECTOR,
			 "a grain table lies behind the end", err) < 0)
		return -1;
	if (!v->redundant)
		return 0;
	if (vmdk_read_at(v, other, TABLE_SIZE, (uint64_t)v->redundant[number] * VMDK_SECTOR,
			 "a grain table lies behind the end", err) < 0)
		return -1;
	if (memcmp(to, other, TABLE_SIZE) != 0)
		return vmdk_damaged(v, "a grain table and its copy differ", err);
	return 0;
}

/* Where a grain is, in sectors; 0: nowhere, it is zero. */
static int get_entry(struct vmdk_image *v, uint64_t grain, uint64_t *ret, struct err *err)
{
	uint64_t number = grain / VMDK_TABLE_ENTRIES;
	struct cached *table;

	*ret = 0;
	if (v->tables[number] == 0)
		return 0;
	table = cache_get(v, v->cached_tables, number, TABLE_SIZE);
	if (table->number == NONE) {
		if (read_table(v, number, table->bytes, err) < 0)
			return -1;
		table->number = number;
	}
	*ret = get_le32(table->bytes + grain % VMDK_TABLE_ENTRIES * 4);
	if (*ret == VMDK_ENTRY_ZERO && v->flags & VMDK_FLAG_ZERO)
		*ret = 0;
	if (*ret != 0 && *ret < v->overhead)
		return vmdk_damaged(v, "a grain lies among the tables", err);
	return 0;
}

static int expand(struct vmdk_image *v, uint64_t grain, uint64_t sector, uint8_t *to,
		  struct err *err)
{
	uint8_t marker[VMDK_MARKER] = {0};
	size_t size = v->grain * VMDK_SECTOR;
	uint64_t rest = v->image.size - grain * size;
	uLong from, got = size;
	int ret;

	if (vmdk_read_at(v, marker, sizeof(marker), sector * VMDK_SECTOR,
			 "a grain lies behind the end", err) < 0)
		return -1;
	from = get_le32(marker + 8);
	if (get_le64(marker) != grain * v->grain)
		return vmdk_damaged(v, "a grain is of another place", err);
	if (from == 0 || from > 2 * size)
		return vmdk_damaged(v, "a compressed grain has an impossible length", err);
	if (vmdk_read_at(v, v->packed, from, sector * VMDK_SECTOR + VMDK_MARKER,
			 "a grain lies behind the end", err) < 0)
		return -1;
	ret = uncompress2(to, &got, v->packed, &from);
	/* The disk's last grain may be shorter than the others. */
	if (ret != Z_OK || (got < size && got < rest))
		return vmdk_damaged(v, "a compressed grain cannot be expanded", err);
	memset(to + got, 0, size - got);
	return 0;
}

static int read_grain(struct vmdk_image *v, uint64_t grain, size_t from, size_t len, uint8_t *to,
		      struct err *err)
{
	struct cached *cached;
	uint64_t sector;

	if (get_entry(v, grain, &sector, err) < 0)
		return -1;
	if (sector == 0) {
		memset(to, 0, len);
		return 0;
	}
	if (!(v->flags & VMDK_FLAG_COMPRESSED))
		return vmdk_read_at(v, to, len, sector * VMDK_SECTOR + from,
				    "a grain lies behind the end", err);
	cached = cache_get(v, v->cached_grains, grain, v->grain * VMDK_SECTOR);
	if (cached->number == NONE) {
		if (expand(v, grain, sector, cached->bytes, err) < 0)
			return -1;
		cached->number = grain;
	}
	memcpy(to, cached->bytes + from, len);
	return 0;
}

static int vmdk_pread(struct image *image, void *bytes, size_t len, uint64_t offset,
		      struct err *err)
{
	struct vmdk_image *v = (struct vmdk_image *)image;
	size_t size = v->grain * VMDK_SECTOR;
	uint8_t *to = bytes;

	if (offset > image->size || len > image->size - offset)
		return err_set(err, ERR_VERIFY, "cannot read '%s': beyond the end", v->name);
	while (len > 0) {
		size_t from = (size_t)(offset % size);
		size_t n = size - from < len ? size - from : len;

		if (read_grain(v, offset / size, from, n, to, err) < 0)
			return -1;
		to += n;
		len -= n;
		offset += n;
	}
	return 0;
}

static void vmdk_image_close(struct image *image)
{
	struct vmdk_image *v = (struct vmdk_image *)image;

	for (size_t i = 0; i < VMDK_CACHE; i++) {
		free(v->cached_tables[i].bytes);
		free(v->cached_grains[i].bytes);
	}
	fd_close(&v->fd);
	free(v->tables);
	free(v->redundant);
	free(v->packed);
	free(v->name);
	free(v);
}

struct image *vmdk_read_part(int fd, const char *path, const char *format, uint64_t base,
			     uint64_t size, struct err *err)
{
	struct vmdk_image *v = mem_alloc(sizeof(*v));

	v->fd = fd;
	v->name = mem_strdup(path);
	v->base = base;
	v->size = size;
	v->image = (struct image){
		.format = format, .name = v->name, .pread = vmdk_pread, .close = vmdk_image_close};
	if (vmdk_read_front(v, err) < 0) {
		vmdk_image_close(&v->image);
		return NULL;
	}
	return &v->image;
}

struct image *vmdk_read(int fd, const char *path, struct err *err)
{
	uint64_t size;

	if (fd_size(fd, path, &size, err) < 0) {
		fd_close(&fd);
		return NULL;
	}
	return vmdk_read_part(fd, path, "vmdk", 0, size, err);
}
