/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks that ingot did not make: which of them are worth an appliance of libguestfs, and what it finds.
 */
#ifndef INGOT_INSPECT_INSPECT_GUEST_H
#define INGOT_INSPECT_INSPECT_GUEST_H

#include "base/err.h"
#include "base/json.h"
#include "disk/guest.h"

#include <stdbool.h>

/* As inspect_image, and for a disk that ingot did not make also what libguestfs finds: a member guest (what
 * guest_read reports without os_release, or null), and os_release, kernel and packages from it. Without
 * libguestfs that is one of the problems, or the error when nothing else can read the image. Blocks for 10
 * to 30 s on such a disk, and says so; our own images are read as ever. Caller decrefs. */
json_t *inspect_any(const char *path, bool verify, struct err *err);

/* True when the disk has file systems that only libguestfs can look into, or is in a format that only QEMU
 * reads. Reads some sectors. */
bool inspect_is_foreign(const char *path);

/* Runs guest_read on a path, with a step for the user; consume and context as in struct guest_request. KVM
 * is used when it works, which is remembered in the cache's default folder. */
int inspect_run_guest(const char *path, int (*consume)(int tar_fd, void *context, struct err *err),
		      void *context, json_t **ret_report, struct err *err);

#endif
