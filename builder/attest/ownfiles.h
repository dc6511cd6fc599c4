/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an image that no package brought: those of overlays and what the profile makes, with the
 * digests that SBOMs want.
 */
#ifndef INGOT_ATTEST_OWNFILES_H
#define INGOT_ATTEST_OWNFILES_H

#include "base/err.h"
#include "base/json.h"
#include "tree/tree.h"

/* What an origin of tree entries (tree_inode: origin) is called outside: "overlay base" instead of a path
 * of this machine. */
struct ownfiles_name {
	const char *origin, *name;
};

/* Lists the regular files of the final tree whose content is not in layer_fd (the tar of the package layer):
 * array of {path, size, sha256, sha1, component}, sorted by path, without files of container layers. component
 * is the name of the file's
 * origin, "profile" for one that names does not have (files of packages that the profile changes). names
 * ends with a NULL origin. Reads the contents. Caller decrefs. */
json_t *ownfiles_list(const struct tree *tree, int layer_fd, const struct ownfiles_name *names,
		      struct err *err);

#endif
