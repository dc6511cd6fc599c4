/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks one file against the schema table, in the order of the file: keys, shapes, values, and that
 * the files it names exist.
 */
#include "profile/load.h"

#include "base/path.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct check {
	struct profile_loader *loader;
	struct doc_report *report;
	struct mem_arena *arena;
	const char *folder;
};

static const char *const shape_words[] = {
	[SCHEMA_VALUE] = "one value",      [SCHEMA_LIST] = "a list",    [SCHEMA_SECTION] = "a map",
	[SCHEMA_TABLE] = "a list of maps", [SCHEMA_SETTINGS] = "a map",
};

static void check_map(struct check *c, const struct schema_row *parent, const struct doc_node *map);

/* The keys that a map may have; their count goes to ret_count. */
static const char **child_keys(struct check *c, const struct schema_row *parent, size_t *ret_count)
{
	const char **keys = mem_arena_alloc(c->arena, schema_row_count * sizeof(char *));

	*ret_count = 0;
	for (size_t i = 0; i < schema_row_count; i++)
		if (schema_is_child(parent, &schema_rows[i]))
			keys[(*ret_count)++] = schema_leaf(&schema_rows[i]);
	return keys;
}

static void note_keys(struct check *c, const struct schema_row *parent,
		      const struct doc_place *place)
{
	size_t count;
	const char **keys = child_keys(c, parent, &count);

	doc_note_nearest(c->report, place, "", keys, count, true);
}

/* Suggests also from elsewhere in the table: a right key in the wrong section is a common slip. */
static void report_unknown(struct check *c, const struct schema_row *parent,
			   const struct doc_pair *pair)
{
	size_t count;
	const char **siblings = child_keys(c, parent, &count);
	const char *nearest = str_nearest(pair->key, siblings, count);

	doc_error(c->report, &pair->place, "unknown key '%s'%s%s%s", doc_show(c->arena, pair->key),
		  parent ? " in '" : "", parent ? parent->key : "", parent ? "'" : "");
	for (size_t i = 0; i < schema_row_count && !nearest; i++)
		if (strcmp(schema_leaf(&schema_rows[i]), pair->key) == 0)
			nearest = schema_rows[i].key;
	if (nearest)
		doc_note(c->report, &pair->place, "did you mean '%s'?", nearest);
	else
		note_keys(c, parent, &pair->place);
}

/* What could have been meant by a value of the wrong shape. */
static void note_shape(struct check *c, const struct schema_row *row, const struct doc_node *value)
{
	switch (row->shape) {
	case SCHEMA_VALUE:
		doc_note(c->report, &value->place, "expected %s", row->type->expected);
		break;
	case SCHEMA_LIST:
		if (value->kind == DOC_SCALAR)
			doc_note(c->report, &value->place, "did you mean '[%s]'?",
				 doc_show(c->arena, value->text));
		else
			doc_note(c->report, &value->place, "expected items such as '[a, b]'");
		break;
	case SCHEMA_SECTION:
		note_keys(c, row, &value->place);
		break;
	case SCHEMA_TABLE:
		doc_note(c->report, &value->place, "expected entries that start with '- %s: '",
			 schema_leaf(schema_identity(row)));
		break;
	case SCHEMA_SETTINGS:
		doc_note(c->report, &value->place, "expected keys and values, such as '%s'",
			 row->keys == &schema_type_label_key ? "disk: ssd"
							     : "net.ipv4.ip_forward: 1");
		break;
	}
}

static bool check_shape(struct check *c, const struct schema_row *row, const struct doc_pair *pair)
{
	static const enum doc_kind kinds[] = {
		[SCHEMA_VALUE] = DOC_SCALAR, [SCHEMA_LIST] = DOC_LIST,
		[SCHEMA_SECTION] = DOC_MAP,  [SCHEMA_TABLE] = DOC_LIST,
		[SCHEMA_SETTINGS] = DOC_MAP,
	};
	struct doc_node *value = pair->value;

	if (doc_node_is_null(value)) {
		doc_error(c->report, &pair->place, "'%s' has no value", pair->key);
		doc_note(c->report, &pair->place, "expected %s%s",
			 row->shape == SCHEMA_VALUE ? row->type->article : shape_words[row->shape],
			 row->required ? "" : ", or no such key");
		return false;
	}
	if (row->shape == SCHEMA_LIST && row->shorthand && value->kind == DOC_SCALAR)
		profile_expand(c->arena, row, value);
	if (value->kind == kinds[row->shape])
		return true;
	doc_error(c->report, &value->place, "'%s' must be %s, this is %s", pair->key,
		  shape_words[row->shape], doc_node_what(value));
	note_shape(c, row, value);
	return false;
}

