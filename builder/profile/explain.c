/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolved profile with the place that each value came from.
 */
#include "profile/load.h"

#include <string.h>

#define SHOWN_MAX ((size_t)200)     /* bytes of a value; longer ones are cut */
#define COMMENT_COLUMN ((size_t)56) /* comments are not moved further right than this */

struct line {
	const char *text;    /* without the comment */
	const char *comment; /* or NULL */
};

struct explain {
	struct mem_arena *arena;
	struct line *lines;
	size_t count, room;
};

static void explain_row(struct explain *e, const struct schema_row *row,
			const struct doc_node *node, const char *label, int indent);

static void add_line(struct explain *e, const char *text, const char *comment)
{
	struct line line = {text, comment};

	VEC_ADD(e->lines, e->count, e->room, line);
}

static bool is_plain(const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789/_.+-,:@=~$() ";
	size_t len = strlen(text);
	const struct doc_node node = {.kind = DOC_SCALAR, .text = text, .plain = true};

	if (!len || strspn(text, safe) != len || doc_node_is_null(&node))
		return false;
	return !strchr("-,:@=~$() ", text[0]) && !strchr(": ", text[len - 1]) &&
	       !strstr(text, ": ");
}

/* The text as YAML: plain where that is safe, else in double quotes, whose escapes are JSON's. */
static const char *quoted(struct explain *e, const char *text)
{
	CLEANUP_JSON json_t *string = NULL;
	CLEANUP_FREE char *dump = NULL;
	size_t len = strlen(text), cut = SHOWN_MAX;

	if (is_plain(text) && len <= SHOWN_MAX)
		return text;
	while (len > SHOWN_MAX && ((unsigned char)text[cut] & 0xc0) == 0x80)
		cut--;
	string = json_stringn(text, len > SHOWN_MAX ? cut : len);
	dump = json_dumps(string, JSON_ENCODE_ANY);
	return mem_arena_printf(e->arena, "%s%s", dump ? dump : "\"?\"",
				len > SHOWN_MAX ? "..." : "");
}

static const char *comment_of(struct explain *e, const struct doc_node *node)
{
	const struct doc_place *place = &node->place;
	size_t len = node->kind == DOC_SCALAR ? strlen(node->text) : 0;

	if (!place->file)
		return "default";
	if (len > SHOWN_MAX)
		return mem_arena_printf(e->arena, "%s:%u, %zu bytes", place->file, place->line,
					len);
	return mem_arena_printf(e->arena, "%s:%u", place->file, place->line);
}

/* One line: "label: value", or "- value" for a label of "-". */
static void add_value(struct explain *e, const struct doc_node *node, const char *label, int indent)
{
	add_line(e,
		 mem_arena_printf(e->arena, "%*s%s%s %s", indent, "", label,
				  strcmp(label, "-") == 0 ? "" : ":", quoted(e, node->text)),
		 comment_of(e, node));
}

static void explain_section(struct explain *e, const struct schema_row *row,
			    const struct doc_node *map)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct schema_row *child = schema_child(row, map->pairs[i].key);

		if (child->shape == SCHEMA_SECTION)
			explain_section(e, child, map->pairs[i].value);
		else
			explain_row(e, child, map->pairs[i].value, child->key, 0);
	}
}

/* The first key of an entry carries the dash of the list. */
static void explain_entry(struct explain *e, const struct schema_row *row,
			  const struct doc_node *entry, int indent)
{
	for (size_t i = 0; i < entry->count; i++) {
		const char *key = entry->pairs[i].key;
		const struct schema_row *child = schema_child(row, key);

		if (i == 0)
			explain_row(e, child, entry->pairs[i].value,
				    mem_arena_printf(e->arena, "- %s", key), indent + 2);
		else
			explain_row(e, child, entry->pairs[i].value, key, indent + 4);
	}
}

static void explain_row(struct explain *e, const struct schema_row *row,
			const struct doc_node *node, const char *label, int indent)
{
	if (row->shape == SCHEMA_SECTION) {
		explain_section(e, row, node);
		return;
	}
	if (row->shape == SCHEMA_VALUE) {
		add_value(e, node, label, indent);
		return;
	}
	if (!node->count) {
		add_line(e,
			 mem_arena_printf(e->arena, "%*s%s: %s", indent, "", label,
					  node->kind == DOC_MAP ? "{}" : "[]"),
			 comment_of(e, node));
		return;
	}
	add_line(e, mem_arena_printf(e->arena, "%*s%s:", indent, "", label), NULL);
	for (size_t i = 0; i < node->count; i++) {
		if (row->shape == SCHEMA_TABLE)
			explain_entry(e, row, node->items[i], indent);
		else if (row->shape == SCHEMA_SETTINGS)
			add_value(e, node->pairs[i].value, node->pairs[i].key, indent + 2);
		else
			add_value(e, node->items[i], "-", indent + 2);
	}
}

static void print_lines(const struct explain *e, struct str *text)
{
	size_t width = 0;

	for (size_t i = 0; i < e->count; i++) {
		size_t len = strlen(e->lines[i].text);

		if (e->lines[i].comment && len > width && len <= COMMENT_COLUMN)
			width = len;
	}
	for (size_t i = 0; i < e->count; i++) {
		const struct line *line = &e->lines[i];

		if (line->comment)
			str_addf(text, "%-*s  # %s\n", (int)width, line->text, line->comment);
		else
			str_addf(text, "%s\n", line->text);
	}
}

/* What a key names: a row, its node (NULL when the profile does not set it), and for one setting
 * its name. */
struct target {
	const struct schema_row *row;
	const struct doc_node *node;
	const char *setting;
};

