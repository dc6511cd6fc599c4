/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot explain: where each value of a profile comes from, and what the keys mean.
 */
#include "cli/profiles.h"

#include "base/fd.h"
#include "base/mem.h"

#include <stdio.h>
#include <unistd.h>

static const struct cli_option options[] = {
	{"keys", 0, NULL, "document every key of the profile format"},
	{"markdown", 0, NULL, "with --keys: as the Markdown table of the README"},
	{"set", 's', "KEY=VALUE", "override a value of the profile; may be repeated"},
	{0},
};

static int show(const struct cli *cli, const struct cli_args *args, struct str *text,
		struct err *err)
{
	const char *key = args->operand_count > 1 ? args->operands[1] : NULL;
	struct profile *profile = cli_load_profile(cli, args, args->operands[0], err);
	int r = -1;

	if (!profile)
		return -1;
	if (cli->json) {
		CLEANUP_JSON json_t *json = profile_explain_json(profile, key, err);

		if (json) {
			CLEANUP_FREE char *line = json_line(json);

			str_addf(text, "%s\n", line);
			r = 0;
		}
	} else {
		r = profile_explain(profile, key, text, err);
	}
	profile_free(profile);
	return r;
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};

	if (cli_has(args, "keys")) {
		if (cli_has(args, "markdown"))
			profile_document_markdown(&text);
		else
			profile_document_keys(&text);
	} else if (args->operand_count == 0) {
		err_set(err, ERR_USAGE, "'ingot explain' needs a profile");
		return err_hint(err, "'ingot explain --keys' documents the keys");
	} else if (show(cli, args, &text, err) < 0) {
		return -1;
	}
	return fd_write(STDOUT_FILENO, text.data, text.len, "standard output", err);
}

const struct cli_verb cli_explain = {
	.name = "explain",
	.operands = "PROFILE [KEY]",
	.summary = "show the resolved profile and where each value comes from",
	.options = options,
	.operands_min = 0,
	.operands_max = 2,
	.run = run,
};
