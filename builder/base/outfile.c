/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that appear under their final name only when they are complete. The names of unfinished
 * ones are kept in a fixed table, so that a signal handler can remove them.
 */
#include "base/fd.h"

#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OPEN_MAX_FILES 64

static _Atomic(char *) unfinished[OPEN_MAX_FILES];
static atomic_uint counter;

static int remember(char *temp, struct err *err)
{
	for (size_t i = 0; i < OPEN_MAX_FILES; i++) {
		char *expected = NULL;

		if (atomic_compare_exchange_strong(&unfinished[i], &expected, temp))
			return 0;
	}
	return err_set(err, ERR_OTHER, "cannot create '%s': too many unfinished files", temp);
}

static void forget(const char *temp)
{
	for (size_t i = 0; i < OPEN_MAX_FILES; i++)
		if (atomic_load(&unfinished[i]) == temp)
			atomic_store(&unfinished[i], NULL);
}

static int open_temp(struct outfile *out, const char *path, mode_t mode, struct err *err)
{
	*out = OUTFILE_NONE;
	out->path = mem_strdup(path);
	out->temp =
		mem_printf("%s.%ld.%u.tmp", path, (long)getpid(), atomic_fetch_add(&counter, 1));
	if (remember(out->temp, err) < 0)
		goto fail;
	out->fd = open(out->temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (out->fd >= 0)
		return 0;
	err_sys(err, errno, "cannot create '%s'", path);
	forget(out->temp);
fail:
	free(out->path);
	free(out->temp);
	*out = OUTFILE_NONE;
	return -1;
}

int outfile_open(struct outfile *out, const char *path, struct err *err)
{
	return open_temp(out, path, 0666, err);
}

int outfile_open_private(struct outfile *out, const char *path, struct err *err)
{
	return open_temp(out, path, 0600, err);
}

/* Renames, but never over another file. */
static int rename_new(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	/* File systems over the network often cannot do that. */
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return link(from, to) == 0 && unlink(from) == 0 ? 0 : -1;
}

static int finish(struct outfile *out, bool sync, int (*move)(const char *, const char *),
		  struct err *err)
{
	int r = 0;

	if (sync && fsync(out->fd) < 0)
		r = err_sys(err, errno, "cannot write '%s'", out->path);
	if (close(out->fd) < 0 && r == 0)
		r = err_sys(err, errno, "cannot write '%s'", out->path);
	out->fd = -1;
	if (r == 0 && move(out->temp, out->path) < 0)
		r = errno == EEXIST ? err_sys(err, errno, "cannot create '%s'", out->path)
				    : err_sys(err, errno, "cannot rename '%s' to '%s'", out->temp,
					      out->path);
	if (r < 0) {
		outfile_abandon(out);
		return -1;
	}
	forget(out->temp);
	if (sync)
		r = path_sync_parent(out->path, err);
	free(out->path);
	free(out->temp);
	*out = OUTFILE_NONE;
	return r;
}

int outfile_finish(struct outfile *out, bool sync, struct err *err)
{
	return finish(out, sync, rename, err);
}

int outfile_finish_new(struct outfile *out, struct err *err)
{
	return finish(out, true, rename_new, err);
}

void outfile_abandon(struct outfile *out)
{
	int saved = errno;

	fd_close(&out->fd);
	if (out->temp) {
		unlink(out->temp);
		forget(out->temp);
	}
	free(out->path);
	free(out->temp);
	*out = OUTFILE_NONE;
	errno = saved;
}

void outfile_unlink_all(void)
{
	for (size_t i = 0; i < OPEN_MAX_FILES; i++) {
		const char *temp = atomic_load(&unfinished[i]);

		if (temp)
			unlink(temp);
	}
}

/* The start of ".<digits>" at the end of name[0..len), or NULL. */
static const char *number_at_end(const char *name, size_t len)
{
	size_t at = len;

	while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9')
		at--;
	return at < len && at > 0 && name[at - 1] == '.' ? name + at - 1 : NULL;
}

bool outfile_is_temp(const char *name)
{
	const char *end;

	if (!str_has_suffix(name, ".tmp"))
		return false;
	end = number_at_end(name, strlen(name) - strlen(".tmp"));
	if (end)
		end = number_at_end(name, (size_t)(end - name));
	return end && end > name;
}

int outfile_write(const char *path, const void *bytes, size_t len, bool sync, struct err *err)
{
	CLEANUP(outfile_abandon) struct outfile out = OUTFILE_NONE;

	if (outfile_open(&out, path, err) < 0 || fd_write(out.fd, bytes, len, path, err) < 0)
		return -1;
	return outfile_finish(&out, sync, err);
}
