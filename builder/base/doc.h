/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML document as a tree of our own, each key and value with its place, and the list of what is
 * wrong with it. Everything lives in one arena. Profiles, Compose files and user-data are read so.
 */
#ifndef INGOT_BASE_DOC_H
#define INGOT_BASE_DOC_H

#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOC_BYTES_MAX ((size_t)1 << 20) /* of one file */
#define DOC_NODES_MAX ((size_t)20000)   /* of one file, aliases expanded */
#define DOC_DEPTH_MAX ((size_t)32)      /* of maps and lists inside each other */
#define DOC_KEYS_MAX ((size_t)2000)     /* of one map: they are compared in pairs */
#define DOC_ITEMS_MAX ((size_t)4000)    /* of one list, also when it is merged */
#define DOC_ANCHORS_MAX ((size_t)256)
#define DOC_PROBLEMS_MAX ((size_t)20)

struct doc_place {
	const char *file;      /* as shown; NULL for a default of the schema */
	uint32_t line, column; /* both count from 1 */
};

enum doc_kind { DOC_SCALAR, DOC_LIST, DOC_MAP };

struct doc_node {
	enum doc_kind kind;
	struct doc_place place;
	const char *text;     /* SCALAR: without quotes */
	bool plain;           /* SCALAR: it had no quotes */
	const char *resolved; /* SCALAR that names a file or folder: where that is */
	struct doc_node **items;
	struct doc_pair *pairs;
	size_t count, room; /* of items or pairs */
};

struct doc_pair {
	const char *key;
	struct doc_place place;
	struct doc_node *value;
};

/* Collects problems; text may be NULL, then they are only counted. */
struct doc_report {
	struct str *text;
	size_t count;
	bool last_dropped; /* notes of an entry that was not printed are not printed either */
	bool secret; /* the file may hold secrets: no message of doc_parse shows text of it but keys */
};

/* Makes an empty node in the arena. */
struct doc_node *doc_node_new(struct mem_arena *arena, enum doc_kind kind, struct doc_place place);

/* Makes a plain scalar; text is borrowed and must live as long as the arena. */
struct doc_node *doc_node_text(struct mem_arena *arena, const char *text, struct doc_place place);

/* Appends an item to a list. */
void doc_node_append(struct mem_arena *arena, struct doc_node *list, struct doc_node *item);

/* Removes the item at index, the order of the others stays. */
void doc_node_remove(struct doc_node *list, size_t index);

/* Sets key of a map, replacing value and place when the key exists. key is borrowed. */
void doc_node_set(struct mem_arena *arena, struct doc_node *map, const char *key,
		  struct doc_place place, struct doc_node *value);

/* Removes key from a map; absent is fine. */
void doc_node_unset(struct doc_node *map, const char *key);

/* The pair of key, or NULL; a node that is no map has none. */
struct doc_pair *doc_node_pair(const struct doc_node *map, const char *key);

/* The value of key, or NULL. */
struct doc_node *doc_node_get(const struct doc_node *map, const char *key);

/* The text of a scalar under key, or NULL. */
const char *doc_node_string(const struct doc_node *map, const char *key);

/* A copy of the whole tree; lists and maps are new, strings are shared. */
struct doc_node *doc_node_copy(struct mem_arena *arena, const struct doc_node *node);

/* True for a plain scalar that YAML 1.1 reads as null. */
bool doc_node_is_null(const struct doc_node *node);

/* True for a list item that takes away what a parent gave: "-nano". */
bool doc_node_is_removal(const struct doc_node *node);

/* "a list", "a map", "text": what the node is, for messages. */
const char *doc_node_what(const struct doc_node *node);

/* The text for a message: at most 60 bytes, cut between characters. Borrowed or in the arena. */
const char *doc_show(struct mem_arena *arena, const char *text);

/* Adds "file:line:column: error: ..."; after DOC_PROBLEMS_MAX entries only counts. Control
 * characters in the message become '?'. */
void doc_error(struct doc_report *report, const struct doc_place *place, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds a note to the last error. */
void doc_note(struct doc_report *report, const struct doc_place *place, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds the note "did you mean 'x'?" when a candidate is near; true then. Without one and with
 * list_all set, adds "expected one of ...". */
bool doc_note_nearest(struct doc_report *report, const struct doc_place *place, const char *word,
		      const char *const *candidates, size_t count, bool list_all);

/* Reads len bytes of YAML into a tree. Places start at origin (for --set; {file, 1, 1} for files).
 * Problems go to report; after a duplicate key it goes on, after others it returns NULL. An empty
 * document is a plain empty scalar. */
struct doc_node *doc_parse(struct mem_arena *arena, const char *text, size_t len,
			   struct doc_place origin, struct doc_report *report);

/* The same for a file that is no profile: a list of its documents, bounded together as one file, without their
 * tags. */
struct doc_node *doc_parse_all(struct mem_arena *arena, const char *text, size_t len,
			       struct doc_place origin, struct doc_report *report);

#endif
