/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process in which libguestfs runs: namespaces that take QEMU, sockets and temporary files with
 * them whenever and however one of us ends, and lines of JSON that tell how it goes.
 */
#include "disk/guest_parts.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGES_MAX ((size_t)4 << 20)
#define IMAGE_IN_CHILD "/tmp/disk"

/* ---- the child ------------------------------------------------------------------------------- */

void guest_tell(const struct guest_work *work, json_t *message)
{
	CLEANUP_FREE char *line = message ? json_line(message) : NULL;
	CLEANUP_FREE char *text = line ? mem_printf("%s\n", line) : NULL;

	json_decref(message);
	if (text)
		(void)fd_write(work->message_fd, text, strlen(text), "message", NULL);
}

static int write_text(const char *path, const char *text)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -1 : fd_write(fd, text, strlen(text), path, NULL);
}

/* New namespaces: mounts, processes, no network. An ordinary user needs a user namespace for it, in which
 * he stays who he is. */
static int enter_namespaces(struct err *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | (uid ? CLONE_NEWUSER : 0);
	CLEANUP_FREE char *users = mem_printf("%u %u 1\n", uid, uid);
	CLEANUP_FREE char *groups = mem_printf("%u %u 1\n", gid, gid);

	if (unshare(flags) < 0) {
		err_set(err, ERR_TOOL, "cannot make the namespaces that libguestfs runs in: %s",
			strerror(errno));
		return err_hint(err, "allow user namespaces to ordinary users, or run as root");
	}
	if (uid && (write_text("/proc/self/setgroups", "deny") < 0 ||
		    write_text("/proc/self/uid_map", users) < 0 ||
		    write_text("/proc/self/gid_map", groups) < 0))
		return err_set(err, ERR_TOOL, "cannot map user %u into a user namespace", uid);
	return 0;
}

/* A /tmp of its own, in which the image lies: exactly the file that was opened and checked, found again
 * because only what this namespace has mounted can be mounted in it a second time. */
static int make_temp(const char *path, int image_fd, struct err *err)
{
	CLEANUP_FD int again = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP_FREE char *from = mem_printf("/proc/self/fd/%d", again);
	CLEANUP_FD int fd = -1;
	struct stat checked, st;

	if (again < 0 || fstat(again, &st) < 0 || fstat(image_fd, &checked) < 0)
		return err_sys(err, errno, "cannot open '%s'", path);
	if (st.st_dev != checked.st_dev || st.st_ino != checked.st_ino)
		return err_set(err, ERR_OTHER, "'%s' was replaced meanwhile", path);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("ingot", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=4g") < 0)
		return err_sys(err, errno, "cannot mount a folder for temporary files");
	fd = open(IMAGE_IN_CHILD, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || mount(from, IMAGE_IN_CHILD, NULL, MS_BIND, NULL) < 0)
		return err_sys(err, errno, "cannot mount the image for the appliance");
	return 0;
}

static void forget_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t none;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		(void)signal(numbers[i], SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What the child says in the end. */
static void tell_error(const struct guest_work *work, const struct err *err)
{
	json_t *message =
		json_pack("{s:{s:i, s:s%, s:s%}}", "error", "code", err->code, "text", err->msg,
			  strlen(err->msg), "hint", err->hint, strlen(err->hint));

	if (!message)
		message = json_pack("{s:{s:i, s:s, s:s}}", "error", "code", err->code, "text",
				    "libguestfs failed", "hint", "");
	guest_tell(work, message);
}

/* The first process of the new process namespace: when it ends, all others do. */
static void run_inside(struct guest_work *work, const char *path, int image_fd)
{
	struct err err = {0};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_DUMPABLE, 1); /* else /proc/self/fd belongs to root */
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(work->stderr_fd, STDOUT_FILENO);
	(void)dup2(work->stderr_fd, STDERR_FILENO);
	(void)unsetenv("TMPDIR"); /* it may not be there any more */
	if (make_temp(path, image_fd, &err) < 0 || guest_run(work, &err) < 0)
		tell_error(work, &err);
	else
		guest_tell(work, json_pack("{s:b}", "done", true));
	_exit(0);
}

/* Closes what threads of the parent have open: a pipe's reader waits for the last writer. */
static void close_others(const struct guest_work *work, int image_fd)
{
	int keep[] = {work->tar_fd, work->message_fd, work->stderr_fd, image_fd};
	unsigned from = 3;

	for (;;) {
		int next = -1;

		for (size_t i = 0; i < ARRAY_SIZE(keep); i++)
			if (keep[i] >= (int)from && (next < 0 || keep[i] < next))
				next = keep[i];
		if (next < 0) {
			(void)close_range(from, ~0u, 0);
			return;
		}
		if (next > (int)from)
			(void)close_range(from, (unsigned)next - 1, 0);
		from = (unsigned)next + 1;
	}
}

/* Interrupted or not, it ends in some seconds and cleans up after itself. */
static void prepare(const struct guest_work *work)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)signal(SIGINT, SIG_IGN);
		(void)signal(SIGTERM, SIG_IGN);
		(void)signal(SIGHUP, SIG_IGN);
		(void)dup2(work->stderr_fd, STDOUT_FILENO);
		(void)dup2(work->stderr_fd, STDERR_FILENO);
		guest_prepare();
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	/* What it complained of is not what the next one does. */
	if (ftruncate(work->stderr_fd, 0) == 0)
		(void)lseek(work->stderr_fd, 0, SEEK_SET);
}

