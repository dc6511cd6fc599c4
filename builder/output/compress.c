/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd and zlib contexts are costly to make, so they are kept in a list from which each thread
 * takes one.
 */
#include "output/compress.h"

#include "base/mem.h"

#include <pthread.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define ZSTD_LEVEL 3
#define ZLIB_LEVEL 6
#define WINDOW_BITS 12
#define PIECES 16
#define PIECE 256

struct context {
	struct context *next;
	ZSTD_CCtx *zstd;
	z_stream zlib;
};

struct compressor {
	enum output_compression method;
	int level;
	pthread_mutex_t lock;
	struct context *idle; /* guarded by lock */
};

struct compressor *compressor_new(enum output_compression method, int level)
{
	struct compressor *c = mem_alloc(sizeof(*c));

	c->method = method;
	c->level = level ? level : method == OUTPUT_ZSTD ? ZSTD_LEVEL : ZLIB_LEVEL;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void free_context(struct context *context)
{
	ZSTD_freeCCtx(context->zstd);
	if (context->zlib.state)
		deflateEnd(&context->zlib);
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
	if (c->method == OUTPUT_ZSTD) {
		context->zstd = ZSTD_createCCtx();
		if (!context->zstd || ZSTD_isError(ZSTD_CCtx_setParameter(
					      context->zstd, ZSTD_c_compressionLevel, c->level)))
			goto fail;
	} else if (deflateInit2(&context->zlib, c->level, Z_DEFLATED, -WINDOW_BITS, 9,
				Z_DEFAULT_STRATEGY) != Z_OK) {
		goto fail;
	}
	return context;
fail:
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

static size_t run_zlib(z_stream *z, const uint8_t *cluster, uint8_t *to, size_t room)
{
	if (deflateReset(z) != Z_OK)
		return 0;
	z->next_in = (Bytef *)(uintptr_t)cluster; /* zlib does not write to it */
	z->avail_in = OUTPUT_CLUSTER;
	z->next_out = to;
	z->avail_out = (uInt)room;
	return deflate(z, Z_FINISH) == Z_STREAM_END ? room - z->avail_out : 0;
}

size_t compressor_run(struct compressor *compressor, const uint8_t *cluster, uint8_t *to,
		      size_t room)
{
	struct context *context;
	size_t len;

	if (looks_random(cluster))
		return 0;
	context = take_context(compressor);
	/* Without a context (no memory) the cluster is stored as it is; the file stays valid. */
	if (!context)
		return 0;
	if (compressor->method == OUTPUT_ZSTD) {
		len = ZSTD_compress2(context->zstd, to, room, cluster, OUTPUT_CLUSTER);
		if (ZSTD_isError(len))
			len = 0;
	} else {
		len = run_zlib(&context->zlib, cluster, to, room);
	}
	give_context(compressor, context);
	return len;
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

int compress_expand(enum output_compression method, const uint8_t *from, size_t len, uint8_t *to,
		    size_t size)
{
	return method == OUTPUT_ZSTD ? expand_zstd(from, len, to, size)
				     : expand_zlib(from, len, to, size);
}
