/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes before the grains of a VMDK: header or footer, descriptor, grain directory, and whether they
 * agree. streamOptimized extents and plain ones are known; what would make us open other files is
 * refused.
 */
#include "output/vmdkread_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "output/vmdk.h"
#include "output/vmdk_parts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SECTORS_MAX ((uint64_t)1 << 37)
#define GRAIN_SECTORS_MIN 8
#define GRAIN_SECTORS_MAX 2048
#define DESCRIPTOR_SECTORS_MAX 2048
#define TABLES_MAX ((uint64_t)4 << 20)

int vmdk_damaged(const struct vmdk_image *v, const char *what, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read '%s': damaged VMDK: %s", v->name, what);
}

int vmdk_read_at(struct vmdk_image *v, void *to, size_t len, uint64_t offset, const char *what,
		 struct err *err)
{
	if (offset > v->size || len > v->size - offset)
		return vmdk_damaged(v, what, err);
	return fd_pread(v->fd, to, len, v->base + offset, v->name, err);
}

static int refuse(const struct vmdk_image *v, const char *what, struct err *err)
{
	return err_set(err, ERR_VERIFY,
		       "cannot read '%s': a VMDK %s: make it a single file with 'qemu-img convert'",
		       v->name, what);
}

int vmdk_check_marker(struct vmdk_image *v, uint64_t sector, uint32_t type, struct err *err)
{
	uint8_t marker[VMDK_MARKER + 4] = {0};

	if (sector < v->overhead || !(v->flags & VMDK_FLAG_MARKERS))
		return 0;
	if (vmdk_read_at(v, marker, sizeof(marker), (sector - 1) * VMDK_SECTOR,
			 "a marker lies behind the end", err) < 0)
		return -1;
	if (get_le32(marker + 8) != 0 || get_le32(marker + VMDK_MARKER) != type)
		return vmdk_damaged(v, "a table without marker", err);
	return 0;
}

/* Flags and compression have to say the same: all that is compressed has markers. */
static int check_kind(const struct vmdk_image *v, const uint8_t *h, struct err *err)
{
	const uint32_t known = VMDK_FLAG_NEWLINES | VMDK_FLAG_REDUNDANT | VMDK_FLAG_ZERO |
			       VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS;
	bool compressed = v->flags & VMDK_FLAG_COMPRESSED;

	if (v->flags & ~known)
		return refuse(v, "with features that are not supported", err);
	if (compressed != !!(v->flags & VMDK_FLAG_MARKERS) ||
	    get_le16(h + VMDK_COMPRESSION) != (compressed ? VMDK_DEFLATE : 0))
		return vmdk_damaged(v, "it is compressed and is not", err);
	if (v->flags & VMDK_FLAG_NEWLINES &&
	    memcmp(h + VMDK_NEWLINES_AT, VMDK_NEWLINES, strlen(VMDK_NEWLINES)) != 0)
		return vmdk_damaged(v, "it was transferred as text", err);
	return 0;
}

static int parse_header(struct vmdk_image *v, const uint8_t *h, struct err *err)
{
	uint32_t version = get_le32(h + VMDK_VERSION);

	if (get_le32(h) != VMDK_MAGIC)
		return vmdk_damaged(v, "no header", err);
	if (version < 1 || version > 3)
		return refuse(v, "of an unknown version", err);
	v->flags = get_le32(h + VMDK_FLAGS);
	v->sectors = get_le64(h + VMDK_CAPACITY);
	v->grain = get_le64(h + VMDK_GRAIN);
	v->descriptor = get_le64(h + VMDK_DESCRIPTOR);
	v->descriptor_size = get_le64(h + VMDK_DESCRIPTOR_SIZE);
	v->gd = get_le64(h + VMDK_GD);
	v->rgd = v->flags & VMDK_FLAG_REDUNDANT ? get_le64(h + VMDK_RGD) : 0;
	v->overhead = get_le64(h + VMDK_OVERHEAD);
	if (v->sectors == 0 || v->sectors > SECTORS_MAX)
		return vmdk_damaged(v, "wrong disk size", err);
	if (v->grain < GRAIN_SECTORS_MIN || v->grain > GRAIN_SECTORS_MAX ||
	    (v->grain & (v->grain - 1)) != 0)
		return vmdk_damaged(v, "wrong grain size", err);
	if (get_le32(h + VMDK_ENTRIES) != VMDK_TABLE_ENTRIES)
		return vmdk_damaged(v, "wrong size of grain tables", err);
	return check_kind(v, h, err);
}

