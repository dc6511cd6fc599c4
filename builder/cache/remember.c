/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the inputs of a step were last time, so that `ingot plan` can say what changed.
 */
#include "cache/cache.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RECORD_MAX ((size_t)4 << 20)
#define NAMED_MAX 8 /* changes that are named; the others are counted */

/* The record's folder or file; a subject may hold any character, so its digest is the name. */
static char *record_path(const struct cache *cache, const char *subject, const char *kind)
{
	char hex[DIGEST_HEX_SIZE];
	struct digest d;

	digest_bytes(subject, strlen(subject), &d);
	digest_hex(&d, hex);
	return mem_printf("%s/remember/%.32s.%s.json", cache_dir(cache), hex, kind);
}

int cache_remember(struct cache *cache, const char *subject, const char *kind,
		   const struct cache_key *key, struct err *err)
{
	CLEANUP_FREE char *path = record_path(cache, subject, kind);
	CLEANUP_FREE char *folder = path_parent(path);
	CLEANUP_JSON json_t *inputs = json_array();
	CLEANUP_JSON json_t *record = NULL;

	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "cannot make cache folder '%s'", folder);
	for (size_t i = 0; i < key->count; i++)
		if (json_array_append_new(inputs, json_pack("[s, s]", key->items[i].name,
							    key->items[i].value)) < 0)
			return err_set(err, ERR_OTHER, "cannot remember input '%s': not UTF-8",
				       key->items[i].name);
	record = json_pack("{s:s, s:s, s:O}", "subject", subject, "kind", kind, "inputs", inputs);
	if (!record)
		return err_set(err, ERR_OTHER, "cannot remember '%s': not UTF-8", subject);
	return json_write_file(path, record, false, err);
}

/* The value of the input with this name in a record, or NULL. */
static const char *recorded(const json_t *inputs, const char *name)
{
	json_t *pair;
	size_t i;

	json_array_foreach(inputs, i, pair)
	{
		const char *n = json_string_value(json_array_get(pair, 0));

		if (n && strcmp(n, name) == 0)
			return json_string_value(json_array_get(pair, 1));
	}
	return NULL;
}

static bool has_input(const struct cache_key *key, const char *name)
{
	for (size_t i = 0; i < key->count; i++)
		if (strcmp(key->items[i].name, name) == 0)
			return true;
	return false;
}

static void tell(struct str *text, size_t *count, const char *name, const char *what)
{
	if ((*count)++ < NAMED_MAX)
		str_addf(text, "%s%s %s", *count > 1 ? "; " : "", name, what);
}

char *cache_why(struct cache *cache, const char *subject, const char *kind,
		const struct cache_key *key)
{
	CLEANUP_FREE char *path = record_path(cache, subject, kind);
	CLEANUP_JSON json_t *record = json_read_file(path, RECORD_MAX, NULL);
	const json_t *inputs = json_object_get(record, "inputs");
	struct str text = {0};
	size_t count = 0, i;
	json_t *pair;

	if (!json_is_array(inputs))
		return mem_strdup("first run");
	for (i = 0; i < key->count; i++) {
		const char *old = recorded(inputs, key->items[i].name);

		if (!old)
			tell(&text, &count, key->items[i].name, "added");
		else if (strcmp(old, key->items[i].value) != 0)
			tell(&text, &count, key->items[i].name, "changed");
	}
	json_array_foreach(inputs, i, pair)
	{
		const char *name = json_string_value(json_array_get(pair, 0));

		if (name && !has_input(key, name))
			tell(&text, &count, name, "removed");
	}
	if (count > NAMED_MAX)
		str_addf(&text, "; and %zu more", count - NAMED_MAX);
	return str_steal(&text);
}
