/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot schema: the profile format as JSON Schema, for editors and CI.
 */
#include "cli/cli.h"

#include "base/mem.h"
#include "profile/profile.h"

#include <stdio.h>

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	CLEANUP_JSON json_t *schema = profile_json_schema();

	(void)cli;
	(void)args;
	if (!schema || json_dumpf(schema, stdout, JSON_INDENT(2)) < 0)
		return err_set(err, ERR_OTHER, "cannot write the schema to standard output");
	putchar('\n');
	return 0;
}

const struct cli_verb cli_schema = {
	.name = "schema",
	.operands = "",
	.summary = "print the JSON Schema (2020-12) of the profile format",
	.operands_min = 0,
	.operands_max = 0,
	.run = run,
};
