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

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CLUSTERS (OUTPUT_CHUNK / OUTPUT_CLUSTER)
#define CLUSTER_BITS 16
#define L2_ENTRIES (OUTPUT_CLUSTER / 8)
#define REFCOUNTS (OUTPUT_CLUSTER / 2) /* per block, 16 bits each */
/* Compressed clusters must be smaller than others, their length is counted in sectors. */
#define COMPRESSED_MAX (OUTPUT_CLUSTER - 512)
#define FLUSH_STEP ((uint64_t)32 << 20)
#define NSECT_SHIFT (62 - (CLUSTER_BITS - 8))

/* What the compressing threads hand over: compressed clusters back to back. */
struct prepared {
	uint32_t lengths[CLUSTERS]; /* 0: store as it is */
	uint8_t bytes[CLUSTERS * COMPRESSED_MAX];
};

struct qcow2 {
	int fd;
	char *path;
	uint64_t size;
	enum output_compression method;
	struct compressor *compressor;
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

struct output_sink *qcow2_open(int fd, const char *path, uint64_t disk_size,
			       const struct output_options *options, struct err *err)
{
	struct qcow2 *q;
	uint64_t l2_covers = (uint64_t)L2_ENTRIES * OUTPUT_CLUSTER;

	if (disk_size > (uint64_t)L2_ENTRIES * l2_covers) {
		err_set(err, ERR_OTHER, "cannot write '%s': a qcow2 image may have 4 TiB", path);
		return NULL;
	}
	q = mem_alloc(sizeof(*q));
	q->fd = fd;
	q->path = mem_strdup(path);
	q->size = disk_size;
	q->method = options->compression;
	q->compressor = compressor_new(options->compression, options->level);
	q->no_sync = options->no_sync;
	q->l1_count = (size_t)((disk_size + l2_covers - 1) / l2_covers);
	q->l2 = mem_alloc_array(q->l1_count, sizeof(*q->l2));
	q->next = OUTPUT_CLUSTER;
	return (struct output_sink *)q;
}

void *qcow2_prepare(struct output_sink *sink, const struct output_chunk *chunk)
{
	struct qcow2 *q = (struct qcow2 *)sink;
	struct prepared *p;
	size_t at = 0;

	if (!chunk->bytes)
		return NULL;
	/* Not zeroed: most of it is never touched. */
	p = mem_resize(NULL, 1, sizeof(*p));
	for (size_t i = 0; i < CLUSTERS; i++) {
		p->lengths[i] = 0;
		if (chunk->zero & 1u << i)
			continue;
		p->lengths[i] =
			(uint32_t)compressor_run(q->compressor, chunk->bytes + i * OUTPUT_CLUSTER,
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

int qcow2_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		struct err *err)
{
	struct qcow2 *q = (struct qcow2 *)sink;
	CLEANUP_FREE struct prepared *p = prepared;
	uint64_t guest = chunk->offset / OUTPUT_CLUSTER, entry, offset;
	const uint8_t *packed = p ? p->bytes : NULL;

	for (size_t i = 0; p && i < CLUSTERS; i++) {
		uint32_t len = p->lengths[i];

		if (chunk->zero & 1u << i)
			continue;
		if (len > 0) {
			offset = place_compressed(q, len);
			entry = QCOW2_COMPRESSED | offset |
				((offset + len - 1) / 512 - offset / 512) << NSECT_SHIFT;
			if (add_run(q, packed, len, offset, err) < 0)
				return -1;
			packed += len;
		} else {
			offset = q->next;
			q->next += OUTPUT_CLUSTER;
			count_refs(q, offset, q->next);
			entry = QCOW2_COPIED | offset;
			if (add_run(q, chunk->bytes + i * OUTPUT_CLUSTER, OUTPUT_CLUSTER, offset,
				    err) < 0)
				return -1;
		}
		set_entry(q, guest + i, entry);
	}
	/* The buffers belong to others from here on. */
	if (flush_run(q, err) < 0)
		return -1;
	if (!q->no_sync && q->next - q->flushed >= FLUSH_STEP) {
		/* A hint only, as in raw.c. */
		(void)sync_file_range(q->fd, (off_t)q->flushed, (off_t)(q->next - q->flushed),
				      SYNC_FILE_RANGE_WRITE);
		q->flushed = q->next;
	}
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
	if (q->method == OUTPUT_ZSTD) {
		put_be64(h + 72, QCOW2_INCOMPATIBLE_COMPRESSION);
		put_be32(h + 100, QCOW2_HEADER_V3 + 8);
		h[104] = 1;
	}
	return write_table(q, h, OUTPUT_CLUSTER, 0, err);
}

static int digest_all(struct qcow2 *q, struct digest *ret, struct err *err)
{
	CLEANUP_FREE uint8_t *buffer = mem_alloc(OUTPUT_CHUNK);
	struct digest_ctx *ctx = digest_start();

	for (uint64_t at = 0, n; at < q->next; at += n) {
		n = q->next - at < OUTPUT_CHUNK ? q->next - at : OUTPUT_CHUNK;
		if (fd_pread(q->fd, buffer, n, at, q->path, err) < 0) {
			digest_ctx_free(ctx);
			return -1;
		}
		digest_add(ctx, buffer, n);
	}
	digest_finish(ctx, ret);
	return 0;
}

int qcow2_finish(struct output_sink *sink, struct digest *ret_digest, struct err *err)
{
	struct qcow2 *q = (struct qcow2 *)sink;
	size_t l1_size = size_align(8 * q->l1_count, OUTPUT_CLUSTER);
	CLEANUP_FREE uint8_t *l1 = mem_alloc(l1_size);
	uint64_t l1_offset, refcount_offset;
	uint32_t refcount_clusters;

	count_refs(q, 0, OUTPUT_CLUSTER);
	if (write_l2_tables(q, l1, err) < 0)
		return -1;
	l1_offset = place_table(q, l1_size);
	if (write_table(q, l1, l1_size, l1_offset, err) < 0 ||
	    write_refcounts(q, &refcount_offset, &refcount_clusters, err) < 0 ||
	    write_header(q, l1_offset, refcount_offset, refcount_clusters, err) < 0)
		return -1;
	return digest_all(q, ret_digest, err);
}

void qcow2_close(struct output_sink *sink)
{
	struct qcow2 *q = (struct qcow2 *)sink;

	if (!q)
		return;
	for (size_t i = 0; i < q->l1_count; i++)
		free(q->l2[i]);
	free(q->l2);
	free(q->refcounts);
	compressor_free(q->compressor);
	free(q->path);
	free(q);
}
