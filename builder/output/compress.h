/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compression of single clusters, by zstd or zlib, from several threads.
 */
#ifndef INGOT_OUTPUT_COMPRESS_H
#define INGOT_OUTPUT_COMPRESS_H

#include "output/output.h"

/* A set of contexts; each thread takes one while it works. */
struct compressor;

/* Makes a compressor; level 0 is the default of the method. Free with compressor_free. */
struct compressor *compressor_new(enum output_compression method, int level);

/* Frees it; NULL is allowed. No thread may use it any more. */
void compressor_free(struct compressor *compressor);

/* Compresses OUTPUT_CLUSTER bytes to a zstd frame or a raw deflate stream with a window of 4 KiB
 * (what QEMU writes). Returns its length, or 0 when it is longer than room or when the bytes look
 * like random ones: an entropy estimate saves the time, as most of a disk is compressed already.
 * The result depends on the bytes only. May be called by several threads at once. */
size_t compressor_run(struct compressor *compressor, const uint8_t *cluster, uint8_t *to,
		      size_t room);

/* Expands a zstd frame or raw deflate stream of len bytes to exactly size bytes; bytes behind its
 * end are ignored. The input may be hostile. Returns 0 or -1. */
int compress_expand(enum output_compression method, const uint8_t *from, size_t len, uint8_t *to,
		    size_t size);

#endif
