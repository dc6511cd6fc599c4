/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression of layers, strict as the engines are not: a stream that ends early and bytes behind its
 * end are errors, so that one digest stands for one content.
 */
#include "tree/layercodec.h"

#include "base/mem.h"
#include "tree/layerinflate.h"

#include <string.h>
#include <zstd.h>

#define INPUT ((size_t)256 << 10)
/* RFC 8878, 3.1.1.1.2, asks for 8 MiB at least; the engines' reader takes up to 64 MiB by default. */
#define ZSTD_WINDOW_LOG 27

enum method { METHOD_UNKNOWN, METHOD_PLAIN, METHOD_GZIP, METHOD_ZSTD };

struct layer_codec {
	const struct tree_layer_input *in;
	enum method method;
	bool in_ended;  /* nothing comes any more */
	bool open;      /* inside a gzip member or a zstd frame */
	uint64_t parts; /* members or frames that ended */
	size_t at, len; /* of input: what is not decoded yet */
	struct inflater *gzip;
	ZSTD_DCtx *zstd;
	uint8_t input[INPUT];
};

struct layer_codec *layer_codec_new(const struct tree_layer_input *in)
{
	struct layer_codec *c = mem_alloc(sizeof(*c));

	c->in = in;
	return c;
}

void layer_codec_free(struct layer_codec *c)
{
	if (!c)
		return;
	inflater_free(c->gzip);
	ZSTD_freeDCtx(c->zstd);
	free(c);
}

static int broken(const struct layer_codec *c, const char *why, const char *more, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read %s: %s%s%s", c->in->origin, why,
		       more ? ": " : "", more ? more : "");
}

/* Reads more input behind what is there. */
static int fill(struct layer_codec *c, struct err *err)
{
	ssize_t n;

	if (c->at == c->len)
		c->at = c->len = 0;
	n = c->in->read(c->in->context, c->input + c->len, INPUT - c->len, err);
	if (n < 0)
		return -1;
	c->in_ended = n == 0;
	c->len += (size_t)n;
	return 0;
}

static int open_method(struct layer_codec *c, struct err *err)
{
	if (c->method == METHOD_GZIP) {
		c->gzip = inflater_new();
		if (!c->gzip)
			return err_set(err, ERR_OTHER, "cannot start zlib");
	}
	if (c->method == METHOD_ZSTD) {
		c->zstd = ZSTD_createDCtx();
		if (!c->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(c->zstd, ZSTD_d_windowLogMax,
								    ZSTD_WINDOW_LOG)))
			return err_set(err, ERR_OTHER, "cannot start zstd");
	}
	return 0;
}

/* Tells the method by the first bytes (RFC 1952, 2.3.1; RFC 8878, 3.1.1 and 3.1.2). */
static int detect(struct layer_codec *c, struct err *err)
{
	/* bzip2, xz, lzip, lz4 */
	static const char *const other[] = {"BZh", "\3757zXZ", "LZIP", "\4\"M\30"};
	const uint8_t *p = c->input;

	while (c->len < 512 && !c->in_ended)
		if (fill(c, err) < 0)
			return -1;
	c->method = METHOD_PLAIN;
	if (c->len >= 2 && p[0] == 0x1f && p[1] == 0x8b)
		c->method = METHOD_GZIP;
	else if (c->len >= 4 && (memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0 ||
				 ((p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0)))
		c->method = METHOD_ZSTD;
	/* A tar may start with any name. */
	if (c->len >= 512 && memcmp(p + 257, "ustar", 5) == 0)
		return open_method(c, err);
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		if (c->len >= strlen(other[i]) && memcmp(p, other[i], strlen(other[i])) == 0)
			return broken(c, "compressed, but neither by gzip nor by zstd", NULL, err);
	return open_method(c, err);
}

static ssize_t read_plain(struct layer_codec *c, uint8_t *bytes, size_t len, struct err *err)
{
	size_t done = c->len - c->at < len ? c->len - c->at : len;

	memcpy(bytes, c->input + c->at, done);
	c->at += done;
	while (done < len && !c->in_ended) {
		ssize_t n = c->in->read(c->in->context, bytes + done, len - done, err);

		if (n < 0)
			return -1;
		c->in_ended = n == 0;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* One step of inflate; *done counts the output. */
static int step_gzip(struct layer_codec *c, uint8_t *bytes, size_t len, size_t *done,
		     struct err *err)
{
	const uint8_t *in = c->input + c->at;
	uint8_t *out = bytes + *done;
	size_t in_len = c->len - c->at, out_len = len - *done;
	enum inflater_result r = inflater_step(c->gzip, &in, &in_len, &out, &out_len);

	if (r == INFLATER_BROKEN)
		return broken(c,
			      c->parts && !inflater_produced(c->gzip)
				      ? "bytes behind the end of the gzip stream"
				      : "broken gzip stream",
			      NULL, err);
	if (r == INFLATER_MORE && c->in_ended && in_len == c->len - c->at && out_len &&
	    out_len == len - *done)
		return broken(c, "the gzip stream ends early", NULL, err);
	c->at = c->len - in_len;
	*done = len - out_len;
	c->open = r == INFLATER_MORE;
	c->parts += r == INFLATER_MEMBER_END;
	return 0;
}

static int step_zstd(struct layer_codec *c, uint8_t *bytes, size_t len, size_t *done,
		     struct err *err)
{
	ZSTD_inBuffer in = {c->input, c->len, c->at};
	ZSTD_outBuffer out = {bytes, len, *done};
	size_t r = ZSTD_decompressStream(c->zstd, &out, &in);

	if (ZSTD_isError(r))
		return broken(c,
			      c->parts && !c->open ? "bytes behind the end of the zstd stream"
						   : "broken zstd stream",
			      ZSTD_getErrorName(r), err);
	if (r && c->in_ended && in.pos == in.size && out.pos == *done && out.pos < out.size)
		return broken(c, "the zstd stream ends early", NULL, err);
	c->at = in.pos;
	*done = out.pos;
	c->open = r != 0;
	c->parts += r == 0;
	return 0;
}

ssize_t layer_codec_read(struct layer_codec *c, void *bytes, size_t len, struct err *err)
{
	size_t done = 0;

	if (c->method == METHOD_UNKNOWN && detect(c, err) < 0)
		return -1;
	if (c->method == METHOD_PLAIN)
		return read_plain(c, bytes, len, err);
	while (done < len) {
		if (c->at == c->len && !c->in_ended && fill(c, err) < 0)
			return -1;
		if (c->at == c->len && c->in_ended && !c->open)
			break;
		if ((c->method == METHOD_GZIP ? step_gzip : step_zstd)(c, bytes, len, &done, err) <
		    0)
			return -1;
	}
	return (ssize_t)done;
}
