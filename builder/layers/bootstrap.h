/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the package layer: names that its files share.
 */
#ifndef INGOT_LAYERS_BOOTSTRAP_H
#define INGOT_LAYERS_BOOTSTRAP_H

#include "base/str.h"
#include "profile/profile.h"

#define BOOTSTRAP_TAR "layer.tar"
#define BOOTSTRAP_INDEX "layer.index"
#define BOOTSTRAP_INFO "packages.json"

/* Files in data/firmware/packages that say how packages are installed, ended by NULL. */
extern const char *const bootstrap_scripts[];

/* Appends the names of what the profile wants installed, the kernel included, sorted and once each. */
void bootstrap_packages(const struct profile *profile, struct strv *names);

#endif
