/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON by jansson; every user of JSON includes this header. What comes from outside is read with a
 * bound on its size, what we write has sorted keys so that equal content gives equal bytes. What is freed is wiped:
 * it may have held credentials.
 */
#ifndef INGOT_BASE_JSON_H
#define INGOT_BASE_JSON_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Frees a reference; for CLEANUP(). */
static inline void json_cleanup(json_t **value)
{
	json_decref(*value);
}

#define CLEANUP_JSON __attribute__((cleanup(json_cleanup)))

/* Parses len bytes; name is for the message (ERR_OTHER with line and column). Caller decrefs. */
json_t *json_parse(const char *text, size_t len, const char *name, struct err *err);

/* Reads and parses a file of at most max bytes. Caller decrefs. */
json_t *json_read_file(const char *path, size_t max, struct err *err);

/* Returns the value as text: sorted keys, indented by two, newline at the end. NULL when a string in it is
 * not UTF-8. Caller frees. */
char *json_text(const json_t *value);

/* Writes json_text by way of a temporary file, synced when sync is set. */
int json_write_file(const char *path, const json_t *value, bool sync, struct err *err);

/* Returns one line without spaces; sorted keys; the caller frees it. */
char *json_line(const json_t *value);

/* Sets a string member of an object; NULL, "" and what is not UTF-8 leave it as it is. */
void json_set_text(json_t *object, const char *key, const char *text);

/* The string member of an object, or NULL when it is absent or no string; borrowed. */
const char *json_member_string(const json_t *object, const char *key);

#endif
