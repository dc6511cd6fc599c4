/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the resolved document into struct profile, row by row, and into JSON. Every value was checked
 * before.
 */
#include "profile/load.h"

#include <string.h>

static void fill_map(struct mem_arena *arena, const struct schema_row *parent,
		     const struct doc_node *map, void *into);

/* The rows give offsets; memcpy because the compiler cannot know the field's type. */
#define STORE(to, type, number)                        \
	do {                                           \
		type store_ = (type)(number);          \
		memcpy((to), &store_, sizeof(store_)); \
	} while (0)

static void fill_value(const struct schema_row *row, const struct doc_node *node, char *to)
{
	struct schema_value value = schema_value_of(row, node->text);

	switch (row->type->store) {
	case SCHEMA_STRING:
		memcpy(to, &node->text, sizeof(node->text));
		break;
	case SCHEMA_PATH:
		memcpy(to, &node->resolved, sizeof(node->resolved));
		break;
	case SCHEMA_BOOL:
		STORE(to, bool, value.number);
		break;
	case SCHEMA_U32:
		STORE(to, uint32_t, value.number);
		break;
	case SCHEMA_U64:
		STORE(to, uint64_t, value.number);
		break;
	case SCHEMA_I64:
		STORE(to, int64_t, value.number);
		break;
	case SCHEMA_PORTS:
		STORE(to, uint16_t, value.number);
		STORE(to + sizeof(uint16_t), uint16_t, value.last);
		break;
	case SCHEMA_OVERLAY:
	case SCHEMA_NOWHERE:
		break;
	}
}

static void fill_list(struct mem_arena *arena, const struct doc_node *list, char *to)
{
	struct profile_list value = {.count = list->count};

	value.items = mem_arena_alloc(arena, (list->count + 1) * sizeof(char *));
	for (size_t i = 0; i < list->count; i++)
		value.items[i] = list->items[i]->text;
	memcpy(to, &value, sizeof(value));
}

/* Stores the address of an array and its count. */
static void fill_array(const struct schema_row *row, const void *array, size_t count, char *into)
{
	memcpy(into + row->offset, &array, sizeof(array));
	memcpy(into + row->count_offset, &count, sizeof(count));
}

static void fill_overlays(struct mem_arena *arena, const struct schema_row *row,
			  const struct doc_node *list, char *into)
{
	struct profile_overlay *overlays =
		mem_arena_alloc(arena, (list->count + 1) * sizeof(*overlays));

	for (size_t i = 0; i < list->count; i++) {
		overlays[i].name = list->items[i]->text;
		overlays[i].path = list->items[i]->resolved;
	}
	fill_array(row, overlays, list->count, into);
}

static void fill_settings(struct mem_arena *arena, const struct schema_row *row,
			  const struct doc_node *map, char *into)
{
	struct profile_setting *settings =
		mem_arena_alloc(arena, (map->count + 1) * sizeof(*settings));

	for (size_t i = 0; i < map->count; i++) {
		settings[i].key = map->pairs[i].key;
		settings[i].value = map->pairs[i].value->text;
	}
	fill_array(row, settings, map->count, into);
}

static void fill_table(struct mem_arena *arena, const struct schema_row *row,
		       const struct doc_node *list, char *into)
{
	char *elements = mem_arena_alloc(arena, (list->count + 1) * row->size);

	for (size_t i = 0; i < list->count; i++)
		fill_map(arena, row, list->items[i], elements + i * row->size);
	fill_array(row, elements, list->count, into);
}

static void fill_row(struct mem_arena *arena, const struct schema_row *row,
		     const struct doc_node *node, void *into)
{
	char *to = (char *)into + row->offset;

	switch (row->shape) {
	case SCHEMA_VALUE:
		fill_value(row, node, to);
		break;
	case SCHEMA_LIST:
		if (row->type->store == SCHEMA_OVERLAY)
			fill_overlays(arena, row, node, into);
		else
			fill_list(arena, node, to);
		break;
	case SCHEMA_SECTION:
		/* Rows of a section have offsets in the whole structure. */
		fill_map(arena, row, node, into);
		break;
	case SCHEMA_TABLE:
		fill_table(arena, row, node, into);
		break;
	case SCHEMA_SETTINGS:
		fill_settings(arena, row, node, into);
		break;
	}
}

static void fill_map(struct mem_arena *arena, const struct schema_row *parent,
		     const struct doc_node *map, void *into)
{
	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];
		const struct doc_node *node;

		if (!schema_is_child(parent, row))
			continue;
		node = doc_node_get(map, schema_leaf(row));
		if (node)
			fill_row(arena, row, node, into);
		else if (row->shape == SCHEMA_VALUE && row->type->store == SCHEMA_I64)
			STORE((char *)into + row->offset, int64_t, -1);
	}
}

json_t *profile_value_json(const struct schema_row *row, const struct doc_node *node)
{
	struct schema_value value = schema_value_of(row, node->text);
	char mode[16];

	if (row->type == &schema_type_mode) {
		snprintf(mode, sizeof(mode), "%04llo", (unsigned long long)value.number);
		return json_string(mode);
	}
	switch (row->type->store) {
	case SCHEMA_BOOL:
		return json_boolean(value.number);
	case SCHEMA_U32:
	case SCHEMA_U64:
	case SCHEMA_I64:
		return json_integer(value.number);
	default:
		return json_string(node->text);
	}
}

static json_t *map_json(const struct schema_row *parent, const struct doc_node *map)
{
	json_t *object = json_object();

	for (size_t i = 0; i < map->count; i++) {
		const struct schema_row *row = schema_child(parent, map->pairs[i].key);

		json_object_set_new(object, map->pairs[i].key,
				    doc_node_json(row, map->pairs[i].value));
	}
	return object;
}

json_t *doc_node_json(const struct schema_row *row, const struct doc_node *node)
{
	json_t *value;

	if (!row || row->shape == SCHEMA_SECTION)
		return map_json(row, node);
	switch (row->shape) {
	case SCHEMA_LIST:
		value = json_array();
		for (size_t i = 0; i < node->count; i++)
			json_array_append_new(value, profile_value_json(row, node->items[i]));
		return value;
	case SCHEMA_TABLE:
		value = json_array();
		for (size_t i = 0; i < node->count; i++)
			json_array_append_new(value, map_json(row, node->items[i]));
		return value;
	case SCHEMA_SETTINGS:
		value = json_object();
		for (size_t i = 0; i < node->count; i++)
			json_object_set_new(value, node->pairs[i].key,
					    json_string(node->pairs[i].value->text));
		return value;
	default:
		return profile_value_json(row, node);
	}
}

void profile_fill(struct profile_loader *loader, struct doc_node *root, struct profile *profile)
{
	struct profile_doc *doc = mem_arena_alloc(loader->arena, sizeof(*doc));

	fill_map(loader->arena, NULL, root, profile);
	profile->json = doc_node_json(NULL, root);
	doc->arena = loader->arena;
	doc->root = root;
	doc->files = doc_node_new(loader->arena, DOC_LIST, root->place);
	for (size_t i = 0; i < loader->order_count; i++) {
		const struct profile_file_seen *file = loader->order[i];
		struct doc_place own = {file->label, 1, 1};

		doc_node_append(loader->arena, doc->files,
				doc_node_text(loader->arena, file->label,
					      file->extended.file ? file->extended : own));
	}
	profile->doc = doc;
}
