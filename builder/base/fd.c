/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole reads and writes, and copies inside the kernel.
 */
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BUFFER ((size_t)1 << 20)

void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int fd_write(int fd, const void *bytes, size_t len, const char *name, struct err *err)
{
	const char *p = bytes;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot write '%s'", name);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pwrite(int fd, const void *bytes, size_t len, uint64_t offset, const char *name,
	      struct err *err)
{
	const char *p = bytes;

	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot write '%s'", name);
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pread(int fd, void *bytes, size_t len, uint64_t offset, const char *name, struct err *err)
{
	char *p = bytes;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot read '%s'", name);
		if (n == 0)
			return err_set(err, ERR_VERIFY, "cannot read '%s': truncated at byte %llu",
				       name, (unsigned long long)offset);
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_copy(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t length,
	    const char *name, struct err *err)
{
	CLEANUP_FREE char *buffer = NULL;
	bool in_kernel = true;

	while (length) {
		size_t want = length < ((uint64_t)1 << 30) ? (size_t)length : (size_t)1 << 30;
		ssize_t n = -1;

		if (in_kernel) {
			off_t in = (off_t)from_offset, out = (off_t)to_offset;

			n = copy_file_range(from, &in, to, &out, want, 0);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS &&
			    errno != EOPNOTSUPP)
				return err_sys(err, errno, "cannot write '%s'", name);
			if (n == 0)
				return err_set(err, ERR_VERIFY,
					       "cannot copy to '%s': source too short", name);
			if (n < 0)
				in_kernel = false;
		}
		if (!in_kernel) {
			if (!buffer)
				buffer = mem_alloc(COPY_BUFFER);
			n = (ssize_t)(want < COPY_BUFFER ? want : COPY_BUFFER);
			if (fd_pread(from, buffer, (size_t)n, from_offset, name, err) < 0 ||
			    fd_pwrite(to, buffer, (size_t)n, to_offset, name, err) < 0)
				return -1;
		}
		from_offset += (uint64_t)n;
		to_offset += (uint64_t)n;
		length -= (uint64_t)n;
	}
	return 0;
}

#define READ_PIECE ((size_t)64 << 10)

int fd_read_file(const char *path, size_t max, struct str *content, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t size = READ_PIECE; /* files of /proc do not say theirs */
	size_t total = 0;
	struct stat st;

	if (fd < 0)
		return err_sys(err, errno, "cannot read '%s'", path);
	str_add(content, "");
	/* What is known to fit is not moved while it grows: secrets would leave copies behind. */
	if (fstat(fd, &st) == 0 && st.st_size > 0)
		size = (uint64_t)st.st_size;
	str_reserve(content, size < max         ? (size_t)size + 1
			     : max < READ_PIECE ? max + 1
						: READ_PIECE);
	for (;;) {
		ssize_t n;

		if (content->room - content->len < 2)
			str_reserve(content, READ_PIECE);
		n = read(fd, content->data + content->len, content->room - content->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot read '%s'", path);
		if (n == 0)
			return 0;
		total += (size_t)n;
		content->len += (size_t)n;
		content->data[content->len] = '\0';
		if (total > max)
			return err_set(err, ERR_OTHER, "cannot read '%s': larger than %zu bytes",
				       path, max);
	}
}

int fd_size(int fd, const char *name, uint64_t *ret_size, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "cannot stat '%s'", name);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static size_t count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	if (!dir)
		return 64;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static int raise_limit(size_t count, struct err *err)
{
	rlim_t need = (rlim_t)(count_open() + count + 64);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return 0;
	if (limit.rlim_max < need) {
		err_set(err, ERR_OTHER, "cannot open %zu more files at once: the limit is %llu",
			count, (unsigned long long)limit.rlim_max);
		return err_hint(err, "raise the hard limit of open files (ulimit -Hn)");
	}
	/* Not more than that: some programs that we start walk through all that they may open. */
	limit.rlim_cur = need;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_set(err, ERR_OTHER, "cannot raise the limit of open files");
	return 0;
}

int fd_make_room(size_t count, struct err *err)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	int r;

	/* So that nobody lowers what another thread has just raised. */
	pthread_mutex_lock(&mutex);
	r = raise_limit(count, err);
	pthread_mutex_unlock(&mutex);
	return r;
}
