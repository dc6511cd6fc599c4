/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things that every part of ingot-initrd needs: error texts, the log, running a program, and
 * reading and replacing small files so that a power cut never leaves half of one.
 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int helper_fail(struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -1;
}

int helper_fail_errno(struct err *err, const char *fmt, ...)
{
	int saved = errno;
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(saved));
	errno = saved;
	return -1;
}

void helper_log(int level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "<%d>%s\n", level, line);
}

int helper_run(char *const argv[], struct err *err)
{
	static char *const env[] = {(char *)"PATH=/usr/sbin:/usr/bin", NULL};
	int status;
	pid_t pid;
	int rc = posix_spawn(&pid, argv[0], NULL, NULL, argv, env);

	if (rc != 0) {
		errno = rc;
		return helper_fail_errno(err, "cannot run '%s'", argv[0]);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return helper_fail_errno(err, "cannot wait for '%s'", argv[0]);
	}
	if (!WIFEXITED(status))
		return helper_fail(err, "'%s' was ended by signal %d", argv[0], WTERMSIG(status));
	return WEXITSTATUS(status);
}

long helper_read_file(int dirfd, const char *name, char *buf, size_t size, struct err *err)
{
	size_t len = 0;
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return helper_fail_errno(err, "cannot open '%s'", name);
	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			helper_fail_errno(err, "cannot read '%s'", name);
			close(fd);
			return -1;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	if (len == size) {
		errno = EFBIG;
		return helper_fail_errno(err, "cannot read '%s'", name);
	}
	buf[len] = '\0';
	return (long)len;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

int helper_write_file(int dirfd, const char *name, const char *text, unsigned mode, struct err *err)
{
	char tmp[256];
	int fd;

	if ((size_t)snprintf(tmp, sizeof(tmp), ".%s.ingot-new", name) >= sizeof(tmp))
		return helper_fail(err, "cannot write '%s': name too long", name);
	if (unlinkat(dirfd, tmp, 0) < 0 && errno != ENOENT)
		return helper_fail_errno(err, "cannot remove '%s'", tmp);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return helper_fail_errno(err, "cannot create '%s'", tmp);
	if (write_all(fd, text, strlen(text)) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0) {
		helper_fail_errno(err, "cannot write '%s'", tmp);
		close(fd);
		return -1;
	}
	close(fd);
	if (renameat(dirfd, tmp, dirfd, name) < 0)
		return helper_fail_errno(err, "cannot rename '%s' to '%s'", tmp, name);
	if (fsync(dirfd) < 0)
		return helper_fail_errno(err, "cannot sync the directory of '%s'", name);
	return 0;
}

/* One component, or a path whose components all exist: never through a link, never upwards. */
static int open_beneath(int dirfd, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

int helper_open_dir(int dirfd, const char *path, bool create, struct err *err)
{
	char copy[HELPER_PATH_MAX];
	char *save = NULL;
	int at;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy)) {
		errno = ENAMETOOLONG;
		return helper_fail_errno(err, "cannot open directory '%s'", path);
	}
	at = open_beneath(dirfd, ".");
	if (at < 0)
		return helper_fail_errno(err, "cannot open the directory above '%s'", path);
	for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		int made = create ? mkdirat(at, part, 0755) : -1;
		int next = -1;

		/* The umask of the service must not decide about the mode of what we make. */
		if (!create || made == 0 || errno == EEXIST)
			next = open_beneath(at, part);
		if (next >= 0 && made == 0 && (fchmod(next, 0755) < 0 || fsync(at) < 0)) {
			int saved = errno;

			close(next);
			errno = saved;
			next = -1;
		}
		if (next < 0) {
			helper_fail_errno(err, "cannot open directory '%s'", path);
			close(at);
			return -1;
		}
		close(at);
		at = next;
	}
	return at;
}
