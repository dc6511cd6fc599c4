/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot-agent: what an ingot image runs at its first and at every boot. The verb table, the options,
 * and the one place that prints an error and turns it into an exit code.
 */
#include "agent/report.h"
#include "agent/verbs.h"

#include "base/mem.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

struct verb {
	const char *name;
	int (*run)(const struct verb_options *options, struct err *err);
	const char *help;
	const char *argument; /* what may follow it, "[KEY]" when it need not; or NULL */
};

static const struct verb verbs[] = {
	{"boot", verb_boot, "load the firewall and tune the kernel; before anything listens", NULL},
	{"containers", verb_containers, "give the engines the containers of this image", NULL},
	{"join", verb_join, "make this machine a member of its cluster, however long it takes",
	 NULL},
	{"serve", verb_serve, "on managers: tell new machines how to join, as long as it runs",
	 NULL},
	{"health", verb_health, "wait until the role is healthy; exit code 0 only if it is", NULL},
	{"rollback", verb_rollback, "after a failed health check: reboot if this boot is on trial",
	 NULL},
	{"status", verb_status, "print what this machine is, what it waits for and why", NULL},
	{"provision", verb_provision,
	 "apply what the metadata source says: local, network or final", "STAGE"},
	{"query", verb_query, "print what the metadata says about this machine", "[KEY]"},
	{"check-user-data", verb_check_user_data, "say what is wrong in a file of user-data",
	 "[FILE]"},
};

static void print_help(FILE *out)
{
	fputs("usage: ingot-agent VERB [OPTION]...\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s %s", verbs[i].name,
			 verbs[i].argument ? verbs[i].argument : "");
		fprintf(out, "  %-22s %s\n", name, verbs[i].help);
	}
	fputs("\n  --json         status, query: as JSON\n"
	      "  --timeout=SEC  join, health: give up after SEC seconds\n"
	      "  --initialise   join: make the swarm here, for the first seed is lost; on a\n"
	      "                 manager without a majority: go on without the others\n"
	      "  --load         containers: through the running engine, if that was asked for\n"
	      "  --keys         check-user-data: print the table of our own keys\n"
	      "  --root=DIR     use the files below DIR instead of this machine's\n"
	      "  --version      print the version\n"
	      "  --help         print this\n",
	      out);
}

static int parse_timeout(const char *text, unsigned *ret, struct err *err)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value == 0 || value > 86400)
		return err_set(err, ERR_USAGE, "--timeout=%s is not a number from 1 to 86400",
			       text);
	*ret = (unsigned)value;
	return 0;
}

/* Returns 1 when there is nothing left to do (help, version). */
static int parse_options(int argc, char **argv, struct verb_options *options, struct err *err)
{
	static const struct option table[] = {
		{"json", no_argument, NULL, 'j'},
		{"timeout", required_argument, NULL, 't'},
		{"root", required_argument, NULL, 'r'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{"load", no_argument, NULL, 'l'},
		{"keys", no_argument, NULL, 'k'},
		{"initialise", no_argument, NULL, 'i'},
		{0},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
		switch (c) {
		case 'j':
			options->json = true;
			break;
		case 'i':
			options->initialise = true;
			break;
		case 'l':
			options->load = true;
			break;
		case 'k':
			options->keys = true;
			break;
		case 't':
			if (parse_timeout(optarg, &options->timeout, err) < 0)
				return -1;
			break;
		case 'r':
			options->root = optarg;
			break;
		case 'V':
			puts("ingot-agent " INGOT_VERSION);
			return 1;
		case 'h':
			print_help(stdout);
			return 1;
		case ':':
			return err_set(err, ERR_USAGE, "%s needs a value", argv[optind - 1]);
		default:
			return err_set(err, ERR_USAGE, "unknown option '%s'", argv[optind - 1]);
		}
	}
	return 0;
}

/* What follows the verb: nothing or one argument. */
static int take_argument(const struct verb *verb, char **rest, struct verb_options *options,
			 struct err *err)
{
	options->argument = rest[0];
	if (rest[0] && !verb->argument)
		err_set(err, ERR_USAGE, "more than one verb given");
	else if (rest[0] && rest[1])
		err_set(err, ERR_USAGE, "%s takes one argument only", verb->name);
	else if (!rest[0] && verb->argument && *verb->argument != '[')
		err_set(err, ERR_USAGE, "%s needs an argument: %s", verb->name, verb->argument);
	else
		return 0;
	return err_hint(err, "see ingot-agent --help");
}

static int run(int argc, char **argv, const char **ret_verb, struct err *err)
{
	struct verb_options options = {.root = ""};
	int r = parse_options(argc, argv, &options, err);

	if (r != 0)
		return r;
	if (optind == argc) {
		err_set(err, ERR_USAGE, "no verb given");
		return err_hint(err, "see ingot-agent --help");
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[optind], verbs[i].name) == 0) {
			if (take_argument(&verbs[i], argv + optind + 1, &options, err) < 0)
				return -1;
			*ret_verb = verbs[i].name;
			return verbs[i].run(&options, err);
		}
	err_set(err, ERR_USAGE, "unknown verb '%s'", argv[optind]);
	return err_hint(err, "see ingot-agent --help");
}

int main(int argc, char **argv)
{
	struct report report = {0};
	struct err err = {0};
	const char *verb = "MAIN";

	if (run(argc, argv, &verb, &err) >= 0)
		return 0;
	report_log(&report, LOG_ERR, verb, &err, "%s", "");
	if (*err.hint)
		fprintf(stderr, "hint: %s\n", err.hint);
	report_status(&report, "failed: %s", err.msg);
	return err.code ? err.code : ERR_OTHER;
}