static void resolve_overlay(struct check *c, struct doc_node *node)
{
	const char *nearest;

	node->resolved = profile_find_overlay(c->loader, c->folder, node->text);
	if (node->resolved)
		return;
	doc_error(c->report, &node->place, "cannot find overlay '%s'",
		  doc_show(c->arena, node->text));
	nearest = profile_find_nearest(c->loader, c->folder, node->text, true);
	if (nearest)
		doc_note(c->report, &node->place, "did you mean '%s'?", nearest);
	else
		doc_note(c->report, &node->place, "expected %s", schema_type_overlay.expected);
}

static void resolve_file(struct check *c, const struct schema_row *row, struct doc_node *node)
{
	CLEANUP_FREE char *path = path_join(c->folder, node->text);
	struct stat st;

	node->resolved = mem_arena_strdup(c->arena, path);
	if (stat(path, &st) < 0)
		doc_error(c->report, &node->place, "cannot read %s'%s': %s",
			  row->type->folder ? "" : "file ", doc_show(c->arena, node->text),
			  strerror(errno));
	else if (!S_ISREG(st.st_mode) && !(row->type->folder && S_ISDIR(st.st_mode)))
		doc_error(c->report, &node->place, "'%s' is not a %s",
			  doc_show(c->arena, node->text),
			  row->type->folder ? "folder or regular file" : "regular file");
	else
		return;
	doc_note(c->report, &node->place, "expected %s", row->type->expected);
}

/* Types that JSON has too are written without quotes. */
static bool check_quotes(struct check *c, const struct schema_row *row, const struct doc_node *node)
{
	enum schema_store store = row->type->store;

	if (node->plain || (row->type != &schema_type_bool && row->type != &schema_type_integer &&
			    store != SCHEMA_I64))
		return true;
	doc_error(c->report, &node->place, "text is not %s", row->type->article);
	doc_note(c->report, &node->place, "write it without quotes");
	return false;
}

static void check_text(struct check *c, const struct schema_row *row,
		       const struct schema_type *type, const char *text,
		       const struct doc_place *place)
{
	struct schema_value value;

	if (schema_read(&c->loader->patterns, row, type, text, &value))
		return;
	if (value.problem[0])
		doc_error(c->report, place, "%s", value.problem);
	else
		doc_error(c->report, place, "'%s' is not %s", doc_show(c->arena, text),
			  type->article);
	if (value.note[0])
		doc_note(c->report, place, "%s", value.note);
	else
		doc_note(c->report, place, "expected %s", type->expected);
}

/* One value of row: the value itself, a list item or a setting. */
static void check_value(struct check *c, const struct schema_row *row, struct doc_node *node)
{
	size_t before = c->report->count;

	if (node->kind != DOC_SCALAR || doc_node_is_null(node)) {
		doc_error(c->report, &node->place, "expected %s, this is %s", row->type->article,
			  doc_node_what(node));
		if (node->kind == DOC_LIST && node->count == 1 &&
		    node->items[0]->kind == DOC_SCALAR)
			doc_note(c->report, &node->place,
				 "to take out what a parent has write '-%s' without a space",
				 doc_show(c->arena, node->items[0]->text));
		return;
	}
	if (!check_quotes(c, row, node))
		return;
	check_text(c, row, row->type, node->text, &node->place);
	if (c->report->count != before)
		return;
	if (row->type->store == SCHEMA_OVERLAY)
		resolve_overlay(c, node);
	else if (row->type->store == SCHEMA_PATH)
		resolve_file(c, row, node);
}

static void check_list(struct check *c, const struct schema_row *row, const struct doc_node *list)
{
	if (row->min > 0 && list->count < (size_t)row->min)
		doc_error(c->report, &list->place, "'%s' must not be empty", schema_leaf(row));
	for (size_t i = 0; i < list->count; i++) {
		struct doc_node *item = list->items[i];

		if (doc_node_is_removal(item))
			check_text(c, row, row->type, item->text + 1, &item->place);
		else
			check_value(c, row, item);
	}
}

