/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML document as a tree of our own, each key and value with its place, and the list of what is
 * wrong with it. Everything lives in one arena. Private to this folder.
 */
#ifndef INGOT_PROFILE_NODE_H
#define INGOT_PROFILE_NODE_H

#include "base/mem.h"
#include "base/str.h"
#include "profile/profile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROFILE_BYTES_MAX ((size_t)1 << 20) /* of one file */
#define PROFILE_NODES_MAX ((size_t)20000)   /* of one file, aliases expanded */
#define PROFILE_DEPTH_MAX ((size_t)32)      /* of maps and lists inside each other */
#define PROFILE_KEYS_MAX ((size_t)2000)     /* of one map: they are compared in pairs */
#define PROFILE_ITEMS_MAX ((size_t)4000)    /* of one list, also when it is merged */
#define PROFILE_ANCHORS_MAX ((size_t)256)
#define PROFILE_FILES_MAX ((size_t)64) /* a profile and all its parents */
#define PROFILE_PROBLEMS_MAX ((size_t)20)

struct profile_place {
	const char *file;      /* as shown; NULL for a default of the schema */
	uint32_t line, column; /* both count from 1 */
};

enum profile_kind { PROFILE_SCALAR, PROFILE_LIST, PROFILE_MAP };

struct profile_node {
	enum profile_kind kind;
	struct profile_place place;
	const char *text;     /* SCALAR: without quotes */
	bool plain;           /* SCALAR: it had no quotes */
	const char *resolved; /* SCALAR that names a file or folder: where that is */
	struct profile_node **items;
	struct profile_pair *pairs;
	size_t count, room; /* of items or pairs */
};

struct profile_pair {
	const char *key;
	struct profile_place place;
	struct profile_node *value;
};

/* Collects problems; text may be NULL, then they are only counted. */
struct profile_report {
	struct str *text;
	size_t count;
	bool last_dropped; /* notes of an entry that was not printed are not printed either */
};

/* Makes an empty node in the arena. */
struct profile_node *profile_node_new(struct mem_arena *arena, enum profile_kind kind,
				      struct profile_place place);

/* Makes a plain scalar; text is borrowed and must live as long as the arena. */
struct profile_node *profile_node_text(struct mem_arena *arena, const char *text,
				       struct profile_place place);

/* Appends an item to a list. */
void profile_node_append(struct mem_arena *arena, struct profile_node *list,
			 struct profile_node *item);

/* Removes the item at index, the order of the others stays. */
void profile_node_remove(struct profile_node *list, size_t index);

/* Sets key of a map, replacing value and place when the key exists. key is borrowed. */
void profile_node_set(struct mem_arena *arena, struct profile_node *map, const char *key,
		      struct profile_place place, struct profile_node *value);

/* Removes key from a map; absent is fine. */
void profile_node_unset(struct profile_node *map, const char *key);

/* The pair of key, or NULL; a node that is no map has none. */
struct profile_pair *profile_node_pair(const struct profile_node *map, const char *key);

/* The value of key, or NULL. */
struct profile_node *profile_node_get(const struct profile_node *map, const char *key);

/* The text of a scalar under key, or NULL. */
const char *profile_node_string(const struct profile_node *map, const char *key);

/* A copy of the whole tree; lists and maps are new, strings are shared. */
struct profile_node *profile_node_copy(struct mem_arena *arena, const struct profile_node *node);

/* True for a plain scalar that YAML 1.1 reads as null. */
bool profile_node_is_null(const struct profile_node *node);

/* True for a list item that takes away what a parent gave: "-nano". */
bool profile_node_is_removal(const struct profile_node *node);

/* "a list", "a map", "text": what the node is, for messages. */
const char *profile_node_what(const struct profile_node *node);

/* The text for a message: at most 60 bytes, cut between characters. Borrowed or in the arena. */
const char *profile_show(struct mem_arena *arena, const char *text);

/* Adds "file:line:column: error: ..."; after PROFILE_PROBLEMS_MAX entries only counts. Control
 * characters in the message become '?'. */
void profile_error(struct profile_report *report, const struct profile_place *place,
		   const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Adds a note to the last error. */
void profile_note(struct profile_report *report, const struct profile_place *place, const char *fmt,
		  ...) __attribute__((format(printf, 3, 4)));

/* Adds the note "did you mean 'x'?" when a candidate is near; true then. Without one and with
 * list_all set, adds "expected one of ...". */
bool profile_note_nearest(struct profile_report *report, const struct profile_place *place,
			  const char *word, const char *const *candidates, size_t count,
			  bool list_all);

/* Reads len bytes of YAML into a tree. Places start at origin (for --set; {file, 1, 1} for files).
 * Problems go to report; after a duplicate key it goes on, after others it returns NULL. An empty
 * document is a plain empty scalar. */
struct profile_node *profile_parse_yaml(struct mem_arena *arena, const char *text, size_t len,
					struct profile_place origin, struct profile_report *report);

/* The same for a file that is no profile: a list of its documents, bounded together as one file, without their
 * tags. */
struct profile_node *profile_parse_documents(struct mem_arena *arena, const char *text, size_t len,
					     struct profile_place origin,
					     struct profile_report *report);

#endif
