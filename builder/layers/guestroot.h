/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a disk image that a profile starts from (base.image), as an entry of the cache: who has the
 * image's tar stream (disk/guest.h) makes it, packages_build installs on top of it.
 */
#ifndef INGOT_LAYERS_GUESTROOT_H
#define INGOT_LAYERS_GUESTROOT_H

#include "base/log.h"
#include "cache/cache.h"
#include "profile/profile.h"

#define GUESTROOT_KIND "guest" /* of the cache entry */
#define GUESTROOT_TAR "root.tar"

/* Key of the entry: the image's SHA-256 as the profile says it. */
void guestroot_key(const struct profile *profile, struct digest *ret);

/* Makes the files of the entry in dir from a tar stream, which may be hostile: root.tar (normal, checked)
 * and guest.json (what the system says it is). ERR_VERIFY for a broken stream, and for a
 * system without dpkg or os-release. step may be NULL. Blocks until the end of the stream. */
int guestroot_import(int tar_fd, const char *dir, struct log_step *step, struct err *err);

/* Checks that the entry in dir is what the profile takes it for: ERR_PROFILE when distribution, release or
 * architecture differ. Reads a small file. */
int guestroot_check(const char *dir, const struct profile *profile, struct err *err);

#endif
