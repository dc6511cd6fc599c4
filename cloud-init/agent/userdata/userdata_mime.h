/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two files that read MIME share: an entity, which is headers and a body. Only userdata_mime.c and
 * userdata_headers.c include this.
 */
#ifndef INGOT_AGENT_USERDATA_MIME_H
#define INGOT_AGENT_USERDATA_MIME_H

#include "agent/userdata/userdata_parts.h"

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

/* The place of a byte of the part's text. Counts lines from its start. */
struct doc_place userdata_mime_place(const struct userdata_part *part, const char *at);

/* Adds a problem at a byte of the entity; settings may have been lost by it. */
void userdata_mime_report(struct userdata_reader *reader, const struct mime_entity *entity,
			  const char *at, const char *message);

/* The end of the line that begins at p: behind its newline, or end. */
const char *userdata_mime_line(const char *p, const char *end);

/* Reads the headers at text; the body is what follows the empty line. Sets wrong when the entity cannot be used. */
void userdata_mime_headers(struct userdata_reader *reader, struct mime_entity *entity,
			   const char *text);

#endif
