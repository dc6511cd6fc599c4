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

/* The cache as a store of compressed content for squashfs_write. Valid as long as the cache; nothing to free. */
struct squashfs_store build_content(struct cache *cache);

#endif
