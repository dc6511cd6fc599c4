/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML 1.1 by libyaml's event parser, bounded: libyaml itself accepts duplicate keys, any depth and
 * aliases that expand without end. Aliases become copies, so that each node has one owner.
 */
#include "base/doc.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct anchor {
	const char *name;
	const struct doc_node *node;
	size_t nodes, height; /* of the subtree */
};

struct reader {
	yaml_parser_t parser;
	struct mem_arena *arena;
	struct doc_report *report;
	struct doc_place origin;
	const char *text;
	size_t len;
	size_t nodes;
	struct anchor anchors[DOC_ANCHORS_MAX];
	size_t anchor_count;
	bool fatal;                 /* reported already */
	struct doc_node *documents; /* of a foreign file, which may have tags too; or NULL */
};

static void event_cleanup(yaml_event_t *event)
{
	yaml_event_delete(event);
}

static struct doc_place place_at(const struct reader *r, size_t line, size_t column)
{
	struct doc_place place = r->origin;

	/* The lines of --set are the settings, so those inside one do not count. */
	if (line && r->origin.column > 1)
		return place;
	place.line += (uint32_t)line;
	place.column = (uint32_t)column + (line == 0 ? r->origin.column : 1);
	return place;
}

static struct doc_place place_of(const struct reader *r, const yaml_event_t *event)
{
	return place_at(r, event->start_mark.line, event->start_mark.column);
}

static int fatal(struct reader *r, struct doc_place place, const char *message)
{
	if (!r->fatal)
		doc_error(r->report, &place, "%s", message);
	r->fatal = true;
	return -1;
}

/* The reader stage of libyaml (encoding) gives a byte offset only. */
static struct doc_place place_of_offset(const struct reader *r, size_t offset)
{
	size_t line = 0, column = 0;