/* "-x": text that could identify an entry by either key. */
static void check_removal(struct check *c, const struct schema_row *table,
			  const struct doc_node *item)
{
	const struct schema_row *row = schema_identity(table), *other = schema_identity_else(table);
	struct schema_value value;

	if (other && schema_read(&c->loader->patterns, other, other->type, item->text + 1, &value))
		row = other;
	check_text(c, row, row->type, item->text + 1, &item->place);
}

static void check_identity(struct check *c, const struct schema_row *row,
			   const struct doc_node *list, size_t index)
{
	const struct doc_pair *id = profile_entry_identity(row, list->items[index]);
	const struct schema_row *key = id ? schema_child(row, id->key) : NULL;

	for (size_t i = 0; i < index && id && id->value->kind == DOC_SCALAR; i++) {
		const struct doc_pair *other = profile_entry_identity(row, list->items[i]);

		if (!other || other->value->kind != DOC_SCALAR ||
		    !profile_identity_equal(key, id, other))
			continue;
		doc_error(c->report, &id->value->place, "'%s' is in '%s' twice",
			  doc_show(c->arena, id->value->text), row->key);
		doc_note(c->report, &other->value->place, "first given here");
		return;
	}
}

static void check_entry(struct check *c, const struct schema_row *row, const struct doc_node *list,
			size_t index)
{
	const char *id = schema_leaf(schema_identity(row));
	const struct schema_row *other = schema_identity_else(row);
	struct doc_node *entry = list->items[index];

	if (doc_node_is_removal(entry)) {
		check_removal(c, row, entry);
		return;
	}
	if (row->shorthand && entry->kind == DOC_SCALAR && !doc_node_is_null(entry))
		profile_expand(c->arena, row, entry);
	if (entry->kind != DOC_MAP) {
		doc_error(c->report, &entry->place, "expected %sa map with '%s', this is %s",
			  row->shorthand ? "text or " : "", id, doc_node_what(entry));
		return;
	}
	if (!profile_entry_identity(row, entry))
		doc_error(c->report, &entry->place, "required key '%s'%s%s%s is missing in '%s'",
			  id, other ? " or '" : "", other ? schema_leaf(other) : "",
			  other ? "'" : "", row->key);
	check_map(c, row, entry);
	check_identity(c, row, list, index);
}

static void check_settings(struct check *c, const struct schema_row *row,
			   const struct doc_node *map)
{
	for (size_t i = 0; i < map->count; i++) {
		struct doc_pair *pair = &map->pairs[i];

		check_text(c, row, row->keys, pair->key, &pair->place);
		check_value(c, row, pair->value);
	}
}

static void check_pair(struct check *c, const struct schema_row *row, struct doc_pair *pair)
{
	/* Parents were found, or not, when they were loaded. */
	if (row->type == &schema_type_parent)
		return;
	if (!check_shape(c, row, pair))
		return;
	switch (row->shape) {
	case SCHEMA_VALUE:
		check_value(c, row, pair->value);
		break;
	case SCHEMA_LIST:
		check_list(c, row, pair->value);
		break;
	case SCHEMA_SECTION:
		check_map(c, row, pair->value);
		break;
	case SCHEMA_TABLE:
		for (size_t i = 0; i < pair->value->count; i++)
			check_entry(c, row, pair->value, i);
		break;
	case SCHEMA_SETTINGS:
		check_settings(c, row, pair->value);
		break;
	}
}

static void check_map(struct check *c, const struct schema_row *parent, const struct doc_node *map)
{
	for (size_t i = 0; i < map->count; i++) {
		struct doc_pair *pair = &map->pairs[i];
		const struct schema_row *row = schema_child(parent, pair->key);
		const struct doc_pair *other;

		if (!row) {
			report_unknown(c, parent, pair);
			continue;
		}
		check_pair(c, row, pair);
		other = row->excludes ? doc_node_pair(map, row->excludes) : NULL;
		if (other && other < pair) {
			doc_error(c->report, &pair->place, "'%s' cannot go with '%s'", pair->key,
				  other->key);
			doc_note(c->report, &other->place, "'%s' is given here", other->key);
		}
	}
}

void profile_check(struct profile_loader *loader, const char *folder, const struct doc_node *root)
{
	struct check c = {
		.loader = loader,
		.report = &loader->report,
		.arena = loader->arena,
		.folder = folder,
	};

	if (root->kind == DOC_MAP) {
		check_map(&c, NULL, root);
		return;
	}
	doc_error(&loader->report, &root->place, "a profile must be a map of keys, this is %s",
		  doc_node_what(root));
	doc_note(&loader->report, &root->place, "a profile starts like 'name: web'");
}
