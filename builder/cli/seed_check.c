/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot seed: user-data is checked here by its form, and by ingot-agent as a machine would read it: the agent's
 * code is no part of this program.
 */
#include "cli/seed.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "seed/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STDIN "/dev/stdin"
#define PROBLEMS_MAX ((size_t)64 << 10)

/* What the agent says about its standard input, told of the file. */
struct answer {
	const char *file;
	struct str *problems;
	size_t count;
};

static void on_line(const char *line, void *context)
{
	struct answer *answer = context;
	size_t len = strlen(STDIN);

	if (answer->problems->len > PROBLEMS_MAX || strncmp(line, STDIN ":", len + 1) != 0)
		return;
	str_addf(answer->problems, "%s%s\n", answer->file, line + len);
	answer->count += strstr(line, ": error: ") != NULL;
}

/* The text by way of standard input: the file may be a pipe, which can be read only once. */
static size_t ask_agent(const struct cli *cli, const char *file, const struct str *text,
			struct str *problems)
{
	CLEANUP_FREE char *agent = path_join(cli->programs, "ingot-agent");
	CLEANUP_FD int fd = -1;
	struct answer answer = {.file = file, .problems = problems};
	const char *const argv[] = {agent, "check-user-data", STDIN, NULL};
	struct proc proc = {.argv = argv, .line = on_line, .context = &answer};
	struct err err = {0};

	if (access(agent, X_OK) != 0) {
		log_debug("'%s' cannot be asked about user-data: %s", agent, strerror(errno));
		return 0;
	}
	fd = memfd_create("user-data", MFD_CLOEXEC);
	if (fd < 0 || fd_write(fd, text->data, text->len, file, &err) < 0 ||
	    lseek(fd, 0, SEEK_SET) < 0) {
		log_warn("user-data '%s' is not shown to ingot-agent: %s", file,
			 err.code ? err.msg : strerror(errno));
		return 0;
	}
	proc.stdin_fd = fd;
	if (proc_run(&proc, &err) < 0 && answer.count == 0)
		log_warn("user-data '%s' is checked by its form only: %s", file, err.msg);
	return answer.count;
}

static int tell_problems(const char *option, const char *file, size_t count,
			 const struct str *problems, struct err *err)
{
	if (count == 0)
		return 0;
	log_event("problems", json_pack("{s:s, s:s}", "profile", file, "text", problems->data));
	fputs(problems->data, stderr);
	err_set(err, ERR_PROFILE, "%s '%s': %zu error%s", option, file, count,
		count == 1 ? "" : "s");
	return err_hint(err, "--no-check takes it as it is");
}

int cli_seed_read(const struct cli *cli, const struct cli_args *args, const char *option,
		  enum cli_seed_check check, struct str *text, struct err *err)
{
	CLEANUP(str_free) struct str problems = {0};
	const char *file = cli_get(args, option);
	size_t count = 0;

	if (!file)
		return 0;
	if (fd_read_file(file, SEED_DATA_MAX, text, err) < 0)
		return err_wrap(err, "option '--%s'", option);
	if (cli_has(args, "no-check"))
		return 0;
	if (check == CLI_SEED_NETWORK)
		count = seed_check_network(file, text->data, text->len, &problems);
	if (check == CLI_SEED_USER_DATA) {
		count = seed_check_user_data(file, text->data, text->len, &problems);
		if (count == 0)
			count = ask_agent(cli, file, text, &problems);
	}
	return tell_problems(option, file, count, &problems, err);
}
