/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded container images as a category: from images.json of a tree, from manifests and from locks.
 */
#include "inspect/inventory_parts.h"

#include "attest/containers.h"

#include <string.h>

/* Locks tell local images from those of registries; an image does not. */
#define LOCAL "oci:"

static int add(struct inventory *inv, const json_t *item, const char *name, struct err *err)
{
	static const char *const members[] = {"digest", "manifest", "image", "bytes"};
	const json_t *layers = json_object_get(item, "layers");
	const char *digest = json_member_string(item, "digest");
	CLEANUP_FREE char *key = NULL;
	json_t *row;

	if (!name || !digest)
		return err_set(err, ERR_VERIFY, "cannot read '%s': a container image has no %s",
			       inv->name, name ? "digest" : "reference");
	if (str_has_prefix(name, LOCAL))
		name += strlen(LOCAL);
	/* Without tags several can have one reference. */
	key = json_object_get(inventory_category(inv, "containers"), name)
		      ? mem_printf("%s@%s", name, digest)
		      : mem_strdup(name);
	row = json_object();
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (json_object_get(item, members[i]))
			json_object_set(row, members[i], json_object_get(item, members[i]));
	if (layers)
		json_object_set_new(row, "layers",
				    json_integer((json_int_t)json_array_size(layers)));
	return inventory_set(inv, "containers", key, row, err);
}

int inventory_take_containers(struct inventory *inv, const json_t *list, struct err *err)
{
	const json_t *item;
	size_t i;

	inventory_category(inv, "containers");
	json_array_foreach(list, i, item)
	{
		const json_t *names = json_object_get(item, "names");
		size_t count = json_array_size(names);

		for (size_t k = 0; k < count; k++)
			if (add(inv, item, json_string_value(json_array_get(names, k)), err) < 0)
				return -1;
		if (!count && add(inv, item, json_member_string(item, "reference"), err) < 0)
			return -1;
	}
	return 0;
}

int inventory_add_containers(struct inventory *inv, struct err *err)
{
	const struct inventory_text *text = inventory_text(inv, CONTAINERS_FILE);
	const struct inventory_file *file = inventory_resolve(inv, CONTAINERS_FILE);
	CLEANUP_JSON json_t *list = NULL;

	inventory_category(inv, "containers");
	if (!file)
		return 0;
	if (!text)
		return err_set(err, ERR_VERIFY, "cannot read '%s': '%s' in it cannot be read",
			       inv->name, CONTAINERS_FILE);
	list = containers_parse(text->text, text->len, CONTAINERS_FILE, err);
	if (!list)
		return err_wrap(err, "cannot read '%s'", inv->name);
	return inventory_take_containers(inv, list, err);
}
