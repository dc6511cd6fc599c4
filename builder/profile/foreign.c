/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of a foreign YAML file. Anchors and merge keys ("<<" of YAML 1.1's type repository) are what
 * Compose files share their settings by, so they are followed here.
 */
#include "profile/foreign.h"

#include "base/doc.h"

#include <string.h>

#define MERGES_MAX 16 /* maps that one map merges, one way or another */

struct walk {
	const char *keys[FOREIGN_KEYS_MAX];
	size_t count;
	void (*visit)(const struct foreign_value *value, void *context);
	void *context;
};

/* Maps whose keys win over those of the one that is merged now. */
struct above {
	const struct doc_node *maps[MERGES_MAX];
	size_t count;
};

static void walk_node(struct walk *w, const struct doc_node *node);

static bool is_merge(const struct doc_pair *pair)
{
	return strcmp(pair->key, "<<") == 0;
}

static bool is_hidden(const struct above *above, const char *key)
{
	for (size_t i = 0; i < above->count; i++)
		if (doc_node_pair(above->maps[i], key))
			return true;
	return false;
}

static void walk_below(struct walk *w, const char *key, const struct doc_node *node)
{
	if (w->count == FOREIGN_KEYS_MAX)
		return;
	w->keys[w->count++] = key;
	walk_node(w, node);
	w->count--;
}

/* More merges than the bound are left out: nothing that people write has so many. */
static void walk_map(struct walk *w, const struct doc_node *map, struct above *above)
{
	for (size_t i = 0; i < map->count; i++)
		if (!is_merge(&map->pairs[i]) && !is_hidden(above, map->pairs[i].key))
			walk_below(w, map->pairs[i].key, map->pairs[i].value);
	for (size_t i = 0; i < map->count; i++) {
		const struct doc_node *value = map->pairs[i].value;

		if (!is_merge(&map->pairs[i]) || above->count == MERGES_MAX)
			continue;
		above->maps[above->count++] = map;
		if (value->kind == DOC_MAP)
			walk_map(w, value, above);
		for (size_t k = 0; value->kind == DOC_LIST && k < value->count; k++) {
			if (value->items[k]->kind != DOC_MAP)
				continue;
			walk_map(w, value->items[k], above);
			if (above->count < MERGES_MAX)
				above->maps[above->count++] = value->items[k];
		}
	}
}

static void walk_node(struct walk *w, const struct doc_node *node)
{
	struct above above = {0};
	struct foreign_value value = {w->keys, w->count, node->text, node->place.line};

	switch (node->kind) {
	case DOC_SCALAR:
		w->visit(&value, w->context);
		break;
	case DOC_LIST:
		for (size_t i = 0; i < node->count; i++)
			walk_below(w, "[]", node->items[i]);
		break;
	case DOC_MAP:
		walk_map(w, node, &above);
		break;
	}
}

/* "file:3:1: error: text" becomes "file:3:1: text". */
static int report_first(const char *text, struct err *err)
{
	size_t len = strcspn(text, "\n");
	const char *word = strstr(text, ": error: ");
	size_t head = word && word < text + len ? (size_t)(word - text) : 0;

	return err_set(err, ERR_PROFILE, "%.*s%.*s", (int)head, text,
		       (int)(len - head - (head ? 7 : 0)), text + head + (head ? 7 : 0));
}

int foreign_walk(const char *label, const char *text, size_t len,
		 void (*visit)(const struct foreign_value *value, void *context), void *context,
		 struct err *err)
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	CLEANUP(str_free) struct str problems = {0};
	struct doc_report report = {.text = &problems};
	struct doc_place origin = {label, 1, 1};
	struct walk walk = {.visit = visit, .context = context};
	const struct doc_node *documents;

	if (len > FOREIGN_BYTES_MAX)
		return err_set(err, ERR_PROFILE, "%s: larger than 1 MiB", label);
	documents = doc_parse_all(arena, text, len, origin, &report);
	if (report.count)
		return report_first(problems.data, err);
	for (size_t i = 0; documents && i < documents->count; i++)
		walk_node(&walk, documents->items[i]);
	return 0;
}
