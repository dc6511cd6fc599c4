/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writers of several formats do with their file. Private to output/.
 */
#ifndef INGOT_OUTPUT_SINKFILE_H
#define INGOT_OUTPUT_SINKFILE_H

#include "base/digest.h"
#include "base/err.h"

#include <stdint.h>

/* Digest of the first size bytes of the file: for formats whose start is written last. Blocks while it
 * reads; the bytes are in the page cache, as they were written just now. */
int sinkfile_digest(int fd, const char *path, uint64_t size, struct digest *ret, struct err *err);

/* Lets the kernel start writing what lies between *flushed and end, once that is enough to be worth
 * it, so that the sync at the end has less to wait for. A hint only: its failure means nothing. */
void sinkfile_hint(int fd, uint64_t *flushed, uint64_t end);

#endif
