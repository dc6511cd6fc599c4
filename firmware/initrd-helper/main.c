/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot-initrd: turns the mounted, verified root into one that can run: /var from the partition on
 * the boot disk, seeded from the image, a stable machine-id, and the /etc overlay. It either does
 * all of it or fails; a failure makes the unit's OnFailure= reboot, so that boot counting goes on.
 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the initrd mounts the root; systemd's name for it. */
static const char root_dir[] = "/sysroot";

/* The file whose presence lets the switch to the root happen (asserted by unit drop-ins). */
static const char done_file[] = "done";

/* e2fsck(8): 1 = repaired, 2 = repaired and a reboot asked for (not mounted yet: none needed). */
static int check_ext4(const char *node, struct err *err)
{
	char *const preen[] = {(char *)"/usr/sbin/e2fsck", (char *)"-p", (char *)node, NULL};
	char *const force[] = {(char *)"/usr/sbin/e2fsck", (char *)"-f", (char *)"-y", (char *)node,
			       NULL};
	int status = helper_run(preen, err);

	if (status < 0)
		return -1;
	if (status & 4) {
		helper_log(4, "/var has errors that need a full repair");
		status = helper_run(force, err);
		if (status < 0)
			return -1;
	}
	if (status > 3)
		return helper_fail(err, "cannot repair /var on '%s': e2fsck exits with %d", node,
				   status);
	return 0;
}

