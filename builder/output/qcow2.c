/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 v3 images with compressed clusters: header, data, then the tables (L2, L1, refcount blocks,
 * refcount table), so that data is written only once and in order.
 */
#include "output/formats.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "output/compress.h"
#include "output/qcow2.h"
#include "output/sinkfile.h"

#include <string.h>
#include <unistd.h>

#define CLUSTER_BITS 16
#define L2_ENTRIES (OUTPUT_CLUSTER / 8)
#define REFCOUNTS (OUTPUT_CLUSTER / 2) /* per block, 16 bits each */
/* Compressed clusters must be smaller than others, their length is counted in sectors. */
#define COMPRESSED_MAX (OUTPUT_CLUSTER - 512)
#define SIZE_MAX_DISK ((uint64_t)L2_ENTRIES * L2_ENTRIES * OUTPUT_CLUSTER) /* a 64 KiB L1 */
#define NSECT_SHIFT (62 - (CLUSTER_BITS - 8))

/* What the compressing threads hand over: compressed clusters back to back. */
struct prepared {
	uint32_t lengths[OUTPUT_CLUSTERS]; /* 0: store as it is */
	uint8_t bytes[OUTPUT_CLUSTERS * COMPRESSED_MAX];
};

struct qcow2 {
	int fd;
	char *path;
	uint64_t size;
	struct compressor *zstd; /* NULL: the clusters are grains of deflate */
	bool no_sync;

	uint8_t **l2; /* tables of OUTPUT_CLUSTER bytes, NULL: nothing in them */
	size_t l1_count;
	uint64_t next;        /* first free host cluster, as offset */
	uint64_t packed;      /* where the next compressed cluster goes; 0: at next */
	uint16_t *refcounts;  /* of host clusters */
	size_t refcount_room; /* elements of it, zeroed */
	uint64_t flushed;     /* bytes that the kernel was told to write out */

	/* Bytes that wait to be written with what follows them. */
	const uint8_t *run;
	size_t run_len;
	uint64_t run_offset;
};

static struct qcow2 *open_qcow2(int fd, const char *path, const struct region_list *disk,
				const struct output_options *options)
{
	struct qcow2 *q = mem_alloc(sizeof(*q));
	uint64_t l2_covers = (uint64_t)L2_ENTRIES * OUTPUT_CLUSTER;

	q->fd = fd;
	q->path = mem_strdup(path);
	q->size = disk->size;
	q->no_sync = options->no_sync;
	q->l1_count = (size_t)((disk->size + l2_covers - 1) / l2_covers);
	q->l2 = mem_alloc_array(q->l1_count, sizeof(*q->l2));
	q->next = OUTPUT_CLUSTER;
	return q;
}

static struct output_sink *qcow2_open_zstd(int fd, const char *path, const struct region_list *disk,
					   const struct output_options *options, struct err *err)
{
	struct qcow2 *q = open_qcow2(fd, path, disk, options);

	(void)err;
	q->zstd = compressor_new(COMPRESS_ZSTD);
	return (struct output_sink *)q;
}

static struct output_sink *qcow2_open_zlib(int fd, const char *path, const struct region_list *disk,
					   const struct output_options *options, struct err *err)
{
	(void)err;
	return (struct output_sink *)open_qcow2(fd, path, disk, options);
}

static void *qcow2_prepare_zstd(struct output_sink *sink, const struct output_chunk *chunk)
{
	struct qcow2 *q = (struct qcow2 *)sink;
	struct prepared *p;
	size_t at = 0;

	if (!chunk->bytes)
		return NULL;
	/* Not zeroed: most of it is never touched. */
	p = mem_resize(NULL, 1, sizeof(*p));
	for (size_t i = 0; i < OUTPUT_CLUSTERS; i++) {
		p->lengths[i] = 0;
		if (chunk->zero & 1u << i)
			continue;
		p->lengths[i] = (uint32_t)compressor_run(q->zstd, chunk->bytes + i * OUTPUT_CLUSTER,
							 p->bytes + at, COMPRESSED_MAX);
		at += p->lengths[i];
	}
	return p;
}

static void count_refs(struct qcow2 *q, uint64_t from, uint64_t to)
{
	for (uint64_t i = from / OUTPUT_CLUSTER; i <= (to - 1) / OUTPUT_CLUSTER; i++) {
		if (i >= q->refcount_room) {
			size_t room = q->refcount_room ? 2 * q->refcount_room : 4096;

			q->refcounts = mem_resize(q->refcounts, room, sizeof(*q->refcounts));
			memset(q->refcounts + q->refcount_room, 0,
			       (room - q->refcount_room) * sizeof(*q->refcounts));
			q->refcount_room = room;
		}
		q->refcounts[i]++;
	}
}

static int flush_run(struct qcow2 *q, struct err *err)
{
	if (q->run_len > 0 && fd_pwrite(q->fd, q->run, q->run_len, q->run_offset, q->path, err) < 0)
		return -1;
	q->run_len = 0;
	return 0;
}

