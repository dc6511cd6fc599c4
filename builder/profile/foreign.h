/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML files that are not profiles, such as those of Compose and Kubernetes, as the plain list of their
 * values. The same reader and bounds as for profiles.
 */
#ifndef INGOT_PROFILE_FOREIGN_H
#define INGOT_PROFILE_FOREIGN_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define FOREIGN_BYTES_MAX ((size_t)1 << 20) /* of one file */
#define FOREIGN_KEYS_MAX ((size_t)64)       /* of maps and lists inside each other */

struct foreign_value {
	/* The way from the top: keys of maps, "[]" for an item of a list. */
	const char *const *keys;
	size_t key_count;
	const char *text;
	uint32_t line; /* counts from 1; of an alias that of its anchor */
};

/* Calls visit for every scalar of every document, in the order of the file; what "<<" merges into a map comes
 * behind the map's own keys, without those that it has itself. Tags are passed over. label names the file
 * in errors. Not valid YAML, a duplicate key, and what is larger than a profile may be is ERR_PROFILE with
 * "label:line:column: ...", before visit is called. */
int foreign_walk(const char *label, const char *text, size_t len,
		 void (*visit)(const struct foreign_value *value, void *context), void *context,
		 struct err *err);

#endif
