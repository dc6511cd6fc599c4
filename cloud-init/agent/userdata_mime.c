/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MIME (RFC 2045, 2046, 2183) as far as user-data has it: multiparts, also inside each other, whose parts have
 * a type, an encoding and perhaps a file name. Data that ends before its last delimiter is an error: clouds cut.
 */
#include "agent/userdata_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DETECT_MAX ((size_t)4096)
#define HEADERS_MAX ((size_t)16384) /* bytes of all headers of one entity */
#define BOUNDARY_MAX ((size_t)200)

enum mime_encoding { MIME_PLAIN, MIME_BINARY, MIME_BASE64, MIME_QUOTED };

struct mime_entity {
	const struct userdata_part *part; /* the text that it lies in */
	const char *headers;              /* for places */
	const char *body, *end;
	const char *type;     /* lower case; NULL: not said */
	const char *boundary; /* or NULL */
	const char *filename, *name, *merge;
	enum mime_encoding encoding;
	bool crlf; /* its lines end in CR LF, so those are not part of the text */
	bool wrong;
	unsigned depth;
};

static struct doc_place place_at(const struct userdata_part *part, const char *at)
{
	struct doc_place place = part->place;

	for (const char *p = part->text; p < at; p++)
		if (*p == '\n') {
			place.line++;
			place.column = 1;
		}
	return place;
}

static void report(struct userdata_reader *reader, const struct mime_entity *entity, const char *at,
		   const char *message)
{
	struct doc_place place = entity->part->place;

	/* Lines are counted from the start: not for what is not printed. */
	if (reader->report.count < DOC_PROBLEMS_MAX)
		place = place_at(entity->part, at);
	doc_error(&reader->report, &place, "%s", message);
	userdata_lost(reader);
}

/* The end of the line that begins at p: behind its newline, or end. */
static const char *line_end(const char *p, const char *end)
{
	const char *newline = memchr(p, '\n', (size_t)(end - p));

	return newline ? newline + 1 : end;
}

static bool is_empty_line(const char *p, const char *next)
{
	return p == next || *p == '\n' || (*p == '\r' && p + 1 < next && p[1] == '\n');
}

/* ---- detection ------------------------------------------------------------------------------- */

/* Length of the name in front of a header's colon, or 0. */
static size_t header_name(const char *p, const char *end)
{
	size_t len = 0;

	while (p + len < end && p[len] > ' ' && p[len] < 0x7f && p[len] != ':')
		len++;
	return p + len < end && p[len] == ':' ? len : 0;
}

static bool is_header(const char *p, const char *end, const char *name)
{
	return header_name(p, end) == strlen(name) && strncasecmp(p, name, strlen(name)) == 0;
}

/* Mailers put this line in front of what they write into a file. */
static const char *skip_from(const char *p, const char *end)
{
	return end - p > 5 && memcmp(p, "From ", 5) == 0 ? line_end(p, end) : p;
}

bool userdata_is_mime(const struct userdata_part *part)
{
	const char *end = part->text + (part->len < DETECT_MAX ? part->len : DETECT_MAX);
	const char *p = skip_from(part->text, end), *next;

	for (; p < end; p = next) {
		next = line_end(p, end);
		if (*p == ' ' || *p == '\t')
			continue;
		if (is_header(p, next, "content-type") || is_header(p, next, "mime-version"))
			return true;
		if (!header_name(p, next))
			return false;
	}
	return false;
}

/* ---- headers --------------------------------------------------------------------------------- */

