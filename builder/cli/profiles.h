/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From operands and options to profiles and builds, for several verbs; private to cli/.
 */
#ifndef INGOT_CLI_PROFILES_H
#define INGOT_CLI_PROFILES_H

#include "build.h"
#include "cli/cli.h"
#include "profile/profile.h"

/* Loads the profile by path or name with the --set options of args; its problems are printed to standard
 * error. Free with profile_free. */
struct profile *cli_load_profile(const struct cli *cli, const struct cli_args *args,
				 const char *name, struct err *err);

/* Rows for the option tables of the verbs that build. */
#define CLI_BUILD_OPTIONS                                                                      \
	{"output", 'o', "DIR", "where images go: DIR/NAME/ (default: out)"},                   \
		{"set", 's', "KEY=VALUE", "override a value of the profile; may be repeated"}, \
		{"offline", 0, NULL, "ask no repository: use what the cache holds"},           \
		{"locked", 0, NULL, "fail unless all packages are as PROFILE.lock says"},      \
	{                                                                                      \
		"lock", 0, "FILE", "like --locked, by this lock"                               \
	}

/* What the command line says about a build of the profiles (ended by NULL). set collects the --set
 * options: it must live as long as the result, and the caller frees it. */
struct build_options cli_build_options(const struct cli *cli, const struct cli_args *args,
				       const char *const *profiles, struct strv *set);

#endif
