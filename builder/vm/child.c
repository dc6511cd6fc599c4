/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that run beside us. base/proc.h waits for a program; QEMU is talked to while it runs.
 */
#include "vm/child.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs between fork and exec; only async-signal-safe calls. */
static void become(const char *const *argv, const int *keep, size_t keep_count, int output,
		   pid_t parent, int report)
{
	sigset_t none;
	int code;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < 32; number++)
		signal(number, SIG_DFL);
	/* Between fork and prctl the parent may have died already. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	if (output >= 0) {
		int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (in < 0 || dup2(in, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
			_exit(127);
	}
	for (size_t i = 0; i < keep_count; i++)
		if (fcntl(keep[i], F_SETFD, 0) < 0)
			_exit(127);
	execvp(argv[0], (char *const *)argv);
	code = errno;
	if (write(report, &code, sizeof(code)) < 0)
		_exit(126);
	_exit(127);
}

int vm_child_start(struct vm_child *child, const char *const *argv, const int *keep,
		   size_t keep_count, bool terminal, struct err *err)
{
	int report[2] = {-1, -1}, code = 0;
	pid_t parent = getpid();

	*child = VM_CHILD_NONE;
	if (!terminal)
		child->output = memfd_create("ingot-vm-output", MFD_CLOEXEC);
	if ((!terminal && child->output < 0) || pipe2(report, O_CLOEXEC) < 0 ||
	    (child->pid = fork()) < 0) {
		err_sys(err, errno, "cannot start '%s'", argv[0]);
		child->pid = 0;
		fd_close(&report[0]);
		fd_close(&report[1]);
		vm_child_end(child);
		return -1;
	}
	if (child->pid == 0)
		become(argv, keep, keep_count, child->output, parent, report[1]);
	fd_close(&report[1]);
	child->pidfd = pidfd_open(child->pid, 0);
	if (child->pidfd < 0)
		code = errno;
	/* The pipe closes at exec, so this read tells whether there was one. */
	else if (read(report[0], &code, sizeof(code)) != sizeof(code))
		code = 0;
	fd_close(&report[0]);
	if (code == 0)
		return 0;
	vm_child_end(child);
	err_sys(err, code, "cannot run '%s'", argv[0]);
	if (err && code == ENOENT)
		err->code = ERR_TOOL;
	return -1;
}

bool vm_child_wait(struct vm_child *child, double seconds)
{
	double until = clock_monotonic() + seconds;

	while (child->pid > 0) {
		double left = until - clock_monotonic();
		struct pollfd fd = {child->pidfd, POLLIN, 0};

		if (waitpid(child->pid, &child->status, WNOHANG) == child->pid) {
			child->pid = 0;
			return true;
		}
		if (left <= 0)
			return false;
		/* An interrupted or failed wait only means that we look again. */
		(void)poll(&fd, 1, left > 60 ? 60000 : (int)(left * 1000) + 1);
	}
	return true;
}

void vm_child_end(struct vm_child *child)
{
	if (child->pid > 0) {
		/* Not yet waited for, so the id cannot belong to anyone else. */
		kill(child->pid, SIGKILL);
		while (waitpid(child->pid, &child->status, 0) < 0 && errno == EINTR)
			;
		child->pid = 0;
	}
	fd_close(&child->pidfd);
	fd_close(&child->output);
}

void vm_child_output(const struct vm_child *child, size_t max, struct str *text)
{
	CLEANUP_FREE char *bytes = NULL;
	struct stat st;
	ssize_t n;

	if (child->output < 0 || fstat(child->output, &st) < 0)
		return;
	if ((uint64_t)st.st_size < max)
		max = (size_t)st.st_size;
	bytes = mem_alloc(max);
	n = pread(child->output, bytes, max, st.st_size - (off_t)max);
	if (n > 0)
		str_add_bytes(text, bytes, (size_t)n);
}
