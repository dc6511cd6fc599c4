/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot plan: what a build would do and why.
 */
#include "cli/profiles.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>

static const struct cli_option options[] = {
	{"format", 'f', "LIST", "formats, such as raw,qcow2 (default: what the profile says)"},
	CLI_BUILD_OPTIONS,
	{0},
};

static void print_inputs(const json_t *row)
{
	size_t i;
	json_t *input;

	json_array_foreach(json_object_get(row, "inputs"), i, input)
		printf("        %-24s %s\n", json_member_string(input, "name"),
		       json_member_string(input, "value"));
}

static void print_plan(const json_t *plan)
{
	size_t i;
	json_t *row;

	json_array_foreach(plan, i, row)
	{
		const char *key = json_member_string(row, "key");
		const char *why = json_member_string(row, "why");
		bool cached = json_is_true(json_object_get(row, "cached"));

		printf("%-16s %-14s %-7s %.16s  %s\n", json_member_string(row, "profile"),
		       json_member_string(row, "step"), cached ? "cached" : "run", key ? key : "-",
		       why ? why : "");
		if (log_verbosity() >= 1)
			print_inputs(row);
	}
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	CLEANUP(strv_free) struct strv set = {0};
	const struct build_options build = cli_build_options(cli, args, args->operands, &set);
	CLEANUP_JSON json_t *plan = NULL;

	plan = build_plan(&build, err);
	if (!plan)
		return -1;
	if (cli->json)
		log_event("plan", json_pack("{s:O}", "steps", plan));
	else
		print_plan(plan);
	return 0;
}

const struct cli_verb cli_plan = {
	.name = "plan",
	.operands = "PROFILE...",
	.summary = "show the steps of a build: what is cached, what would run and why",
	.details = "With -v every input of every step is listed.",
	.options = options,
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.run = run,
};
