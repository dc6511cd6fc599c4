/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profile format as one table: each key with its type, default, limits, place in struct profile
 * and meaning. Parser, checks, help and JSON Schema read it. Private to this folder.
 */
#ifndef INGOT_PROFILE_SCHEMA_H
#define INGOT_PROFILE_SCHEMA_H

#include "base/doc.h"
#include "profile/profile.h"

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the values of a key are arranged; it also says how they merge. */
enum schema_shape {
	SCHEMA_VALUE,    /* one value; the child's wins */
	SCHEMA_LIST,     /* values; appended, parents first, without duplicates; "-value" removes */
	SCHEMA_SECTION,  /* a map with keys of its own; merges by key */
	SCHEMA_TABLE,    /* a list of maps; merges by the first key of its rows, or by the key that
			  * it excludes; "-key" removes */
	SCHEMA_SETTINGS, /* a map with free keys; merges by key */
};

/* Where a value is put in struct profile. */
enum schema_store {
	SCHEMA_STRING,  /* const char * */
	SCHEMA_BOOL,    /* bool */
	SCHEMA_U32,     /* uint32_t */
	SCHEMA_U64,     /* uint64_t */
	SCHEMA_I64,     /* int64_t; -1 when the key is absent */
	SCHEMA_PORTS,   /* uint16_t[2]: first and last */
	SCHEMA_OVERLAY, /* struct profile_overlay: as written, and where it is */
	SCHEMA_PATH,    /* const char *: where the file is on this machine */
	SCHEMA_NOWHERE, /* only the loader needs it */
};

struct schema_row;

/* A value as read. */
struct schema_value {
	int64_t number;    /* BOOL, U32, U64, I64; PORTS: the first */
	int64_t last;      /* PORTS: the last */
	char problem[256]; /* what is wrong with it, or "" for "'x' is not <article>" */
	char note[256];    /* what was expected, or "" for the type's own words */
};

/* A type of one value. */
struct schema_type {
	const char *name;     /* in documents: "size" */
	const char *article;  /* in errors: "a size" */
	const char *expected; /* in notes: "a number with K, M, G or T, such as 512M" */
	const char *pattern;  /* extended regular expression (also valid in JSON Schema) that the
			       * whole text must match, or NULL */
	size_t max;           /* bytes of text */
	enum schema_store store;
	bool folder; /* PATH: it may be a folder as well */
	/* Checks and reads text that matches pattern; NULL when the pattern says it all. Returns
	 * false when it is wrong. */
	bool (*read)(const struct schema_row *row, const char *text, struct schema_value *ret);
};

struct schema_row {
	const char *key; /* "disk.var.minimum"; keys in a table: "files[].path" */
	enum schema_shape shape;
	const struct schema_type *type; /* of the value, list item or setting; NULL otherwise */
	const struct schema_type *keys; /* SETTINGS: what a key must be */
	const char *fallback;           /* the default as YAML, or NULL for none */
	const char *computed;           /* for documents: how fallback is computed, or NULL */
	const char *const *choices;     /* the allowed values, ended by NULL, or NULL */
	int64_t min, max;               /* for numbers; for lists the fewest items in min */
	bool required;                  /* in the merged profile */
	bool shorthand; /* LIST: one item may stand without a list; TABLE: text is an entry with
			 * only its first key */
	const char *excludes; /* key beside it that it replaces and cannot go with */
	size_t offset;        /* in struct profile, or in the element of the table */
	size_t count_offset;  /* of the size_t beside an array; TABLE, SETTINGS, OVERLAY */
	size_t size;          /* of an element; TABLE */
	const char *help;
};

extern const struct schema_row schema_rows[];
extern const size_t schema_row_count;

/* The types that code asks for by name. */
extern const struct schema_type schema_type_choice, schema_type_bool, schema_type_integer,
	schema_type_id, schema_type_size, schema_type_block, schema_type_mode, schema_type_ports,
	schema_type_name, schema_type_version, schema_type_line, schema_type_text, schema_type_word,
	schema_type_title, schema_type_parent, schema_type_overlay, schema_type_file,
	schema_type_disk_file, schema_type_digest, schema_type_image_path, schema_type_etc_path,
	schema_type_package, schema_type_unit, schema_type_module, schema_type_sysctl,
	schema_type_argument, schema_type_user, schema_type_owner, schema_type_network,
	schema_type_host, schema_type_url, schema_type_release, schema_type_component,
	schema_type_locale, schema_type_timezone, schema_type_hash, schema_type_ssh_key,
	schema_type_image, schema_type_image_name, schema_type_oci, schema_type_registry,
	schema_type_mirror, schema_type_label;

/* Every type, ended by NULL. */
extern const struct schema_type *const schema_types[];

/* What keys of settings maps, and what names them in lists, must be. */
extern const struct schema_type schema_type_sysctl_key, schema_type_label_key;

/* Compiled patterns, one per type, made when they are first used. {0} is valid. */
struct schema_patterns {
	struct {
		const struct schema_type *type;
		regex_t regex;
	} compiled[64];
	size_t count;
};

/* Frees the patterns; usable with CLEANUP(). */
void schema_patterns_free(struct schema_patterns *patterns);

/* Reads text as the row's type, limits and choices included. Returns false with problem and note set
 * when it is not one. */
bool schema_read(struct schema_patterns *patterns, const struct schema_row *row,
		 const struct schema_type *type, const char *text, struct schema_value *ret);

/* True when row is directly below parent (NULL: the top level). */
bool schema_is_child(const struct schema_row *parent, const struct schema_row *row);

/* The row of key below parent (NULL: the top level), or NULL. */
const struct schema_row *schema_child(const struct schema_row *parent, const char *key);

/* The last part of a row's key: "minimum". */
const char *schema_leaf(const struct schema_row *row);

/* The row that identifies the entries of a table (its first child). */
const struct schema_row *schema_identity(const struct schema_row *table);

/* The row that identifies entries which lack the first (the key that it excludes), or NULL. */
const struct schema_row *schema_identity_else(const struct schema_row *table);

/* The row of a whole key such as "disk.var", or NULL. */
const struct schema_row *schema_find(const char *key);

/* Length of the part of a list item or an identity that tells it from others: a package without its
 * version, a tagged image without its digest. */
size_t schema_identity_length(const struct schema_row *row, const char *text);

/* Reads text that schema_read has accepted before. */
struct schema_value schema_value_of(const struct schema_row *row, const char *text);

/* Range and default of a compression's level. */
struct schema_compression {
	const char *name;
	int64_t min, max;
	const char *fallback;
};

/* The levels of a compression, or NULL. */
const struct schema_compression *schema_compression_find(const char *name);

#endif
