/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot-agent check-user-data: user-data as a machine would read it, before there is a machine; and the
 * table of our own settings for the README.
 */
#include "agent/provision/cloudconfig.h"
#include "agent/userdata/settings.h"
#include "agent/userdata/userdata.h"
#include "agent/verbs.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void print_type(const struct settings_row *row)
{
	if (row->shape == SETTINGS_SECTION)
		fputs("map", stdout);
	else if (row->shape == SETTINGS_LIST)
		printf("list of %s", row->type);
	else if (row->shape == SETTINGS_MAP)
		printf("map of %s", row->type);
	else if (!row->choices)
		fputs(row->type, stdout);
	for (size_t i = 0; row->choices && row->choices[i]; i++)
		printf("%s%s", i ? ", " : "one of ", row->choices[i]);
}

static int print_keys(struct err *err)
{
	fputs("| Key | Type | Meaning |\n|---|---|---|\n", stdout);
	for (const struct settings_row *row = settings_rows; row->key; row++) {
		printf("| `%s` | ", row->key);
		print_type(row);
		printf(" | %s |\n", row->help);
	}
	if (fflush(stdout) != 0)
		return err_sys(err, errno, "cannot write the table");
	return 0;
}

static size_t not_fetched;

/* A check must not depend on what another machine says today. */
static int do_not_fetch(const char *url, struct str *text, struct err *err)
{
	(void)url, (void)text, (void)err;
	not_fetched++;
	return 0;
}

static int check(const char *file, struct err *err)
{
	CLEANUP(userdata_free) struct userdata userdata = {0};
	CLEANUP(str_wipe) struct str text = {0};
	/* Templates need values; these are as good as any. */
	struct instance instance = {
		.source = (char *)"nocloud",
		.id = (char *)"i-1",
		.hostname = (char *)"host",
		.zone = (char *)"zone",
		.region = (char *)"region",
		.address = (char *)"192.0.2.1",
		.kind = (char *)"kind",
	};

	if (fd_read_file(file, INSTANCE_DATA_MAX, &text, err) < 0)
		return -1;
	instance.user_data = text;
	userdata_read(&(struct userdata_input){.instance = &instance,
					       .name = file,
					       .include = do_not_fetch},
		      &userdata);
	if (userdata.config) {
		struct doc_report report = {.text = &userdata.problems,
					    .count = userdata.problem_count};

		cc_check(userdata.config, userdata.arena, &report, NULL);
		userdata.problem_count = report.count;
	}
	if (not_fetched)
		printf("%s: %zu included parts are not looked at\n", file, not_fetched);
	if (userdata.problem_count == 0)
		return 0;
	fputs(userdata.problems.data, stderr);
	return err_set(err, ERR_PROFILE, "%zu error%s in '%s'", userdata.problem_count,
		       userdata.problem_count == 1 ? "" : "s", file);
}

int verb_check_user_data(const struct verb_options *options, struct err *err)
{
	if (options->keys)
		return print_keys(err);
	if (!options->argument) {
		err_set(err, ERR_USAGE, "check-user-data needs an argument: FILE");
		return err_hint(err, "see ingot-agent --help");
	}
	return check(options->argument, err);
}
