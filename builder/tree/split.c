/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of tar-split data. Equal input gives equal bytes: no time, no name in the gzip header.
 */
#include "tree/split.h"

#include "base/base64.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#define SEGMENT_MAX ((size_t)48 << 10) /* raw bytes in a line */
#define OUTPUT ((size_t)64 << 10)
/* Headers compress well at any level; this one costs little time. */
#define LEVEL 3

struct split {
	int fd;
	const char *name;
	bool open;
	uint64_t position;
	struct str raw;  /* not yet in a line */
	struct str line; /* being built */
	z_stream zlib;
	uint8_t output[OUTPUT];
};

struct split *split_new(int fd, const char *name)
{
	struct split *s = mem_alloc(sizeof(*s));

	s->fd = fd;
	s->name = name;
	/* 16 asks for a gzip header (zlib's own: no time, no name). */
	s->open = deflateInit2(&s->zlib, LEVEL, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) == Z_OK;
	return s;
}

void split_free(struct split *s)
{
	if (!s)
		return;
	if (s->open)
		deflateEnd(&s->zlib);
	str_free(&s->raw);
	str_free(&s->line);
	free(s);
}

static int compress_bytes(struct split *s, const void *bytes, size_t len, int flush,
			  struct err *err)
{
	z_stream *z = &s->zlib;
	int r;

	if (!s->open)
		return err_set(err, ERR_OTHER, "cannot start zlib");
	z->next_in = (z_const Bytef *)bytes;
	z->avail_in = (uInt)len;
	do {
		z->next_out = s->output;
		z->avail_out = OUTPUT;
		r = deflate(z, flush);
		if (r == Z_STREAM_ERROR)
			return err_set(err, ERR_OTHER, "cannot compress '%s'", s->name);
		if (fd_write(s->fd, s->output, OUTPUT - z->avail_out, s->name, err) < 0)
			return -1;
	} while (z->avail_out == 0);
	return 0;
}

static int end_line(struct split *s, struct err *err)
{
	str_addf(&s->line, ",\"position\":%" PRIu64 "}\n", s->position);
	s->position++;
	if (compress_bytes(s, s->line.data, s->line.len, Z_NO_FLUSH, err) < 0)
		return -1;
	s->line.len = 0;
	return 0;
}

/* Types of tar-split's storage.Entry: 1 is a file, 2 a segment. */
static int end_segment(struct split *s, struct err *err)
{
	if (!s->raw.len)
		return 0;
	str_add(&s->line, "{\"type\":2,\"payload\":\"");
	base64_add(s->raw.data, s->raw.len, &s->line);
	str_add(&s->line, "\"");
	s->raw.len = 0;
	return end_line(s, err);
}

int split_raw(struct split *s, const void *bytes, size_t len, struct err *err)
{
	const char *p = bytes;

	while (len) {
		size_t n = SEGMENT_MAX - s->raw.len;

		n = n < len ? n : len;
		str_add_bytes(&s->raw, p, n);
		p += n;
		len -= n;
		if (s->raw.len == SEGMENT_MAX && end_segment(s, err) < 0)
			return -1;
	}
	return 0;
}

/* A name that is UTF-8 is a JSON string, any other base64 in name_raw, as tar-split's SetName has it. */
static void add_name(struct split *s, const char *path)
{
	CLEANUP(str_free) struct str text = {0};

	str_add_utf8(&text, path, strlen(path));
	if (strcmp(text.data, path) != 0) {
		str_add(&s->line, ",\"name_raw\":\"");
		base64_add(path, strlen(path), &s->line);
		str_add(&s->line, "\"");
		return;
	}
	str_add(&s->line, ",\"name\":\"");
	for (const char *p = path; *p; p++) {
		if (*p == '"' || *p == '\\')
			str_add_bytes(&s->line, "\\", 1);
		str_add_bytes(&s->line, p, 1);
	}
	str_add(&s->line, "\"");
}

int split_file(struct split *s, const char *path, uint64_t size, uint64_t crc,
	       uint64_t *ret_position, struct err *err)
{
	const uint64_t sum = htobe64(crc);

	if (end_segment(s, err) < 0)
		return -1;
	str_add(&s->line, "{\"type\":1");
	add_name(s, path);
	str_addf(&s->line, ",\"size\":%" PRIu64 ",\"payload\":\"", size);
	base64_add(&sum, sizeof(sum), &s->line);
	str_add(&s->line, "\"");
	*ret_position = s->position;
	return end_line(s, err);
}

int split_line(struct split *s, const char *line, size_t len, struct err *err)
{
	static const char key[] = ",\"position\":";
	const char *end = line + len;

	if (end_segment(s, err) < 0)
		return -1;
	/* The last member, and a number: no base64 or name has the comma and quotes of it. */
	while (end > line && *end != ',')
		end--;
	if (strncmp(end, key, strlen(key)) != 0)
		return err_set(err, ERR_VERIFY, "cannot read '%s': not our tar-split data",
			       s->name);
	str_add_bytes(&s->line, line, (size_t)(end - line));
	return end_line(s, err);
}

int split_finish(struct split *s, struct err *err)
{
	if (end_segment(s, err) < 0)
		return -1;
	return compress_bytes(s, NULL, 0, Z_FINISH, err);
}