static int unknown_key(const char *key, struct err *err)
{
	const char **keys = mem_alloc_array(schema_row_count, sizeof(*keys));
	const char *nearest;
	size_t count = 0;

	for (size_t i = 0; i < schema_row_count; i++)
		if (!strchr(schema_rows[i].key, '['))
			keys[count++] = schema_rows[i].key;
	nearest = str_nearest(key, keys, count);
	free(keys);
	err_set(err, ERR_USAGE, "unknown key '%s'", key);
	if (nearest)
		err_hint(err, "did you mean '%s'?", nearest);
	else
		err_hint(err, "'ingot explain --keys' lists all keys");
	return -1;
}

/* Walks down the document; a key below a map of settings is the rest as a whole. */
static int find_target(const struct profile *profile, const char *key, struct target *ret,
		       struct err *err)
{
	const char *part = key;

	*ret = (struct target){.node = profile->doc->root};
	while (*part) {
		size_t len = strcspn(part, ".");
		CLEANUP_FREE char *name = mem_strndup(part, len);

		ret->row = schema_child(ret->row, name);
		if (!ret->row || ret->row->shape == SCHEMA_TABLE)
			break;
		if (ret->row->type == &schema_type_parent)
			ret->node = profile->doc->files;
		else
			ret->node = doc_node_get(ret->node, name);
		part += len + (part[len] == '.');
		if (*part && ret->row->shape == SCHEMA_SETTINGS) {
			const struct doc_pair *pair = doc_node_pair(ret->node, part);

			ret->setting = pair ? pair->key : NULL;
			ret->node = pair ? pair->value : NULL;
			return pair ? 0 : err_set(err, ERR_USAGE, "'%s' is not set", key);
		}
	}
	if (ret->row && ret->row->shape == SCHEMA_TABLE && !strchr(part, '.')) {
		ret->node = doc_node_get(ret->node, schema_leaf(ret->row));
		return 0;
	}
	return *part || !ret->row ? unknown_key(key, err) : 0;
}

int profile_explain(const struct profile *profile, const char *key, struct str *text,
		    struct err *err)
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	struct explain e = {.arena = arena};
	struct target target;

	if (!key) {
		explain_section(&e, NULL, profile->doc->root);
	} else if (find_target(profile, key, &target, err) < 0) {
		return -1;
	} else if (target.setting) {
		add_value(&e, target.node, key, 0);
	} else if (target.node) {
		explain_row(&e, target.row, target.node, target.row->key, 0);
	} else {
		add_line(&e, mem_arena_printf(arena, "%s:", key), "not set");
	}
	print_lines(&e, text);
	free(e.lines);
	return 0;
}

/* ---- the same as JSON ---- */

static void add_place(json_t *object, const struct doc_place *place)
{
	/* A path need not be UTF-8. */
	json_t *file = place->file ? json_string(place->file) : json_null();

	json_object_set_new(object, "file", file ? file : json_string("?"));
	json_object_set_new(object, "line", place->file ? json_integer(place->line) : json_null());
	json_object_set_new(object, "column",
			    place->file ? json_integer(place->column) : json_null());
}

static json_t *row_json(const struct schema_row *row, const struct doc_node *node);

static json_t *entry_json(const struct schema_row *row, const struct doc_node *entry)
{
	json_t *object = json_object();

	for (size_t i = 0; i < entry->count; i++)
		json_object_set_new(
			object, entry->pairs[i].key,
			row_json(schema_child(row, entry->pairs[i].key), entry->pairs[i].value));
	return object;
}

static json_t *value_json(const struct schema_row *row, const struct doc_node *node)
{
	json_t *object = json_object();

	json_object_set_new(object, "value", profile_value_json(row, node));
	add_place(object, &node->place);
	return object;
}

/* {"value", "file", "line", "column"}; lists and tables have "items" of such objects as well. */
static json_t *row_json(const struct schema_row *row, const struct doc_node *node)
{
	json_t *object, *items;

	if (row->shape == SCHEMA_VALUE)
		return value_json(row, node);
	object = json_object();
	items = json_array();
	json_object_set_new(object, "value", doc_node_json(row, node));
	add_place(object, &node->place);
	for (size_t i = 0; i < node->count; i++)
		json_array_append_new(items, row->shape == SCHEMA_TABLE
						     ? entry_json(row, node->items[i])
						     : value_json(row, node->items[i]));
	json_object_set_new(object, "items", items);
	return object;
}

static void add_json(json_t *into, const struct schema_row *row, const struct doc_node *node,
		     const char *key)
{
	if (row && row->shape == SCHEMA_VALUE) {
		json_object_set_new(into, key, row_json(row, node));
		return;
	}
	if (row && row->shape != SCHEMA_SECTION && row->shape != SCHEMA_SETTINGS) {
		json_object_set_new(into, key, row_json(row, node));
		return;
	}
	for (size_t i = 0; i < node->count; i++) {
		const struct doc_pair *pair = &node->pairs[i];
		CLEANUP_FREE char *below =
			mem_printf("%s%s%s", key ? key : "", key ? "." : "", pair->key);

		if (row && row->shape == SCHEMA_SETTINGS)
			json_object_set_new(into, below, value_json(row, pair->value));
		else
			add_json(into, schema_child(row, pair->key), pair->value, below);
	}
}

json_t *profile_explain_json(const struct profile *profile, const char *key, struct err *err)
{
	struct target target = {.node = profile->doc->root};
	json_t *object;

	if (key && find_target(profile, key, &target, err) < 0)
		return NULL;
	object = json_object();
	if (target.setting)
		json_object_set_new(object, key, value_json(target.row, target.node));
	else if (target.node)
		add_json(object, target.row, target.node, key);
	return object;
}
