/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writers of several formats do with their file: its digest, and early writing to the disk.
 */
#include "output/sinkfile.h"

#include "base/fd.h"
#include "base/mem.h"

#include <fcntl.h>

#define HINT_STEP ((uint64_t)32 << 20)

int sinkfile_digest_part(int fd, const char *path, uint64_t offset, uint64_t size,
			 struct digest *ret, struct err *err)
{
	CLEANUP_FREE uint8_t *buffer = mem_alloc(OUTPUT_CHUNK);
	struct digest_ctx *ctx = digest_start();

	for (uint64_t at = 0, n; at < size; at += n) {
		n = size - at < OUTPUT_CHUNK ? size - at : OUTPUT_CHUNK;
		if (fd_pread(fd, buffer, n, offset + at, path, err) < 0) {
			digest_ctx_free(ctx);
			return -1;
		}
		digest_add(ctx, buffer, n);
	}
	digest_finish(ctx, ret);
	return 0;
}

int sinkfile_digest(int fd, const char *path, uint64_t size, struct digest *ret, struct err *err)
{
	return sinkfile_digest_part(fd, path, 0, size, ret, err);
}

void sinkfile_hint(int fd, uint64_t *flushed, uint64_t end)
{
	if (end - *flushed < HINT_STEP)
		return;
	(void)sync_file_range(fd, (off_t)*flushed, (off_t)(end - *flushed), SYNC_FILE_RANGE_WRITE);
	*flushed = end;
}

static int write_run(int fd, const char *path, const struct output_chunk *chunk, size_t from,
		     size_t to, struct err *err)
{
	size_t end = to * OUTPUT_CLUSTER;

	if (from == to)
		return 0;
	if (end > chunk->len)
		end = chunk->len;
	from *= OUTPUT_CLUSTER;
	return fd_pwrite(fd, chunk->bytes + from, end - from, chunk->offset + from, path, err);
}

int sinkfile_write(int fd, const char *path, const struct output_chunk *chunk, struct err *err)
{
	size_t clusters = (chunk->len + OUTPUT_CLUSTER - 1) / OUTPUT_CLUSTER, from = 0;

	if (!chunk->bytes)
		return 0;
	for (size_t i = 0; i < clusters; i++) {
		if (!(chunk->zero & 1u << i))
			continue;
		if (write_run(fd, path, chunk, from, i, err) < 0)
			return -1;
		from = i + 1;
	}
	return write_run(fd, path, chunk, from, clusters, err);
}