static int add_run(struct qcow2 *q, const uint8_t *bytes, size_t len, uint64_t offset,
		   struct err *err)
{
	if (q->run_len > 0 && q->run + q->run_len == bytes &&
	    q->run_offset + q->run_len == offset) {
		q->run_len += len;
		return 0;
	}
	if (flush_run(q, err) < 0)
		return -1;
	q->run = bytes;
	q->run_len = len;
	q->run_offset = offset;
	return 0;
}

/* Finds the place of a compressed cluster: behind the one before when that is possible. It may
 * reach into the next host cluster only when that one is free. */
static uint64_t place_compressed(struct qcow2 *q, size_t len)
{
	uint64_t offset = q->packed ? q->packed : q->next;
	uint64_t room = (q->packed ? size_align(q->packed, OUTPUT_CLUSTER) : q->next) - offset;

	if (len > room && offset + room != q->next)
		offset = q->next;
	while (q->next < offset + len)
		q->next += OUTPUT_CLUSTER;
	q->packed = offset + len;
	if (q->packed % OUTPUT_CLUSTER == 0)
		q->packed = 0;
	count_refs(q, offset, offset + len);
	return offset;
}

static void set_entry(struct qcow2 *q, uint64_t guest_cluster, uint64_t entry)
{
	uint8_t **table = &q->l2[guest_cluster / L2_ENTRIES];

	if (!*table)
		*table = mem_alloc(OUTPUT_CLUSTER);
	put_be64(*table + guest_cluster % L2_ENTRIES * 8, entry);
}

/* The compressed form of a cluster, or NULL when it is to be stored as it is. */
static const uint8_t *compressed_cluster(const struct output_chunk *chunk, size_t i,
					 const struct prepared *p, const uint8_t **packed,
					 uint32_t *ret_len)
{
	const uint8_t *bytes = *packed;

	if (p) {
		*ret_len = p->lengths[i];
		*packed += p->lengths[i];
		return *ret_len > 0 ? bytes : NULL;
	}
	/* With the empty last block that stands behind each grain. */
	*ret_len = chunk->grains[i].len + 2;
	return *ret_len < COMPRESSED_MAX ? chunk->grains[i].bytes : NULL;
}

static int qcow2_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		       struct err *err)
{
	struct qcow2 *q = (struct qcow2 *)sink;
	CLEANUP_FREE struct prepared *p = prepared;
	uint64_t guest = chunk->offset / OUTPUT_CLUSTER, entry, offset;
	const uint8_t *packed = p ? p->bytes : NULL;

	for (size_t i = 0; chunk->bytes && i < OUTPUT_CLUSTERS; i++) {
		const uint8_t *bytes;
		uint32_t len;

		if (chunk->zero & 1u << i)
			continue;
		bytes = compressed_cluster(chunk, i, p, &packed, &len);
		if (bytes) {
			offset = place_compressed(q, len);
			entry = QCOW2_COMPRESSED | offset |
				((offset + len - 1) / 512 - offset / 512) << NSECT_SHIFT;
		} else {
			bytes = chunk->bytes + i * OUTPUT_CLUSTER;
			len = OUTPUT_CLUSTER;
			offset = q->next;
			q->next += OUTPUT_CLUSTER;
			count_refs(q, offset, q->next);
			entry = QCOW2_COPIED | offset;
		}
		if (add_run(q, bytes, len, offset, err) < 0)
			return -1;
		set_entry(q, guest + i, entry);
	}
	/* The buffers belong to others from here on. */
	if (flush_run(q, err) < 0)
		return -1;
	if (!q->no_sync)
		sinkfile_hint(q->fd, &q->flushed, q->next);
	return 0;
}

/* Takes host clusters for bytes of metadata. */
static uint64_t place_table(struct qcow2 *q, uint64_t len)
{
	uint64_t offset = q->next;

	q->next += size_align(len, OUTPUT_CLUSTER);
	count_refs(q, offset, q->next);
	return offset;
}

static int write_table(struct qcow2 *q, const uint8_t *bytes, size_t len, uint64_t offset,
		       struct err *err)
{
	return fd_pwrite(q->fd, bytes, len, offset, q->path, err);
}

static int write_l2_tables(struct qcow2 *q, uint8_t *l1, struct err *err)
{
	for (size_t i = 0; i < q->l1_count; i++) {
		uint64_t offset;

		if (!q->l2[i])
			continue;
		offset = place_table(q, OUTPUT_CLUSTER);
		put_be64(l1 + 8 * i, QCOW2_COPIED | offset);
		if (write_table(q, q->l2[i], OUTPUT_CLUSTER, offset, err) < 0)
			return -1;
	}
	return 0;
}

/* The blocks count themselves and the table, so their number is found by trying. */
static int write_refcounts(struct qcow2 *q, uint64_t *ret_offset, uint32_t *ret_clusters,
			   struct err *err)
{
	uint64_t clusters = q->next / OUTPUT_CLUSTER, blocks = 1, table = 1, block_at, total;
	CLEANUP_FREE uint8_t *entries = NULL, *block = mem_alloc(OUTPUT_CLUSTER);

