/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing byte strings with a hard maximum, vectors, and the few string questions that several
 * folders ask.
 */
#ifndef INGOT_BASE_STR_H
#define INGOT_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>

/* A growing string. data is always ended by NUL once something was added; {0} is valid. */
struct str {
	char *data;
	size_t len, room;
};

/* Appends a string. */
void str_add(struct str *s, const char *text);

/* Appends len bytes, NULs included. */
void str_add_bytes(struct str *s, const void *bytes, size_t len);

/* Appends formatted text. */
void str_addf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends len bytes as UTF-8 text (RFC 3629): what is not UTF-8, and control characters, become U+FFFD. For
 * text from outside that goes into JSON. */
void str_add_utf8(struct str *s, const void *bytes, size_t len);

/* Frees the content and makes it empty again; NULL is allowed. Usable with CLEANUP(). */
void str_free(struct str *s);

/* Overwrites the content, then frees it; NULL is allowed. For secrets. Usable with CLEANUP(). */
void str_wipe(struct str *s);

/* Makes room for len more bytes and the NUL, so that adding them moves (and so copies) nothing. */
void str_reserve(struct str *s, size_t len);

/* Hands over the content (never NULL); the caller frees it. The str becomes empty. */
char *str_steal(struct str *s);

/* True when s starts with prefix. */
bool str_has_prefix(const char *s, const char *prefix);

/* True when s ends with suffix. */
bool str_has_suffix(const char *s, const char *suffix);

/* Of the count candidates returns the one nearest to word by edit distance, or NULL when none is
 * near enough to be offered as "did you mean" (distance over a third of the length). */
const char *str_nearest(const char *word, const char *const *candidates, size_t count);

/* A list of strings that it owns; {0} is valid. items[count] is NULL once something was added, so
 * items can serve as an argv. */
struct strv {
	char **items;
	size_t count, room;
};

/* Appends a copy of the string. */
void strv_add(struct strv *v, const char *s);

/* Appends a formatted string. */
void strv_addf(struct strv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Frees all strings and makes the list empty; NULL is allowed. Usable with CLEANUP(). */
void strv_free(struct strv *v);

/* True when the list holds the string. */
bool strv_has(const struct strv *v, const char *s);

/* Sorts bytewise (the locale does not matter). */
void strv_sort(struct strv *v);

/* Appends one element to a plain array {ptr, count, room} whose room doubles as needed. */
#define VEC_ADD(ptr, count, room, value)                                   \
	do {                                                               \
		if ((count) == (room)) {                                   \
			(room) = (room) ? 2 * (room) : 16;                 \
			(ptr) = mem_resize((ptr), (room), sizeof(*(ptr))); \
		}                                                          \
		(ptr)[(count)++] = (value);                                \
	} while (0)

#endif
