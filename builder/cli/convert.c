/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot convert: a disk image in other formats.
 */
#include "cli/cli.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/size.h"
#include "output/convert.h"

#include <stdio.h>

static const struct cli_option options[] = {
	{"format", 'f', "LIST", "such as qcow2,vhd,gcp ('ingot help formats' lists them)"},
	{"output", 'o', "DIR", "where the files go (default: the current folder)"},
	{"name", 'n', "NAME", "of the files, without suffix (default: the input's)"},
	{"reproducible", 0, NULL, "the same bytes on every processor; takes longer"},
	{0},
};

static void print_results(const json_t *result)
{
	json_t *artifact;
	size_t i;

	json_array_foreach(json_object_get(result, "artifacts"), i, artifact)
	{
		json_int_t bytes = json_integer_value(json_object_get(artifact, "bytes"));
		char size[16];

		printf("%s  %s\n", json_member_string(artifact, "file"),
		       size_format((uint64_t)bytes, size));
	}
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	CLEANUP_JSON json_t *result = NULL;
	const char *folder = cli_get(args, "output");
	const struct convert_options convert = {
		.input = args->operands[0],
		.formats = cli_get(args, "format"),
		.folder = folder ? folder : ".",
		.name = cli_get(args, "name"),
		.portable = cli_has(args, "reproducible"),
		.jobs = cli->jobs,
	};

	if (!convert.formats) {
		err_set(err, ERR_USAGE, "no format given");
		return err_hint(err, "such as: ingot convert DISK --format qcow2,vhd");
	}
	if (convert_run(&convert, &result, err) < 0)
		return -1;
	if (cli->json)
		log_event("converted", json_incref(result));
	else if (log_verbosity() >= 0)
		print_results(result);
	return 0;
}

const struct cli_verb cli_convert = {
	.name = "convert",
	.operands = "DISK",
	.summary = "write a disk image in other formats, all in one pass",
	.details =
		"DISK is an image of any format that ingot reads, or a block device. It is not changed.\n"
		"A size that a format cannot have grows for all formats, partition table included.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
