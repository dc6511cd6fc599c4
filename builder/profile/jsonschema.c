/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema table as JSON Schema (draft 2020-12), for editors and other programs. It cannot say
 * everything that the loader checks, but it never refuses what the loader accepts.
 */
#include "profile/load.h"

#include <string.h>

static json_t *map_schema(const struct schema_row *parent);

/* Programs that read YAML for a JSON Schema make numbers of what looks like one: 1.10, 22, 0644. */
static json_t *names_of_types(const struct schema_row *row)
{
	const struct schema_type *type = row->type;

	if (type == &schema_type_bool)
		return json_string("boolean");
	if (type->store == SCHEMA_I64 || type == &schema_type_integer)
		return json_string("integer");
	if (type == &schema_type_sysctl || type == &schema_type_version ||
	    type == &schema_type_label)
		return json_pack("[s, s]", "string", "number");
	if (type->store != SCHEMA_STRING && type->store != SCHEMA_OVERLAY &&
	    type->store != SCHEMA_PATH && type->store != SCHEMA_NOWHERE)
		return json_pack("[s, s]", "string", "integer");
	if (type == &schema_type_owner)
		return json_pack("[s, s]", "string", "integer");
	return json_string("string");
}

static json_t *value_schema(const struct schema_row *row)
{
	const struct schema_type *type = row->type;
	json_t *schema = json_object(), *choices;

	if (row->choices) {
		choices = json_array();
		for (size_t i = 0; row->choices[i]; i++)
			json_array_append_new(choices, json_string(row->choices[i]));
		json_object_set_new(schema, "enum", choices);
		return schema;
	}
	json_object_set_new(schema, "type", names_of_types(row));
	if (type->pattern)
		json_object_set_new(schema, "pattern", json_string(type->pattern));
	if (type->store == SCHEMA_STRING && type->max <= 4096)
		json_object_set_new(schema, "maxLength", json_integer((json_int_t)type->max));
	if (row->shape == SCHEMA_VALUE && row->max > 0) {
		json_object_set_new(schema, "minimum", json_integer(row->min));
		json_object_set_new(schema, "maximum", json_integer(row->max));
	}
	return schema;
}

/* An item, or "-item", which takes one of a parent out. */
static json_t *item_schema(const struct schema_row *row)
{
	json_t *item = row->shape == SCHEMA_TABLE ? map_schema(row) : value_schema(row);

	if (row->type == &schema_type_parent)
		return item;
	item = json_pack("{s: [o, {s: s, s: s}]}", "anyOf", item, "type", "string", "pattern",
			 "^-.");
	if (row->shape == SCHEMA_TABLE && row->shorthand)
		json_array_append_new(json_object_get(item, "anyOf"),
				      value_schema(schema_identity(row)));
	return item;
}

static json_t *list_schema(const struct schema_row *row)
{
	json_t *schema = json_pack("{s: s, s: o}", "type", "array", "items", item_schema(row));

	if (row->shape == SCHEMA_LIST && row->min > 0)
		json_object_set_new(schema, "minItems", json_integer(row->min));
	return schema;
}

static json_t *settings_schema(const struct schema_row *row)
{
	return json_pack("{s: s, s: {s: s}, s: o}", "type", "object", "propertyNames", "pattern",
			 row->keys->pattern, "additionalProperties", value_schema(row));
}

/* The default as a value of its JSON type. */
static json_t *default_schema(const struct schema_row *row)
{
	struct schema_value value;
	json_t *list;

	if (row->shape == SCHEMA_VALUE) {
		value = schema_value_of(row, row->fallback);
		if (row->type == &schema_type_bool)
			return json_boolean(value.number);
		if (row->type == &schema_type_integer)
			return json_integer(value.number);
		return json_string(row->fallback);
	}
	/* Lists have defaults of plain words: "[raw, qcow2]". */
	list = json_array();
	for (const char *p = row->fallback; *p;) {
		size_t len;

		p += strspn(p, "[], ");
		len = strcspn(p, "[], ");
		if (len)
			json_array_append_new(list, json_stringn(p, len));
		p += len;
	}
	return list;
}

static json_t *row_schema(const struct schema_row *row)
{
	json_t *schema;

	switch (row->shape) {
	case SCHEMA_SECTION:
		schema = map_schema(row);
		break;
	case SCHEMA_SETTINGS:
		schema = settings_schema(row);
		break;
	case SCHEMA_VALUE:
		schema = value_schema(row);
		break;
	default:
		schema = list_schema(row);
	}
	if (row->shape == SCHEMA_LIST && row->shorthand)
		schema = json_pack("{s: [o, o]}", "anyOf", schema, item_schema(row));
	json_object_set_new(schema, "description", json_string(row->help));
	if (row->fallback)
		json_object_set_new(schema, "default", default_schema(row));
	return schema;
}

static json_t *map_schema(const struct schema_row *parent)
{
	const struct schema_row *other;
	json_t *properties = json_object();
	json_t *schema = json_pack("{s: s, s: o, s: b}", "type", "object", "properties", properties,
				   "additionalProperties", 0);

	for (size_t i = 0; i < schema_row_count; i++)
		if (schema_is_child(parent, &schema_rows[i]))
			json_object_set_new(properties, schema_leaf(&schema_rows[i]),
					    row_schema(&schema_rows[i]));
	if (!parent || parent->shape != SCHEMA_TABLE)
		return schema;
	/* Others may come from a parent, but entries are found by this one. */
	other = schema_identity_else(parent);
	if (other)
		json_object_set_new(schema, "oneOf",
				    json_pack("[{s: [s]}, {s: [s]}]", "required",
					      schema_leaf(schema_identity(parent)), "required",
					      schema_leaf(other)));
	else
		json_object_set_new(schema, "required",
				    json_pack("[s]", schema_leaf(schema_identity(parent))));
	return schema;
}

json_t *profile_json_schema(void)
{
	json_t *schema = map_schema(NULL);

	json_object_set_new(schema, "$schema",
			    json_string("https://json-schema.org/draft/2020-12/schema"));
	json_object_set_new(schema, "title", json_string("ingot profile"));
	return schema;
}
