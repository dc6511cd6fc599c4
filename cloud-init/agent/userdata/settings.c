/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks our own settings against their table, in the order of the file, with messages as profiles have
 * them; and turns what was checked into JSON.
 */
#include "agent/userdata/settings_parts.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#define LIST_MAX ((size_t)64)
#define MAP_MAX ((size_t)256)

struct check {
	struct doc_report *report;
	struct mem_arena *arena; /* of messages */
};

static const char *const shape_words[] = {
	[SETTINGS_VALUE] = "one value",
	[SETTINGS_LIST] = "a list",
	[SETTINGS_SECTION] = "a map",
	[SETTINGS_MAP] = "a map",
};

/* ---- messages -------------------------------------------------------------------------------- */

/* Fills keys with what a section may hold. */
static size_t section_keys(struct check *c, const struct settings_row *parent, const char ***ret)
{
	const struct settings_row *row;
	size_t all = 0, count = 0;

	for (row = settings_rows; row->key; row++)
		all++;
	*ret = mem_arena_alloc(c->arena, all * sizeof(char *));
	for (row = settings_rows; row->key; row++)
		if (settings_row_is_child(parent, row))
			(*ret)[count++] = settings_row_leaf(row);
	return count;
}

/* Suggests also from elsewhere in the table: a right key in the wrong section is a common slip. */
static void report_unknown(struct check *c, const struct settings_row *parent,
			   const struct doc_pair *pair)
{
	const char **keys;
	size_t count = section_keys(c, parent, &keys);
	const char *nearest = str_nearest(pair->key, keys, count);

	doc_error(c->report, &pair->place, "unknown key '%s' in '%s'",
		  doc_show(c->arena, pair->key), parent ? parent->key : "ingot");
	for (const struct settings_row *row = settings_rows; row->key && !nearest; row++)
		if (strcmp(settings_row_leaf(row), pair->key) == 0)
			nearest = row->key;
	if (nearest)
		doc_note(c->report, &pair->place, "did you mean '%s'?", nearest);
	else
		doc_note_nearest(c->report, &pair->place, "", keys, count, true);
}

static size_t choice_count(const char *const *choices)
{
	size_t count = 0;

	while (choices[count])
		count++;
	return count;
}

static void note_shape(struct check *c, const struct settings_row *row,
		       const struct doc_node *value)
{
	const char **keys;
	size_t count;

	switch (row->shape) {
	case SETTINGS_VALUE:
		if (row->choices)
			doc_note_nearest(c->report, &value->place, "", row->choices,
					 choice_count(row->choices), true);
		else
			doc_note(c->report, &value->place, "expected %s",
				 settings_type_find(row->type)->expected);
		break;
	case SETTINGS_LIST:
		doc_note(c->report, &value->place, "expected items such as '[a, b]'");
		break;
	case SETTINGS_SECTION:
		count = section_keys(c, row, &keys);
		doc_note_nearest(c->report, &value->place, "", keys, count, true);
		break;
	case SETTINGS_MAP:
		doc_note(c->report, &value->place, "expected keys and values, such as '%s'",
			 strcmp(row->key, "sysctl") == 0 ? "vm.swappiness: 1" : "disk: ssd");
		break;
	}
}

/* ---- checks ---------------------------------------------------------------------------------- */

static bool check_shape(struct check *c, const struct settings_row *row,
			const struct doc_pair *pair)
{
	static const enum doc_kind kinds[] = {
		[SETTINGS_VALUE] = DOC_SCALAR,
		[SETTINGS_LIST] = DOC_LIST,
		[SETTINGS_SECTION] = DOC_MAP,
		[SETTINGS_MAP] = DOC_MAP,
	};
	const struct doc_node *value = pair->value;

	if (doc_node_is_null(value)) {
		doc_error(c->report, &pair->place, "'%s' has no value", pair->key);
		doc_note(c->report, &pair->place, "expected %s, or no such key",
			 shape_words[row->shape]);
		return false;
	}
	if (value->kind == kinds[row->shape])
		return true;
	doc_error(c->report, &value->place, "'%s' must be %s, this is %s", pair->key,
		  shape_words[row->shape], doc_node_what(value));
	note_shape(c, row, value);
	return false;
}

static bool is_choice_of(const char *const *choices, const char *text)
{
	for (; *choices; choices++)
		if (strcmp(*choices, text) == 0)
			return true;
	return false;
}

/* One value: that of a key, an item of a list or what a key of a map has. */
static void check_value(struct check *c, const struct settings_row *row, const char *key,
			const struct doc_node *node)
{
	const struct settings_type *type = settings_type_find(row->type);

	if (node->kind != DOC_SCALAR || doc_node_is_null(node)) {
		doc_error(c->report, &node->place, "expected %s, this is %s", type->article,
			  doc_node_what(node));
	} else if (type->integer && !node->plain) {
		doc_error(c->report, &node->place, "text is not %s", type->article);
		doc_note(c->report, &node->place, "write it without quotes");
	} else if (row->choices) {
		if (is_choice_of(row->choices, node->text))
			return;
		doc_error(c->report, &node->place, "'%s' is no value of '%s'",
			  doc_show(c->arena, node->text), key);
		doc_note_nearest(c->report, &node->place, node->text, row->choices,
				 choice_count(row->choices), true);
	} else if (!type->fits(node->text)) {
		if (type->secret)
			doc_error(c->report, &node->place, "the value of '%s' is not %s", key,
				  type->article);
		else
			doc_error(c->report, &node->place, "'%s' is not %s",
				  doc_show(c->arena, node->text), type->article);
		doc_note(c->report, &node->place, "expected %s", type->expected);
	}
}

