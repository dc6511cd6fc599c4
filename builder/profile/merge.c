/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merges checked files, parents first. What is merged into is always a fresh map or list, so the
 * files' own trees stay as they are.
 */
#include "profile/load.h"

#include <string.h>

static void merge_map(struct profile_loader *loader, const struct schema_row *parent,
		      struct doc_node *into, const struct doc_node *from);

/* "-nano" takes away what a parent gave; taking away what nobody gave is a slip of the pen. */
static void report_unlisted(struct profile_loader *loader, const struct schema_row *row,
			    const struct doc_node *item, const char *const *names, size_t count)
{
	doc_error(&loader->report, &item->place, "cannot remove '%s': '%s' of no parent has it",
		  doc_show(loader->arena, item->text + 1), row->key);
	doc_note_nearest(&loader->report, &item->place, item->text + 1, names, count, false);
}

static const char *item_text(const struct schema_row *row, const struct doc_node *item)
{
	if (row->shape == SCHEMA_TABLE)
		return profile_entry_identity(row, item)->value->text;
	return item->text;
}

/* The row whose values identify item. */
static const struct schema_row *item_row(const struct schema_row *row, const struct doc_node *item)
{
	if (row->shape == SCHEMA_TABLE)
		return schema_child(row, profile_entry_identity(row, item)->key);
	return row;
}

/* Index of the item in list that stands for the same thing as text, or list->count. key: the row that
 * identifies it, NULL for any. */
static size_t find_item(const struct schema_row *row, const struct doc_node *list,
			const struct schema_row *key, const char *text)
{
	size_t i = 0;

	for (; i < list->count; i++) {
		const struct schema_row *have = item_row(row, list->items[i]);
		const char *other = item_text(row, list->items[i]);
		size_t len = schema_identity_length(have, text);

		if ((!key || key == have) && strncmp(other, text, len) == 0 &&
		    schema_identity_length(have, other) == len)
			break;
	}
	return i;
}

static void remove_item(struct profile_loader *loader, const struct schema_row *row,
			struct doc_node *into, const struct doc_node *item)
{
	size_t i = find_item(row, into, NULL, item->text + 1);
	const char **names;

	if (i < into->count) {
		doc_node_remove(into, i);
		return;
	}
	names = mem_arena_alloc(loader->arena, (into->count + 1) * sizeof(char *));
	for (i = 0; i < into->count; i++)
		names[i] = item_text(row, into->items[i]);
	report_unlisted(loader, row, item, names, into->count);
}

static void merge_list(struct profile_loader *loader, const struct schema_row *row,
		       struct doc_node *into, const struct doc_node *from)
{
	for (size_t i = 0; i < from->count; i++) {
		struct doc_node *item = from->items[i];
		size_t at;

		if (doc_node_is_removal(item)) {
			remove_item(loader, row, into, item);
			continue;
		}
		at = find_item(row, into, item_row(row, item), item_text(row, item));
		if (at == DOC_ITEMS_MAX) {
			doc_error(&loader->report, &item->place,
				  "more than %zu items in '%s' of all parents", DOC_ITEMS_MAX,
				  row->key);
			return;
		}
		if (row->shape == SCHEMA_TABLE) {
			if (at == into->count)
				doc_node_append(loader->arena, into,
						doc_node_new(loader->arena, DOC_MAP, item->place));
			merge_map(loader, row, into->items[at], item);
		} else if (at == into->count) {
			doc_node_append(loader->arena, into, item);
		} else if (strcmp(into->items[at]->text, item->text) != 0) {
			/* Another version of the same package. */
			into->items[at] = item;
		}
	}
}

static void merge_settings(struct profile_loader *loader, struct doc_node *into,
			   const struct doc_node *from)
{
	for (size_t i = 0; i < from->count; i++)
		doc_node_set(loader->arena, into, from->pairs[i].key, from->pairs[i].place,
			     from->pairs[i].value);
}

static void merge_pair(struct profile_loader *loader, const struct schema_row *row,
		       struct doc_node *into, const struct doc_pair *pair)
{
	const struct doc_node *value = pair->value;
	struct doc_node *have = doc_node_get(into, pair->key);

	if (row->shape == SCHEMA_VALUE) {
		if (row->excludes)
			doc_node_unset(into, row->excludes);
		doc_node_set(loader->arena, into, pair->key, pair->place, pair->value);
		return;
	}
	if (!have) {
		have = doc_node_new(loader->arena, value->kind, value->place);
		doc_node_set(loader->arena, into, pair->key, pair->place, have);
	}
	if (row->shape == SCHEMA_SECTION)
		merge_map(loader, row, have, value);
	else if (row->shape == SCHEMA_SETTINGS)
		merge_settings(loader, have, value);
	else
		merge_list(loader, row, have, value);
}

static void merge_map(struct profile_loader *loader, const struct schema_row *parent,
		      struct doc_node *into, const struct doc_node *from)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct schema_row *row = schema_child(parent, from->pairs[i].key);

		if (row && row->type != &schema_type_parent)
			merge_pair(loader, row, into, &from->pairs[i]);
	}
}

void profile_merge(struct profile_loader *loader, struct doc_node *into,
		   const struct doc_node *from)
{
	merge_map(loader, NULL, into, from);
}
