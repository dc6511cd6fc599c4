/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line by tables. Options may stand anywhere, "--name value" and "--name=value" both work,
 * "--" ends them.
 */
#include "cli/args.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct cli_option cli_global_options[] = {
	{"verbose", 'v', NULL, "say more; -vv also shows what programs print"},
	{"quiet", 'q', NULL, "say nothing but errors"},
	{"json", 0, NULL, "events as NDJSON on standard output (schema version 1)"},
	{"jobs", 'j', "N", "threads to use (default: the number of processors)"},
	{"cache", 0, "DIR", "cache folder (default: $INGOT_CACHE or ~/.cache/ingot)"},
	{"color", 0, "WHEN", "auto, always or never"},
	{"help", 'h', NULL, "show this help"},
	{"version", 0, NULL, "show the version"},
	{0},
};

const struct cli_verb *cli_find_verb(const char *name)
{
	for (const struct cli_verb *const *verb = cli_verbs; *verb; verb++)
		if (strcmp((*verb)->name, name) == 0)
			return *verb;
	return NULL;
}

static const struct cli_option *find_in(const struct cli_option *table, const char *name,
					size_t len, char letter)
{
	for (const struct cli_option *o = table; o && o->name; o++)
		if (letter ? o->letter == letter
			   : strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct cli_option *find(const struct cli_verb *verb, const char *name, size_t len,
				     char letter)
{
	const struct cli_option *o = verb ? find_in(verb->options, name, len, letter) : NULL;

	return o ? o : find_in(cli_global_options, name, len, letter);
}

static int unknown(const struct cli_verb *verb, const char *arg, struct err *err)
{
	const char *names[64];
	CLEANUP_FREE char *word = mem_strndup(arg + 2, strcspn(arg + 2, "="));
	const char *near;
	size_t count = 0;

	for (const struct cli_option *o = cli_global_options; o->name; o++)
		names[count++] = o->name;
	for (const struct cli_option *o = verb ? verb->options : NULL; o && o->name && count < 64;
	     o++)
		names[count++] = o->name;
	err_set(err, ERR_USAGE, "unknown option '%.80s'", arg);
	near = arg[1] == '-' ? str_nearest(word, names, count) : NULL;
	if (near)
		return err_hint(err, "did you mean '--%s'?", near);
	return err_hint(err, "see 'ingot %s%s--help'", verb ? verb->name : "", verb ? " " : "");
}

static void give(struct cli_args *args, const struct cli_option *option, const char *value)
{
	args->given[args->given_count].option = option;
	args->given[args->given_count++].value = value;
}

/* "-vj2": switches may be joined, the last may have its value joined. */
static int parse_letters(const struct cli_verb *verb, char **argv, int argc, int *i,
			 struct cli_args *args, struct err *err)
{
	for (const char *p = argv[*i] + 1; *p; p++) {
		const struct cli_option *o = find(verb, "", 0, *p);

		if (!o)
			return unknown(verb, argv[*i], err);
		if (!o->arg) {
			give(args, o, NULL);
			continue;
		}
		if (p[1]) {
			give(args, o, p + 1);
			return 0;
		}
		if (*i + 1 >= argc)
			return err_set(err, ERR_USAGE, "option '-%c' needs %s", *p, o->arg);
		give(args, o, argv[++*i]);
		return 0;
	}
	return 0;
}

static int parse_long(const struct cli_verb *verb, char **argv, int argc, int *i,
		      struct cli_args *args, struct err *err)
{
	const char *name = argv[*i] + 2;
	const char *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	const struct cli_option *o = find(verb, name, len, 0);

	if (!o)
		return unknown(verb, argv[*i], err);
	if (!o->arg && eq)
		return err_set(err, ERR_USAGE, "option '--%s' takes no value", o->name);
	if (o->arg && !eq && *i + 1 >= argc)
		return err_set(err, ERR_USAGE, "option '--%s' needs %s", o->name, o->arg);
	if (!o->arg)
		give(args, o, NULL);
	else
		give(args, o, eq ? eq + 1 : argv[++*i]);
	return 0;
}

int cli_parse(int argc, char **argv, const struct cli_verb *verb, struct cli_args *args,
	      int *ret_next, struct err *err)
{
	bool only_operands = false;

	*args = (struct cli_args){0};
	/* "-vvv" gives more options than arguments: count letters. */
	size_t room = 1;
	for (int i = 1; i < argc; i++)
		room += strlen(argv[i]) + 1;
	args->given = mem_alloc_array(room, sizeof(*args->given));
	args->operands = mem_alloc_array((size_t)argc + 1, sizeof(*args->operands));
	*ret_next = argc;
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];

		if (only_operands || arg[0] != '-' || !arg[1]) {
			if (!verb) {
				*ret_next = i;
				return 0;
			}
			args->operands[args->operand_count++] = arg;
		} else if (strcmp(arg, "--") == 0) {
			only_operands = true;
		} else if ((arg[1] == '-' ? parse_long : parse_letters)(verb, argv, argc, &i, args,
									err) < 0) {
			return -1;
		}
	}
	return 0;
}

