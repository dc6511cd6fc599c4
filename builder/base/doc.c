/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes of a profile: small maps and lists in an arena, in the order of the file.
 */
#include "base/doc.h"

#include <string.h>

#define SHOW_MAX ((size_t)60)

struct doc_node *doc_node_new(struct mem_arena *arena, enum doc_kind kind, struct doc_place place)
{
	struct doc_node *node = mem_arena_alloc(arena, sizeof(*node));

	node->kind = kind;
	node->place = place;
	return node;
}

struct doc_node *doc_node_text(struct mem_arena *arena, const char *text, struct doc_place place)
{
	struct doc_node *node = doc_node_new(arena, DOC_SCALAR, place);

	node->text = text;
	node->plain = true;
	return node;
}

/* What was there before stays in the arena: growth doubles, so that is at most as much again. */
static void *grow(struct mem_arena *arena, const void *old, struct doc_node *node, size_t size)
{
	size_t room = node->room ? node->room * 2 : 8;
	void *fresh = mem_arena_alloc(arena, room * size);

	if (node->count)
		memcpy(fresh, old, node->count * size);
	node->room = room;
	return fresh;
}

void doc_node_append(struct mem_arena *arena, struct doc_node *list, struct doc_node *item)
{
	if (list->count == list->room)
		list->items = grow(arena, list->items, list, sizeof(void *));
	list->items[list->count++] = item;
}

void doc_node_remove(struct doc_node *list, size_t index)
{
	list->count--;
	memmove(list->items + index, list->items + index + 1,
		(list->count - index) * sizeof(void *));
}

void doc_node_set(struct mem_arena *arena, struct doc_node *map, const char *key,
		  struct doc_place place, struct doc_node *value)
{
	struct doc_pair *pair = doc_node_pair(map, key);

	if (!pair) {
		if (map->count == map->room)
			map->pairs = grow(arena, map->pairs, map, sizeof(struct doc_pair));
		pair = &map->pairs[map->count++];
		pair->key = key;
	}
	pair->place = place;
	pair->value = value;
}

void doc_node_unset(struct doc_node *map, const char *key)
{
	struct doc_pair *pair = doc_node_pair(map, key);

	if (!pair)
		return;
	map->count--;
	memmove(pair, pair + 1, (size_t)(map->pairs + map->count - pair) * sizeof(*pair));
}

struct doc_pair *doc_node_pair(const struct doc_node *map, const char *key)
{
	for (size_t i = 0; map->kind == DOC_MAP && i < map->count; i++)
		if (strcmp(map->pairs[i].key, key) == 0)
			return &map->pairs[i];
	return NULL;
}

struct doc_node *doc_node_get(const struct doc_node *map, const char *key)
{
	struct doc_pair *pair = doc_node_pair(map, key);

	return pair ? pair->value : NULL;
}

const char *doc_node_string(const struct doc_node *map, const char *key)
{
	struct doc_node *value = doc_node_get(map, key);

	return value && value->kind == DOC_SCALAR ? value->text : NULL;
}

struct doc_node *doc_node_copy(struct mem_arena *arena, const struct doc_node *node)
{
	struct doc_node *copy = mem_arena_alloc(arena, sizeof(*copy));

	*copy = *node;
	copy->room = node->count;
	if (node->kind == DOC_LIST && node->count) {
		copy->items = mem_arena_alloc(arena, node->count * sizeof(void *));
		for (size_t i = 0; i < node->count; i++)
			copy->items[i] = doc_node_copy(arena, node->items[i]);
	}
	if (node->kind == DOC_MAP && node->count) {
		copy->pairs = mem_arena_alloc(arena, node->count * sizeof(copy->pairs[0]));
		for (size_t i = 0; i < node->count; i++) {
			copy->pairs[i] = node->pairs[i];
			copy->pairs[i].value = doc_node_copy(arena, node->pairs[i].value);
		}
	}
	return copy;
}

bool doc_node_is_null(const struct doc_node *node)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

	if (node->kind != DOC_SCALAR || !node->plain)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(nulls); i++)
		if (strcmp(node->text, nulls[i]) == 0)
			return true;
	return false;
}

bool doc_node_is_removal(const struct doc_node *node)
{
	return node->kind == DOC_SCALAR && node->text[0] == '-';
}

const char *doc_node_what(const struct doc_node *node)
{
	if (doc_node_is_null(node))
		return "nothing";
	switch (node->kind) {
	case DOC_LIST:
		return "a list";
	case DOC_MAP:
		return "a map";
	default:
		return "text";
	}
}

const char *doc_show(struct mem_arena *arena, const char *text)
{
	size_t len = strnlen(text, SHOW_MAX + 1);

	if (len <= SHOW_MAX)
		return text;
	len = SHOW_MAX;
	while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return mem_arena_printf(arena, "%.*s...", (int)len, text);
}
