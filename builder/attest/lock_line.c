/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson forgets where values stood: goes through the text once more.
 */
#include "attest/lock_parts.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct place {
	const char *at, *end;
	size_t line;
	unsigned depth;
};

/* Goes behind the string that begins here; true when it is the word. */
static bool skip_string(struct place *p, const char *word)
{
	const char *start = ++p->at;
	size_t len;

	while (p->at < p->end && *p->at != '"')
		p->at += *p->at == '\\' ? 2 : 1;
	if (p->at > p->end)
		p->at = p->end;
	len = (size_t)(p->at - start);
	p->at += p->at < p->end;
	return len == strlen(word) && memcmp(start, word, len) == 0;
}

/* Goes to the next character that is no blank, and returns it; NUL at the end. */
static char next(struct place *p)
{
	while (p->at < p->end && strchr(" \t\r\n", *p->at)) {
		p->line += *p->at == '\n';
		p->at++;
	}
	return p->at < p->end ? *p->at : '\0';
}

/* Counts the elements of the array whose bracket comes next. */
static size_t line_of_element(struct place *p, size_t index)
{
	unsigned depth = 0;
	size_t line = p->line;

	for (char c; (c = next(p));) {
		if (depth == 1 && index == 0 && c != ',')
			return c == ']' ? line : p->line;
		if (c == '"') {
			skip_string(p, "");
			continue;
		}
		depth += c == '[' || c == '{';
		depth -= c == ']' || c == '}';
		if (depth == 0)
			return line;
		index -= c == ',' && depth == 1;
		p->at++;
	}
	return line;
}

size_t lock_line(const char *text, size_t len, const char *member, size_t index)
{
	struct place p = {.at = text, .end = text + len, .line = 1};

	for (char c; (c = next(&p));) {
		size_t line = p.line;

		if (c == '"') {
			bool same = skip_string(&p, member);

			/* At depth 1 only a name is followed by a colon. */
			if (!same || p.depth != 1 || next(&p) != ':')
				continue;
			p.at++;
			return index == SIZE_MAX || next(&p) != '[' ? line
								    : line_of_element(&p, index);
		}
		p.depth += c == '[' || c == '{';
		p.depth -= c == ']' || c == '}';
		p.at++;
	}
	return 1;
}
