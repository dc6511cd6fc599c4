/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the profile says beside packages and overlays, as files of the image: units, users, firewall,
 * sysctl, the agent and its description of the image.
 */
#ifndef INGOT_LAYERS_SETTINGS_H
#define INGOT_LAYERS_SETTINGS_H

#include "cache/cache.h"
#include "profile/profile.h"
#include "tree/tree.h"

struct settings_input {
	const struct profile *profile;
	const char *data;     /* folder with cloud-init/units/ */
	const char *programs; /* folder with ingot-agent */
	int64_t epoch;        /* source date, seconds since 1970 */
};

/* Adds what settings_apply reads besides the profile: the agent, its units, files of the profile that
 * have a source; and the version of what it generates. */
int settings_key(const struct settings_input *input, struct cache_key *key, struct err *err);

/* Changes the merged tree (layer and overlays) into the image's. An unknown unit, user or group is
 * ERR_PROFILE with a hint. */
int settings_apply(const struct settings_input *input, struct tree *tree, struct err *err);

#endif
