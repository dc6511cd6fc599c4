/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of finding image uses: units, command lines, YAML files, variables. Private to
 * imageuse*.c.
 */
#ifndef INGOT_LAYERS_IMAGEUSE_PARTS_H
#define INGOT_LAYERS_IMAGEUSE_PARTS_H

#include "base/str.h"
#include "layers/imageuse.h"

#define IMAGEUSE_FILE_MAX ((size_t)1 << 20) /* of any file that is looked into */
#define IMAGEUSE_UNITS_MAX ((size_t)4096)
#define IMAGEUSE_ITEMS_MAX ((size_t)10000)
#define IMAGEUSE_COMMAND_DEPTH 4 /* shells inside shells */
#define IMAGEUSE_FILE_DEPTH 16   /* Compose files inside Compose files */

struct imageuse_finder {
	const struct tree *tree;
	struct imageuse_list *list;
	struct strv seen; /* YAML files that were read */
	int depth;        /* of Compose files that take in others */
};

/* Where a use was found, and what is known there. */
struct imageuse_site {
	const char *file; /* in the image */
	uint32_t line;
	const char *engine;           /* of struct imageuse */
	const char *folder;           /* where relative paths start, in the image, or NULL */
	const struct strv *variables; /* "NAME=value"; the last one wins */
};

enum imageuse_kind { IMAGEUSE_COMPOSE, IMAGEUSE_STACK, IMAGEUSE_KUBE };

/* Adds a use. An image with variables that have no value, or other things that no reference has, becomes
 * one that cannot be told. */
void imageuse_add(struct imageuse_finder *f, const struct imageuse_site *site, const char *image);

/* Adds a use that cannot be told. */
void imageuse_add_unknown(struct imageuse_finder *f, const struct imageuse_site *site,
			  const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Reads a file of the tree that is followed through links: its text, or NULL with *ret_why (static words) when it is not
 * there, no file or too large. Caller frees. */
char *imageuse_read(const struct tree *tree, const char *path, const char **ret_why);

/* Fills in the variables of Compose and of shells: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:+other},
 * ${NAME+other}, $$. One without a value or default stays as it is. Caller frees. */
char *imageuse_expand(const char *text, const struct strv *variables);

/* Fills in the specifiers of systemd that follow from the unit's name (%i, %I, %j, %n, %N, %p, %P, %%). Caller frees. */
char *imageuse_specifiers(const char *text, const char *unit);

/* Adds the "NAME=value" lines of an environment file. */
void imageuse_environment(const char *text, struct strv *variables);

/* Splits text into words with quotes and backslashes; a word that is one variable is split at its blanks too. With shell
 * set, operators end a command; without, a word ";" does. The end of a command is a word "\n". */
void imageuse_words(const char *text, bool shell, const struct strv *variables, struct strv *words);

/* Looks for images in a command line of systemd (Exec...=), variables not filled in yet. */
void imageuse_command(struct imageuse_finder *f, const struct imageuse_site *site,
		      const char *command);

/* Looks for images in a Compose file or stack, or in Kubernetes objects, at path. by: who names it; NULL when it was found by
 * its name: then it may be something else. */
void imageuse_yaml(struct imageuse_finder *f, const char *path, enum imageuse_kind kind,
		   const struct imageuse_site *by, const char *engine);

/* Looks into the enabled units and the quadlets of the tree. */
void imageuse_units(struct imageuse_finder *f, const struct profile *profile);

#endif
