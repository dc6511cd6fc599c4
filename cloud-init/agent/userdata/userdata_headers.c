/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of MIME (RFC 2045, 2183) as far as user-data has them: whether there are any, the type with its boundary, the
 * encoding, the name of a file, and how cloud-init merges a part.
 */
#include "agent/userdata/userdata_mime.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DETECT_MAX ((size_t)4096)
#define HEADERS_MAX ((size_t)16384) /* bytes of all headers of one entity */

struct doc_place userdata_mime_place(const struct userdata_part *part, const char *at)
{
	struct doc_place place = part->place;

	for (const char *p = part->text; p < at; p++)
		if (*p == '\n') {
			place.line++;
			place.column = 1;
		}
	return place;
}

void userdata_mime_report(struct userdata_reader *reader, const struct mime_entity *entity,
			  const char *at, const char *message)
{
	struct doc_place place = entity->part->place;

	/* Lines are counted from the start: not for what is not printed. */
	if (reader->report.count < DOC_PROBLEMS_MAX)
		place = userdata_mime_place(entity->part, at);
	doc_error(&reader->report, &place, "%s", message);
	userdata_lost(reader);
}

const char *userdata_mime_line(const char *p, const char *end)
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
	return end - p > 5 && memcmp(p, "From ", 5) == 0 ? userdata_mime_line(p, end) : p;
}

bool userdata_is_mime(const struct userdata_part *part)
{
	const char *end = part->text + (part->len < DETECT_MAX ? part->len : DETECT_MAX);
	const char *p = skip_from(part->text, end), *next;

	for (; p < end; p = next) {
		next = userdata_mime_line(p, end);
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
			userdata_mime_report(reader, entity, at,
					     "a charset that is not utf-8 or us-ascii");
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
	struct doc_place place = userdata_mime_place(entity->part, at);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strlen(rows[i].name) == len && strncasecmp(p, rows[i].name, len) == 0) {
			entity->encoding = rows[i].encoding;
			return;
		}
	userdata_mime_report(reader, entity, at, "an encoding that is not known");
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
		userdata_mime_report(reader, entity, p, "'Launch-Index' is not supported");
		entity->wrong = true;
	} else if (is_header(p, next, "merge-type") || is_header(p, next, "x-merge-type")) {
		entity->merge = value;
	}
}

void userdata_mime_headers(struct userdata_reader *reader, struct mime_entity *entity,
			   const char *text)
{
	const char *p = skip_from(text, entity->end), *next;

	entity->headers = p;
	for (; p < entity->end; p = next) {
		next = userdata_mime_line(p, entity->end);
		entity->crlf |= next - p >= 2 && next[-1] == '\n' && next[-2] == '\r';
		if (is_empty_line(p, next)) {
			p = next;
			break;
		}
		if (next - text > (ptrdiff_t)HEADERS_MAX || !header_name(p, next)) {
			userdata_mime_report(reader, entity, p,
					     next - text > (ptrdiff_t)HEADERS_MAX
						     ? "too long headers"
						     : "this is not a header");
			entity->wrong = true;
			return;
		}
		while (next < entity->end && (*next == ' ' || *next == '\t'))
			next = userdata_mime_line(next, entity->end);
		read_header(reader, entity, p, next);
	}
	entity->body = p;
}
