/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writers of several formats do with their file: its digest, and early writing to the disk.
 */
#include "output/sinkfile.h"

#include "base/fd.h"
#include "base/mem.h"
#include "output/output.h"

#include <fcntl.h>

#define HINT_STEP ((uint64_t)32 << 20)

int sinkfile_digest(int fd, const char *path, uint64_t size, struct digest *ret, struct err *err)
{
	CLEANUP_FREE uint8_t *buffer = mem_alloc(OUTPUT_CHUNK);
	struct digest_ctx *ctx = digest_start();

	for (uint64_t at = 0, n; at < size; at += n) {
		n = size - at < OUTPUT_CHUNK ? size - at : OUTPUT_CHUNK;
		if (fd_pread(fd, buffer, n, at, path, err) < 0) {
			digest_ctx_free(ctx);
			return -1;
		}
		digest_add(ctx, buffer, n);
	}
	digest_finish(ctx, ret);
	return 0;
}

void sinkfile_hint(int fd, uint64_t *flushed, uint64_t end)
{
	if (end - *flushed < HINT_STEP)
		return;
	(void)sync_file_range(fd, (off_t)*flushed, (off_t)(end - *flushed), SYNC_FILE_RANGE_WRITE);
	*flushed = end;
}