static void run_child(struct guest_work *work, const char *path, int image_fd, pid_t parent)
{
	struct err err = {0};
	pid_t pid = -1;

	forget_signals();
	close_others(work, image_fd);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (geteuid() != 0)
		prepare(work);
	if (enter_namespaces(&err) == 0) {
		/* After the change of rights, which forgets it. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		pid = fork();
		if (pid == 0)
			run_inside(work, path, image_fd);
		if (pid < 0)
			err_sys(&err, errno, "cannot start a process for libguestfs");
	}
	if (pid < 0)
		tell_error(work, &err);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* ---- the parent ------------------------------------------------------------------------------ */

struct listener {
	int fd;
	struct log_step *step;
	char at[96];
	double since;
	json_t *report, *error;
	struct str line;
	bool done, too_much;
};

static void show(struct listener *l)
{
	char detail[sizeof(l->step->detail)];

	if (!l->step || !l->at[0])
		return;
	snprintf(detail, sizeof(detail), "%.70s (%.0f s)", l->at, clock_monotonic() - l->since);
	log_step_progress(l->step, l->step->bytes, 0, detail);
}

static void take_message(struct listener *l, const char *text, size_t len)
{
	CLEANUP_JSON json_t *message = json_parse(text, len, "message", NULL);
	const char *at = json_member_string(message, "at");

	if (at) {
		snprintf(l->at, sizeof(l->at), "%s", at);
		l->since = clock_monotonic();
		log_info("%s", at);
	}
	if (json_member_string(message, "debug"))
		log_debug("guest: %s", json_member_string(message, "debug"));
	if (json_is_object(json_object_get(message, "report"))) {
		json_decref(l->report);
		l->report = json_incref(json_object_get(message, "report"));
	}
	if (json_is_object(json_object_get(message, "error")) && !l->error)
		l->error = json_incref(json_object_get(message, "error"));
	l->done |= json_is_true(json_object_get(message, "done"));
}

static void take_bytes(struct listener *l, const char *bytes, size_t len)
{
	size_t start = 0;

	l->too_much = l->too_much || l->line.len + len > MESSAGES_MAX;
	if (l->too_much)
		return;
	str_add_bytes(&l->line, bytes, len);
	for (size_t i = l->line.len - len; i < l->line.len; i++) {
		if (l->line.data[i] != '\n')
			continue;
		take_message(l, l->line.data + start, i - start);
		start = i + 1;
	}
	memmove(l->line.data, l->line.data + start, l->line.len - start);
	l->line.len -= start;
}

/* Reads messages until the child and all that it started are gone. */
static void *listen_to(void *context)
{
	struct listener *l = context;
	char buffer[16384];

	for (;;) {
		struct pollfd p = {.fd = l->fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, 1000) == 0) {
			show(l);
			continue;
		}
		n = read(l->fd, buffer, sizeof(buffer));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NULL;
		take_bytes(l, buffer, (size_t)n);
		show(l);
	}
}

struct pipes {
	int image, tar[2], message[2], said;
};

static void close_pipes(struct pipes *p)
{
	fd_close(&p->image);
	for (size_t i = 0; i < 2; i++) {
		fd_close(&p->tar[i]);
		fd_close(&p->message[i]);
	}
	fd_close(&p->said);
}

static int open_image(const char *path, int *ret_fd, const char **ret_format, struct err *err)
{
	struct stat st;

	*ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*ret_fd < 0 || fstat(*ret_fd, &st) < 0)
		return err_sys(err, errno, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(err, ERR_USAGE, "cannot use '%s': it is no regular file", path);
	return guest_probe_format(*ret_fd, path, ret_format, err);
}

int guest_format(const char *path, const char **ret_format, struct err *err)
{
	CLEANUP_FD int fd = -1;

	return open_image(path, &fd, ret_format, err);
}

static int open_pipes(const struct guest_request *request, struct pipes *p, const char **ret_format,
		      struct err *err)
{
	if (open_image(request->path, &p->image, ret_format, err) < 0)
		return -1;
	p->said = memfd_create("ingot-guest", MFD_CLOEXEC);
	if (p->said < 0 || pipe2(p->message, O_CLOEXEC) < 0 ||
	    (request->consume && pipe2(p->tar, O_CLOEXEC) < 0))
		return err_sys(err, errno, "cannot make a pipe");
	return 0;
}

/* What the child said was wrong. A stream that ended early without a word is wrong, too. */
static int outcome(const struct listener *l, struct err *err)
{
	const char *text = json_member_string(l->error, "text");
	const char *hint = json_member_string(l->error, "hint");

	if (!text && l->done && l->report)
		return 0;
	if (!text)
		return err_set(err, ERR_TOOL, "libguestfs ended without an answer");
	err_set(err, (int)json_integer_value(json_object_get(l->error, "code")), "%s", text);
	return hint && *hint ? err_hint(err, "%s", hint) : -1;
}

/* True when the writers of the pipe are gone: then the child's word counts before that of a reader whose
 * stream ended early. */
static bool has_ended(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

static int talk(const struct guest_request *request, struct pipes *p, pid_t child,
		json_t **ret_report, struct err *err)
{
	struct listener l = {.fd = p->message[0], .step = request->step};
	struct err failure = {0};
	pthread_t thread;
	bool ours = false;
	int r;

	fd_close(&p->message[1]);
	fd_close(&p->tar[1]);
	r = pthread_create(&thread, NULL, listen_to, &l);
	if (r != 0) {
		(void)kill(child, SIGKILL);
		return err_sys(err, r, "cannot start a thread");
	}
	if (request->consume && request->consume(p->tar[0], request->context, &failure) < 0) {
		ours = !has_ended(p->tar[0]);
		if (ours)
			(void)kill(child, SIGKILL);
	}
	fd_close(&p->tar[0]);
	pthread_join(thread, NULL);
	r = ours ? -1 : outcome(&l, err);
	if (r == 0 && failure.code)
		ours = true;
	if (ours && err)
		*err = failure;
	if (ours || r < 0)
		r = err_wrap(err, "'%s'", request->path);
	else if (ret_report)
		*ret_report = json_incref(l.report);
	json_decref(l.report);
	json_decref(l.error);
	str_free(&l.line);
	return r;
}

int guest_read(const struct guest_request *request, json_t **ret_report, struct err *err)
{
	struct pipes p CLEANUP(close_pipes) = {-1, {-1, -1}, {-1, -1}, -1};
	struct guest_work work = {
		.image = IMAGE_IN_CHILD, .kvm = request->kvm, .verbose = log_verbosity() >= 2};
	pid_t parent = getpid(), pid;
	int r;

	if (open_pipes(request, &p, &work.format, err) < 0)
		return -1;
	work.tar_fd = p.tar[1];
	work.message_fd = p.message[1];
	work.stderr_fd = p.said;
	pid = fork();
	if (pid < 0)
		return err_sys(err, errno, "cannot start a process for libguestfs");
	if (pid == 0)
		run_child(&work, request->path, p.image, parent);
	r = talk(request, &p, pid, ret_report, err);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
