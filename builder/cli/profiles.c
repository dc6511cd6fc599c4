/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From operands and options to profiles and builds, for several verbs.
 */
#include "cli/profiles.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

struct profile *cli_load_profile(const struct cli *cli, const struct cli_args *args,
				 const char *name, struct err *err)
{
	CLEANUP(profile_problems_free) struct profile_problems problems = {0};
	CLEANUP(strv_free) struct strv set = {0};
	struct profile_options how = {.search = cli->search};
	struct profile *profile;

	cli_get_all(args, "set", &set);
	how.set = (const char *const *)set.items;
	profile = profile_load(name, &how, &problems, err);
	if (problems.count && cli->json)
		log_event("problems",
			  json_pack("{s:s, s:s}", "profile", name, "text", problems.text.data));
	if (problems.count)
		fputs(problems.text.data, stderr);
	return profile;
}

struct build_options cli_build_options(const struct cli *cli, const struct cli_args *args,
				       const char *const *profiles, struct strv *set)
{
	const char *out = cli_get(args, "output");

	cli_get_all(args, "set", set);
	return (struct build_options){
		.profiles = profiles,
		.set = (const char *const *)set->items,
		.search = cli->search,
		.formats = cli_get(args, "format"),
		.out = out ? out : "out",
		.cache = cli->cache,
		.data = cli->data,
		.programs = cli->programs,
		.jobs = cli->jobs,
		.offline = cli_has(args, "offline"),
		.locked = cli_has(args, "locked") || cli_get(args, "lock"),
		.lock = cli_get(args, "lock"),
	};
}
