/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows what libarchive consumes of a layer's stream: the bytes between the contents of files, headers
 * and padding, go to tar-split as they came.
 */
#include "tree/layerparts.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* 64 attributes of 64 KiB, twice as bsdtar writes them, and base64. */
#define HEADER_MAX ((size_t)16 << 20)

static uint64_t piece_end(const struct layer_import *l)
{
	return l->piece_at + l->piece_len;
}

/* Before a piece goes: what is still wanted of it goes to pending. */
static void keep_rest(struct layer_import *l)
{
	uint64_t from = l->raw_from > l->piece_at ? l->raw_from : l->piece_at;

	if (from < piece_end(l))
		str_add_bytes(&l->pending, l->piece + (from - l->piece_at),
			      (size_t)(piece_end(l) - from));
}

static ssize_t next_piece(struct layer_import *l, struct err *err)
{
	const uint8_t *piece;
	ssize_t n;

	keep_rest(l);
	l->piece_at = piece_end(l);
	l->piece_len = 0;
	n = layer_stream_next(l->stream, &piece, err);
	if (n > 0) {
		l->piece = piece;
		l->piece_len = (size_t)n;
	}
	return n;
}

la_ssize_t layer_raw_read(struct archive *archive, void *context, const void **ret_bytes)
{
	struct layer_import *l = context;
	ssize_t n = -1;

	if (l->pending.len > HEADER_MAX)
		err_set(&l->err, ERR_VERIFY, "cannot read %s: a header of more than %zu bytes",
			l->im.origin, HEADER_MAX);
	else
		n = next_piece(l, &l->err);
	if (n < 0)
		archive_set_error(archive, EINVAL, "%s", l->err.msg);
	else
		*ret_bytes = l->piece;
	return n;
}

uint64_t layer_raw_position(const struct layer_import *l)
{
	return (uint64_t)archive_filter_bytes(l->im.in, 0);
}

/* Drops the first bytes of pending. */
static void drop(struct layer_import *l, size_t len)
{
	memmove(l->pending.data, l->pending.data + len, l->pending.len - len);
	l->pending.len -= len;
}

int layer_raw_until(struct layer_import *l, uint64_t position, struct err *err)
{
	if (position < l->raw_from || position > piece_end(l))
		return err_set(err, ERR_OTHER, "cannot read %s: lost at byte %" PRIu64,
			       l->im.origin, position);
	if (l->pending.len) {
		uint64_t want = position - l->raw_from;
		size_t n = want < l->pending.len ? (size_t)want : l->pending.len;

		if (split_raw(l->split, l->pending.data, n, err) < 0)
			return -1;
		drop(l, n);
		l->raw_from += n;
	}
	if (position > l->raw_from) {
		if (split_raw(l->split, l->piece + (l->raw_from - l->piece_at),
			      (size_t)(position - l->raw_from), err) < 0)
			return -1;
		l->raw_from = position;
	}
	return 0;
}

int layer_raw_byte(const struct layer_import *l, uint64_t position)
{
	if (position < l->raw_from || position >= piece_end(l))
		return -1;
	if (position < l->piece_at)
		return (unsigned char)l->pending.data[position - l->raw_from];
	return l->piece[position - l->piece_at];
}

bool layer_raw_is_next(const struct layer_import *l, const void *bytes)
{
	uintptr_t at = (uintptr_t)bytes, piece = (uintptr_t)l->piece;

	return at < piece || at >= piece + l->piece_len || at - piece == l->raw_from - l->piece_at;
}

void layer_raw_skip(struct layer_import *l, uint64_t len)
{
	if (l->pending.len)
		drop(l, len < l->pending.len ? (size_t)len : l->pending.len);
	l->raw_from += len;
}

static bool all_zero(const void *bytes, size_t len)
{
	const char *p = bytes;

	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

int layer_raw_finish(struct layer_import *l, struct err *err)
{
	ssize_t n;

	if (layer_raw_until(l, layer_raw_position(l), err) < 0)
		return -1;
	do {
		size_t from = l->raw_from > l->piece_at ? (size_t)(l->raw_from - l->piece_at) : 0;

		if (!all_zero(l->pending.data, l->pending.len) ||
		    !all_zero(l->piece + from, l->piece_len - from))
			return err_set(err, ERR_VERIFY,
				       "cannot read %s: bytes behind the end of the tar",
				       l->im.origin);
		if (layer_raw_until(l, piece_end(l), err) < 0)
			return -1;
		n = next_piece(l, err);
	} while (n > 0);
	return n < 0 ? -1 : 0;
}
