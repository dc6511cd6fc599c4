/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions about the schema table, and reading one value as its row says.
 */
#include "profile/schema.h"

#include <stdio.h>
#include <string.h>

static const struct schema_compression compressions[] = {
	{"zstd", 1, 22, "3"},
	{"lz4", 1, 1, "1"},
	{"xz", 0, 9, "6"},
	{"gzip", 1, 9, "9"},
};

const struct schema_compression *schema_compression_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(compressions); i++)
		if (strcmp(compressions[i].name, name) == 0)
			return &compressions[i];
	return NULL;
}

/* What is left of row's key below parent, or NULL when it is elsewhere. */
static const char *below(const struct schema_row *parent, const struct schema_row *row)
{
	const char *key = row->key;

	if (!parent)
		return key;
	if (!str_has_prefix(key, parent->key))
		return NULL;
	key += strlen(parent->key);
	if (parent->shape == SCHEMA_TABLE)
		return str_has_prefix(key, "[].") ? key + 3 : NULL;
	return *key == '.' ? key + 1 : NULL;
}

bool schema_is_child(const struct schema_row *parent, const struct schema_row *row)
{
	const char *key = below(parent, row);

	return key && !strpbrk(key, ".[");
}

const struct schema_row *schema_child(const struct schema_row *parent, const char *key)
{
	for (size_t i = 0; i < schema_row_count; i++)
		if (schema_is_child(parent, &schema_rows[i]) &&
		    strcmp(below(parent, &schema_rows[i]), key) == 0)
			return &schema_rows[i];
	return NULL;
}

const char *schema_leaf(const struct schema_row *row)
{
	const char *dot = strrchr(row->key, '.');

	return dot ? dot + 1 : row->key;
}

const struct schema_row *schema_identity(const struct schema_row *table)
{
	for (const struct schema_row *row = table + 1; row < schema_rows + schema_row_count; row++)
		if (schema_is_child(table, row))
			return row;
	return NULL;
}

const struct schema_row *schema_identity_else(const struct schema_row *table)
{
	const struct schema_row *first = schema_identity(table);

	return first->excludes ? schema_child(table, first->excludes) : NULL;
}

const struct schema_row *schema_find(const char *key)
{
	for (size_t i = 0; i < schema_row_count; i++)
		if (strcmp(schema_rows[i].key, key) == 0)
			return &schema_rows[i];
	return NULL;
}

size_t schema_identity_length(const struct schema_row *row, const char *text)
{
	size_t at;

	if (row->type == &schema_type_package)
		return strcspn(text, "=");
	if (row->type != &schema_type_image)
		return strlen(text);
	/* A name without a tag may be there with several digests. */
	at = strcspn(text, "@");
	for (size_t i = at; i-- > 0 && text[i] != '/';)
		if (text[i] == ':')
			return at;
	return strlen(text);
}

struct schema_value schema_value_of(const struct schema_row *row, const char *text)
{
	struct schema_value value = {0};

	if (row->type->read)
		row->type->read(row, text, &value);
	return value;
}

void schema_patterns_free(struct schema_patterns *patterns)
{
	for (size_t i = 0; i < patterns->count; i++)
		regfree(&patterns->compiled[i].regex);
	patterns->count = 0;
}

static bool matches(struct schema_patterns *patterns, const struct schema_type *type,
		    const char *text)
{
	size_t i = 0;

	while (i < patterns->count && patterns->compiled[i].type != type)
		i++;
	if (i == patterns->count) {
		if (i == ARRAY_SIZE(patterns->compiled) ||
		    regcomp(&patterns->compiled[i].regex, type->pattern, REG_EXTENDED | REG_NOSUB))
			return false;
		patterns->compiled[i].type = type;
		patterns->count++;
	}
	return regexec(&patterns->compiled[i].regex, text, 0, NULL, 0) == 0;
}

bool schema_read(struct schema_patterns *patterns, const struct schema_row *row,
		 const struct schema_type *type, const char *text, struct schema_value *ret)
{
	bool fits;

	*ret = (struct schema_value){0};
	if (strlen(text) > type->max) {
		snprintf(ret->problem, sizeof(ret->problem), "text is too long for %s",
			 type->article);
		snprintf(ret->note, sizeof(ret->note), "at most %zu bytes", type->max);
		return false;
	}
	fits = !type->pattern || matches(patterns, type, text);
	/* Also for text that does not fit: the type may know what was meant. */
	if (type->read && !type->read(row, text, ret))
		fits = false;
	return fits;
}
