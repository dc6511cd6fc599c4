/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing strings, string lists, and edit distance for "did you mean".
 */
#include "base/str.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NEAREST_MAX 64 /* longer words are not worth a suggestion */

static void grow(struct str *s, size_t more)
{
	size_t need = s->len + more + 1;

	if (need <= s->room)
		return;
	s->room = s->room ? s->room : 64;
	while (s->room < need)
		s->room *= 2;
	s->data = mem_resize(s->data, s->room, 1);
}

void str_add_bytes(struct str *s, const void *bytes, size_t len)
{
	grow(s, len);
	if (len)
		memcpy(s->data + s->len, bytes, len);
	s->len += len;
	s->data[s->len] = '\0';
}

void str_add(struct str *s, const char *text)
{
	str_add_bytes(s, text, strlen(text));
}

void str_addf(struct str *s, const char *fmt, ...)
{
	va_list ap, again;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len > 0) {
		grow(s, (size_t)len);
		vsnprintf(s->data + s->len, (size_t)len + 1, fmt, again);
		s->len += (size_t)len;
	}
	va_end(again);
}

/* Length in bytes of the character at p, of which len bytes are there; 0 when it is none (too long a form,
 * a surrogate, over U+10FFFF, or cut off). */
static size_t utf8_length(const unsigned char *p, size_t len)
{
	static const unsigned long smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	unsigned long c;

	if (n < 2 || n > len || p[0] > 0xf4)
		return n == 1 ? 1 : 0;
	c = p[0] & (0x7fUL >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

void str_add_utf8(struct str *s, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0, n; i < len; i += n ? n : 1) {
		n = utf8_length(p + i, len - i);
		if (n == 0 || p[i] < 0x20 || p[i] == 0x7f ||
		    (n == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0))
			str_add(s, "\xef\xbf\xbd");
		else
			str_add_bytes(s, p + i, n);
	}
	str_add(s, "");
}

void str_free(struct str *s)
{
	if (!s)
		return;
	free(s->data);
	*s = (struct str){0};
}

void str_wipe(struct str *s)
{
	if (s && s->data)
		mem_wipe(s->data, s->room);
	str_free(s);
}

void str_reserve(struct str *s, size_t len)
{
	grow(s, len);
}

char *str_steal(struct str *s)
{
	char *data;

	grow(s, 0);
	s->data[s->len] = '\0';
	data = s->data;
	*s = (struct str){0};
	return data;
}

bool str_has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_has_suffix(const char *s, const char *suffix)
{
	size_t len = strlen(s), tail = strlen(suffix);

	return len >= tail && strcmp(s + len - tail, suffix) == 0;
}

/* Optimal string alignment: a swap of neighbours counts as one edit, since it is the most common
 * slip of a typist. Both words are at most NEAREST_MAX long. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][NEAREST_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *cur = rows[i % 3];
		const size_t *prev = rows[(i - 1) % 3];

		cur[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = prev[j - 1] + (a[i - 1] != b[j - 1]);

			if (prev[j] + 1 < best)
				best = prev[j] + 1;
			if (cur[j - 1] + 1 < best)
				best = cur[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    rows[(i - 2) % 3][j - 2] + 1 < best)
				best = rows[(i - 2) % 3][j - 2] + 1;
			cur[j] = best;
		}
	}
	return rows[la % 3][lb];
}

const char *str_nearest(const char *word, const char *const *candidates, size_t count)
{
	size_t len = strlen(word);
	size_t limit = len < 3 ? 1 : len / 3 + 1;
	const char *best = NULL;

	if (len > NEAREST_MAX || len < 2)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t d;

		if (strlen(candidates[i]) > NEAREST_MAX)
			continue;
		d = distance(word, candidates[i]);
		if (d < limit) {
			limit = d;
			best = candidates[i];
		}
	}
	return best;
}

void strv_add(struct strv *v, const char *s)
{
	if (v->count + 1 >= v->room) {
		v->room = v->room ? v->room * 2 : 16;
		v->items = mem_resize(v->items, v->room, sizeof(*v->items));
	}
	v->items[v->count++] = mem_strdup(s);
	v->items[v->count] = NULL;
}

void strv_addf(struct strv *v, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	strv_add(v, s ? s : "");
	free(s);
}

void strv_free(struct strv *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->count; i++)
		free(v->items[i]);
	free(v->items);
	*v = (struct strv){0};
}

bool strv_has(const struct strv *v, const char *s)
{
	for (size_t i = 0; i < v->count; i++)
		if (strcmp(v->items[i], s) == 0)
			return true;
	return false;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
	if (v->count)
		qsort(v->items, v->count, sizeof(*v->items), compare);
}
