/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw disk images: a sparse file. The digest covers the holes too, because that is what people get
 * from sha256sum.
 */
#include "output/formats.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct raw {
	int fd;
	char *path;
	struct digest_ctx *digest;
	uint64_t flushed, written; /* bytes of the file that the kernel was told to write out */
	bool no_sync;
};

/* So much is written before the kernel is asked to start writing it to the disk. */
#define FLUSH_STEP ((uint64_t)32 << 20)

struct output_sink *raw_open(int fd, const char *path, uint64_t disk_size,
			     const struct output_options *options, struct err *err)
{
	struct raw *raw;

	if (ftruncate(fd, (off_t)disk_size) < 0) {
		err_sys(err, errno, "cannot write '%s'", path);
		return NULL;
	}
	raw = mem_alloc(sizeof(*raw));
	raw->fd = fd;
	raw->path = mem_strdup(path);
	raw->digest = digest_start();
	raw->no_sync = options->no_sync;
	return (struct output_sink *)raw;
}

static void add_zeros(struct digest_ctx *digest, size_t len)
{
	static const uint8_t zeros[OUTPUT_CLUSTER];

	for (size_t n; len > 0; len -= n) {
		n = len < sizeof(zeros) ? len : sizeof(zeros);
		digest_add(digest, zeros, n);
	}
}

static int write_run(struct raw *raw, const struct output_chunk *chunk, size_t from, size_t to,
		     struct err *err)
{
	size_t end = to * OUTPUT_CLUSTER;

	if (from == to)
		return 0;
	if (end > chunk->len)
		end = chunk->len;
	from *= OUTPUT_CLUSTER;
	return fd_pwrite(raw->fd, chunk->bytes + from, end - from, chunk->offset + from, raw->path,
			 err);
}

int raw_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
	      struct err *err)
{
	struct raw *raw = (struct raw *)sink;
	size_t clusters = (chunk->len + OUTPUT_CLUSTER - 1) / OUTPUT_CLUSTER, from = 0;

	(void)prepared;
	if (!chunk->bytes) {
		add_zeros(raw->digest, chunk->len);
		return 0;
	}
	for (size_t i = 0; i < clusters; i++) {
		if (!(chunk->zero & 1u << i))
			continue;
		if (write_run(raw, chunk, from, i, err) < 0)
			return -1;
		from = i + 1;
	}
	if (write_run(raw, chunk, from, clusters, err) < 0)
		return -1;
	digest_add(raw->digest, chunk->bytes, chunk->len);

	/* A hint only: the sync at the end has less to wait for. Its failure means nothing. */
	raw->written += chunk->len;
	if (!raw->no_sync && raw->written >= FLUSH_STEP) {
		(void)sync_file_range(raw->fd, (off_t)raw->flushed,
				      (off_t)(chunk->offset + chunk->len - raw->flushed),
				      SYNC_FILE_RANGE_WRITE);
		raw->flushed = chunk->offset + chunk->len;
		raw->written = 0;
	}
	return 0;
}

int raw_finish(struct output_sink *sink, struct digest *ret_digest, struct err *err)
{
	struct raw *raw = (struct raw *)sink;

	(void)err;
	digest_finish(MEM_STEAL(raw->digest), ret_digest);
	return 0;
}

void raw_close(struct output_sink *sink)
{
	struct raw *raw = (struct raw *)sink;

	if (!raw)
		return;
	digest_ctx_free(raw->digest);
	free(raw->path);
	free(raw);
}
