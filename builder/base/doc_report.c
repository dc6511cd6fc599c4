/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problems as a compiler prints them: file:line:column, error or note, one line each.
 */
#include "base/doc.h"

#include <stdarg.h>
#include <stdio.h>

/* Bytes of a well-formed UTF-8 character (RFC 3629) at p, or 0. libyaml lets only such text in, but messages may
 * cut it, and not all of them show text from YAML. */
static size_t utf8_length(const unsigned char *p)
{
	size_t n = *p > 0xf4 ? 0 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : *p >= 0xc2 ? 2 : 0;

	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Too long forms, surrogates, and what is above U+10FFFF. */
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] >= 0xa0) ||
	    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] >= 0x90))
		return 0;
	return n;
}

/* Values in messages come from the file: they must neither break lines nor steer terminals. */
static void make_printable(char *message)
{
	unsigned char *p = (unsigned char *)message;

	while (*p) {
		size_t n = *p < 0x80 ? 1 : utf8_length(p);
		bool control = *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0);

		if (n && !control) {
			p += n;
			continue;
		}
		*p++ = '?';
		if (n == 2)
			*p++ = '?';
	}
}

static void add_line(struct doc_report *report, const struct doc_place *place, const char *severity,
		     char *message)
{
	const char *file = place->file ? place->file : "default";

	if (!report->text)
		return;
	make_printable(message);
	str_addf(report->text, "%s:%u:%u: %s: %s\n", file, place->line, place->column, severity,
		 message);
}

void doc_error(struct doc_report *report, const struct doc_place *place, const char *fmt, ...)
{
	char message[1024];
	va_list ap;

	report->count++;
	report->last_dropped = report->count > DOC_PROBLEMS_MAX;
	if (report->last_dropped)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	add_line(report, place, "error", message);
}

void doc_note(struct doc_report *report, const struct doc_place *place, const char *fmt, ...)
{
	char message[1024];
	va_list ap;

	if (report->last_dropped)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	add_line(report, place, "note", message);
}

bool doc_note_nearest(struct doc_report *report, const struct doc_place *place, const char *word,
		      const char *const *candidates, size_t count, bool list_all)
{
	const char *nearest = str_nearest(word, candidates, count);
	CLEANUP(str_free) struct str all = {0};

	if (nearest) {
		doc_note(report, place, "did you mean '%s'?", nearest);
		return true;
	}
	if (!list_all || !count)
		return false;
	for (size_t i = 0; i < count; i++)
		str_addf(&all, "%s%s", i ? ", " : "", candidates[i]);
	doc_note(report, place, "expected %s%s", count > 1 ? "one of " : "", all.data);
	return false;
}
