/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest of an overlay folder; shared by the files of this folder only.
 */
#ifndef INGOT_TREE_OVERLAY_H
#define INGOT_TREE_OVERLAY_H

#include "tree/tree.h"

#define OVERLAY_MANIFEST ".ingot-manifest"

/* Applies the text of a manifest (file is its name for messages) to the tree of the overlay. Owners'
 * names are looked up in base; without one (NULL) they count as root. What a folder of base has and the
 * manifest does not say ("-") stays. Marks the inodes it names. Mistakes are ERR_PROFILE with
 * file:line:column. */
int overlay_apply_manifest(struct tree *tree, const struct tree *base, const char *file,
			   const char *text, struct err *err);

#endif
