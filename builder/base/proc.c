/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes. One poll loop reads both pipes, so neither can block the child.
 */
#include "base/proc.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX_DEFAULT ((size_t)64 << 20)
#define TAIL_LINES 6
#define LINE_MAX_BYTES 4096

extern char **environ;

struct stream {
	int fd;
	struct str line;
	struct str *collect; /* instead of lines */
};

struct run {
	const struct proc *p;
	struct stream out, err;
	char *tail[TAIL_LINES];
	size_t tail_next;
	bool too_much;
};

static void take_line(struct run *run, const char *text)
{
	free(run->tail[run->tail_next]);
	run->tail[run->tail_next] = mem_strdup(text);
	run->tail_next = (run->tail_next + 1) % TAIL_LINES;
	if (run->p->line)
		run->p->line(text, run->p->context);
}

static void take(struct run *run, struct stream *s, const char *bytes, size_t len)
{
	if (s->collect) {
		size_t max = run->p->output_max ? run->p->output_max : OUTPUT_MAX_DEFAULT;

		if (s->collect->len + len > max)
			run->too_much = true;
		else
			str_add_bytes(s->collect, bytes, len);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n' || bytes[i] == '\r' || s->line.len >= LINE_MAX_BYTES) {
			if (s->line.len)
				take_line(run, s->line.data);
			s->line.len = 0;
		}
		if (bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\0')
			str_add_bytes(&s->line, &bytes[i], 1);
	}
}

static void drain(struct run *run)
{
	struct stream *streams[2] = {&run->out, &run->err};
	char buffer[16384];

	while (run->out.fd >= 0 || run->err.fd >= 0) {
		struct pollfd fds[2] = {{run->out.fd, POLLIN, 0}, {run->err.fd, POLLIN, 0}};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		for (size_t i = 0; i < 2; i++) {
			ssize_t n;

			if (streams[i]->fd < 0 || !fds[i].revents)
				continue;
			n = read(streams[i]->fd, buffer, sizeof(buffer));
			if (n > 0)
				take(run, streams[i], buffer, (size_t)n);
			else if (n == 0 || errno != EINTR)
				fd_close(&streams[i]->fd);
		}
	}
	for (size_t i = 0; i < 2; i++)
		if (streams[i]->line.len)
			take_line(run, streams[i]->line.data);
}

static char **make_env(const char *const *extra)
{
	struct strv v = {0};

	for (char **e = environ; *e; e++) {
		const char *eq = strchr(*e, '=');
		bool replaced = false;

		for (const char *const *x = extra; eq && x && *x; x++)
			replaced |= strncmp(*e, *x, (size_t)(eq - *e) + 1) == 0;
		if (!replaced)
			strv_add(&v, *e);
	}
	for (const char *const *x = extra; x && *x; x++)
		strv_add(&v, *x);
	return v.items;
}

static void free_env(char **env)
{
	for (char **e = env; e && *e; e++)
		free(*e);
	free(env);
}

/* Runs in the child between fork and exec; only async-signal-safe calls. */
static void become(const struct proc *p, char **env, pid_t parent, int out, int errors, int report)
{
	int in = p->stdin_fd > 0 ? p->stdin_fd : open("/dev/null", O_RDONLY);
	sigset_t none;
	int code;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	if (signal(SIGHUP, SIG_DFL) == SIG_IGN)
		signal(SIGHUP, SIG_IGN); /* nohup */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent ||
	    (p->own_group && setpgid(0, 0) < 0))
		_exit(127);
	if (in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0)
		_exit(127);
	if (!p->cwd || chdir(p->cwd) == 0)
		execvpe(p->argv[0], (char *const *)p->argv, env);
	code = errno;
	if (write(report, &code, sizeof(code)) < 0)
		_exit(126);
	_exit(127);
}

static int status_error(const struct run *run, int status, struct err *err)
{
	struct str text = {0};

	if (WIFEXITED(status))
		str_addf(&text, "exit code %d", WEXITSTATUS(status));
	else
		str_addf(&text, "killed by signal %d", WTERMSIG(status));
	for (size_t i = 0; i < TAIL_LINES; i++) {
		const char *line = run->tail[(run->tail_next + i) % TAIL_LINES];

		if (line)
			str_addf(&text, "\n    %.300s", line);
	}
	err_set(err, ERR_OTHER, "'%s' failed: %s", run->p->argv[0], text.data);
	str_free(&text);
	return -1;
}

static void close_pair(int *pair)
{
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

int proc_run(const struct proc *p, struct err *err)
{
	int out[2] = {-1, -1}, errors[2] = {-1, -1}, report[2] = {-1, -1};
	struct run run = {.p = p, .out.fd = -1, .err.fd = -1};
	char **env = make_env(p->env);
	pid_t parent = getpid(), pid = -1;
	int status = 0, child_errno = 0, r = 0;

	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0 ||
	    pipe2(report, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		r = err_sys(err, errno, "cannot start '%s'", p->argv[0]);
	if (pid == 0)
		become(p, env, parent, p->stdout_fd > 0 ? p->stdout_fd : out[1], errors[1],
		       report[1]);
	fd_close(&out[1]);
	fd_close(&errors[1]);
	fd_close(&report[1]);
	if (r == 0) {
		run.out = (struct stream){out[0], {0}, p->output};
		run.err = (struct stream){errors[0], {0}, NULL};
		out[0] = errors[0] = -1;
		drain(&run);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (read(report[0], &child_errno, sizeof(child_errno)) == sizeof(child_errno)) {
			r = err_sys(err, child_errno, "cannot run '%s'", p->argv[0]);
			if (err && child_errno == ENOENT)
				err->code = ERR_TOOL;
		} else if (status != 0) {
			r = status_error(&run, status, err);
		} else if (run.too_much) {
			r = err_set(err, ERR_OTHER, "'%s' printed more than it may", p->argv[0]);
		}
	}
	close_pair(out);
	close_pair(errors);
	close_pair(report);
	str_free(&run.out.line);
	str_free(&run.err.line);
	for (size_t i = 0; i < TAIL_LINES; i++)
		free(run.tail[i]);
	free_env(env);
	return r;
}

char *proc_find(const char *name)
{
	const char *path = getenv("PATH");
	CLEANUP_FREE char *copy = mem_strdup(path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
	char *save = NULL;

	for (char *dir = strtok_r(copy, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		char *full = mem_printf("%s/%s", dir, name);

		if (access(full, X_OK) == 0)
			return full;
		free(full);
	}
	return NULL;
}

void proc_fix_path(void)
{
	const char *path = getenv("PATH");
	CLEANUP_FREE char *longer = mem_printf("%s%s/usr/local/sbin:/usr/sbin:/sbin",
					       path ? path : "/usr/bin:/bin", ":");

	setenv("PATH", longer, 1);
}