static char *lower(char *text)
{
	for (char *p = text; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return text;
}

static const char *skip_blank(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* Reads one "; name=value" at *p into the arena; false at the end or where the syntax ends. */
static bool next_parameter(struct mem_arena *arena, const char **p, char **ret_name,
			   char **ret_value)
{
	const char *at = skip_blank(*p);
	size_t len;
	char *to;

	if (*at != ';')
		return false;
	at = skip_blank(at + 1);
	len = strcspn(at, "=; \t\r\n");
	if (len == 0)
		return false;
	*ret_name = lower(mem_arena_strndup(arena, at, len));
	at = skip_blank(at + len);
	if (*at != '=')
		return false;
	at = skip_blank(at + 1);
	if (*at != '"') {
		len = strcspn(at, "; \t\r\n");
		*ret_value = mem_arena_strndup(arena, at, len);
		*p = at + len;
		return true;
	}
	*ret_value = to = mem_arena_strndup(arena, at + 1, strlen(at + 1));
	for (at++; *at && *at != '"'; at++) {
		if (*at == '\\' && at[1])
			at++;
		*to++ = *at;
	}
	*to = '\0';
	*p = *at ? at + 1 : at;
	return true;
}

static void read_type(struct userdata_reader *reader, struct mime_entity *entity, const char *value,
		      const char *at)
{
	const char *p = skip_blank(value);
	size_t len = strcspn(p, "; \t\r\n");
	char *name, *text;

	entity->type = len ? lower(mem_arena_strndup(reader->arena, p, len)) : NULL;
	p += len;
	while (next_parameter(reader->arena, &p, &name, &text)) {
		if (strcmp(name, "boundary") == 0)
			entity->boundary = text;
		else if (strcmp(name, "name") == 0)
			entity->name = text;
		else if (strcmp(name, "charset") == 0 && strcasecmp(text, "utf-8") != 0 &&
			 strcasecmp(text, "us-ascii") != 0) {
			report(reader, entity, at, "a charset that is not utf-8 or us-ascii");
			entity->wrong = true;
		}
	}
}

static void read_encoding(struct userdata_reader *reader, struct mime_entity *entity,
			  const char *value, const char *at)
{
	static const struct {
		const char *name;
		enum mime_encoding encoding;
	} rows[] = {
		{"7bit", MIME_PLAIN},
		{"8bit", MIME_PLAIN},
		{"binary", MIME_BINARY},
		{"base64", MIME_BASE64},
		{"quoted-printable", MIME_QUOTED},
	};
	const char *p = skip_blank(value);
	size_t len = strcspn(p, "; \t\r\n");
	struct doc_place place = place_at(entity->part, at);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strlen(rows[i].name) == len && strncasecmp(p, rows[i].name, len) == 0) {
			entity->encoding = rows[i].encoding;
			return;
		}
	report(reader, entity, at, "an encoding that is not known");
	doc_note(&reader->report, &place,
		 "expected one of 7bit, 8bit, binary, base64, quoted-printable");
	entity->wrong = true;
}

/* One header with the lines that continue it, from p to next. */
static void read_header(struct userdata_reader *reader, struct mime_entity *entity, const char *p,
			const char *next)
{
	size_t name = header_name(p, next);
	const char *value =
		mem_arena_strndup(reader->arena, p + name + 1, (size_t)(next - p) - name - 1);
	const char *rest;
	char *key, *text;

	if (is_header(p, next, "content-type")) {
		read_type(reader, entity, value, p);
	} else if (is_header(p, next, "content-transfer-encoding")) {
		read_encoding(reader, entity, value, p);
	} else if (is_header(p, next, "content-disposition")) {
		rest = value + strcspn(value, ";");
		while (next_parameter(reader->arena, &rest, &key, &text))
			if (strcmp(key, "filename") == 0)
				entity->filename = text;
	} else if (is_header(p, next, "launch-index")) {
		report(reader, entity, p, "'Launch-Index' is not supported");
		entity->wrong = true;
	} else if (is_header(p, next, "merge-type") || is_header(p, next, "x-merge-type")) {
		entity->merge = value;
	}
}

/* Reads the headers at text; the body is what follows the empty line. */
static void read_headers(struct userdata_reader *reader, struct mime_entity *entity,
			 const char *text)
{
	const char *p = skip_from(text, entity->end), *next;

	entity->headers = p;
	for (; p < entity->end; p = next) {
		next = line_end(p, entity->end);
		entity->crlf |= next - p >= 2 && next[-1] == '\n' && next[-2] == '\r';
		if (is_empty_line(p, next)) {
			p = next;
			break;
		}
		if (next - text > (ptrdiff_t)HEADERS_MAX || !header_name(p, next)) {
			report(reader, entity, p,
			       next - text > (ptrdiff_t)HEADERS_MAX ? "too long headers"
								    : "this is not a header");
			entity->wrong = true;
			return;
		}
		while (next < entity->end && (*next == ' ' || *next == '\t'))
			next = line_end(next, entity->end);
		read_header(reader, entity, p, next);
	}
	entity->body = p;
}

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
	struct doc_place place = place_at(entity->part, entity->body);
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
		report(reader, entity, entity->body, "damaged base64 data");
		return false;
	}
	text = mem_arena_alloc(reader->arena, len + 1);
	end = quoted ? unquote(entity->body, entity->end, text)
		     : join_lines(entity->body, entity->end, text);
	if (!end) {
		report(reader, entity, entity->body, "damaged quoted-printable data");
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

		next = line_end(p, entity->end);
		if (!is_delimiter(p, next, entity->boundary, &last))
			continue;
		inner.end = begin ? before_delimiter(begin, p) : NULL;
		if (begin)
			read_entity(reader, &inner, begin);
		begin = next;
	}
	if (!begin)
		report(reader, entity, entity->headers, "a multipart without a part");
	else if (!last && !reader->full)
		report(reader, entity, begin,
		       "this part is cut off: there is no last delimiter behind it");
}

static void read_entity(struct userdata_reader *reader, struct mime_entity *entity,
			const char *text)
{
	struct userdata_part parent = *entity->part;
	const char *decoded;
	size_t len;

	read_headers(reader, entity, text);
	if (entity->wrong)
		return;
	if (entity->type && str_has_prefix(entity->type, "multipart/")) {
		if (!entity->boundary || !*entity->boundary ||
		    strlen(entity->boundary) > BOUNDARY_MAX)
			report(reader, entity, entity->headers, "a multipart without a boundary");
		else if (entity->encoding == MIME_BASE64 || entity->encoding == MIME_QUOTED)
			report(reader, entity, entity->headers, "a multipart that is encoded");
		else if (entity->depth >= USERDATA_DEPTH_MAX)
			report(reader, entity, entity->headers, "parts are nested too deep");
		else
			read_multipart(reader, entity);
		return;
	}
	if (!decode_body(reader, entity, &decoded, &len))
		return;
	parent.depth = entity->depth;
	parent.place = place_at(entity->part, entity->headers);
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
