/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merges cloud-configs by the rules of cloud-init. Of several parts of one data, a later one replaces a key of the
 * top level with all that is below it ("dict(replace)+list()+str()"), unless it says otherwise: by its key
 * merge_how (or merge_type), or its header Merge-Type. Vendor-data lies below user-data: maps are joined key by
 * key, and where both have a list or a value, user-data's is taken as it is.
 */
#include "agent/userdata/userdata_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum list_method { LIST_REPLACE, LIST_APPEND, LIST_PREPEND, LIST_KEEP };

/* What becomes of two values for the same key, by their kind. The first one of a kind counts. */
struct how {
	bool has_dict, has_list, has_str;
	bool dict_replace, dict_lists, dict_texts, dict_delete;
	enum list_method list;
	bool list_lists, list_dicts, list_texts;
	bool str_append;
};

struct merge {
	struct userdata_reader *reader;
	struct how how;
};

/* ---- reading how ----------------------------------------------------------------------------- */

static bool has_option(const struct strv *options, const char *name)
{
	return strv_has(options, name);
}

/* Takes one merger with its options; false when there is no such merger. */
static bool take(struct how *how, const char *name, const struct strv *options)
{
	bool lists = has_option(options, "recurse_list") || has_option(options, "recurse_array");

	if (strcmp(name, "dict") == 0 && !how->has_dict) {
		how->has_dict = true;
		how->dict_replace = has_option(options, "replace");
		how->dict_lists = lists;
		how->dict_texts = has_option(options, "recurse_str");
		how->dict_delete = has_option(options, "allow_delete");
	} else if (strcmp(name, "list") == 0 && !how->has_list) {
		how->has_list = true;
		how->list = has_option(options, "append")       ? LIST_APPEND
			    : has_option(options, "prepend")    ? LIST_PREPEND
			    : has_option(options, "replace")    ? LIST_REPLACE
			    : has_option(options, "no_replace") ? LIST_KEEP
								: LIST_REPLACE;
		how->list_lists = lists;
		how->list_dicts = has_option(options, "recurse_dict");
		how->list_texts = has_option(options, "recurse_str");
	} else if (strcmp(name, "str") == 0 && !how->has_str) {
		how->has_str = true;
		how->str_append = has_option(options, "append");
	} else {
		return strcmp(name, "dict") == 0 || strcmp(name, "list") == 0 ||
		       strcmp(name, "str") == 0;
	}
	return true;
}

/* The next word of *p, in lower case; NULL at the end. Caller frees. */
static char *next_word(const char **p)
{
	const char *from = *p + strspn(*p, " \t,");
	size_t len = strspn(from, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-");
	char *word = len ? mem_strndup(from, len) : NULL;

	for (char *c = word; c && *c; c++)
		*c = *c == '-' ? '_' : *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	*p = from + len;
	return word;
}

/* "list(append)+dict(no_replace, recurse_list)+str()" */
static bool read_text(struct how *how, const char *p)
{
	for (;;) {
		CLEANUP_FREE char *name = next_word(&p);
		CLEANUP(strv_free) struct strv options = {0};
		char *option;

		if (!name || *p++ != '(')
			return false;
		while ((option = next_word(&p))) {
			strv_add(&options, option);
			free(option);
		}
		if (*p++ != ')' || !take(how, name, &options))
			return false;
		p += strspn(p, " \t\r\n");
		if (!*p)
			return true;
		if (*p++ != '+')
			return false;
	}
}

/* [{name: list, settings: [append]}, {name: dict, settings: [no_replace]}] */
static bool read_maps(struct how *how, const struct doc_node *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *name = doc_node_string(list->items[i], "name");
		const struct doc_node *settings = doc_node_get(list->items[i], "settings");
		CLEANUP(strv_free) struct strv options = {0};

		if (!name || !settings || settings->kind != DOC_LIST)
			return false;
		for (size_t k = 0; k < settings->count; k++) {
			if (settings->items[k]->kind != DOC_SCALAR)
				return false;
			strv_add(&options, settings->items[k]->text);
		}
		if (!take(how, name, &options))
			return false;
	}
	return true;
}

/* Takes the keys out of config and reads them, then the header. */
static void read_how(struct userdata_reader *reader, struct doc_node *config,
		     const struct userdata_part *part, struct how *how)
{
	static const char *const keys[] = {"merge_how", "merge_type"};
	struct doc_place place = part->place;
	bool good = true;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct doc_node *value = doc_node_get(config, keys[i]);

		if (value && good) {
			place = value->place;
			good = value->kind == DOC_LIST     ? read_maps(how, value)
			       : value->kind == DOC_SCALAR ? read_text(how, value->text)
							   : false;
		}
		doc_node_unset(config, keys[i]);
	}
	if (good && part->merge)
		good = read_text(how, part->merge);
	if (!good) {
		doc_error(&reader->report, &place, "this does not say how to merge");
		doc_note(&reader->report, &place,
			 "expected such as 'list(append)+dict(no_replace,recurse_list)+str()'");
		userdata_lost(reader);
	}
	if (!good || (!how->has_dict && !how->has_list && !how->has_str))
		*how = (struct how){
			.has_dict = true, .has_list = true, .has_str = true, .dict_replace = true};
}

