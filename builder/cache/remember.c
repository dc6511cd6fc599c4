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

/* Several inputs may have one name, such as the arguments of a command line. These step through those of
 * one name: the value at or behind *at, which moves on; NULL at the end. */
static const char *next_recorded(const json_t *inputs, const char *name, size_t *at)
{
	while (*at < json_array_size(inputs)) {
		const json_t *pair = json_array_get(inputs, (*at)++);
		const char *n = json_string_value(json_array_get(pair, 0));

		if (n && strcmp(n, name) == 0)
			return json_string_value(json_array_get(pair, 1));
	}
	return NULL;
}

static const char *next_input(const struct cache_key *key, const char *name, size_t *at)
{
	while (*at < key->count) {
		const struct cache_input *input = &key->items[(*at)++];

		if (strcmp(input->name, name) == 0)
			return input->value;
	}
	return NULL;
}

/* True when all values of the name are the same as they were, in the same order. */
static bool same_values(const json_t *inputs, const struct cache_key *key, const char *name)
{
	size_t at_old = 0, at_new = 0;
	const char *old, *new;

	do {
		old = next_recorded(inputs, name, &at_old);
		new = next_input(key, name, &at_new);
		if ((old == NULL) != (new == NULL) || (old && strcmp(old, new) != 0))
			return false;
	} while (old);
	return true;
}

/* True when only the order of names differs. */
static bool same_order(const json_t *inputs, const struct cache_key *key)
{
	for (size_t i = 0; i < key->count; i++) {
		const json_t *pair = json_array_get(inputs, i);
		const char *name = json_string_value(json_array_get(pair, 0));

		if (!name || strcmp(name, key->items[i].name) != 0)
			return false;
	}
	return json_array_size(inputs) == key->count;
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
		const char *name = key->items[i].name;
		size_t before = 0, first = 0;

		/* Once for all inputs of the name. */
		next_input(key, name, &first);
		if (first != i + 1)
			continue;
		if (!next_recorded(inputs, name, &before))
			tell(&text, &count, name, "added");
		else if (!same_values(inputs, key, name))
			tell(&text, &count, name, "changed");
	}
	json_array_foreach(inputs, i, pair)
	{
		const char *name = json_string_value(json_array_get(pair, 0));
		size_t at = 0, first = 0;

		if (!name || next_input(key, name, &at))
			continue;
		next_recorded(inputs, name, &first);
		if (first == i + 1)
			tell(&text, &count, name, "removed");
	}
	if (count == 0 && !same_order(inputs, key))
		tell(&text, &count, "order of the inputs", "changed");
	if (count > NAMED_MAX)
		str_addf(&text, "; and %zu more", count - NAMED_MAX);
	return str_steal(&text);
}