	for (;;) {
		total = clusters + blocks + table;
		if (blocks * REFCOUNTS < total)
			blocks++;
		else if (table * OUTPUT_CLUSTER / 8 < blocks)
			table++;
		else
			break;
	}
	block_at = place_table(q, blocks * OUTPUT_CLUSTER);
	*ret_offset = place_table(q, table * OUTPUT_CLUSTER);
	*ret_clusters = (uint32_t)table;
	entries = mem_alloc(table * OUTPUT_CLUSTER);
	for (uint64_t b = 0; b < blocks; b++) {
		memset(block, 0, OUTPUT_CLUSTER);
		for (uint64_t i = 0; i < REFCOUNTS && b * REFCOUNTS + i < total; i++)
			put_be16(block + 2 * i, q->refcounts[b * REFCOUNTS + i]);
		put_be64(entries + 8 * b, block_at + b * OUTPUT_CLUSTER);
		if (write_table(q, block, OUTPUT_CLUSTER, block_at + b * OUTPUT_CLUSTER, err) < 0)
			return -1;
	}
	return write_table(q, entries, table * OUTPUT_CLUSTER, *ret_offset, err);
}

static int write_header(struct qcow2 *q, uint64_t l1_offset, uint64_t refcount_offset,
			uint32_t refcount_clusters, struct err *err)
{
	CLEANUP_FREE uint8_t *h = mem_alloc(OUTPUT_CLUSTER);

	put_be32(h, QCOW2_MAGIC);
	put_be32(h + 4, 3);
	put_be32(h + 20, CLUSTER_BITS);
	put_be64(h + 24, q->size);
	put_be32(h + 36, (uint32_t)q->l1_count);
	put_be64(h + 40, l1_offset);
	put_be64(h + 48, refcount_offset);
	put_be32(h + 56, refcount_clusters);
	put_be32(h + 96, 4); /* refcounts of 2^4 bits */
	put_be32(h + 100, QCOW2_HEADER_V3);
	if (q->zstd) {
		put_be64(h + 72, QCOW2_INCOMPATIBLE_COMPRESSION);
		put_be32(h + 100, QCOW2_HEADER_V3 + 8);
		h[104] = 1;
	}
	return write_table(q, h, OUTPUT_CLUSTER, 0, err);
}

static int qcow2_finish(struct output_sink *sink, const struct output_content *content,
			struct digest *ret_digest, struct err *err)
{
	struct qcow2 *q = (struct qcow2 *)sink;
	size_t l1_size = size_align(8 * q->l1_count, OUTPUT_CLUSTER);
	CLEANUP_FREE uint8_t *l1 = mem_alloc(l1_size);
	uint64_t l1_offset, refcount_offset;
	uint32_t refcount_clusters;

	(void)content;
	count_refs(q, 0, OUTPUT_CLUSTER);
	if (write_l2_tables(q, l1, err) < 0)
		return -1;
	l1_offset = place_table(q, l1_size);
	if (write_table(q, l1, l1_size, l1_offset, err) < 0 ||
	    write_refcounts(q, &refcount_offset, &refcount_clusters, err) < 0 ||
	    write_header(q, l1_offset, refcount_offset, refcount_clusters, err) < 0)
		return -1;
	return sinkfile_digest(q->fd, q->path, q->next, ret_digest, err);
}

static void qcow2_close(struct output_sink *sink)
{
	struct qcow2 *q = (struct qcow2 *)sink;

	if (!q)
		return;
	for (size_t i = 0; i < q->l1_count; i++)
		free(q->l2[i]);
	free(q->l2);
	free(q->refcounts);
	compressor_free(q->zstd);
	free(q->path);
	free(q);
}

static bool is_qcow2(const uint8_t *head, const uint8_t *tail)
{
	(void)tail;
	return get_be32(head) == QCOW2_MAGIC;
}

const struct output_format format_qcow2 = {
	.name = "qcow2",
	.suffix = ".qcow2",
	.summary = "QEMU's format, version 3, compressed with zstd (QEMU 5.1 or newer reads it)",
	.size_max = SIZE_MAX_DISK,
	.open = qcow2_open_zstd,
	.prepare = qcow2_prepare_zstd,
	.write = qcow2_write,
	.finish = qcow2_finish,
	.drop = free,
	.close = qcow2_close,
	.is = is_qcow2,
	.read = qcow2_read,
};

const struct output_format format_qcow2_zlib = {
	.name = "qcow2-zlib",
	.suffix = ".zlib.qcow2",
	.summary = "the same, compressed with zlib, for older readers",
	.size_max = SIZE_MAX_DISK,
	.deflate = true,
	.open = qcow2_open_zlib,
	.write = qcow2_write,
	.finish = qcow2_finish,
	.close = qcow2_close,
};
