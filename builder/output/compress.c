/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts of the libraries are costly to make, so they are kept in a list from which each thread
 * takes one.
 */
#include "output/compress.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#ifdef HAVE_ISAL
#include <isa-l.h>
#endif

#define ZSTD_LEVEL 3
#define ZLIB_LEVEL 6
#define PIECES 16
#define PIECE 256
#define STORED_MAX 32768

struct context {
	struct context *next;
	ZSTD_CCtx *zstd;
	z_stream zlib;
#ifdef HAVE_ISAL
	struct isal_zstream *isal;
	uint8_t *isal_buffer;
#endif
};

struct compressor {
	enum compression method;
	pthread_mutex_t lock;
	struct context *idle; /* guarded by lock */
};

struct compressor *compressor_new(enum compression method)
{
	struct compressor *c = mem_alloc(sizeof(*c));

#ifndef HAVE_ISAL
	if (method == COMPRESS_DEFLATE_FAST)
		method = COMPRESS_DEFLATE;
#endif
	c->method = method;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

static int open_zstd(struct context *context)
{
	context->zstd = ZSTD_createCCtx();
	if (!context->zstd || ZSTD_isError(ZSTD_CCtx_setParameter(
				      context->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)))
		return -1;
	return 0;
}

static int open_zlib(struct context *context)
{
	return deflateInit2(&context->zlib, ZLIB_LEVEL, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) ==
			       Z_OK
		       ? 0
		       : -1;
}

/* The three run functions return the length, or 0 when it is longer than room. */
static size_t run_zstd(struct context *context, const uint8_t *cluster, uint8_t *to, size_t room)
{
	size_t len = ZSTD_compress2(context->zstd, to, room, cluster, OUTPUT_CLUSTER);

	return ZSTD_isError(len) ? 0 : len;
}

static size_t run_zlib(struct context *context, const uint8_t *cluster, uint8_t *to, size_t room)
{
	z_stream *z = &context->zlib;

	if (deflateReset(z) != Z_OK)
		return 0;
	z->next_in = (Bytef *)(uintptr_t)cluster; /* zlib does not write to it */
	z->avail_in = OUTPUT_CLUSTER;
	z->next_out = to;
	z->avail_out = (uInt)room;
	/* With room left the flush is complete (zlib.h, deflate). */
	if (deflate(z, Z_FULL_FLUSH) != Z_OK || z->avail_in > 0 || z->avail_out == 0)
		return 0;
	return room - z->avail_out;
}

#ifdef HAVE_ISAL
static int open_isal(struct context *context)
{
	struct isal_zstream *z = context->isal = mem_alloc(sizeof(*z));

	context->isal_buffer = mem_alloc(ISAL_DEF_LVL1_DEFAULT);
	isal_deflate_init(z);
	z->level = 1;
	z->level_buf = context->isal_buffer;
	z->level_buf_size = ISAL_DEF_LVL1_DEFAULT;
	return 0;
}

static size_t run_isal(struct context *context, const uint8_t *cluster, uint8_t *to, size_t room)
{
	struct isal_zstream *z = context->isal;

	isal_deflate_reset(z);
	z->flush = FULL_FLUSH;
	z->end_of_stream = 0;
	z->next_in = (uint8_t *)(uintptr_t)cluster; /* it does not write to it */
	z->avail_in = OUTPUT_CLUSTER;
	z->next_out = to;
	z->avail_out = (uint32_t)room;
	if (isal_deflate(z) != COMP_OK || z->avail_in > 0 || z->avail_out == 0)
		return 0;
	return room - z->avail_out;
}
#endif

static const struct library {
	int (*open)(struct context *context);
	size_t (*run)(struct context *context, const uint8_t *cluster, uint8_t *to, size_t room);
} libraries[] = {
	[COMPRESS_ZSTD] = {open_zstd, run_zstd},
	[COMPRESS_DEFLATE] = {open_zlib, run_zlib},
#ifdef HAVE_ISAL
	[COMPRESS_DEFLATE_FAST] = {open_isal, run_isal},
#endif
};

static void free_context(struct context *context)
{
	ZSTD_freeCCtx(context->zstd);
	if (context->zlib.state)
		deflateEnd(&context->zlib);
#ifdef HAVE_ISAL
	free(context->isal);
	free(context->isal_buffer);
#endif
	free(context);
}

void compressor_free(struct compressor *compressor)
{
	if (!compressor)
		return;
	while (compressor->idle) {
		struct context *context = compressor->idle;

		compressor->idle = context->next;
		free_context(context);
	}
	pthread_mutex_destroy(&compressor->lock);
	free(compressor);
}

static struct context *take_context(struct compressor *c)
{
	struct context *context;

	pthread_mutex_lock(&c->lock);
	context = c->idle;
	if (context)
		c->idle = context->next;
	pthread_mutex_unlock(&c->lock);
	if (context)
		return context;

