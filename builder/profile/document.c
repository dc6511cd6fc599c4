/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema table as documents: text for `ingot explain --keys` and a Markdown table for the README.
 */
#include "profile/load.h"

#include <stdio.h>
#include <string.h>

#define TEXT_WIDTH ((size_t)92)

static const struct {
	const char *word; /* in tables */
	const char *rule;
} merges[] = {
	[SCHEMA_VALUE] = {"child wins", "a value of the child replaces the parent's"},
	[SCHEMA_LIST] =
		{"append",
		 "a list has the parents' items, then the child's; the item -x takes x out"},
	[SCHEMA_SECTION] = {"by key", "a map merges key by key"},
	[SCHEMA_TABLE] = {"by entry",
			  "entries with the same first key merge; the item -x takes entry x out"},
	[SCHEMA_SETTINGS] = {"by key", "a map merges key by key"},
};

static const char *choice_words(struct mem_arena *arena, const struct schema_row *row)
{
	CLEANUP(str_free) struct str text = {0};

	str_add(&text, row->choices[1] ? "one of " : "");
	for (size_t i = 0; row->choices[i]; i++)
		str_addf(&text, "%s%s", i ? ", " : "", row->choices[i]);
	return mem_arena_strdup(arena, text.data);
}

const char *profile_type_words(struct mem_arena *arena, const struct schema_row *row)
{
	const char *name = row->type ? row->type->name : "";
	const struct schema_row *other;

	if (row->choices)
		name = choice_words(arena, row);
	switch (row->shape) {
	case SCHEMA_LIST:
		return mem_arena_printf(arena, "list of %s", name);
	case SCHEMA_SECTION:
		return "map";
	case SCHEMA_TABLE:
		other = schema_identity_else(row);
		return mem_arena_printf(arena, "list of maps by %s%s%s",
					schema_leaf(schema_identity(row)), other ? " or " : "",
					other ? schema_leaf(other) : "");
	case SCHEMA_SETTINGS:
		return "map of text";
	default:
		return name;
	}
}

const char *profile_default_words(const struct schema_row *row)
{
	if (row->computed)
		return row->computed;
	return row->fallback;
}

/* Adds text wrapped at TEXT_WIDTH, indented by four. */
static void add_wrapped(struct str *text, const char *help)
{
	size_t column = 0;

	while (*help) {
		size_t word = strcspn(help, " ");

		if (column && column + 1 + word > TEXT_WIDTH) {
			str_add(text, "\n");
			column = 0;
		}
		str_addf(text, "%s%.*s", column ? " " : "    ", (int)word, help);
		column += (column ? 1 : 4) + word;
		help += word;
		help += strspn(help, " ");
	}
	str_add(text, "\n");
}

static void document_row(struct mem_arena *arena, const struct schema_row *row, struct str *text)
{
	const char *fallback = profile_default_words(row);

	str_addf(text, "\n%s\n    %s", row->key, profile_type_words(arena, row));
	if (row->required)
		str_add(text, "; required");
	if (fallback)
		str_addf(text, "; default %s", fallback);
	str_addf(text, "; merges: %s\n", merges[row->shape].word);
	add_wrapped(text, row->help);
	if (row->type && !row->choices && row->type->expected)
		add_wrapped(text, mem_arena_printf(arena, "Written as %s.", row->type->expected));
}

void profile_document_keys(struct str *text)
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();

	str_add(text, "Keys of a profile. A profile merges with those that it extends, parents "
		      "first:\n");
	for (size_t i = 0; i < ARRAY_SIZE(merges); i++)
		if (i != SCHEMA_SETTINGS)
			str_addf(text, "  %-10s  %s\n", merges[i].word, merges[i].rule);
	str_add(text, "--set KEY=VALUE counts as one more child; VALUE is YAML.\n");
	for (size_t i = 0; i < schema_row_count; i++)
		document_row(arena, &schema_rows[i], text);
}

/* Adds a cell of a Markdown table: '|' ends one, and '<' starts HTML. */
static void add_cell(struct str *text, const char *cell)
{
	for (; *cell; cell++) {
		if (*cell == '|' || *cell == '<')
			str_add(text, "\\");
		str_add_bytes(text, cell, 1);
	}
}

void profile_document_markdown(struct str *text)
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();

	str_add(text, "| Key | Type | Default | Merge | Meaning |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];
		const char *fallback = profile_default_words(row);

		str_addf(text, "| `%s` | ", row->key);
		add_cell(text, profile_type_words(arena, row));
		str_add(text, " | ");
		if (row->required)
			str_add(text, "required");
		else if (row->fallback)
			str_addf(text, "`%s`", row->fallback);
		else if (fallback)
			add_cell(text, fallback);
		str_addf(text, " | %s | ", merges[row->shape].word);
		add_cell(text, row->help);
		str_add(text, " |\n");
	}
}
