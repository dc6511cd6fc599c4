/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The finished root step, open for the images; private to build*.c.
 */
#ifndef INGOT_BUILD_PARTS_H
#define INGOT_BUILD_PARTS_H

#include "base/digest.h"
#include "base/err.h"
#include "base/region.h"
#include "cache/cache.h"
#include "disk/squashfs.h"

struct build_root {
	int data_fd;                     /* root.squashfs */
	struct region_list data, verity; /* the content of the two partitions */
	void *hash_area;
	struct digest root_hash;
	char *os_release; /* text, for the UKI */
};

/* Opens the entry of the root step in dir. Close with build_root_close. A damaged entry is
 * ERR_VERIFY. */
int build_root_open(const char *dir, struct build_root *ret, struct err *err);

/* Closes and clears it; fine on a cleared one whose data_fd is -1. */
void build_root_close(struct build_root *root);

/* An earlier root whose compressed content of the layer can be taken over. */
struct build_content {
	struct squashfs_earlier earlier; /* fd is -1 when there is none */
	struct str record;
	char *dir; /* the cache entry, or NULL */
};

/* Looks for content with the key (squashfs_content_key). Close with build_content_close. */
void build_content_open(struct cache *cache, const struct digest *key, struct build_content *ret);

/* Closes it; usable with CLEANUP(). */
void build_content_close(struct build_content *content);

/* Keeps the content of the root at path (linked, not copied) for later ones; record is the content of
 * its squashfs_result. */
void build_content_keep(struct cache *cache, const struct digest *key, const char *root,
			const struct str *record);

#endif
