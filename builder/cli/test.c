/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot test: boots an image several times and checks it; the result is TAP (testanything.org, version
 * 13) on standard output.
 */
#include "cli/machine.h"

#include "base/image.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "disk/gpt.h"
#include "output/image.h"
#include "vm/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* squashfs 4.0: the time of creation, which nobody looks at when the file system is mounted. */
#define SQUASHFS_TIME 8
#define TESTS_MAX 1000

static const struct cli_option options[] = {
	{"only", 0, "TEXT", "only checks whose name contains TEXT, and what they need"},
	{"quick", 0, NULL, "only the first boot: no reboot, second machine or flipped bit"},
	{"keep-log", 0, "DIR", "keep the console logs in DIR (default: only of failures)"},
	CLI_MACHINE_OPTIONS,
	{0},
};

struct report {
	const struct cli *cli;
	const char *log_dir; /* or NULL */
	unsigned count;
};

/* Diagnostics: each line with "# " before it. prove shows those on standard error. */
static void print_lines(FILE *to, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		fprintf(to, "#   %.*s\n", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void on_result(bool passed, const char *name, const char *why, void *context)
{
	struct report *report = context;
	CLEANUP_FREE char *line = mem_strdup(name);

	report->count++;
	log_event("test", json_pack("{s:i, s:o, s:b, s:o}", "number", (int)report->count, "name",
				    cli_machine_text(name), "passed", passed, "why",
				    cli_machine_text(why)));
	if (report->cli->json)
		return;
	/* '#' starts a directive in TAP. */
	for (char *p = line; *p; p++)
		if (*p == '#' || (unsigned char)*p < 32)
			*p = ' ';
	printf("%s %u - %s\n", passed ? "ok" : "not ok", report->count, line);
	fflush(stdout);
	if (!passed) {
		fprintf(stderr, "# failed: %s\n", line);
		print_lines(stderr, why);
	}
}

static void on_note(const char *text, void *context)
{
	const struct report *report = context;

	log_event("note", json_pack("{s:o}", "text", cli_machine_text(text)));
	if (report->cli->json)
		return;
	printf("# %s\n", text);
	fflush(stdout);
}

static void on_finished(const struct vm *vm, const char *machine, bool failed, void *context)
{
	const struct report *report = context;
	const char *tmp = getenv("TMPDIR");
	CLEANUP_FREE char *folder = mem_printf("%s/ingot-test.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	CLEANUP_FREE char *file = mem_printf("console-%s.log", machine);
	CLEANUP_FREE char *path = NULL;
	struct err err = {0};

	if (!report->log_dir && !failed)
		return;
	if (!report->log_dir && !mkdtemp(folder)) {
		log_warn("cannot create '%s' for the console log", folder);
		return;
	}
	path = path_join(report->log_dir ? report->log_dir : folder, file);
	if ((report->log_dir && path_make_dirs(report->log_dir, &err) < 0) ||
	    vm_console_save(vm, path, &err) < 0) {
		log_warn("%s", err.msg);
		return;
	}
	if (failed && !report->cli->json)
		fprintf(stderr, "# console log: %s\n", path);
	log_event("console", json_pack("{s:s, s:s}", "machine", machine, "path", path));
}

/* Finds the byte to damage: low byte of the squashfs time. Everything but verification accepts that. */
static int find_victim(const char *path, struct vm_damage *damage, struct err *err)
{
	CLEANUP(image_close) struct image *image = image_open(path, err);
	CLEANUP(gpt_free) struct gpt gpt = {0};
	uint8_t super[SQUASHFS_TIME + 1];

	if (!image || gpt_read(image, &gpt, err) < 0)
		return -1;
	for (size_t i = 0; i < gpt.count; i++) {
		const struct gpt_type *type = gpt_type_of(&gpt.items[i].type);

		if (!type || strcmp(type->name, "root") != 0)
			continue;
		if (image->pread(image, super, sizeof(super), gpt.items[i].offset, err) < 0)
			return -1;
		if (memcmp(super, "hsqs", 4) != 0)
			break;
		damage->offset = gpt.items[i].offset + SQUASHFS_TIME;
		damage->value = super[SQUASHFS_TIME] ^ 1;
		return 0;
	}
	return err_set(err, ERR_VERIFY, "'%s' has no root partition with a squashfs", path);
}

/* The array "tests" of the manifest; its strings are borrowed. */
static int read_tests(const json_t *manifest, struct vm_test *tests, size_t *ret_count,
		      struct err *err)
{
	const json_t *list = json_object_get(manifest, "tests");
	json_t *item;
	size_t i;

	*ret_count = 0;
	if (json_array_size(list) > TESTS_MAX)
		return err_set(err, ERR_VERIFY, "the manifest has more than %d tests", TESTS_MAX);
	json_array_foreach(list, i, item)
	{
		json_int_t seconds = json_integer_value(json_object_get(item, "timeout"));
		struct vm_test test = {
			.name = json_member_string(item, "name"),
			.run = json_member_string(item, "run"),
			.expect = json_member_string(item, "expect"),
			.seconds = seconds > 0 && seconds <= 86400 ? (unsigned)seconds : 0,
		};

		if (!test.name || !test.run)
			return err_set(err, ERR_VERIFY, "test %zu of the manifest is incomplete",
				       i + 1);
		tests[(*ret_count)++] = test;
	}
	return 0;
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	CLEANUP(cli_machine_free) struct cli_machine machine = {0};
	CLEANUP_FREE struct vm_test *tests = mem_alloc_array(TESTS_MAX, sizeof(*tests));
	struct report report = {.cli = cli, .log_dir = cli_get(args, "keep-log")};
	struct vm_damage damage = {0};
	struct vm_suite suite = {
		.tests = tests,
		.quick = cli_has(args, "quick"),
		.only = cli_get(args, "only"),
		.damage = &damage,
		.result = on_result,
		.note = on_note,
		.finished = on_finished,
		.context = &report,
	};
	unsigned failed = 0;

	if (cli_machine_open(cli, args, args->operands[0], &machine, err) < 0)
		return -1;
	suite.tools = &machine.tools;
	suite.machine = &machine.options;
	suite.swarm = cli_machine_is_swarm(&machine);
	if (!machine.manifest)
		log_warn("no manifest beside '%s': the tests of its profile are not known",
			 machine.image);
	if (read_tests(machine.manifest, tests, &suite.test_count, err) < 0 ||
	    find_victim(machine.image, &damage, err) < 0)
		return -1;
	if (!cli->json)
		printf("TAP version 13\n# %s\n", machine.image);
	if (vm_suite_run(&suite, &failed, err) < 0)
		return -1;
	if (report.count == 0)
		return err_set(err, ERR_USAGE, "no check has '%s' in its name", suite.only);
	if (!cli->json)
		printf("1..%u\n", report.count);
	return failed ? err_set(err, ERR_TEST, "%u of %u checks of '%s' failed", failed,
				report.count, machine.name)
		      : 0;
}

const struct cli_verb cli_test = {
	.name = "test",
	.operands = "IMAGE|PROFILE",
	.summary = "boot an image and check it; the result is TAP",
	.details =
		"Boots the image, checks it and runs the profile's tests in it, reboots it, boots a\n"
		"second machine that must become another one, and one with a flipped bit that must\n"
		"not come up. The tests of an IMAGE are those of the manifest beside it.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
