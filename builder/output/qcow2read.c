/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading qcow2 images, which may be hostile: each offset is checked against the file before it is
 * used, and what would make us open other files is refused.
 */
#include "output/formats.h"

#include "base/fd.h"
#include "base/mem.h"
#include "output/compress.h"
#include "output/qcow2.h"

#include <inttypes.h>
#include <string.h>

#define SIZE_MAX_DISK ((uint64_t)1 << 46)
#define L1_ENTRIES_MAX ((uint64_t)4 << 20)
#define CACHE 8
#define NONE UINT64_MAX

/* Something of one cluster's size that was read, and from where. */
struct cached {
	uint64_t offset; /* NONE: empty */
	uint64_t used;   /* age */
	uint8_t *bytes;
};

struct qcow2_image {
	struct image image;
	int fd;
	char *name;
	uint64_t file_size;
	unsigned cluster_bits;
	size_t cluster; /* bytes */
	enum compression method;
	uint64_t *l1;
	uint64_t l1_count;
	uint64_t clock;
	struct cached tables[CACHE];   /* L2 tables by their offset in the file */
	struct cached clusters[CACHE]; /* expanded clusters by their L2 entry */
	uint8_t *packed;               /* room for compressed bytes */
};

static int damaged(const struct qcow2_image *q, const char *what, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read '%s': damaged qcow2 image: %s", q->name, what);
}

/* What the file does not hold of the range is zero, as QEMU reads it too. */
static int read_padded(struct qcow2_image *q, uint8_t *to, size_t len, uint64_t offset,
		       struct err *err)
{
	size_t here = offset < q->file_size && q->file_size - offset < len
			      ? (size_t)(q->file_size - offset)
			      : len;

	if (offset >= q->file_size)
		return damaged(q, "a cluster lies behind the end", err);
	memset(to + here, 0, len - here);
	return fd_pread(q->fd, to, here, offset, q->name, err);
}

/* Finds the entry for offset, or the oldest one, emptied, for the caller to fill. */
static struct cached *cache_get(struct qcow2_image *q, struct cached *cache, uint64_t offset)
{
	struct cached *oldest = cache;

	for (size_t i = 0; i < CACHE; i++) {
		if (cache[i].bytes && cache[i].offset == offset) {
			cache[i].used = ++q->clock;
			return &cache[i];
		}
		if (cache[i].used < oldest->used)
			oldest = &cache[i];
	}
	if (!oldest->bytes)
		oldest->bytes = mem_alloc(q->cluster);
	oldest->offset = NONE;
	oldest->used = ++q->clock;
	return oldest;
}

static int get_entry(struct qcow2_image *q, uint64_t guest_cluster, uint64_t *ret, struct err *err)
{
	uint64_t per_table = q->cluster / 8, offset;
	struct cached *table;

	*ret = 0;
	if (guest_cluster / per_table >= q->l1_count)
		return damaged(q, "the L1 table is too short", err);
	offset = q->l1[guest_cluster / per_table] & QCOW2_OFFSET_MASK;
	if (offset == 0)
		return 0;
	if (offset % q->cluster != 0)
		return damaged(q, "an L2 table is not aligned", err);
	table = cache_get(q, q->tables, offset);
	if (table->offset == NONE) {
		if (read_padded(q, table->bytes, q->cluster, offset, err) < 0)
			return -1;
		table->offset = offset;
	}
	*ret = get_be64(table->bytes + guest_cluster % per_table * 8);
	return 0;
}

static int read_compressed(struct qcow2_image *q, uint64_t entry, const uint8_t **ret,
			   struct err *err)
{
	unsigned shift = 62 - (q->cluster_bits - 8);
	uint64_t offset = entry & (((uint64_t)1 << shift) - 1);
	uint64_t sectors = (entry & (QCOW2_COMPRESSED - 1)) >> shift;
	size_t len = (size_t)((sectors + 1) * 512 - offset % 512);
	struct cached *cached = cache_get(q, q->clusters, entry);

	if (cached->offset == NONE) {
		if (read_padded(q, q->packed, len, offset, err) < 0)
			return -1;
		if (compress_expand(q->method, q->packed, len, cached->bytes, q->cluster) < 0)
			return damaged(q, "a compressed cluster cannot be expanded", err);
		cached->offset = entry;
	}
	*ret = cached->bytes;
	return 0;
}

static int read_cluster(struct qcow2_image *q, uint64_t guest_cluster, size_t from, size_t len,
			uint8_t *to, struct err *err)
{
	uint64_t entry, offset;
	const uint8_t *bytes = NULL;

	if (get_entry(q, guest_cluster, &entry, err) < 0)
		return -1;
	if (entry & QCOW2_COMPRESSED) {
		if (read_compressed(q, entry, &bytes, err) < 0 || !bytes)
			return -1;
		memcpy(to, bytes + from, len);
		return 0;
	}
	offset = entry & QCOW2_OFFSET_MASK;
	if (entry & QCOW2_ZERO || offset == 0) {
		memset(to, 0, len);
		return 0;
	}
	if (offset % q->cluster != 0)
		return damaged(q, "a cluster is not aligned", err);
	return read_padded(q, to, len, offset + from, err);
}

static int qcow2_pread(struct image *image, void *bytes, size_t len, uint64_t offset,
		       struct err *err)
{
	struct qcow2_image *q = (struct qcow2_image *)image;
	uint8_t *to = bytes;

