/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot validate: checks profiles without building anything.
 */
#include "cli/profiles.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static const struct cli_option options[] = {
	{"set", 's', "KEY=VALUE", "override a value of the profile; may be repeated"},
	{0},
};

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	int r = 0;

	/* All profiles are looked at, so that one run shows every error; the last one decides the
	 * message. */
	for (size_t i = 0; i < args->operand_count; i++) {
		struct profile *profile = cli_load_profile(cli, args, args->operands[i], err);

		if (!profile) {
			r = -1;
			continue;
		}
		log_event("valid", json_pack("{s:s, s:s}", "profile", profile->name, "version",
					     profile->version));
		if (!cli->json && log_verbosity() >= 0)
			printf("%s: ok: %s %s\n", profile->source, profile->name, profile->version);
		profile_free(profile);
	}
	return r;
}

const struct cli_verb cli_validate = {
	.name = "validate",
	.operands = "PROFILE...",
	.summary = "check profiles without building",
	.options = options,
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.run = run,
};
