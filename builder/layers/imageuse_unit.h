/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units as the search for container images reads them. Private to imageuse*.c.
 */
#ifndef INGOT_LAYERS_IMAGEUSE_UNIT_H
#define INGOT_LAYERS_IMAGEUSE_UNIT_H

#include "base/str.h"
#include "tree/tree.h"

/* Where units are, the folder that wins first; ended by NULL. */
extern const char *const imageuse_unit_folders[];

struct imageuse_setting {
	char *section, *key, *value; /* value with continued lines joined */
	const char *file;            /* borrowed from struct imageuse_unit */
	uint32_t line;
};

/* A unit with its drop-ins. */
struct imageuse_unit {
	const char *name;
	struct strv files;
	struct imageuse_setting *settings;
	size_t count, room;
};

/* Reads a unit with its drop-ins; an instance is made from its template. False for one that is not there or masked. name is
 * borrowed. Free with imageuse_unit_free, also then. */
bool imageuse_unit_load(const struct tree *tree, const char *name, struct imageuse_unit *unit);

/* Adds the settings of one file of the form of units; false when it cannot be read. */
bool imageuse_unit_file(const struct tree *tree, const char *path, struct imageuse_unit *unit);

/* Frees it; usable with CLEANUP() on a zeroed one. */
void imageuse_unit_free(struct imageuse_unit *unit);

#endif
