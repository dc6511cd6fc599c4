/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two libraries that can decode a gzip member, behind one function. Both give the same bytes, so what is
 * installed cannot change an image.
 */
#include "tree/layerinflate.h"

#include "base/mem.h"

#ifdef HAVE_ISAL
#include <isa-l.h>

#define FLAGS_AT 3           /* in a member's header (RFC 1952, 2.3) */
#define FLAGS_RESERVED 0xe0u /* must be zero; this library does not look */

struct inflater {
	uint64_t consumed, produced; /* of the current member */
	struct inflate_state isal;
};

struct inflater *inflater_new(void)
{
	struct inflater *f = mem_alloc(sizeof(*f));

	isal_inflate_init(&f->isal);
	f->isal.crc_flag = ISAL_GZIP;
	return f;
}

void inflater_free(struct inflater *f)
{
	free(f);
}

enum inflater_result inflater_step(struct inflater *f, const uint8_t **in, size_t *in_len,
				   uint8_t **out, size_t *out_len)
{
	struct inflate_state *s = &f->isal;
	int r;

	if (f->consumed <= FLAGS_AT && *in_len > FLAGS_AT - f->consumed &&
	    ((*in)[FLAGS_AT - f->consumed] & FLAGS_RESERVED))
		return INFLATER_BROKEN;
	s->next_in = (uint8_t *)*in;
	s->avail_in = (uint32_t)*in_len;
	s->next_out = *out;
	s->avail_out = (uint32_t)*out_len;
	r = isal_inflate(s);
	f->consumed += *in_len - s->avail_in;
	f->produced += *out_len - s->avail_out;
	*in = s->next_in;
	*in_len = s->avail_in;
	*out = s->next_out;
	*out_len = s->avail_out;
	if (r < 0 || r == ISAL_NEED_DICT)
		return INFLATER_BROKEN;
	if (s->block_state != ISAL_BLOCK_FINISH)
		return INFLATER_MORE;
	isal_inflate_reset(s);
	f->consumed = f->produced = 0;
	return INFLATER_MEMBER_END;
}
#else
#include <zlib.h>

struct inflater {
	uint64_t produced;
	z_stream zlib;
};

struct inflater *inflater_new(void)
{
	struct inflater *f = mem_alloc(sizeof(*f));

	if (inflateInit2(&f->zlib, 15 + 16) == Z_OK)
		return f;
	free(f);
	return NULL;
}

void inflater_free(struct inflater *f)
{
	if (f)
		inflateEnd(&f->zlib);
	free(f);
}

enum inflater_result inflater_step(struct inflater *f, const uint8_t **in, size_t *in_len,
				   uint8_t **out, size_t *out_len)
{
	z_stream *z = &f->zlib;
	int r;

	z->next_in = (z_const Bytef *)*in;
	z->avail_in = (uInt)*in_len;
	z->next_out = *out;
	z->avail_out = (uInt)*out_len;
	r = inflate(z, Z_NO_FLUSH);
	f->produced += *out_len - z->avail_out;
	*in = z->next_in;
	*in_len = z->avail_in;
	*out = z->next_out;
	*out_len = z->avail_out;
	if (r == Z_OK || r == Z_BUF_ERROR)
		return INFLATER_MORE;
	if (r != Z_STREAM_END || inflateReset(z) != Z_OK)
		return INFLATER_BROKEN;
	f->produced = 0;
	return INFLATER_MEMBER_END;
}
#endif

uint64_t inflater_produced(const struct inflater *f)
{
	return f->produced;
}
