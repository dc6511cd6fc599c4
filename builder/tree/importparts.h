/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both readers of foreign tar streams share: package layers (import.c) and layers of container
 * images (layer.c). An entry of libarchive becomes an inode, with every value of it checked.
 */
#ifndef INGOT_TREE_IMPORTPARTS_H
#define INGOT_TREE_IMPORTPARTS_H

#include "base/path.h"
#include "tree/pax.h"
#include "tree/tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

/* One import under way. */
struct import {
	struct archive *in;
	struct archive_entry *entry; /* the current one */
	struct tree *tree;
	struct pax *out;
	int tar_fd;
	const char *origin;
	char path[PATH_IMAGE_MAX]; /* of the current entry, clean and relative; "" is the root */
	struct tree_xattr xattrs[TREE_XATTRS_MAX];
};

/* Sets ERR_VERIFY: why something is wrong with the entry named path (may be NULL). Returns -1. */
int import_broken(const struct import *im, const char *path, const char *why, struct err *err);

/* Sets the library's error, ERR_VERIFY unless reading itself failed. Returns -1. */
int import_archive_failed(const struct import *im, struct err *err);

/* Goes to the next entry: 1 when there is one, 0 at the end, -1 with err. Blocks. */
int import_next(struct import *im, struct err *err);

/* Fills owner, mode, time and origin of inode from the current entry. */
int import_get_owner(const struct import *im, struct tree_inode *inode, struct err *err);

/* Fills type, size, target and device of inode from the current entry. */
int import_get_type(const struct import *im, struct tree_inode *inode, struct err *err);

/* Points inode's extended attributes to those of the current entry, in im and libarchive's memory. */
int import_get_xattrs(struct import *im, struct tree_inode *inode, struct err *err);

/* Turns what the tree refuses (ERR_PROFILE) into the stream's fault (ERR_VERIFY). Returns -1. */
int import_blame_stream(const struct import *im, struct err *err);

/* Enters the C locale for this thread, in which libarchive keeps the bytes of names (with UTF-8 it would
 * compose accents). Leave it by import_leave_locale. */
locale_t import_enter_locale(locale_t *ret_saved);

/* Ends what import_enter_locale began. */
void import_leave_locale(locale_t entered, locale_t saved);

#endif
