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
	struct profile_node *root; /* so far: earlier keys of the schema are there */
};

static struct profile_node *resolve_map(struct resolve *r, const struct schema_row *parent,
					const struct profile_node *from,
					const struct profile_place *place);

static const char *default_kernel(struct resolve *r, const struct profile_node *section)
{
	const struct profile_node *base = profile_node_get(r->root, "base");

	(void)section;
	return mem_arena_printf(r->loader->arena, "linux-image-%s",
				profile_node_string(base, "architecture"));
}

static const char *default_level(struct resolve *r, const struct profile_node *section)
{
	(void)r;
	return schema_compression_find(profile_node_string(section, "compression"))->fallback;
}

static const char *default_home(struct resolve *r, const struct profile_node *section)
{
	const char *name = profile_node_string(section, "name");

	if (strcmp(name, "root") == 0)
		return "/root";
	return mem_arena_printf(r->loader->arena, "/home/%s", name);
}

static const struct {
	const char *key;
	const char *(*compute)(struct resolve *r, const struct profile_node *section);
} computed[] = {
	{"kernel.package", default_kernel},
	{"rootfs.level", default_level},
	{"users[].home", default_home},
};

/* The default of a row as a node without a file, or NULL. */
static struct profile_node *default_of(struct resolve *r, const struct schema_row *row,
				       const struct profile_node *section)
{
	struct profile_place none = {0};
	const char *text = row->fallback;

	for (size_t i = 0; i < ARRAY_SIZE(computed); i++)
		if (strcmp(computed[i].key, row->key) == 0)
			text = computed[i].compute(r, section);
	if (text && row->shape == SCHEMA_VALUE)
		return profile_node_text(r->loader->arena, text, none);
	if (text)
		return profile_parse_yaml(r->loader->arena, text, strlen(text), none,
					  &r->loader->report);
	if (row->shape == SCHEMA_VALUE || row->type == &schema_type_parent)
		return NULL;
	return profile_node_new(r->loader->arena,
				row->shape == SCHEMA_SETTINGS ? PROFILE_MAP : PROFILE_LIST, none);
}

/* A default comes with the place of its YAML text, which is nowhere. */
static void forget_place(struct profile_node *node)
{
	node->place = (struct profile_place){0};
	for (size_t i = 0; node->kind == PROFILE_LIST && i < node->count; i++)
		forget_place(node->items[i]);
}

static struct profile_node *resolve_table(struct resolve *r, const struct schema_row *row,
					  const struct profile_node *from)
{
	struct profile_node *list = profile_node_new(r->loader->arena, PROFILE_LIST, from->place);

	for (size_t i = 0; i < from->count; i++)
		profile_node_append(r->loader->arena, list,
				    resolve_map(r, row, from->items[i], &from->items[i]->place));
	return list;
}

static void resolve_row(struct resolve *r, const struct schema_row *row,
			const struct profile_pair *have, struct profile_node *into,
			const struct profile_place *place)
{
	struct profile_node *value = have ? have->value : NULL;
	struct profile_place at = have ? have->place : (struct profile_place){0};

	if (row->shape == SCHEMA_SECTION) {
		static const struct profile_node nothing = {.kind = PROFILE_MAP};

		value = profile_node_new(r->loader->arena, PROFILE_MAP, at);
		profile_node_set(r->loader->arena, into, schema_leaf(row), at, value);
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
		profile_node_set(r->loader->arena, into, schema_leaf(row), at, value);
	else if (row->required)
		profile_error(&r->loader->report, place, "required key '%s' is missing%s",
			      schema_leaf(row), strchr(row->key, '[') ? " in this entry" : "");
	if (value && row->shape == SCHEMA_LIST && value->count < (size_t)row->min)
		profile_error(&r->loader->report, place, "nothing is left of '%s'", row->key);
}

static struct profile_node *resolve_map(struct resolve *r, const struct schema_row *parent,
					const struct profile_node *from,
					const struct profile_place *place)
{
	struct profile_node *into = profile_node_new(r->loader->arena, PROFILE_MAP, from->place);

	if (!parent)
		r->root = into;
	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];

		if (schema_is_child(parent, row) && row->type != &schema_type_parent)
			resolve_row(r, row, profile_node_pair(from, schema_leaf(row)), into, place);
	}
	return into;
}

struct profile_node *profile_resolve(struct profile_loader *loader,
				     const struct profile_node *merged,
				     const struct profile_place *leaf)
{
	struct resolve r = {.loader = loader};

	return resolve_map(&r, NULL, merged, leaf);
}
