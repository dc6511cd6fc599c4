/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What manifest.json and locks tell. Both may come from anywhere: members of a wrong type are an error,
 * unknown members are left alone.
 */
#include "inspect/inventory_parts.h"

#include <string.h>

static int bad(const struct inventory *inv, const char *member, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read '%s': its member %s is not as in a %s",
		       inv->name, member, inv->kind);
}

static int add_package(struct inventory *inv, const char *category, const json_t *item,
		       const char *native, struct err *err)
{
	static const char *const members[] = {"version", "architecture", "sha256"};
	const char *name = json_member_string(item, "name");
	const char *arch = json_member_string(item, "architecture");
	bool foreign = native && arch && strcmp(arch, native) != 0 && strcmp(arch, "all") != 0;
	CLEANUP_FREE char *key =
		mem_printf("%s%s%s", name ? name : "", foreign ? ":" : "", foreign ? arch : "");
	json_t *row;

	if (!name || !json_member_string(item, "version"))
		return bad(inv, category, err);
	row = json_object();
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (json_is_string(json_object_get(item, members[i])))
			json_object_set(row, members[i], json_object_get(item, members[i]));
	return inventory_set(inv, category, key, row, err);
}

/* The list of that name, with which the category is known. */
static int add_packages(struct inventory *inv, const json_t *value, const char *category,
			const char *native, struct err *err)
{
	const json_t *list = json_object_get(value, category), *item;
	size_t i;

	if (!list)
		return 0;
	if (!json_is_array(list))
		return bad(inv, category, err);
	inventory_category(inv, category);
	json_array_foreach(list, i, item)
	{
		if (add_package(inv, category, item, native, err) < 0)
			return -1;
	}
	return 0;
}

/* A list of objects with two texts, such as a suite and its digest, as a category. */
static int add_pairs(struct inventory *inv, const json_t *value, const char *category,
		     const char *key, const char *what, struct err *err)
{
	const json_t *list = json_object_get(value, category), *item;
	size_t i;

	if (!list)
		return 0;
	inventory_category(inv, category);
	json_array_foreach(list, i, item)
	{
		const char *name = json_member_string(item, key);
		json_t *text = json_object_get(item, what);

		if (!name || !json_is_string(text))
			return bad(inv, category, err);
		if (inventory_set(inv, category, name, json_incref(text), err) < 0)
			return -1;
	}
	return 0;
}

static int add_containers(struct inventory *inv, const json_t *value, struct err *err)
{
	const json_t *list = json_object_get(value, "containers");

	if (!list)
		return 0;
	if (!json_is_array(list))
		return bad(inv, "containers", err);
	return inventory_take_containers(inv, list, err);
}

static int add_texts(struct inventory *inv, const json_t *value, struct err *err)
{
	static const char *const members[] = {"name", "version", "architecture", "root_hash"};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_t *member = json_object_get(value, members[i]);

		if (json_is_string(member) &&
		    inventory_set(inv, "image", members[i], json_incref(member), err) < 0)
			return -1;
	}
	return 0;
}

/* An object of texts as a category of its own. */
static int add_map(struct inventory *inv, json_t *map, const char *category, struct err *err)
{
	const char *name;
	json_t *item;

	if (json_is_object(map))
		inventory_category(inv, category);
	json_object_foreach(map, name, item)
	{
		if (json_is_string(item) &&
		    inventory_set(inv, category, name, json_incref(item), err) < 0)
			return -1;
	}
	return 0;
}

static int add_disk(struct inventory *inv, const json_t *disk, struct err *err)
{
	const json_t *item;
	size_t i;

	if (!disk)
		return 0;
	if (!json_is_integer(json_object_get(disk, "size")))
		return bad(inv, "disk", err);
	json_array_foreach(json_object_get(disk, "partitions"), i, item)
	{
		const char *name = json_member_string(item, "name");
		json_t *row = json_object();

		json_object_set(row, "number", json_object_get(item, "number"));
		json_object_set(row, "size", json_object_get(item, "size"));
		if (inventory_set(inv, "partitions", name ? name : "?", row, err) < 0)
			return -1;
	}
	return inventory_set(inv, "sizes", "disk", json_incref(json_object_get(disk, "size")), err);
}

static int add_artifacts(struct inventory *inv, const json_t *list, struct err *err)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *format = json_member_string(item, "format");
		CLEANUP_FREE char *name = mem_printf("file %s", format ? format : "?");
		json_t *bytes = json_object_get(item, "bytes");

		if (!format || !json_is_integer(bytes))
			return bad(inv, "artifacts", err);
		if (inventory_set(inv, "sizes", name, json_incref(bytes), err) < 0)
			return -1;
	}
	return 0;
}

static int read_manifest(struct inventory *inv, const json_t *value, struct err *err)
{
	const char *native = json_member_string(value, "architecture");

	if (add_texts(inv, value, err) < 0 ||
	    add_packages(inv, value, "packages", native, err) < 0 ||
	    add_map(inv, json_object_get(value, "keys"), "keys", err) < 0 ||
	    add_disk(inv, json_object_get(value, "disk"), err) < 0)
		return -1;
	if (add_containers(inv, value, err) < 0)
		return -1;
	return add_artifacts(inv, json_object_get(value, "artifacts"), err);
}

static int read_lock(struct inventory *inv, const json_t *value, struct err *err)
{
	json_t *profile = json_object_get(value, "profile");
	json_t *native = json_object_get(json_object_get(value, "base"), "architecture");

	if (!json_is_string(profile) || !json_is_string(native))
		return bad(inv, "profile or base", err);
	if (inventory_set(inv, "image", "name", json_incref(profile), err) < 0 ||
	    inventory_set(inv, "image", "architecture", json_incref(native), err) < 0 ||
	    add_packages(inv, value, "packages", json_string_value(native), err) < 0 ||
	    add_packages(inv, value, "build_packages", json_string_value(native), err) < 0 ||
	    add_pairs(inv, value, "repositories", "suite", "inrelease", err) < 0)
		return -1;
	return add_containers(inv, value, err);
}

int inventory_read_json(struct inventory *inv, const char *text, size_t len, struct err *err)
{
	CLEANUP_JSON json_t *value = json_parse(text, len, inv->name, err);

	if (!value)
		return -1;
	if (json_is_array(json_object_get(value, "artifacts"))) {
		inv->kind = "manifest";
		return read_manifest(inv, value, err);
	}
	if (json_is_integer(json_object_get(value, "lock"))) {
		inv->kind = "lock";
		return read_lock(inv, value, err);
	}
	return err_set(err, ERR_VERIFY, "cannot compare '%s': it is neither a manifest nor a lock",
		       inv->name);
}
