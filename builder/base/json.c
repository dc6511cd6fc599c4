/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON by jansson: bounded reading, deterministic writing.
 */
#include "base/json.h"

#include "base/fd.h"
#include "base/mem.h"

#include <malloc.h>
#include <string.h>

static void free_wiped(void *ptr)
{
	if (ptr)
		mem_wipe(ptr, malloc_usable_size(ptr));
	free(ptr);
}

/* Credentials travel in JSON too, and jansson's reader makes copies that nobody else can reach. Before main, for it must
 * not change while threads use it. */
__attribute__((constructor)) static void json_wipe_what_is_freed(void)
{
	json_set_alloc_funcs(malloc, free_wiped);
}

json_t *json_parse(const char *text, size_t len, const char *name, struct err *err)
{
	json_error_t why;
	json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);

	if (!value)
		err_set(err, ERR_OTHER, "%s:%d:%d: not valid JSON: %s", name, why.line, why.column,
			why.text);
	return value;
}

json_t *json_read_file(const char *path, size_t max, struct err *err)
{
	CLEANUP(str_wipe) struct str text = {0};

	if (fd_read_file(path, max, &text, err) < 0)
		return NULL;
	return json_parse(text.data, text.len, path, err);
}

char *json_text(const json_t *value)
{
	CLEANUP_FREE char *dump =
		json_dumps(value, JSON_SORT_KEYS | JSON_INDENT(2) | JSON_REAL_PRECISION(15));

	return dump ? mem_printf("%s\n", dump) : NULL;
}

int json_write_file(const char *path, const json_t *value, bool sync, struct err *err)
{
	CLEANUP_FREE char *text = json_text(value);

	if (!text)
		return err_set(err, ERR_OTHER, "cannot write '%s': text is not UTF-8", path);
	return outfile_write(path, text, strlen(text), sync, err);
}

char *json_line(const json_t *value)
{
	char *dump = json_dumps(value, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY |
					       JSON_REAL_PRECISION(15));

	return dump ? dump : mem_strdup("null");
}

const char *json_member_string(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

void json_set_text(json_t *object, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(object, key, json_string(text));
}
