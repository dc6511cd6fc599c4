/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: finds the verb, reads the global options, turns an error into one message and an exit
 * code. Nothing else prints errors.
 */
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/proc.h"
#include "cli/args.h"
#include "output/output.h"
#include "seed/seed.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void on_signal(int number)
{
	/* Only async-signal-safe calls: unfinished files go, children get the signal from the terminal
	 * or die with us (PR_SET_PDEATHSIG). */
	outfile_unlink_all();
	signal(number, SIG_DFL);
	static const char text[] = "\ningot: interrupted\n";
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(ERR_INTERRUPTED);
	_exit(ERR_INTERRUPTED);
}

static void catch_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		/* Who starts us by nohup means it. */
		if (signal(numbers[i], on_signal) == SIG_IGN && numbers[i] == SIGHUP)
			signal(numbers[i], SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

/* Uses FOLDER/firmware's parent as the data folder when it exists. Strings live as long as the process. */
static bool use_data(struct cli *cli, const char *folder, const char *programs)
{
	CLEANUP_FREE char *probe = path_join(folder, "firmware");

	if (access(probe, F_OK) != 0)
		return false;
	cli->data = mem_strdup(folder);
	cli->programs = mem_strdup(programs);
	return true;
}

/* In the source tree the data lie beside build/; installed they lie in the prefix of the program, which
 * need not be the one it was configured with. */
static void find_data(struct cli *cli)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	cli->data = INGOT_DATADIR;
	cli->programs = INGOT_LIBDIR;
	if (n > 0) {
		CLEANUP_FREE char *bin = NULL;
		CLEANUP_FREE char *prefix = NULL;
		CLEANUP_FREE char *share = NULL;
		CLEANUP_FREE char *lib = NULL;

		exe[n] = '\0';
		bin = path_parent(exe);
		prefix = path_parent(bin);
		share = path_join(prefix, "share/ingot");
		lib = path_join(prefix, "lib/ingot");
		if (!use_data(cli, prefix, bin))
			use_data(cli, share, lib);
	}
	cli->search[0] = "profiles";
	cli->search[1] = path_join(cli->data, "profiles");
	cli->search[2] = NULL;
}

static int global_options(const struct cli_args *args, struct cli *cli, struct err *err)
{
	struct log_options log = {0};
	const char *color = cli_get(args, "color");
	long jobs = sysconf(_SC_NPROCESSORS_ONLN);

	for (size_t i = 0; i < args->given_count; i++)
		log.verbosity += strcmp(args->given[i].option->name, "verbose") == 0;
	if (cli_has(args, "quiet"))
		log.verbosity = -1;
	log.json = cli_has(args, "json");
	if (color && strcmp(color, "always") == 0)
		log.color = LOG_COLOR_ALWAYS;
	else if (color && strcmp(color, "never") == 0)
		log.color = LOG_COLOR_NEVER;
	else if (color && strcmp(color, "auto") != 0)
		return err_set(err, ERR_USAGE,
			       "option '--color' is '%.20s', expected auto, always or never",
			       color);
	if (cli_get_number(args, "jobs", 1, 1024, &jobs, err) < 0)
		return -1;
	cli->jobs = jobs > 0 ? (unsigned)jobs : 1;
	cli->cache = cli_get(args, "cache");
	cli->json = log.json;
	log_open(&log);
	return 0;
}

static int print_help(const struct cli_verb *verb, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};

	cli_help(verb, &text);
	return fd_write(STDOUT_FILENO, text.data, text.len, "standard output", err);
}

/* These two as the README has them, so that it cannot differ. */
static void print_exit_codes(void)
{
	printf("| exit code | name | meaning |\n|---|---|---|\n");
	for (const struct err_code_row *row = err_codes; row->name; row++)
		printf("| %d | %s | %s |\n", row->code, row->name, row->meaning);
}

static void print_formats(void)
{
	printf("| format | file | what |\n|---|---|---|\n");
	for (const struct output_format *const *f = output_formats; *f; f++)
		printf("| `%s` | `NAME_VERSION%s` | %s |\n", (*f)->name, (*f)->suffix,
		       (*f)->summary);
}

