/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot verify: is this what was built, and is it whole?
 */
#include "cli/cli.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/sign.h"
#include "inspect/verify.h"

#include <stdio.h>
#include <string.h>

#define KEYS_MAX 64

static const struct cli_option options[] = {
	{"key", 0, "FILE",
	 "public key (PEM) or certificate that must have signed; may be repeated"},
	{0},
};

struct keys {
	struct sign_key *items[KEYS_MAX];
	size_t count;
};

static void keys_close(struct keys *keys)
{
	while (keys->count > 0)
		sign_close(keys->items[--keys->count]);
}

static int open_keys(const struct cli_args *args, struct keys *ret, struct err *err)
{
	CLEANUP(strv_free) struct strv paths = {0};

	cli_get_all(args, "key", &paths);
	if (paths.count > KEYS_MAX)
		return err_set(err, ERR_USAGE, "more than %d keys", KEYS_MAX);
	for (size_t i = 0; i < paths.count; i++) {
		ret->items[ret->count] = sign_open_public(paths.items[i], err);
		if (!ret->items[ret->count])
			return -1;
		ret->count++;
	}
	return 0;
}

static void progress(uint64_t done, uint64_t total, void *context)
{
	log_step_progress(context, done, total, NULL);
}

static void print_report(const json_t *report)
{
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(report, "checks"), i, item)
	{
		bool skipped = strcmp(json_member_string(item, "result"), "skipped") == 0;

		printf("%-11s %s: %s%s\n", json_member_string(item, "check"),
		       json_member_string(item, "subject"), skipped ? "not checked: " : "",
		       json_member_string(item, "text"));
	}
	json_array_foreach(json_object_get(report, "unlisted"), i, item)
	{
		log_warn("'%s' is in the folder, but nothing vouches for it",
			 json_string_value(item));
	}
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	CLEANUP(keys_close) struct keys keys = {.count = 0};
	CLEANUP_JSON json_t *report = NULL;
	struct log_step step;
	struct verify_options o = {.keys = (const struct sign_key *const *)keys.items,
				   .jobs = cli->jobs,
				   .progress = progress,
				   .context = &step};
	int r;

	if (open_keys(args, &keys, err) < 0)
		return -1;
	o.key_count = keys.count;
	log_step_begin(&step, "verify", path_base(args->operands[0]));
	r = verify_path(args->operands[0], &o, &report, err);
	/* What is wrong is told in one line: the error. */
	if (r == 0 || cli->json)
		log_step_end(&step, r == 0 ? LOG_DONE : LOG_FAILED);
	if (cli->json)
		log_event("verified", json_incref(report));
	else if (r == 0 && log_verbosity() >= 0)
		print_report(report);
	return r;
}

const struct cli_verb cli_verify = {
	.name = "verify",
	.operands = "FOLDER|IMAGE",
	.summary = "prove an image: signature, sums, manifest, tables, root hash, every file",
	.details =
		"FOLDER is that of one image (OUT/NAME): SHA256SUMS, manifest.json, provenance and all\n"
		"files that they name are read. IMAGE is one disk in any format; what SHA256SUMS and\n"
		"manifest.json beside it say about it is checked too. Without --key nobody knows who made\n"
		"them. Exit code 5 when something is wrong. With --json one event \"verified\".",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
