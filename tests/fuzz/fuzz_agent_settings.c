/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any YAML as our own settings: either it has problems, or it becomes JSON in which every key is in the table,
 * every value of the right kind and no string with a line break but certificates.
 */
#include "demand.h"
#include "agent/userdata/settings.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct settings_row *row_of(const char *key)
{
	for (const struct settings_row *row = settings_rows; row->key; row++)
		if (strcmp(row->key, key) == 0)
			return row;
	return NULL;
}

static void check_text(const struct settings_row *row, const json_t *value)
{
	const char *text = json_string_value(value);

	demand(text || json_is_integer(value), "a value is text or a number");
	demand(!text || *text, "no value is empty");
	demand(!text || strcmp(row->type, "certificates") == 0 || !strpbrk(text, "\n\r\t\033"),
	       "a value is one line");
}

static void check_object(const json_t *object, const char *above)
{
	const char *key;
	const json_t *value, *item;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		CLEANUP_FREE char *full = mem_printf("%s%s%s", above, *above ? "." : "", key);
		const struct settings_row *row = row_of(full);

		demand(row, "a key is in the table");
		switch (row->shape) {
		case SETTINGS_SECTION:
			check_object(value, full);
			break;
		case SETTINGS_LIST:
			demand(json_array_size(value) > 0, "a list has items");
			json_array_foreach(value, i, item) check_text(row, item);
			break;
		case SETTINGS_MAP:
			demand(json_is_object(value), "a map is one");
			break;
		default:
			check_text(row, value);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_JSON json_t *json = NULL;
	struct doc_report report = {.text = &text, .secret = true};
	struct doc_node *settings;

	if (size > 1 << 16)
		return 0;
	settings =
		doc_parse(arena, (const char *)data, size, (struct doc_place){"f", 1, 1}, &report);
	if (!settings)
		return 0;
	settings_check(settings, &report);
	json = settings_json(settings);
	demand(json, "settings are JSON");
	if (report.count == 0)
		check_object(json, "");
	return 0;
}
