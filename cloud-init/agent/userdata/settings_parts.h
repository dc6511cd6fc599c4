/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the settings share: the types of values, and the rules that tie keys together. Only
 * settings*.c include this.
 */
#ifndef INGOT_AGENT_SETTINGS_PARTS_H
#define INGOT_AGENT_SETTINGS_PARTS_H

#include "agent/userdata/settings.h"

#include <stdbool.h>

struct settings_type {
	const char *name;
	bool (*fits)(const char *text);
	const char *article;  /* "a port": what a wrong value is not */
	const char *expected; /* what would be right */
	bool secret;          /* a value is never shown: it is one, or may hold one */
	bool integer;         /* JSON has it as a number */
	/* Of a map with values of this type: its keys. NULL when there is no such map. */
	bool (*key_fits)(const char *text);
	const char *key_article, *key_expected;
};

/* The type with this name; ends the process when the table names one that does not exist. */
const struct settings_type *settings_type_find(const char *name);

/* The row of the key below parent (NULL: the top), or NULL. */
const struct settings_row *settings_row_find(const struct settings_row *parent, const char *key);

/* The part of a row's key behind the last dot. */
const char *settings_row_leaf(const struct settings_row *row);

/* True when row is a direct child of parent (NULL: the top). */
bool settings_row_is_child(const struct settings_row *parent, const struct settings_row *row);

/* Checks what one key demands of another one, where the single values are as they should be. */
void settings_rules_check(const struct doc_node *settings, struct doc_report *report);

#endif
