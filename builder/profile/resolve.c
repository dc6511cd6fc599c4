/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what the files say to the whole profile: every key of the schema in its order, with defaults
 * where no file says anything.
 */
#include "profile/load.h"

#include <stdio.h>
#include <string.h>

struct resolve {
	struct profile_loader *loader;
	struct doc_node *root; /* so far: earlier keys of the schema are there */
};

static struct doc_node *resolve_map(struct resolve *r, const struct schema_row *parent,
				    const struct doc_node *from, const struct doc_place *place);

static const char *default_kernel(struct resolve *r, const struct doc_node *section)
{
	const struct doc_node *base = doc_node_get(r->root, "base");

	(void)section;
	return mem_arena_printf(r->loader->arena, "linux-image-%s",
				doc_node_string(base, "architecture"));
}

static const char *default_level(struct resolve *r, const struct doc_node *section)
{
	(void)r;
	return schema_compression_find(doc_node_string(section, "compression"))->fallback;
}

static const char *default_home(struct resolve *r, const struct doc_node *section)
{
	const char *name = doc_node_string(section, "name");

	if (strcmp(name, "root") == 0)
		return "/root";
	return mem_arena_printf(r->loader->arena, "/home/%s", name);
}

static const struct {
	const char *key;
	const char *(*compute)(struct resolve *r, const struct doc_node *section);
} computed[] = {
	{"kernel.package", default_kernel},
	{"rootfs.level", default_level},
	{"users[].home", default_home},
};

/* The default of a row as a node without a file, or NULL. */
static struct doc_node *default_of(struct resolve *r, const struct schema_row *row,
				   const struct doc_node *section)
{
	struct doc_place none = {0};
	const char *text = row->fallback;

	for (size_t i = 0; i < ARRAY_SIZE(computed); i++)
		if (strcmp(computed[i].key, row->key) == 0)
			text = computed[i].compute(r, section);
	if (text && row->shape == SCHEMA_VALUE)
		return doc_node_text(r->loader->arena, text, none);
	if (text)
		return doc_parse(r->loader->arena, text, strlen(text), none, &r->loader->report);
	if (row->shape == SCHEMA_VALUE || row->type == &schema_type_parent)
		return NULL;
	return doc_node_new(r->loader->arena, row->shape == SCHEMA_SETTINGS ? DOC_MAP : DOC_LIST,
			    none);
}

/* A default comes with the place of its YAML text, which is nowhere. */
static void forget_place(struct doc_node *node)
{
	node->place = (struct doc_place){0};
	for (size_t i = 0; node->kind == DOC_LIST && i < node->count; i++)
		forget_place(node->items[i]);
}

static struct doc_node *resolve_table(struct resolve *r, const struct schema_row *row,
				      const struct doc_node *from)
{
	struct doc_node *list = doc_node_new(r->loader->arena, DOC_LIST, from->place);

	for (size_t i = 0; i < from->count; i++)
		doc_node_append(r->loader->arena, list,
				resolve_map(r, row, from->items[i], &from->items[i]->place));
	return list;
}

static void resolve_row(struct resolve *r, const struct schema_row *row,
			const struct doc_pair *have, struct doc_node *into,
			const struct doc_place *place)
{
	struct doc_node *value = have ? have->value : NULL;
	struct doc_place at = have ? have->place : (struct doc_place){0};

	if (row->shape == SCHEMA_SECTION) {
		static const struct doc_node nothing = {.kind = DOC_MAP};

		value = doc_node_new(r->loader->arena, DOC_MAP, at);
		doc_node_set(r->loader->arena, into, schema_leaf(row), at, value);
		*value = *resolve_map(r, row, have ? have->value : &nothing, place);
		return;
	}
	if (!value) {
		value = default_of(r, row, into);
		if (value)
			forget_place(value);
	} else if (row->shape == SCHEMA_TABLE) {
		value = resolve_table(r, row, value);
	}
	if (value)
		doc_node_set(r->loader->arena, into, schema_leaf(row), at, value);
	else if (row->required)
		doc_error(&r->loader->report, place, "required key '%s' is missing%s",
			  schema_leaf(row), strchr(row->key, '[') ? " in this entry" : "");
	if (value && row->shape == SCHEMA_LIST && value->count < (size_t)row->min)
		doc_error(&r->loader->report, place, "nothing is left of '%s'", row->key);
}

static struct doc_node *resolve_map(struct resolve *r, const struct schema_row *parent,
				    const struct doc_node *from, const struct doc_place *place)
{
	struct doc_node *into = doc_node_new(r->loader->arena, DOC_MAP, from->place);

	if (!parent)
		r->root = into;
	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];

		if (schema_is_child(parent, row) && row->type != &schema_type_parent)
			resolve_row(r, row, doc_node_pair(from, schema_leaf(row)), into, place);
	}
	return into;
}

struct doc_node *profile_resolve(struct profile_loader *loader, const struct doc_node *merged,
				 const struct doc_place *leaf)
{
	struct resolve r = {.loader = loader};

	return resolve_map(&r, NULL, merged, leaf);
}
