/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seed of NoCloud (docs.cloud-init.io/en/latest/reference/datasources/nocloud.html): meta-data as YAML, and three
 * files that are taken as they are.
 */
#include "agent/source/source_parts.h"

#include "base/doc.h"
#include "base/mem.h"

#include <string.h>

/* Sets *to from a scalar under one of two keys, when it has no value yet; a value that is not good is an error. */
static int take(const struct doc_node *map, const char *key, const char *other,
		char *(*check)(const char *text, size_t len), const char *name, char **to,
		struct err *err)
{
	const struct doc_node *value = doc_node_get(map, key);

	if (!value && other)
		value = doc_node_get(map, other);
	if (*to || !value || doc_node_is_null(value))
		return 0;
	if (value->kind == DOC_SCALAR)
		*to = check(value->text, strlen(value->text));
	if (*to)
		return 0;
	return err_set(err, ERR_OTHER, "%s:%u:%u: '%s' has a value that is not allowed", name,
		       value->place.line, value->place.column, key);
}

/* "public-keys" is a text, a list of texts or a map of texts or lists. */
static void take_keys(const struct doc_node *node, struct instance *ret)
{
	if (!node)
		return;
	switch (node->kind) {
	case DOC_SCALAR:
		source_add_keys(ret, node->text, strlen(node->text));
		break;
	case DOC_LIST:
		for (size_t i = 0; i < node->count; i++)
			take_keys(node->items[i], ret);
		break;
	case DOC_MAP:
		for (size_t i = 0; i < node->count; i++)
			take_keys(node->pairs[i].value, ret);
		break;
	}
}

int source_meta_data(const char *text, size_t len, const char *name, struct instance *ret,
		     struct err *err)
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	CLEANUP(str_free) struct str problems = {0};
	struct doc_report report = {.text = &problems};
	const struct doc_node *map =
		doc_parse(arena, text, len, (struct doc_place){name, 1, 1}, &report);

	if (!map || report.count)
		return err_set(err, ERR_OTHER, "%.*s", (int)strcspn(problems.data, "\n"),
			       problems.data);
	if (doc_node_is_null(map))
		return 0;
	if (map->kind != DOC_MAP)
		return err_set(err, ERR_OTHER, "%s:1:1: expected a map, found %s", name,
			       doc_node_what(map));
	if (take(map, "instance-id", "instance_id", source_id, name, &ret->id, err) < 0 ||
	    take(map, "local-hostname", "hostname", source_hostname, name, &ret->hostname, err) <
		    0 ||
	    take(map, "availability-zone", "availability_zone", source_word, name, &ret->zone,
		 err) < 0 ||
	    take(map, "region", NULL, source_word, name, &ret->region, err) < 0)
		return -1;
	take_keys(doc_node_get(map, "public-keys"), ret);
	return 0;
}

int source_read_seed(int dir, const char *name, struct instance *ret, struct err *err)
{
	struct str *const parts[] = {&ret->user_data, &ret->vendor_data, &ret->network_config};
	static const char *const files[] = {"user-data", "vendor-data", "network-config"};
	CLEANUP(str_wipe) struct str text = {0};
	bool found;

	if (source_read_at(dir, "meta-data", SOURCE_META_MAX, &text, &found, err) < 0)
		return err_wrap(err, "cannot read the seed '%s'", name);
	if (!found)
		return err_set(err, ERR_OTHER, "the seed '%s' has no meta-data", name);
	if (source_meta_data(text.data, text.len, "meta-data", ret, err) < 0)
		return err_wrap(err, "cannot understand the seed '%s'", name);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (source_read_at(dir, files[i], INSTANCE_DATA_MAX, parts[i], &found, err) < 0)
			return err_wrap(err, "cannot read the seed '%s'", name);
	return 0;
}
