/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the mounted root to the disk under it and to the var partition of that disk. Partition
 * UUIDs and labels are the same on every disk that holds the same image (an installer stick, for
 * one), so nothing here ever looks at another disk.
 */
#include "helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Device mapper stacks on our images are one (verity) or two (verity on crypt) levels deep. */
enum { STACK_MAX = 4, WAIT_STEPS = 100, WAIT_STEP_US = 100000 };

/* Sets name to the disk that sysfs directory dir (a disk, partition or mapped device) is on. */
static int disk_under(const char *dir, int depth, char *name, size_t size, struct err *err);

static int disk_under_slaves(const char *dir, int depth, char *name, size_t size, struct err *err)
{
	char path[PATH_MAX + 272], found[64] = "";
	struct dirent *entry;
	DIR *slaves;

	snprintf(path, sizeof(path), "%s/slaves", dir);
	slaves = opendir(path);
	if (!slaves)
		return helper_fail_errno(err, "cannot open '%s'", path);
	while ((entry = readdir(slaves))) {
		char one[64];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/slaves/%s", dir, entry->d_name);
		if (disk_under(path, depth + 1, one, sizeof(one), err) < 0) {
			closedir(slaves);
			return -1;
		}
		if (found[0] && strcmp(found, one) != 0) {
			closedir(slaves);
			return helper_fail(err, "the root is on two disks: %s and %s", found, one);
		}
		memcpy(found, one, sizeof(found));
	}
	closedir(slaves);
	if (!found[0])
		return helper_fail(err, "cannot find the disk below '%s'", dir);
	snprintf(name, size, "%s", found);
	return 0;
}

static int disk_under(const char *dir, int depth, char *name, size_t size, struct err *err)
{
	char real[PATH_MAX], path[PATH_MAX + 16];
	char *slash;

	if (depth > STACK_MAX)
		return helper_fail(err, "cannot find the disk: too many mapped devices");
	if (!realpath(dir, real))
		return helper_fail_errno(err, "cannot resolve '%s'", dir);
	snprintf(path, sizeof(path), "%s/dm", real);
	if (access(path, F_OK) == 0)
		return disk_under_slaves(real, depth, name, size, err);
	snprintf(path, sizeof(path), "%s/partition", real);
	if (access(path, F_OK) == 0) {
		slash = strrchr(real, '/');
		*slash = '\0';
	}
	slash = strrchr(real, '/');
	if (!slash || strlen(slash + 1) >= size)
		return helper_fail(err, "cannot find the disk: strange name '%s'", real);
	snprintf(name, size, "%s", slash + 1);
	return 0;
}

/* The node in /dev of a sysfs block directory, as the kernel named it in uevent. */
static int node_of(const char *sysdir, char *node, size_t size, struct err *err)
{
	char path[PATH_MAX], text[4096];
	char *line, *end;

	snprintf(path, sizeof(path), "%s/uevent", sysdir);
	if (helper_read_file(AT_FDCWD, path, text, sizeof(text), err) < 0)
		return -1;
	line = strstr(text, "DEVNAME=");
	if (!line || (line != text && line[-1] != '\n'))
		return helper_fail(err, "cannot find the device name in '%s'", path);
	line += strlen("DEVNAME=");
	end = strchr(line, '\n');
	if (end)
		*end = '\0';
	if (*line == '\0' || strstr(line, "..") ||
	    (size_t)snprintf(node, size, "/dev/%s", line) >= size)
		return helper_fail(err, "bad device name in '%s'", path);
	return 0;
}

/* Finds partition number of the disk in sysfs. Returns 1 and sets node, 0 when it is not there. */
static int partition_node(const char *disk, uint32_t number, char *node, size_t size,
			  struct err *err)
{
	char base[128], path[512], text[32];
	struct dirent *entry;
	int rc = 0;
	DIR *dir;

	snprintf(base, sizeof(base), "/sys/class/block/%s", disk);
	dir = opendir(base);
	if (!dir)
		return helper_fail_errno(err, "cannot open '%s'", base);
	while (rc == 0 && (entry = readdir(dir))) {
		struct err ignored; /* most entries are not partitions: no such file is the rule */

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/partition", base, entry->d_name);
		if (helper_read_file(AT_FDCWD, path, text, sizeof(text), &ignored) < 0 ||
		    strtoul(text, NULL, 10) != number)
			continue;
		snprintf(path, sizeof(path), "%s/%s", base, entry->d_name);
		rc = node_of(path, node, size, err) < 0 ? -1 : 1;
	}
	closedir(dir);
	return rc;
}

static long var_number(const char *node, struct err *err)
{
	uint64_t bytes;
	int sector;
	long number;
	int fd = open(node, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return helper_fail_errno(err, "cannot open '%s'", node);
	if (ioctl(fd, BLKSSZGET, &sector) < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0) {
		helper_fail_errno(err, "cannot get the size of '%s'", node);
		close(fd);
		return -1;
	}
	number = gpt_find_var(fd, (uint32_t)sector, bytes, err);
	close(fd);
	if (number == 0)
		return helper_fail(err,
				   "disk '%s' has no partition labelled 'var': is it too "
				   "small for one?",
				   node);
	return number;
}

int disk_find_var(const char *root, struct boot_disk *disk, struct err *err)
{
	char path[128];
	struct stat st;
	long number;

	memset(disk, 0, sizeof(*disk));
	if (stat(root, &st) < 0)
		return helper_fail_errno(err, "cannot stat '%s'", root);
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	if (disk_under(path, 0, disk->name, sizeof(disk->name), err) < 0)
		return -1;
	snprintf(path, sizeof(path), "/sys/class/block/%s", disk->name);
	if (node_of(path, disk->disk_node, sizeof(disk->disk_node), err) < 0)
		return -1;
	number = var_number(disk->disk_node, err);
	if (number < 0)
		return -1;
	disk->var_number = (uint32_t)number;
	for (int i = 0; i < WAIT_STEPS; i++) {
		int rc = partition_node(disk->name, disk->var_number, disk->var_node,
					sizeof(disk->var_node), err);

		if (rc < 0)
			return -1;
		if (rc > 0 && access(disk->var_node, F_OK) == 0)
			return 0;
		usleep(WAIT_STEP_US);
	}
	return helper_fail(err, "the kernel does not show partition %u of disk '%s'",
			   disk->var_number, disk->name);
}

int disk_probe_fs(const char *node, enum var_fs *fs, struct err *err)
{
	unsigned char block[2048];
	int fd = open(node, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return helper_fail_errno(err, "cannot open '%s'", node);
	n = pread(fd, block, sizeof(block), 0);
	if (n < 0)
		helper_fail_errno(err, "cannot read '%s'", node);
	else if (n != (ssize_t)sizeof(block))
		helper_fail(err, "cannot read '%s': too short", node);
	close(fd);
	if (n != (ssize_t)sizeof(block))
		return -1;
	if (memcmp(block, "XFSB", 4) == 0)
		*fs = VAR_FS_XFS;
	else if (block[0x438] == 0x53 && block[0x439] == 0xef)
		*fs = VAR_FS_EXT4;
	else
		return helper_fail(err, "'%s' holds neither ext4 nor xfs", node);
	return 0;
}