static void print_seed_formats(void)
{
	printf("| format | what |\n|---|---|\n");
	for (const struct seed_format *f = seed_formats; f->name; f++)
		printf("| `%s` | %s |\n", f->name, f->summary);
}

/* `ingot help TOPIC` beside the verbs. */
static const struct topic {
	const char *name;
	void (*print)(void);
} topics[] = {
	{"exit-codes", print_exit_codes},
	{"formats", print_formats},
	{"seed-formats", print_seed_formats},
};

static int no_such_verb(const char *name, struct err *err)
{
	const char *names[32];
	const char *near;
	size_t count = 0;

	for (const struct cli_verb *const *verb = cli_verbs; *verb && count < 32; verb++)
		names[count++] = (*verb)->name;
	near = str_nearest(name, names, count);
	err_set(err, ERR_USAGE, "unknown verb '%.40s'", name);
	return near ? err_hint(err, "did you mean 'ingot %s'?", near)
		    : err_hint(err, "'ingot --help' lists the verbs");
}

static int run_verb(const struct cli_verb *verb, int argc, char **argv, struct err *err)
{
	CLEANUP(cli_args_free) struct cli_args args = {0};
	static struct cli cli; /* its strings live as long as the process */
	int next;

	if (cli_parse(argc, argv, verb, &args, &next, err) < 0)
		return -1;
	if (cli_has(&args, "help"))
		return print_help(verb, err);
	if (global_options(&args, &cli, err) < 0)
		return -1;
	if (args.operand_count < verb->operands_min || args.operand_count > verb->operands_max) {
		err_set(err, ERR_USAGE, "'ingot %s' %s", verb->name,
			args.operand_count > verb->operands_max ? "got too many arguments"
			: args.operand_count                    ? "needs another argument"
								: "needs an argument");
		return err_hint(err, "usage: ingot %s [OPTION]... %s", verb->name, verb->operands);
	}
	find_data(&cli);
	proc_fix_path();
	catch_signals();
	return verb->run(&cli, &args, err);
}

static int run(int argc, char **argv, struct err *err)
{
	CLEANUP(cli_args_free) struct cli_args args = {0};
	CLEANUP_FREE char **rest = NULL;
	const struct cli_verb *verb;
	int next, count = 0;

	if (cli_parse(argc, argv, NULL, &args, &next, err) < 0)
		return -1;
	if (cli_has(&args, "version")) {
		printf("ingot %s\n", INGOT_VERSION);
		return 0;
	}
	if (next == argc && cli_has(&args, "help"))
		return print_help(NULL, err);
	if (next == argc) {
		err_set(err, ERR_USAGE, "no verb given");
		return err_hint(err, "'ingot --help' lists the verbs");
	}
	if (strcmp(argv[next], "help") == 0) {
		if (next + 1 == argc)
			return print_help(NULL, err);
		for (size_t i = 0; i < ARRAY_SIZE(topics); i++)
			if (strcmp(argv[next + 1], topics[i].name) == 0) {
				topics[i].print();
				return 0;
			}
		verb = cli_find_verb(argv[next + 1]);
		return verb ? print_help(verb, err) : no_such_verb(argv[next + 1], err);
	}
	verb = cli_find_verb(argv[next]);
	if (!verb)
		return no_such_verb(argv[next], err);
	/* The options before the verb are read again with those behind it. */
	rest = mem_alloc_array((size_t)argc + 1, sizeof(*rest));
	for (int i = 0; i < argc; i++)
		if (i != next)
			rest[count++] = argv[i];
	return run_verb(verb, count, rest, err);
}

int main(int argc, char **argv)
{
	struct err err = {0};
	int code = 0;

	/* Also what is wrong with the command line is an event then. */
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--json") == 0)
			log_open(&(struct log_options){.json = true});
	if (run(argc, argv, &err) < 0) {
		code = err.code ? err.code : ERR_OTHER;
		log_error("ingot", &err);
	}
	if (fflush(stdout) != 0 && code == 0)
		code = ERR_OTHER;
	return code;
}