	if (offset > image->size || len > image->size - offset)
		return err_set(err, ERR_VERIFY, "cannot read '%s': beyond the end", q->name);
	while (len > 0) {
		size_t from = (size_t)(offset % q->cluster);
		size_t n = q->cluster - from < len ? q->cluster - from : len;

		if (read_cluster(q, offset >> q->cluster_bits, from, n, to, err) < 0)
			return -1;
		to += n;
		len -= n;
		offset += n;
	}
	return 0;
}

static void qcow2_image_close(struct image *image)
{
	struct qcow2_image *q = (struct qcow2_image *)image;

	for (size_t i = 0; i < CACHE; i++) {
		free(q->tables[i].bytes);
		free(q->clusters[i].bytes);
	}
	fd_close(&q->fd);
	free(q->l1);
	free(q->packed);
	free(q->name);
	free(q);
}

static int refuse(const struct qcow2_image *q, const char *what, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read '%s': a qcow2 image %s", q->name, what);
}

/* Features that change how the file is read (incompatible ones), and the compression method. */
static int check_features(struct qcow2_image *q, const uint8_t *h, size_t len, struct err *err)
{
	uint64_t features = get_be64(h + 72);
	uint32_t header_length = get_be32(h + 100);

	if (header_length < QCOW2_HEADER_V3 || header_length > 65536 || header_length % 8 != 0)
		return damaged(q, "wrong header length", err);
	if (features & ~(QCOW2_INCOMPATIBLE_DIRTY | QCOW2_INCOMPATIBLE_COMPRESSION))
		return refuse(q, "with features that are not supported", err);
	if (header_length > QCOW2_HEADER_V3 && len > QCOW2_HEADER_V3 && h[QCOW2_HEADER_V3] != 0) {
		if (h[QCOW2_HEADER_V3] != 1)
			return refuse(q, "with an unknown compression method", err);
		q->method = COMPRESS_ZSTD;
	}
	if (!!(features & QCOW2_INCOMPATIBLE_COMPRESSION) != (q->method == COMPRESS_ZSTD))
		return damaged(q, "two different compression methods", err);
	return 0;
}

static int read_l1(struct qcow2_image *q, uint64_t count, uint64_t offset, struct err *err)
{
	uint64_t covers = (uint64_t)(q->cluster / 8) << q->cluster_bits;
	uint64_t need = (q->image.size + covers - 1) / covers;

	if (count < need || need > L1_ENTRIES_MAX)
		return damaged(q, "an L1 table that does not fit the disk's size", err);
	if (offset % q->cluster != 0 || offset >= q->file_size || need * 8 > q->file_size - offset)
		return damaged(q, "the L1 table lies behind the end", err);
	q->l1_count = need;
	q->l1 = mem_alloc_array(need, sizeof(*q->l1));
	if (fd_pread(q->fd, q->l1, need * 8, offset, q->name, err) < 0)
		return -1;
	for (uint64_t i = 0; i < need; i++)
		q->l1[i] = get_be64((const uint8_t *)&q->l1[i]);
	return 0;
}

static int read_header(struct qcow2_image *q, struct err *err)
{
	uint8_t h[QCOW2_HEADER_V3 + 8] = {0};
	size_t len;
	uint32_t version;

	if (fd_size(q->fd, q->name, &q->file_size, err) < 0)
		return -1;
	if (q->file_size < QCOW2_HEADER_V2)
		return damaged(q, "truncated header", err);
	len = q->file_size < sizeof(h) ? (size_t)q->file_size : sizeof(h);
	if (fd_pread(q->fd, h, len, 0, q->name, err) < 0)
		return -1;
	version = get_be32(h + 4);
	if (get_be32(h) != QCOW2_MAGIC || (version != 2 && version != 3))
		return refuse(q, "of an unknown version", err);
	q->cluster_bits = get_be32(h + 20);
	q->image.size = get_be64(h + 24);
	if (get_be64(h + 8) != 0)
		return refuse(q, "with a backing file: make it independent with 'qemu-img convert'",
			      err);
	if (get_be32(h + 32) != 0)
		return refuse(q, "that is encrypted", err);
	if (q->cluster_bits < 9 || q->cluster_bits > 21)
		return damaged(q, "wrong cluster size", err);
	if (q->image.size == 0 || q->image.size > SIZE_MAX_DISK)
		return damaged(q, "wrong disk size", err);
	q->cluster = (size_t)1 << q->cluster_bits;
	if (version == 3) {
		if (len < QCOW2_HEADER_V3)
			return damaged(q, "truncated header", err);
		if (check_features(q, h, len, err) < 0)
			return -1;
	}
	/* A compressed cluster's length field has cluster_bits - 8 bits. */
	q->packed = mem_alloc(2 * q->cluster + 512);
	return read_l1(q, get_be32(h + 36), get_be64(h + 40), err);
}

struct image *qcow2_read(int fd, const char *path, struct err *err)
{
	struct qcow2_image *q = mem_alloc(sizeof(*q));

	q->fd = fd;
	q->name = mem_strdup(path);
	q->method = COMPRESS_DEFLATE;
	q->image = (struct image){.format = "qcow2",
				  .name = q->name,
				  .pread = qcow2_pread,
				  .close = qcow2_image_close};
	if (read_header(q, err) < 0) {
		qcow2_image_close(&q->image);
		return NULL;
	}
	return &q->image;
}
