/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MIME (RFC 2045, 2046) as far as user-data has it: multiparts, also inside each other, whose parts have a type
 * and an encoding. Data that ends before its last delimiter is an error: clouds cut.
 */
#include "agent/userdata/userdata_mime.h"

#include <stdlib.h>
#include <string.h>

#define BOUNDARY_MAX ((size_t)200)

/* ---- encodings ------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Quoted-printable (RFC 2045, 6.7) from p to end into to; returns the end of what it wrote, or NULL. */
static char *unquote(const char *p, const char *end, char *to)
{
	char *kept =
		to; /* behind the last character that is not white space at the end of a line */

	while (p < end) {
		if (*p == '=') {
			const char *soft = p + 1;

			while (soft < end && (*soft == ' ' || *soft == '\t' || *soft == '\r'))
				soft++;
			if (soft == end || *soft == '\n') {
				p = soft == end ? end : soft + 1;
				kept = to;
				continue;
			}
			if (end - p < 3 || hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0)
				return NULL;
			*to++ = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
			p += 3;
			kept = to;
		} else if (*p == '\n') {
			to = kept;
			*to++ = *p++;
			kept = to;
		} else {
			*to++ = *p;
			if (*p != ' ' && *p != '\t' && *p != '\r')
				kept = to;
			p++;
		}
	}
	return kept;
}

/* Takes the CR away in front of each LF; returns the end of what it wrote. */
static char *join_lines(const char *p, const char *end, char *to)
{
	for (; p < end; p++)
		if (*p != '\r' || p + 1 == end || p[1] != '\n')
			*to++ = *p;
	return to;
}

static bool decode_body(struct userdata_reader *reader, const struct mime_entity *entity,
			const char **ret, size_t *ret_len)
{
	size_t len = (size_t)(entity->end - entity->body);
	struct doc_place place = userdata_mime_place(entity->part, entity->body);
	bool quoted = entity->encoding == MIME_QUOTED;
	char *text, *end;

	*ret = entity->body;
	*ret_len = len;
	if (entity->encoding == MIME_BINARY || (entity->encoding == MIME_PLAIN && !entity->crlf))
		return true;
	if (!userdata_count(reader, &place, len))
		return false;
	if (entity->encoding == MIME_BASE64) {
		if (userdata_unbase64(reader, entity->body, len, ret, ret_len))
			return true;
		userdata_mime_report(reader, entity, entity->body, "damaged base64 data");
		return false;
	}
	text = mem_arena_alloc(reader->arena, len + 1);
	end = quoted ? unquote(entity->body, entity->end, text)
		     : join_lines(entity->body, entity->end, text);
	if (!end) {
		userdata_mime_report(reader, entity, entity->body, "damaged quoted-printable data");
		return false;
	}
	*ret = text;
	*ret_len = (size_t)(end - text);
	return true;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void read_entity(struct userdata_reader *reader, struct mime_entity *entity,
			const char *text);

/* True when the line from p is a delimiter; *ret_last when it is the one behind the last part. */
static bool is_delimiter(const char *p, const char *next, const char *boundary, bool *ret_last)
{
	size_t len = strlen(boundary);

	if ((size_t)(next - p) < len + 2 || memcmp(p, "--", 2) != 0 ||
	    memcmp(p + 2, boundary, len) != 0)
		return false;
	p += len + 2;
	*ret_last = next - p >= 2 && p[0] == '-' && p[1] == '-';
	if (*ret_last)
		p += 2;
	while (p < next && strchr(" \t\r\n", *p) && *p)
		p++;
	return p == next;
}

/* The line break in front of a delimiter belongs to that. */
static const char *before_delimiter(const char *from, const char *p)
{
	if (p > from && p[-1] == '\n')
		p--;
	if (p > from && p[-1] == '\r')
		p--;
	return p;
}

static void read_multipart(struct userdata_reader *reader, const struct mime_entity *entity)
{
	const char *p = entity->body, *begin = NULL, *next;
	bool last = false;

	for (; p < entity->end && !last && !reader->full; p = next) {
		struct mime_entity inner = {
			.part = entity->part,
			.depth = entity->depth + 1,
		};

		next = userdata_mime_line(p, entity->end);
		if (!is_delimiter(p, next, entity->boundary, &last))
			continue;
		inner.end = begin ? before_delimiter(begin, p) : NULL;
		if (begin)
			read_entity(reader, &inner, begin);
		begin = next;
	}
	if (!begin)
		userdata_mime_report(reader, entity, entity->headers, "a multipart without a part");
	else if (!last && !reader->full)
		userdata_mime_report(reader, entity, begin,
				     "this part is cut off: there is no last delimiter behind it");
}

static void read_entity(struct userdata_reader *reader, struct mime_entity *entity,
			const char *text)
{
	struct userdata_part parent = *entity->part;
	const char *decoded;
	size_t len;

	userdata_mime_headers(reader, entity, text);
	if (entity->wrong)
		return;
	if (entity->type && str_has_prefix(entity->type, "multipart/")) {
		if (!entity->boundary || !*entity->boundary ||
		    strlen(entity->boundary) > BOUNDARY_MAX)
			userdata_mime_report(reader, entity, entity->headers,
					     "a multipart without a boundary");
		else if (entity->encoding == MIME_BASE64 || entity->encoding == MIME_QUOTED)
			userdata_mime_report(reader, entity, entity->headers,
					     "a multipart that is encoded");
		else if (entity->depth >= USERDATA_DEPTH_MAX)
			userdata_mime_report(reader, entity, entity->headers,
					     "parts are nested too deep");
		else
			read_multipart(reader, entity);
		return;
	}
	if (!decode_body(reader, entity, &decoded, &len))
		return;
	parent.depth = entity->depth;
	parent.place = userdata_mime_place(entity->part, entity->headers);
	userdata_read_child(reader, &parent,
			    &(struct userdata_part){
				    .text = decoded,
				    .len = len,
				    .type = entity->type,
				    .filename = entity->filename ? entity->filename : entity->name,
				    .merge = entity->merge,
			    });
}

void userdata_read_mime(struct userdata_reader *reader, const struct userdata_part *part,
			const struct userdata_format *format)
{
	struct mime_entity entity = {
		.part = part,
		.end = part->text + part->len,
		.depth = part->depth,
	};

	(void)format;
	read_entity(reader, &entity, part->text);
}
