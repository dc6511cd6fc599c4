/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the crash-safe copy that the /etc code uses as well: one entry instead of a tree,
 * and removing what an interrupted copy left.
 */
#ifndef INGOT_INITRD_SEED_H
#define INGOT_INITRD_SEED_H

#include "helper.h"

/*
 * Copies entry name of directory src to the same name in directory dst, where it must not exist:
 * built under a temporary name, synced, renamed, directory synced. Blocks on the disk. Returns 0,
 * or -1 with err set.
 */
int seed_copy_one(int src, const char *name, int dst, struct err *err);

/*
 * Removes entry name of directory dirfd, a directory with all it holds; links are not followed. It
 * is no error when there is none. Returns 0, or -1 with err set.
 */
int seed_remove(int dirfd, const char *name, struct err *err);

#endif