static void check_list(struct check *c, const struct settings_row *row, const char *key,
		       const struct doc_node *list)
{
	if (list->count == 0)
		doc_error(c->report, &list->place, "'%s' must not be empty", key);
	if (list->count > LIST_MAX)
		doc_error(c->report, &list->place, "'%s' has more than %zu items", key, LIST_MAX);
	for (size_t i = 0; i < list->count && i < LIST_MAX; i++) {
		const struct doc_node *item = list->items[i];

		check_value(c, row, key, item);
		for (size_t k = 0; k < i && item->kind == DOC_SCALAR; k++) {
			const struct doc_node *other = list->items[k];

			if (other->kind != DOC_SCALAR || strcmp(other->text, item->text) != 0)
				continue;
			doc_error(c->report, &item->place, "'%s' is in '%s' twice",
				  doc_show(c->arena, item->text), key);
			doc_note(c->report, &other->place, "first given here");
			break;
		}
	}
}

static void check_map(struct check *c, const struct settings_row *row, const struct doc_node *map)
{
	const struct settings_type *type = settings_type_find(row->type);

	if (map->count > MAP_MAX)
		doc_error(c->report, &map->place, "'%s' has more than %zu keys", row->key, MAP_MAX);
	for (size_t i = 0; i < map->count && i < MAP_MAX; i++) {
		const struct doc_pair *pair = &map->pairs[i];

		if (!type->key_fits(pair->key)) {
			doc_error(c->report, &pair->place, "'%s' is not %s",
				  doc_show(c->arena, pair->key), type->key_article);
			doc_note(c->report, &pair->place, "expected %s", type->key_expected);
		}
		check_value(c, row, pair->key, pair->value);
	}
}

/* Sections lie one in the other as deep as the table goes. */
static void check_section(struct check *c, const struct settings_row *parent,
			  const struct doc_node *section)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct doc_pair *pair = &section->pairs[i];
		const struct settings_row *row = settings_row_find(parent, pair->key);

		if (!row) {
			report_unknown(c, parent, pair);
			continue;
		}
		if (!check_shape(c, row, pair))
			continue;
		if (row->shape == SETTINGS_SECTION)
			check_section(c, row, pair->value);
		else if (row->shape == SETTINGS_LIST)
			check_list(c, row, pair->key, pair->value);
		else if (row->shape == SETTINGS_MAP)
			check_map(c, row, pair->value);
		else
			check_value(c, row, pair->key, pair->value);
	}
}

void settings_check(const struct doc_node *settings, struct doc_report *report)
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	struct check c = {.report = report, .arena = arena};

	if (doc_node_is_null(settings))
		return;
	if (settings->kind != DOC_MAP) {
		const char **keys;
		size_t count = section_keys(&c, NULL, &keys);

		doc_error(report, &settings->place, "'ingot' must be a map, this is %s",
			  doc_node_what(settings));
		doc_note_nearest(report, &settings->place, "", keys, count, true);
		return;
	}
	check_section(&c, NULL, settings);
	settings_rules_check(settings, report);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *value_json(const struct settings_row *row, const struct doc_node *node)
{
	if (node->kind != DOC_SCALAR)
		return NULL;
	if (!settings_type_find(row->type)->integer)
		return json_string(node->text);
	return json_integer(strtol(node->text, NULL, 10));
}

static json_t *list_json(const struct settings_row *row, const struct doc_node *list)
{
	json_t *json = json_array();

	for (size_t i = 0; list->kind == DOC_LIST && i < list->count; i++)
		json_array_append_new(json, value_json(row, list->items[i]));
	return json;
}

static json_t *map_json(const struct settings_row *row, const struct doc_node *map)
{
	json_t *json = json_object();

	for (size_t i = 0; map->kind == DOC_MAP && i < map->count; i++)
		json_object_set_new(json, map->pairs[i].key, value_json(row, map->pairs[i].value));
	return json;
}

static json_t *section_json(const struct settings_row *parent, const struct doc_node *section)
{
	json_t *json = json_object();

	for (size_t i = 0; section->kind == DOC_MAP && i < section->count; i++) {
		const struct doc_pair *pair = &section->pairs[i];
		const struct settings_row *row = settings_row_find(parent, pair->key);
		json_t *value;

		if (!row || doc_node_is_null(pair->value))
			continue;
		if (row->shape == SETTINGS_SECTION)
			value = section_json(row, pair->value);
		else if (row->shape == SETTINGS_LIST)
			value = list_json(row, pair->value);
		else if (row->shape == SETTINGS_MAP)
			value = map_json(row, pair->value);
		else
			value = value_json(row, pair->value);
		json_object_set_new(json, pair->key, value);
	}
	return json;
}

json_t *settings_json(const struct doc_node *settings)
{
	return settings ? section_json(NULL, settings) : json_object();
}
