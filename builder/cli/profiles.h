/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a profile for a verb; private to cli/.
 */
#ifndef INGOT_CLI_PROFILES_H
#define INGOT_CLI_PROFILES_H

#include "cli/cli.h"
#include "profile/profile.h"

/* Loads the profile by path or name with the --set options of args; its problems are printed to standard
 * error. Free with profile_free. */
struct profile *cli_load_profile(const struct cli *cli, const struct cli_args *args,
				 const char *name, struct err *err);

#endif
