/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between two inventories: two images, manifests or locks, or one of each.
 */
#ifndef INGOT_INSPECT_DIFF_H
#define INGOT_INSPECT_DIFF_H

#include "base/str.h"
#include "inspect/inventory.h"

/* The categories in the order in which they are shown: what matters to security first, ended by NULL. */
extern const char *const diff_categories[];

/* As inventory_open for both, at the same time. Free both with inventory_free, also on error. */
int diff_open(const char *path_a, const char *path_b, struct inventory **ret_a,
	      struct inventory **ret_b, struct err *err);

/* Compares the categories in only, or all of them when that is empty. Contents of files are digested where
 * size and path are the same and the two trees are not one; times of files, and hard links, are not
 * compared. Returns an object:
 *   a, b      {file, kind, name, version, ...}: what was compared
 *   same      true when nothing that was compared differs
 *   unknown   [{category, a, b}]: what was not compared: false for a side that does not tell it
 *   CATEGORY  {added [{name, value}], removed [{name, value}], changed [{name, from, to}]}, sorted by name;
 *             a value is text, a number, true or an object; from and to have only the members that differ
 *   files     {added [{path, type, mode, uid, gid, size, sha256, target, device, xattrs}], removed,
 *             changed [{path, what [content, size, mode, owner, type, target, device, xattrs], from, to}],
 *             added_count, removed_count, changed_count, content_unknown}: the lists hold at most 100000
 *             entries together, the counts are exact
 * Caller decrefs. Blocks. */
json_t *diff_inventories(struct inventory *a, struct inventory *b, const struct strv *only,
			 struct err *err);

#endif