	context = mem_alloc(sizeof(*context));
	if (libraries[c->method].open(context) == 0)
		return context;
	free_context(context);
	return NULL;
}

static void give_context(struct compressor *c, struct context *context)
{
	pthread_mutex_lock(&c->lock);
	context->next = c->idle;
	c->idle = context;
	pthread_mutex_unlock(&c->lock);
}

/* Compares how often the 256 values occur in a sample with what random bytes would give: the sum of
 * squares is n + n^2/256 for them and larger for everything else. */
static bool looks_random(const uint8_t *cluster)
{
	uint32_t counts[256] = {0};
	const uint64_t n = PIECES * PIECE, random = n + n * n / 256;
	uint64_t sum = 0;

	for (size_t piece = 0; piece < PIECES; piece++) {
		const uint8_t *p = cluster + piece * (OUTPUT_CLUSTER / PIECES);

		for (size_t i = 0; i < PIECE; i++)
			counts[p[i]]++;
	}
	for (int i = 0; i < 256; i++)
		sum += (uint64_t)counts[i] * counts[i];
	return sum < random + random / 16;
}

/* A grain of stored blocks (RFC 1951, 3.2.4), the last one empty as a full flush leaves it. */
static size_t store(const uint8_t *cluster, uint8_t *to)
{
	uint8_t *start = to;

	for (size_t at = 0; at <= OUTPUT_CLUSTER; at += STORED_MAX) {
		unsigned len = at < OUTPUT_CLUSTER ? STORED_MAX : 0;

		*to++ = 0; /* not the last block, stored, and the rest of the byte */
		*to++ = (uint8_t)len;
		*to++ = (uint8_t)(len >> 8);
		*to++ = (uint8_t)~len;
		*to++ = (uint8_t)(~len >> 8);
		memcpy(to, cluster + at, len);
		to += len;
	}
	return (size_t)(to - start);
}

size_t compressor_run(struct compressor *compressor, const uint8_t *cluster, uint8_t *to,
		      size_t room)
{
	bool grain = compressor->method != COMPRESS_ZSTD;
	/* Without a context (no memory) the cluster is stored as it is; the file stays valid. */
	struct context *context = looks_random(cluster) ? NULL : take_context(compressor);
	size_t len = 0;

	if (context) {
		len = libraries[compressor->method].run(context, cluster, to,
							grain ? OUTPUT_CLUSTER : room);
		give_context(compressor, context);
	}
	if (!grain)
		return len;
	if (len == 0)
		len = store(cluster, to);
	to[len] = 3;
	to[len + 1] = 0;
	return len;
}

size_t compressor_frame(struct compressor *compressor, const uint8_t *bytes, size_t len,
			uint8_t *to, size_t room)
{
	struct context *context = take_context(compressor);
	size_t ret;

	if (!context)
		return 0;
	ret = ZSTD_CCtx_setParameter(context->zstd, ZSTD_c_checksumFlag, 1);
	if (!ZSTD_isError(ret))
		ret = ZSTD_compress2(context->zstd, to, room, bytes, len);
	give_context(compressor, context);
	return ZSTD_isError(ret) ? 0 : ret;
}

static char versions[COMPRESS_DEFLATE_FAST + 1][32];

static void name_libraries(void)
{
	snprintf(versions[COMPRESS_ZSTD], sizeof(*versions), "zstd %s", ZSTD_versionString());
	snprintf(versions[COMPRESS_DEFLATE], sizeof(*versions), "zlib %s", zlibVersion());
#ifdef HAVE_ISAL
	snprintf(versions[COMPRESS_DEFLATE_FAST], sizeof(*versions), "isa-l %d.%d.%d",
		 ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION, ISAL_PATCH_VERSION);
#else
	memcpy(versions[COMPRESS_DEFLATE_FAST], versions[COMPRESS_DEFLATE], sizeof(*versions));
#endif
}

const char *compressor_library(enum compression method)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, name_libraries);
	return versions[method];
}

void compress_checksums(const uint8_t *cluster, uint32_t *ret_crc32, uint32_t *ret_adler32)
{
#ifdef HAVE_ISAL
	*ret_crc32 = crc32_gzip_refl(0, cluster, OUTPUT_CLUSTER);
	*ret_adler32 = isal_adler32(1, cluster, OUTPUT_CLUSTER);
#else
	*ret_crc32 = (uint32_t)crc32(0, cluster, OUTPUT_CLUSTER);
	*ret_adler32 = (uint32_t)adler32(1, cluster, OUTPUT_CLUSTER);
#endif
}

static int expand_zstd(const uint8_t *from, size_t len, uint8_t *to, size_t size)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	ZSTD_inBuffer in = {.src = from, .size = len};
	ZSTD_outBuffer out = {.dst = to, .size = size};
	size_t ret = 1;

	/* Streaming, because the length of the frame is known to the sector only. */
	while (stream && out.pos < size && in.pos < len && ret != 0) {
		ret = ZSTD_decompressStream(stream, &out, &in);
		if (ZSTD_isError(ret))
			break;
	}
	ZSTD_freeDStream(stream);
	return out.pos == size ? 0 : -1;
}

static int expand_zlib(const uint8_t *from, size_t len, uint8_t *to, size_t size)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)from, .avail_in = (uInt)len};
	int ret;

	if (inflateInit2(&z, -15) != Z_OK)
		return -1;
	z.next_out = to;
	z.avail_out = (uInt)size;
	ret = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && z.avail_out == 0 ? 0 : -1;
}

int compress_expand(enum compression method, const uint8_t *from, size_t len, uint8_t *to,
		    size_t size)
{
	return method == COMPRESS_ZSTD ? expand_zstd(from, len, to, size)
				       : expand_zlib(from, len, to, size);
}
