/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seed media: a file system by its label, mounted where only this process can see it (a mount that is attached nowhere,
 * fsmount(2)), and files on it that no link leads to.
 */
#include "agent/source/source_parts.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BY_LABEL "/dev/disk/by-label/"

static int open_beneath(int dir, const char *path)
{
	const struct open_how how = {
		/* A FIFO must not hold us up before it is seen to be one. */
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

int source_read_at(int dir, const char *path, size_t max, struct str *text, bool *ret_found,
		   struct err *err)
{
	CLEANUP_FD int fd = open_beneath(dir, path);
	struct stat st;

	text->len = 0;
	*ret_found = false;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && (errno == ELOOP || errno == EXDEV))
		return err_set(err, ERR_OTHER, "cannot read '%s': it is or leads over a link",
			       path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "cannot read '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_OTHER, "cannot read '%s': it is no regular file", path);
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return err_set(err, ERR_OTHER, "cannot read '%s': larger than %zu bytes", path,
			       max);
	str_reserve(text, (size_t)st.st_size);
	if (fd_pread(fd, text->data, (size_t)st.st_size, 0, path, err) < 0)
		return -1;
	text->len = (size_t)st.st_size;
	text->data[text->len] = '\0';
	*ret_found = true;
	return 0;
}

/* Makes the detached mount; -1 with errno. */
static int mount_detached(const char *device, const char *type)
{
	CLEANUP_FD int fs = fsopen(type, FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", device, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC,
		       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			       MOUNT_ATTR_NOEXEC);
}

int source_open_device(const struct agent *agent, const char *device, const char *const *types,
		       int *ret_dir, struct err *err)
{
	CLEANUP_FREE char *full = agent_path(agent, device);
	int why = ENODEV;

	for (; *types; types++) {
		*ret_dir = mount_detached(full, *types);
		if (*ret_dir >= 0)
			return 0;
		/* The file system that the kernel knows and that is not there says EINVAL: that is the least telling. */
		if (errno != EINVAL || why == ENODEV)
			why = errno;
	}
	return err_sys(err, why, "cannot mount '%s' read-only", full);
}

/* The path of the label that is there, or NULL. */
static char *find_label(const struct agent *agent, const char *const labels[2])
{
	for (size_t i = 0; i < 2; i++) {
		CLEANUP_FREE char *path = mem_printf(BY_LABEL "%s", labels[i]);
		CLEANUP_FREE char *full = agent_path(agent, path);

		if (access(full, F_OK) == 0)
			return MEM_STEAL(path);
	}
	return NULL;
}

bool source_has_label(const struct agent *agent, const char *const labels[2])
{
	CLEANUP_FREE char *path = find_label(agent, labels);

	return path != NULL;
}

int source_open_label(const struct agent *agent, const char *const labels[2], int *ret_dir,
		      struct err *err)
{
	static const char *const types[] = {"iso9660", "vfat", NULL};
	CLEANUP_FREE char *path = find_label(agent, labels);

	*ret_dir = -1;
	return path ? source_open_device(agent, path, types, ret_dir, err) : 0;
}
