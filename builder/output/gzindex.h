/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random access to what a gzip file expands to. The format has no index, so one is made by expanding all
 * of it once; it has points from which expansion can start. Private to output/.
 */
#ifndef INGOT_OUTPUT_GZINDEX_H
#define INGOT_OUTPUT_GZINDEX_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Who gets the expanded bytes in order; -1 with err ends the pass. */
struct gzindex_sink {
	int (*add)(void *context, const uint8_t *bytes, size_t len, struct err *err);
	void *context;
};

struct gzindex;

/* Reads the whole file (RFC 1952, one member), which may be hostile, hands what it expands to over to
 * sink, and checks its length and CRC. ERR_VERIFY when it is damaged or something stands behind its end.
 * fd and name (for messages) are borrowed. Memory: 32 MiB at most, whatever the size. Blocks for
 * seconds. Free with gzindex_free. */
struct gzindex *gzindex_new(int fd, const char *name, const struct gzindex_sink *sink,
			    struct err *err);

/* Reads exactly len of the expanded bytes at offset. Expands from the nearest point before them, unless
 * it was there just now. Not for several threads. */
int gzindex_read(struct gzindex *index, void *to, size_t len, uint64_t offset, struct err *err);

/* Frees the index; NULL is allowed. */
void gzindex_free(struct gzindex *index);

#endif
