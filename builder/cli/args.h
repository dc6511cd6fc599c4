/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the command line by the tables of cli.h; private to cli/ and main.c.
 */
#ifndef INGOT_CLI_ARGS_H
#define INGOT_CLI_ARGS_H

#include "cli/cli.h"

/* The global options; valid before and after the verb. Ended by a NULL name. */
extern const struct cli_option cli_global_options[];

/* Reads argv (argv[0] is skipped) by the global options and those of the verb (NULL: only global ones,
 * stopping at the first operand, whose index is *ret_next). ERR_USAGE with a hint on anything unknown.
 * Free with cli_args_free. */
int cli_parse(int argc, char **argv, const struct cli_verb *verb, struct cli_args *args,
	      int *ret_next, struct err *err);

/* Frees what cli_parse allocated. */
void cli_args_free(struct cli_args *args);

/* Appends the help of the program (verb NULL) or of one verb. */
void cli_help(const struct cli_verb *verb, struct str *text);

/* The verb of that name, or NULL. */
const struct cli_verb *cli_find_verb(const char *name);

#endif