void cli_args_free(struct cli_args *args)
{
	free(args->given);
	free(args->operands);
	*args = (struct cli_args){0};
}

bool cli_has(const struct cli_args *args, const char *name)
{
	for (size_t i = 0; i < args->given_count; i++)
		if (strcmp(args->given[i].option->name, name) == 0)
			return true;
	return false;
}

const char *cli_get(const struct cli_args *args, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < args->given_count; i++)
		if (strcmp(args->given[i].option->name, name) == 0)
			value = args->given[i].value;
	return value;
}

void cli_get_all(const struct cli_args *args, const char *name, struct strv *values)
{
	for (size_t i = 0; i < args->given_count; i++)
		if (strcmp(args->given[i].option->name, name) == 0)
			strv_add(values, args->given[i].value);
}

int cli_get_number(const struct cli_args *args, const char *name, long min, long max, long *ret,
		   struct err *err)
{
	const char *text = cli_get(args, name);
	char *end;
	long value;

	if (!text)
		return 0;
	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || !*text || *end || value < min || value > max)
		return err_set(err, ERR_USAGE,
			       "option '--%s' is '%.40s', expected a number from %ld to %ld", name,
			       text, min, max);
	*ret = value;
	return 0;
}

static void help_options(const struct cli_option *table, struct str *text)
{
	for (const struct cli_option *o = table; o && o->name; o++) {
		CLEANUP_FREE char *left = mem_printf(
			"%s%c%s--%s%s%s", o->letter ? "-" : "   ", o->letter ? o->letter : ' ',
			o->letter ? ", " : "", o->name, o->arg ? " " : "", o->arg ? o->arg : "");

		str_addf(text, "  %-26s %s\n", left, o->help);
	}
}

void cli_help(const struct cli_verb *verb, struct str *text)
{
	if (verb) {
		str_addf(text, "Usage: ingot %s [OPTION]... %s\n\n%s\n", verb->name, verb->operands,
			 verb->summary);
		if (verb->details)
			str_addf(text, "\n%s\n", verb->details);
		if (verb->options && verb->options->name) {
			str_add(text, "\nOptions:\n");
			help_options(verb->options, text);
		}
	} else {
		str_add(text,
			"Usage: ingot [OPTION]... VERB [OPTION]... [ARGUMENT]...\n\n"
			"Builds immutable, verified OS images from role profiles.\n\nVerbs:\n");
		for (const struct cli_verb *const *v = cli_verbs; *v; v++)
			str_addf(text, "  %-12s %s\n", (*v)->name, (*v)->summary);
	}
	str_add(text, "\nGlobal options:\n");
	help_options(cli_global_options, text);
	str_add(text, "\nExit codes: 0 done");
	for (const struct err_code_row *row = err_codes + 1; row->name; row++)
		str_addf(text, ", %d %s", row->code, row->name);
	str_add(text,
		".\n'ingot help exit-codes' explains them, 'ingot help formats' lists the formats.\n");
}
