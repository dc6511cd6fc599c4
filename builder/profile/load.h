/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of loading a profile: find and parse files, check each, merge them, add defaults, check
 * the whole, fill struct profile. Private to this folder.
 */
#ifndef INGOT_PROFILE_LOAD_H
#define INGOT_PROFILE_LOAD_H

#include "base/doc.h"
#include "profile/schema.h"

#include <sys/types.h>

#define PROFILE_FILES_MAX ((size_t)64) /* a profile and all its parents */

/* What struct profile keeps for explain. */
struct profile_doc {
	struct mem_arena *arena; /* owns everything, struct profile included */
	struct doc_node *root;
	struct doc_node *files; /* list: every file, parents first; the place is what led to it */
};

struct profile_file_seen {
	const char *label; /* path as shown */
	dev_t device;
	ino_t inode;
	bool done;                 /* false: it is one of the files being loaded */
	struct doc_place extended; /* the item that led to it */
	struct doc_node *root;     /* checked; NULL when it is broken */
};

struct profile_loader {
	struct mem_arena *arena;
	const struct profile_options *options;
	struct doc_report report;
	struct schema_patterns patterns;
	struct profile_file_seen seen[PROFILE_FILES_MAX];
	size_t seen_count;
	const struct profile_file_seen *order[PROFILE_FILES_MAX]; /* parents first */
	size_t order_count;
	struct doc_node *root; /* all merged */
};

/* The folder of a file without a slash at the end, "" for the current one; in the arena. */
const char *profile_folder(struct mem_arena *arena, const char *file);

/* True when this is a path to a profile: it has '/' or ends in .yaml or .yml; otherwise a name. */
bool profile_is_path(const char *name);

/* Finds a profile named in a file of folder: a path (it has '/' or ends in .yaml or .yml) or a name.
 * folder NULL: only the search folders, a path as it is. Returns its path in the arena or NULL. */
const char *profile_find_file(const struct profile_loader *loader, const char *folder,
			      const char *name);

/* Finds the folder of an overlay. Returns its path in the arena or NULL. */
const char *profile_find_overlay(const struct profile_loader *loader, const char *folder,
				 const char *name);

/* The name of an existing profile (or overlay) near to the one that was not found, or NULL; in the
 * arena. */
const char *profile_find_nearest(const struct profile_loader *loader, const char *folder,
				 const char *name, bool overlay);

/* Checks one file against the schema; folder is where its relative paths start. Problems go to the
 * loader's report. */
void profile_check(struct profile_loader *loader, const char *folder, const struct doc_node *root);

/* What identifies an entry of a table: the pair of its first key, or of the key in its place; NULL when
 * it has neither. Borrowed. */
const struct doc_pair *profile_entry_identity(const struct schema_row *table,
					      const struct doc_node *entry);

/* True when two identities stand for the same entry; row is that of a's key. Both are text. */
bool profile_identity_equal(const struct schema_row *row, const struct doc_pair *a,
			    const struct doc_pair *b);

/* Turns text that stands for more into that: an item into its list, an identity into its entry, so that
 * all later stages see one form. row allows it (shorthand). */
void profile_expand(struct mem_arena *arena, const struct schema_row *row, struct doc_node *node);

/* Merges a checked file over what is merged so far. Problems go to the loader's report. */
void profile_merge(struct profile_loader *loader, struct doc_node *into,
		   const struct doc_node *from);

/* Builds the resolved document: every key of the schema in its order, defaults filled in (their place
 * has no file). leaf is where missing keys are reported. */
struct doc_node *profile_resolve(struct profile_loader *loader, const struct doc_node *merged,
				 const struct doc_place *leaf);

/* Checks what needs several keys. */
void profile_check_rules(struct profile_loader *loader, const struct doc_node *root);

/* Fills the structure from the resolved document; also its json. */
void profile_fill(struct profile_loader *loader, struct doc_node *root, struct profile *profile);

/* What a value of the row may be: "list of package", "one of raw, qcow2"; in the arena. */
const char *profile_type_words(struct mem_arena *arena, const struct schema_row *row);

/* Where a row's default comes from, as words or as YAML, or NULL when it has none. Borrowed. */
const char *profile_default_words(const struct schema_row *row);

/* The value of a checked node as JSON: sizes and numbers as integers. Caller decrefs. */
json_t *profile_value_json(const struct schema_row *row, const struct doc_node *node);

/* A resolved node of a row (NULL: the whole) as JSON; absent keys are left out. Caller decrefs. */
json_t *doc_node_json(const struct schema_row *row, const struct doc_node *node);

/* Loads a profile from memory, for tests and fuzzing; label is the path that messages show. Same
 * result as profile_load. */
struct profile *profile_load_text(const char *label, const char *text, size_t len,
				  const struct profile_options *options,
				  struct profile_problems *problems, struct err *err);

#endif