	for (size_t i = 0; i < offset && i < r->len; i++) {
		if (r->text[i] == '\n') {
			line++;
			column = 0;
		} else if (((unsigned char)r->text[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	return place_at(r, line, column);
}

static int report_syntax(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "not valid YAML";
	struct doc_place place = place_at(r, p->problem_mark.line, p->problem_mark.column);
	struct doc_place context = place_at(r, p->context_mark.line, p->context_mark.column);

	if (r->fatal)
		return -1;
	r->fatal = true;
	if (p->error == YAML_READER_ERROR) {
		place = place_of_offset(r, p->problem_offset);
		doc_error(r->report, &place, "not a text file: %s", problem);
		doc_note(r->report, &place, "expected UTF-8 without control characters");
		return -1;
	}
	doc_error(r->report, &place, "not valid YAML: %s", problem);
	if (p->context)
		doc_note(r->report, &context, "%s", p->context);
	if (strstr(problem, "cannot start any token"))
		doc_note(r->report, &place,
			 "tabs cannot indent, and text with @, `, %% or ! in front needs quotes");
	return -1;
}

static int next(struct reader *r, yaml_event_t *event)
{
	if (!yaml_parser_parse(&r->parser, event))
		return report_syntax(r);
	return 0;
}

static int count_nodes(struct reader *r, size_t more, struct doc_place place)
{
	char text[64];

	r->nodes += more;
	if (r->nodes <= DOC_NODES_MAX)
		return 0;
	snprintf(text, sizeof(text), "larger than %zu values, aliases included", DOC_NODES_MAX);
	return fatal(r, place, text);
}

static int check_depth(struct reader *r, size_t depth, struct doc_place place)
{
	char text[64];

	if (depth <= DOC_DEPTH_MAX)
		return 0;
	snprintf(text, sizeof(text), "nested deeper than %zu levels", DOC_DEPTH_MAX);
	return fatal(r, place, text);
}

/* A password that starts with ! or * is taken for a tag or an alias. */
static const char *show_value(struct reader *r, const char *text)
{
	return r->report->secret ? "..." : doc_show(r->arena, text);
}

static struct doc_node *read_node(struct reader *r, const yaml_event_t *event, size_t depth);

static struct doc_node *read_alias(struct reader *r, const char *name, struct doc_place place,
				   size_t depth)
{
	for (size_t i = r->anchor_count; i-- > 0;) {
		const struct anchor *a = &r->anchors[i];

		if (strcmp(a->name, name) != 0)
			continue;
		if (count_nodes(r, a->nodes, place) < 0 ||
		    check_depth(r, depth + a->height, place) < 0)
			return NULL;
		return doc_node_copy(r->arena, a->node);
	}
	if (!r->fatal)
		doc_error(r->report, &place, "alias '*%s' has no anchor before it",
			  show_value(r, name));
	r->fatal = true;
	return NULL;
}

static struct doc_node *read_scalar(struct reader *r, const yaml_event_t *event)
{
	struct doc_place place = place_of(r, event);
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct doc_node *node;

	if (memchr(text, 0, len)) {
		fatal(r, place, "text holds a NUL character");
		return NULL;
	}
	node = doc_node_text(r->arena, mem_arena_strndup(r->arena, text, len), place);
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return node;
}

static struct doc_node *read_list(struct reader *r, struct doc_place place, size_t depth)
{
	struct doc_node *list = doc_node_new(r->arena, DOC_LIST, place);

	for (;;) {
		CLEANUP(event_cleanup) yaml_event_t event = {0};
		struct doc_node *item;

		if (next(r, &event) < 0)
			return NULL;
		if (event.type == YAML_SEQUENCE_END_EVENT)
			return list;
		item = read_node(r, &event, depth);
		if (!item)
			return NULL;
		if (list->count == DOC_ITEMS_MAX) {
			fatal(r, item->place, "more than 4000 items in one list");
			return NULL;
		}
		doc_node_append(r->arena, list, item);
	}
}

/* Reads the value that belongs to key and adds both to the map. A duplicate is reported and left
 * out, so that the rest of the file is checked too. */
static int read_pair(struct reader *r, struct doc_node *map, const struct doc_node *key,
		     size_t depth)
{
	CLEANUP(event_cleanup) yaml_event_t event = {0};
	const struct doc_pair *first;
	struct doc_node *value;

	if (next(r, &event) < 0)
		return -1;
	value = read_node(r, &event, depth);
	if (!value)
		return -1;
	first = doc_node_pair(map, key->text);
	if (first) {
		doc_error(r->report, &key->place, "duplicate key '%s'",
			  doc_show(r->arena, key->text));
		doc_note(r->report, &first->place, "first given here");
		return 0;
	}
	if (map->count == DOC_KEYS_MAX)
		return fatal(r, key->place, "more than 2000 keys in one map");
	doc_node_set(r->arena, map, key->text, key->place, value);
	return 0;
}

static struct doc_node *read_map(struct reader *r, struct doc_place place, size_t depth)
{
	struct doc_node *map = doc_node_new(r->arena, DOC_MAP, place);

	for (;;) {
		CLEANUP(event_cleanup) yaml_event_t event = {0};
		struct doc_node *key;

		if (next(r, &event) < 0)
			return NULL;
		if (event.type == YAML_MAPPING_END_EVENT)
			return map;
		key = read_node(r, &event, depth);
		if (!key)
			return NULL;
		if (key->kind != DOC_SCALAR) {
			doc_error(r->report, &key->place, "a key must be text, this is %s",
				  doc_node_what(key));
			r->fatal = true;
			return NULL;
		}
		if (read_pair(r, map, key, depth) < 0)
			return NULL;
	}
}

/* The tag and the anchor of an event, or NULL. */
static void event_marks(const yaml_event_t *event, const char **ret_tag, const char **ret_anchor)
{
	const yaml_char_t *tag = NULL, *anchor = NULL;

	if (event->type == YAML_SCALAR_EVENT) {
		tag = event->data.scalar.tag;
		anchor = event->data.scalar.anchor;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		tag = event->data.sequence_start.tag;
		anchor = event->data.sequence_start.anchor;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		tag = event->data.mapping_start.tag;
		anchor = event->data.mapping_start.anchor;
	}
	*ret_tag = (const char *)tag;
	*ret_anchor = (const char *)anchor;
}

static size_t height_of(const struct doc_node *node)
{
	size_t most = 0;

	if (node->kind == DOC_SCALAR)
		return 0;
	for (size_t i = 0; i < node->count; i++) {
		size_t h = height_of(node->kind == DOC_MAP ? node->pairs[i].value : node->items[i]);

		most = h > most ? h : most;
	}
	return most + 1;
}

static int keep_anchor(struct reader *r, const char *name, const struct doc_node *node,
		       size_t nodes)
{
	if (r->anchor_count == DOC_ANCHORS_MAX)
		return fatal(r, node->place, "more than 256 anchors");
	r->anchors[r->anchor_count++] = (struct anchor){
		.name = mem_arena_strdup(r->arena, name),
		.node = node,
		.nodes = nodes,
		.height = height_of(node),
	};
	return 0;
}

/* Reads the node that starts with event. depth is that of the map or list around it. */
static struct doc_node *read_node(struct reader *r, const yaml_event_t *event, size_t depth)
{
	struct doc_place place = place_of(r, event);
	const char *tag, *anchor;
	size_t before = r->nodes;
	struct doc_node *node = NULL;

	if (event->type == YAML_ALIAS_EVENT)
		return read_alias(r, (const char *)event->data.alias.anchor, place, depth);
	event_marks(event, &tag, &anchor);
	if (count_nodes(r, 1, place) < 0)
		return NULL;
	if (tag && !r->documents) {
		doc_error(r->report, &place, "tag '%s' is not supported", show_value(r, tag));
		doc_note(r->report, &place, "text with ! in front needs quotes");
		r->fatal = true;
		return NULL;
	}
	if (event->type == YAML_SCALAR_EVENT) {
		node = read_scalar(r, event);
	} else if (check_depth(r, depth + 1, place) == 0) {
		node = event->type == YAML_SEQUENCE_START_EVENT ? read_list(r, place, depth + 1)
								: read_map(r, place, depth + 1);
	}
	if (node && anchor && keep_anchor(r, anchor, node, r->nodes - before) < 0)
		return NULL;
	return node;
}

/* Exactly one document, or none: an empty file. */
static struct doc_node *read_stream(struct reader *r)
{
	struct doc_node *root = NULL;

	for (;;) {
		CLEANUP(event_cleanup) yaml_event_t event = {0};

		if (next(r, &event) < 0)
			return NULL;
		switch (event.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (root && !r->documents) {
				fatal(r, place_of(r, &event), "more than one document in a file");
				return NULL;
			}
			break;
		case YAML_STREAM_END_EVENT:
			return root ? root : doc_node_text(r->arena, "", place_at(r, 0, 0));
		default:
			root = read_node(r, &event, 0);
			if (!root)
				return NULL;
			if (r->documents)
				doc_node_append(r->arena, r->documents, root);
		}
	}
}

static struct doc_node *parse(struct reader *r, const char *text, size_t len)
{
	struct doc_node *root;

	r->text = text;
	r->len = len;
	if (!yaml_parser_initialize(&r->parser)) {
		fatal(r, r->origin, "out of memory");
		return NULL;
	}
	/* Without this a file could choose UTF-16 by its first bytes. */
	yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, len);
	root = read_stream(r);
	yaml_parser_delete(&r->parser);
	return r->fatal ? NULL : root;
}

struct doc_node *doc_parse(struct mem_arena *arena, const char *text, size_t len,
			   struct doc_place origin, struct doc_report *report)
{
	struct reader *r = mem_arena_alloc(arena, sizeof(*r));

	r->arena = arena;
	r->report = report;
	r->origin = origin;
	return parse(r, text, len);
}

struct doc_node *doc_parse_all(struct mem_arena *arena, const char *text, size_t len,
			       struct doc_place origin, struct doc_report *report)
{
	struct reader *r = mem_arena_alloc(arena, sizeof(*r));

	r->arena = arena;
	r->report = report;
	r->origin = origin;
	r->documents = doc_node_new(arena, DOC_LIST, origin);
	return parse(r, text, len) ? r->documents : NULL;
}
