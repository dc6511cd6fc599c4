/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of settings_apply; private to settings*.c.
 */
#ifndef INGOT_LAYERS_SETTINGS_PARTS_H
#define INGOT_LAYERS_SETTINGS_PARTS_H

#include "base/str.h"
#include "layers/settings.h"

#define SETTINGS_ORIGIN "profile" /* of the tree entries that are made from it */

/* Puts a file with the text at path, root:root, with time epoch. */
int settings_put(struct tree *tree, const char *path, uint32_t mode, const char *text,
		 int64_t epoch, struct err *err);

/* Replaces the text of the file at path, which exists, by text and keeps owner and mode. */
int settings_rewrite(struct tree *tree, const char *path, const char *text, struct err *err);

/* Number of a user (file "/etc/passwd") or group ("/etc/group") of the tree; text that is a number stands
 * for itself. ERR_PROFILE when there is none of that name. */
int settings_id(const struct tree *tree, const char *file, const char *name, uint32_t *ret,
		struct err *err);

/* Enables a unit as systemctl(1) does: the links that its [Install] section asks for. A name without
 * suffix is a service. ERR_PROFILE for a unit that the tree has not or that has no [Install] section. */
int settings_unit_enable(struct tree *tree, const char *unit, struct err *err);

/* Enables, disables and masks what the profile says. */
int settings_units(const struct settings_input *input, struct tree *tree, struct err *err);

/* Adds the users of the profile, their keys and their homes (below /var/home: / is read-only). */
int settings_users(const struct settings_input *input, struct tree *tree, struct err *err);

/* Appends the nftables ruleset of the profile. */
void settings_firewall(const struct profile *profile, struct str *text);

#endif