/* At the end of a stream: marker, footer, end-of-stream marker, a sector each. */
static int read_footer(struct vmdk_image *v, struct err *err)
{
	uint8_t end[3 * VMDK_SECTOR] = {0};
	static const uint8_t end_of_stream[VMDK_MARKER + 4];
	uint64_t sectors = v->sectors, grain = v->grain;
	uint32_t flags = v->flags;

	if (v->size % VMDK_SECTOR != 0 || v->size < 4 * VMDK_SECTOR)
		return vmdk_damaged(v, "no footer", err);
	if (vmdk_read_at(v, end, sizeof(end), v->size - sizeof(end), "no footer", err) < 0)
		return -1;
	if (get_le32(end + 8) != 0 || get_le32(end + 12) != VMDK_MARKER_FOOTER ||
	    memcmp(end + 2 * VMDK_SECTOR, end_of_stream, sizeof(end_of_stream)) != 0)
		return vmdk_damaged(v, "no footer", err);
	if (parse_header(v, end + VMDK_SECTOR, err) < 0)
		return -1;
	if (v->sectors != sectors || v->grain != grain || v->flags != flags ||
	    v->gd == VMDK_AT_END || v->gd < v->overhead)
		return vmdk_damaged(v, "header and footer differ", err);
	return 0;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t directory_sectors(const struct vmdk_image *v)
{
	return (v->table_count * 4 + VMDK_SECTOR - 1) / VMDK_SECTOR;
}

static bool hits_descriptor(const struct vmdk_image *v, uint64_t sector, uint64_t count)
{
	return sector < v->descriptor + v->descriptor_size && v->descriptor < sector + count;
}

/* Whether a grain table lies where the header says that something else is. */
static bool is_elsewhere(const struct vmdk_image *v, uint64_t table, uint64_t directory)
{
	return hits_descriptor(v, table, VMDK_TABLE_SECTORS) ||
	       (table < directory + directory_sectors(v) && directory < table + VMDK_TABLE_SECTORS);
}

/* Tables may be absent, but none may overlap something else. They are on the same side of the overhead's
 * end as the directory: before the grains, or among them. */
static int check_tables(const struct vmdk_image *v, const uint32_t *tables, uint64_t directory,
			struct err *err)
{
	CLEANUP_FREE uint32_t *sorted = mem_alloc_array(v->table_count, sizeof(*sorted));
	uint64_t start = 1, end = v->size / VMDK_SECTOR, before = 0;

	if (directory >= v->overhead)
		start = v->overhead;
	else if (end > v->overhead)
		end = v->overhead;
	memcpy(sorted, tables, v->table_count * sizeof(*sorted));
	qsort(sorted, v->table_count, sizeof(*sorted), compare_u32);
	for (size_t i = 0; i < v->table_count; i++) {
		if (sorted[i] == 0)
			continue;
		if (sorted[i] < start || sorted[i] + (uint64_t)VMDK_TABLE_SECTORS > end)
			return vmdk_damaged(v, "a grain table lies outside of its place", err);
		if ((before != 0 && sorted[i] - before < VMDK_TABLE_SECTORS) ||
		    is_elsewhere(v, sorted[i], directory))
			return vmdk_damaged(v, "a grain table overlaps something else", err);
		before = sorted[i];
	}
	return 0;
}

static uint32_t *read_directory(struct vmdk_image *v, uint64_t sector, struct err *err)
{
	CLEANUP_FREE uint32_t *tables = NULL;

	if (sector == 0 || sector > v->size / VMDK_SECTOR ||
	    v->table_count * 4 > v->size - sector * VMDK_SECTOR) {
		vmdk_damaged(v, "the grain directory lies behind the end", err);
		return NULL;
	}
	if (hits_descriptor(v, sector, directory_sectors(v))) {
		vmdk_damaged(v, "the grain directory overlaps the descriptor", err);
		return NULL;
	}
	if (vmdk_check_marker(v, sector, VMDK_MARKER_DIRECTORY, err) < 0)
		return NULL;
	tables = mem_alloc_array(v->table_count, sizeof(*tables));
	if (vmdk_read_at(v, tables, v->table_count * 4, sector * VMDK_SECTOR, "truncated", err) < 0)
		return NULL;
	for (size_t i = 0; i < v->table_count; i++)
		tables[i] = get_le32((const uint8_t *)&tables[i]);
	if (check_tables(v, tables, sector, err) < 0)
		return NULL;
	return MEM_STEAL(tables);
}

static int read_tables(struct vmdk_image *v, struct err *err)
{
	uint64_t covers = v->grain * VMDK_TABLE_ENTRIES, count = (v->sectors + covers - 1) / covers;

	if (count > TABLES_MAX)
		return vmdk_damaged(v, "too many grain tables", err);
	v->table_count = count;
	v->tables = read_directory(v, v->gd, err);
	if (!v->tables)
		return -1;
	if (v->rgd == 0)
		return 0;
	v->redundant = read_directory(v, v->rgd, err);
	if (!v->redundant)
		return -1;
	for (size_t i = 0; i < v->table_count; i++)
		if (!v->tables[i] != !v->redundant[i])
			return vmdk_damaged(v, "the grain directory and its copy differ", err);
	return 0;
}

static int read_descriptor(struct vmdk_image *v, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	const char *wrong;
	size_t len;

	if (v->descriptor == 0)
		return refuse(v, "that is one of several files", err);
	if (v->descriptor_size == 0 || v->descriptor_size > DESCRIPTOR_SECTORS_MAX ||
	    v->descriptor > v->size / VMDK_SECTOR)
		return vmdk_damaged(v, "the descriptor lies behind the end", err);
	len = v->descriptor_size * VMDK_SECTOR;
	text = mem_alloc(len + 1);
	if (vmdk_read_at(v, text, len, v->descriptor * VMDK_SECTOR,
			 "the descriptor lies behind the end", err) < 0)
		return -1;
	wrong = vmdk_check_descriptor(text, v->sectors, v->grain, v->flags & VMDK_FLAG_COMPRESSED);
	if (!wrong)
		return 0;
	return err_set(err, ERR_VERIFY,
		       "cannot read '%s': a VMDK with %s: if it is whole, make it a single file "
		       "with 'qemu-img convert'",
		       v->name, wrong);
}

int vmdk_read_front(struct vmdk_image *v, struct err *err)
{
	uint8_t h[VMDK_SECTOR] = {0};
	size_t len = v->size < sizeof(h) ? (size_t)v->size : sizeof(h);

	if (vmdk_read_at(v, h, len, 0, "truncated header", err) < 0)
		return -1;
	if (memcmp(h, VMDK_DESCRIPTOR_START, strlen(VMDK_DESCRIPTOR_START)) == 0)
		return refuse(v, "whose content is in other files", err);
	if (memcmp(h, "COWD", 4) == 0)
		return refuse(v, "of the kind that ESXi uses for snapshots", err);
	if (len < sizeof(h))
		return vmdk_damaged(v, "truncated header", err);
	if (parse_header(v, h, err) < 0 || (v->gd == VMDK_AT_END && read_footer(v, err) < 0))
		return -1;
	v->image.size = v->sectors * VMDK_SECTOR;
	v->packed = mem_alloc(2 * v->grain * VMDK_SECTOR);
	if (read_descriptor(v, err) < 0)
		return -1;
	return read_tables(v, err);
}
