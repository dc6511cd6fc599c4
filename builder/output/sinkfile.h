/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writers of several formats do with their file. Private to output/.
 */
#ifndef INGOT_OUTPUT_SINKFILE_H
#define INGOT_OUTPUT_SINKFILE_H

#include "base/digest.h"
#include "base/err.h"
#include "output/output.h"

#include <stdint.h>

/* Digest of the first size bytes of the file: for formats whose start is written last. Blocks while it
 * reads; the bytes are in the page cache, as they were written just now. */
int sinkfile_digest(int fd, const char *path, uint64_t size, struct digest *ret, struct err *err);

/* The same of size bytes at offset. */
int sinkfile_digest_part(int fd, const char *path, uint64_t offset, uint64_t size,
			 struct digest *ret, struct err *err);

/* Lets the kernel start writing what lies between *flushed and end, once that is enough to be worth
 * it, so that the sync at the end has less to wait for. A hint only: its failure means nothing. */
void sinkfile_hint(int fd, uint64_t *flushed, uint64_t end);

/* Writes what is not zero of the chunk to its place on the disk, which starts where the file does; the
 * rest stays a hole. */
int sinkfile_write(int fd, const char *path, const struct output_chunk *chunk, struct err *err);

#endif
