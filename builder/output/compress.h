/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compression of single clusters, by zstd or deflate, from several threads.
 */
#ifndef INGOT_OUTPUT_COMPRESS_H
#define INGOT_OUTPUT_COMPRESS_H

#include "output/output.h"

enum compression {
	COMPRESS_ZSTD,
	COMPRESS_DEFLATE, /* zlib's: the same bytes on every machine */
	/* ISA-L's where ingot was built with it: 15 times as fast, and other bytes on CPUs with other
	 * vector instructions (tried with 2.30). Else zlib's. */
	COMPRESS_DEFLATE_FAST,
};

/* Room that a grain and the two bytes behind it may need. */
#define COMPRESS_GRAIN_MAX (OUTPUT_CLUSTER + 64)

/* A set of contexts; each thread takes one while it works. */
struct compressor;

/* Makes a compressor. Free with compressor_free. */
struct compressor *compressor_new(enum compression method);

/* Frees it; NULL is allowed. No thread may use it any more. */
void compressor_free(struct compressor *compressor);

/* Compresses OUTPUT_CLUSTER bytes. The result depends on the bytes and the library only. May be called
 * by several threads at once.
 * zstd: a frame. Returns its length, or 0 when it is longer than room or when the bytes look like random
 * ones: an entropy estimate saves the time, as most of a disk is compressed already.
 * deflate: a grain (struct output_grain), and behind it the two bytes 03 00, an empty last block; room
 * must be COMPRESS_GRAIN_MAX. Returns the grain's length without the two bytes. Bytes that look like
 * random ones are stored, so it never fails. */
size_t compressor_run(struct compressor *compressor, const uint8_t *cluster, uint8_t *to,
		      size_t room);

/* Compresses len bytes to one zstd frame that tells its content's size and ends with a checksum, the low
 * 32 bits of XXH64 (RFC 8878, 3.1.1), for a compressor of COMPRESS_ZSTD. Returns the frame's length, or 0
 * when room (ZSTD_compressBound is enough) or memory is missing. By several threads at once. */
size_t compressor_frame(struct compressor *compressor, const uint8_t *bytes, size_t len,
			uint8_t *to, size_t room);

/* Name and version of the library that compresses: "zstd 1.5.7"; static. */
const char *compressor_library(enum compression method);

/* CRC-32 (of gzip) and Adler-32 (of zlib) of OUTPUT_CLUSTER bytes. */
void compress_checksums(const uint8_t *cluster, uint32_t *ret_crc32, uint32_t *ret_adler32);

/* Expands a zstd frame or raw deflate stream of len bytes to exactly size bytes; bytes behind its
 * end are ignored. The input may be hostile. Returns 0 or -1. */
int compress_expand(enum compression method, const uint8_t *from, size_t len, uint8_t *to,
		    size_t size);

#endif