/* ---- merging --------------------------------------------------------------------------------- */

static struct doc_node *merge(struct merge *m, struct doc_node *old, struct doc_node *new);

/* Numbers and booleans are no text for YAML, and are never joined. */
static bool is_text(const struct doc_node *node)
{
	static const char *const others[] = {"true", "false", "yes", "no", "on", "off"};
	char *end;

	if (node->kind != DOC_SCALAR || doc_node_is_null(node))
		return false;
	for (size_t i = 0; node->plain && i < ARRAY_SIZE(others); i++)
		if (strcasecmp(node->text, others[i]) == 0)
			return false;
	(void)strtod(node->text, &end);
	return !node->plain || *end;
}

static struct doc_node *merge_maps(struct merge *m, struct doc_node *old, struct doc_node *new)
{
	const struct how *how = &m->how;

	for (size_t i = 0; i < new->count; i++) {
		const struct doc_pair *pair = &new->pairs[i];
		struct doc_pair *mine = doc_node_pair(old, pair->key);
		enum doc_kind kind = pair->value->kind;

		if (mine && how->dict_delete && doc_node_is_null(pair->value))
			doc_node_unset(old, pair->key);
		else if (!mine || how->dict_replace)
			doc_node_set(m->reader->arena, old, pair->key, pair->place, pair->value);
		else if (kind == DOC_MAP || (kind == DOC_LIST && how->dict_lists) ||
			 (how->dict_texts && is_text(pair->value)))
			mine->value = merge(m, mine->value, pair->value);
	}
	return old;
}

/* One behind the other. */
static struct doc_node *join(struct merge *m, const struct doc_node *a, const struct doc_node *b)
{
	struct doc_node *list = doc_node_new(m->reader->arena, DOC_LIST, a->place);

	if (a->count + b->count > DOC_ITEMS_MAX) {
		doc_error(&m->reader->report, &b->place, "more than %zu items in one list",
			  DOC_ITEMS_MAX);
		userdata_lost(m->reader);
		return list;
	}
	for (size_t i = 0; i < a->count; i++)
		doc_node_append(m->reader->arena, list, a->items[i]);
	for (size_t i = 0; i < b->count; i++)
		doc_node_append(m->reader->arena, list, b->items[i]);
	return list;
}

static struct doc_node *merge_lists(struct merge *m, struct doc_node *old, struct doc_node *new)
{
	const struct how *how = &m->how;

	if (how->list == LIST_APPEND)
		return join(m, old, new);
	if (how->list == LIST_PREPEND)
		return join(m, new, old);
	/* Item by item; what the later one has more than the earlier one is not taken, as upstream has it. */
	for (size_t i = 0; how->list == LIST_REPLACE && i < old->count && i < new->count; i++) {
		struct doc_node *item = new->items[i];
		bool deeper = item->kind == DOC_LIST  ? how->list_lists
			      : item->kind == DOC_MAP ? how->list_dicts
						      : how->list_texts && is_text(item);

		old->items[i] = deeper ? merge(m, old->items[i], item) : item;
	}
	return old;
}

static struct doc_node *merge(struct merge *m, struct doc_node *old, struct doc_node *new)
{
	const struct how *how = &m->how;

	switch (old->kind) {
	case DOC_MAP:
		return how->has_dict && new->kind == DOC_MAP ? merge_maps(m, old, new) : old;
	case DOC_LIST:
		if (!how->has_list)
			return old;
		return new->kind == DOC_LIST ? merge_lists(m, old, new) : new;
	default:
		if (!how->has_str || !is_text(old))
			return old;
		if (!how->str_append || new->kind != DOC_SCALAR)
			return new;
		if (!userdata_count(m->reader, &new->place, strlen(old->text) + strlen(new->text)))
			return old;
		return doc_node_text(
			m->reader->arena,
			mem_arena_printf(m->reader->arena, "%s%s", old->text, new->text),
			new->place);
	}
}

void userdata_merge(struct userdata_reader *reader, struct doc_node *config,
		    const struct userdata_part *part)
{
	struct merge m = {.reader = reader};

	read_how(reader, config, part, &m.how);
	if (!reader->config)
		reader->config = doc_node_new(reader->arena, DOC_MAP, config->place);
	reader->config = merge(&m, reader->config, config);
}

struct doc_node *userdata_merge_under(struct mem_arena *arena, struct doc_node *over,
				      struct doc_node *under)
{
	if (!over || !under)
		return over ? over : under;
	for (size_t i = 0; i < under->count; i++) {
		const struct doc_pair *pair = &under->pairs[i];
		struct doc_pair *mine = doc_node_pair(over, pair->key);

		if (!mine)
			doc_node_set(arena, over, pair->key, pair->place, pair->value);
		else if (mine->value->kind == DOC_MAP && pair->value->kind == DOC_MAP)
			userdata_merge_under(arena, mine->value, pair->value);
	}
	return over;
}
