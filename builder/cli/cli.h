/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs and their options as tables: parsing, help, completion and the README come from the same rows.
 */
#ifndef INGOT_CLI_CLI_H
#define INGOT_CLI_CLI_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct cli_option {
	const char *name; /* long name without dashes; NULL ends a table */
	char letter;      /* short form or 0 */
	const char *arg;  /* what follows it ("DIR"), or NULL for a switch */
	const char *help; /* one line */
};

/* What was given on the command line; all borrowed from argv. */
struct cli_args {
	struct cli_given {
		const struct cli_option *option;
		const char *value;
	} * given;
	size_t given_count;
	const char **operands; /* ended by NULL */
	size_t operand_count;
};

/* What the global options say, for every verb. */
struct cli {
	unsigned jobs;         /* threads to use, at least 1 */
	const char *cache;     /* cache folder or NULL for the default */
	const char *data;      /* folder with profiles/ overlays/ firmware/ */
	const char *programs;  /* folder with ingot-agent and ingot-initrd */
	const char *search[4]; /* folders where profiles are looked up by name, ended by NULL */
	bool json;
};

struct cli_verb {
	const char *name;
	const char *operands; /* "PROFILE..." for the usage line, "" for none */
	const char *summary;  /* one line for `ingot --help` */
	const char *details;  /* further lines for `ingot VERB --help`, or NULL */
	const struct cli_option *options;
	size_t operands_min, operands_max; /* SIZE_MAX: any number */
	/* Does the work; prints results to standard output. */
	int (*run)(const struct cli *cli, const struct cli_args *args, struct err *err);
};

/* One row per verb, in the order of the help text, ended by NULL. */
extern const struct cli_verb *const cli_verbs[];

extern const struct cli_verb cli_build, cli_lock, cli_plan, cli_validate, cli_explain, cli_schema,
	cli_inspect, cli_verify, cli_keygen, cli_sign, cli_diff, cli_convert, cli_boot, cli_test,
	cli_images, cli_cache, cli_cluster, cli_seed;

/* True when the switch or option was given. */
bool cli_has(const struct cli_args *args, const char *name);

/* The last value given for the option, or NULL; borrowed. */
const char *cli_get(const struct cli_args *args, const char *name);

/* Appends each value given for the option, in order. */
void cli_get_all(const struct cli_args *args, const char *name, struct strv *values);

/* Reads a whole number option between min and max; *ret keeps its value when it was not given.
 * ERR_USAGE otherwise. */
int cli_get_number(const struct cli_args *args, const char *name, long min, long max, long *ret,
		   struct err *err);

#endif