/* Mounts without a place in the tree, so that nothing sees /var before it is seeded. */
static int mount_detached(const char *node, enum var_fs fs, struct err *err)
{
	const char *type = fs == VAR_FS_XFS ? "xfs" : "ext4";
	int ctx = fsopen(type, FSOPEN_CLOEXEC);
	int fd = -1;

	if (ctx < 0)
		return helper_fail_errno(err, "cannot use file system %s", type);
	if (fsconfig(ctx, FSCONFIG_SET_STRING, "source", node, 0) < 0 ||
	    fsconfig(ctx, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		helper_fail_errno(err, "cannot mount '%s' as %s", node, type);
	else if ((fd = fsmount(ctx, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)) < 0)
		helper_fail_errno(err, "cannot mount '%s' as %s", node, type);
	close(ctx);
	return fd;
}

/* The root hash from the kernel command line: it names the image that runs. */
static int root_hash(char *hash, size_t size, struct err *err)
{
	char text[8192];
	char *save = NULL;

	if (helper_read_file(AT_FDCWD, "/proc/cmdline", text, sizeof(text), err) < 0)
		return -1;
	for (char *w = strtok_r(text, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
		if (strncmp(w, "roothash=", 9) != 0)
			continue;
		if (strlen(w + 9) < 32 || strlen(w + 9) + 2 > size)
			return helper_fail(err, "bad roothash= on the kernel command line");
		snprintf(hash, size, "%s\n", w + 9);
		return 0;
	}
	return helper_fail(err, "no roothash= on the kernel command line");
}

/* Seeds /var when this image has not seeded it yet. The marker is written last. */
static int seed_var(int var, struct err *err)
{
	char hash[160], done[160], path[256];
	int src, dir;
	int rc = -1;

	if (root_hash(hash, sizeof(hash), err) < 0)
		return -1;
	if (helper_read_file(var, "lib/ingot/seeded", done, sizeof(done), err) >= 0) {
		if (strcmp(done, hash) == 0)
			return 0;
	} else if (errno != ENOENT && errno != EFBIG) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/var", root_dir);
	src = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (src < 0)
		return helper_fail_errno(err, "cannot open '%s'", path);
	if (seed_copy(src, var, err) == 0 &&
	    (dir = helper_open_dir(var, "lib/ingot", true, err)) >= 0) {
		rc = helper_write_file(dir, "seeded", hash, 0444, err);
		close(dir);
	}
	close(src);
	return rc;
}

/* Growing may fail without harm: the file system keeps the size that it has. */
static void grow_var(void)
{
	char *const argv[] = {(char *)"/usr/lib/systemd/systemd-growfs", (char *)"/sysroot/var",
			      NULL};
	struct err err;
	int status = helper_run(argv, &err);

	if (status < 0)
		helper_log(4, "%s", err.text);
	else if (status != 0)
		helper_log(4, "cannot grow /var: systemd-growfs exits with %d", status);
}

/* The kernel unmounts a detached mount when its own descriptor closes, so attach by that one. */
static int attach_var(int mount_fd, struct err *err)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/var", root_dir);
	if (move_mount(mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return helper_fail_errno(err, "cannot mount /var on '%s'", path);
	grow_var();
	return 0;
}

static int open_var(struct err *err)
{
	struct boot_disk disk;
	enum var_fs fs;

	if (disk_find_var(root_dir, &disk, err) < 0 || disk_probe_fs(disk.var_node, &fs, err) < 0)
		return -1;
	helper_log(6, "boot disk %s, /var on %s", disk.disk_node, disk.var_node);
	if (fs == VAR_FS_EXT4 && check_ext4(disk.var_node, err) < 0)
		return -1;
	return mount_detached(disk.var_node, fs, err);
}

/* The image says in one word whether changes to /etc are kept; no file means they are not. */
static int etc_is_persistent(bool *persistent, struct err *err)
{
	char path[256], word[32];

	*persistent = false;
	snprintf(path, sizeof(path), "%s/usr/lib/ingot/etc-mode", root_dir);
	if (helper_read_file(AT_FDCWD, path, word, sizeof(word), err) < 0)
		return errno == ENOENT ? 0 : -1;
	if (strcmp(word, "persistent\n") == 0)
		*persistent = true;
	else if (strcmp(word, "transient\n") != 0)
		return helper_fail(err, "bad word in '%s'", path);
	return 0;
}

/* An /etc that already has this id (persistent mode) is not written again. */
static int write_etc_id(const char *id, struct err *err)
{
	char path[256], line[64], old[64];
	int etc;
	int rc = 0;

	snprintf(path, sizeof(path), "%s/etc", root_dir);
	snprintf(line, sizeof(line), "%s\n", id);
	etc = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (etc < 0)
		return helper_fail_errno(err, "cannot open '%s'", path);
	if (helper_read_file(etc, "machine-id", old, sizeof(old), err) < 0 ||
	    strcmp(old, line) != 0)
		rc = helper_write_file(etc, "machine-id", line, 0444, err);
	close(etc);
	return rc;
}

/* The initrd's systemd has called the machine "localhost", and the one of the root leaves a name alone
 * that is set. /etc/hostname, DHCP and user-data still win: this one is not static. */
static void set_hostname(int var, const char *id)
{
	char path[256], text[16384], name[IDENT_HOSTNAME_MAX];
	struct err err;

	snprintf(path, sizeof(path), "%s/usr/lib/os-release", root_dir);
	if (helper_read_file(AT_FDCWD, path, text, sizeof(text), &err) < 0)
		helper_log(4, "%s", err.text);
	else if ((ident_kept_hostname(var, name) || ident_hostname(text, id, name)) &&
		 sethostname(name, strlen(name)) < 0)
		helper_log(4, "cannot set the host name: %s", strerror(errno));
}

static int setup_etc(int var, struct err *err)
{
	char id[33], list[256];
	bool persistent;

	snprintf(list, sizeof(list), "%s/usr/lib/ingot/etc-persist", root_dir);
	if (ident_machine_id(var, id, err) < 0 || etc_is_persistent(&persistent, err) < 0 ||
	    etc_mount_overlay(root_dir, persistent, err) < 0 || write_etc_id(id, err) < 0)
		return -1;
	set_hostname(var, id);
	return etc_persist(root_dir, var, list, err);
}

static int fill(int mount_fd, struct err *err)
{
	/* A mount descriptor is O_PATH, and nothing can be synced through one of those. */
	int var = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = -1;

	if (var < 0)
		return helper_fail_errno(err, "cannot open the root of /var");
	if (seed_var(var, err) == 0 && attach_var(mount_fd, err) == 0)
		rc = setup_etc(var, err);
	close(var);
	return rc;
}

static int prepare(struct err *err)
{
	int run, mount_fd;
	int rc = -1;

	umask(022);
	run = helper_open_dir(AT_FDCWD, "run/ingot-initrd", true, err);
	if (run < 0)
		return -1;
	mount_fd = open_var(err);
	if (mount_fd >= 0) {
		if (fill(mount_fd, err) == 0)
			rc = helper_write_file(run, done_file, "", 0444, err);
		close(mount_fd);
	}
	close(run);
	return rc;
}

int main(void)
{
	struct err err = {""};

	if (chdir("/") < 0) {
		helper_log(3, "ingot-initrd: cannot change to /: %s", strerror(errno));
		return 1;
	}
	if (prepare(&err) < 0) {
		helper_log(3, "ingot-initrd: %s", err.text);
		return 1;
	}
	return 0;
}
