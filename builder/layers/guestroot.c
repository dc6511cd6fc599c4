/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root of a foreign image: taken in once, by its digest, so that another list of packages or another
 * profile does not need the image's appliance again.
 */
#include "layers/guestroot.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "layers/dpkg.h"
#include "tree/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define INFO "guest.json"
#define INFO_MAX ((size_t)1 << 20)
#define STATUS_MAX ((size_t)64 << 20)
#define OS_RELEASE_MAX ((size_t)64 << 10)

void guestroot_key(const struct profile *profile, struct digest *ret)
{
	struct cache_key key CLEANUP(cache_key_free) = {0};

	/* Raise it when the same image would give other files. */
	cache_key_add(&key, "format", "1");
	cache_key_add(&key, "image", profile->base.sha256);
	cache_key_digest(&key, GUESTROOT_KIND, ret);
}

static void on_bytes(uint64_t bytes, void *context)
{
	struct log_step *step = context;

	if (step)
		log_step_progress(step, bytes, 0, NULL);
}

/* The value of KEY=value in os-release(5), without quotes; caller frees. NULL when it is not there. */
static char *os_release_value(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text, *end; *line; line = *end ? end + 1 : end) {
		const char *from = line + len + 1;

		end = line + strcspn(line, "\n");
		if ((size_t)(end - line) <= len || strncmp(line, key, len) != 0 || line[len] != '=')
			continue;
		if (*from == '"' || *from == '\'')
			from++;
		return mem_strndup(from, strcspn(from, "\"'\n"));
	}
	return NULL;
}

static char *read_text(const struct tree *tree, const char *path, size_t max, struct err *err)
{
	const struct tree_node *node = tree_resolve(tree, path);
	char *text;
	size_t len;

	if (!node || node->inode->type != TREE_FILE) {
		err_set(err, ERR_VERIFY, "cannot start from this image: its system has no '%s'",
			path);
		return NULL;
	}
	return tree_read(node, max, &text, &len, err) < 0 ? NULL : text;
}

/* dpkg remembers configuration of packages that are gone; those are no packages of the image. */
static void add_installed(const char *status, struct str *text)
{
	for (const char *p = status, *end; *p; p = end) {
		CLEANUP_FREE char *paragraph = NULL;

		end = strstr(p, "\n\n");
		end = end ? end + 2 : p + strlen(p);
		paragraph = mem_strndup(p, (size_t)(end - p));
		if (strstr(paragraph, "\nStatus: ") && strstr(paragraph, " ok installed\n"))
			str_add(text, paragraph);
	}
}

static json_t *list_packages(const struct tree *tree, struct err *err)
{
	CLEANUP_FREE char *status = read_text(tree, "/var/lib/dpkg/status", STATUS_MAX, err);
	CLEANUP(str_free) struct str text = {0};

	if (!status)
		return NULL;
	add_installed(status, &text);
	return dpkg_parse(text.data ? text.data : "", text.len, err);
}

/* The architecture of the package dpkg is that of the system. */
static const char *architecture_of(const json_t *packages)
{
	json_t *package;
	size_t i;

	json_array_foreach(packages, i, package)
	{
		if (strcmp(json_member_string(package, "name"), "dpkg") == 0)
			return json_member_string(package, "architecture");
	}
	return "unknown";
}

static int write_info(const struct tree *tree, const struct digest *digest, const char *dir,
		      struct err *err)
{
	CLEANUP_FREE char *path = path_join(dir, INFO);
	CLEANUP_FREE char *text = read_text(tree, "/etc/os-release", OS_RELEASE_MAX, err);
	CLEANUP_FREE char *id = text ? os_release_value(text, "ID") : NULL;
	CLEANUP_FREE char *release = text ? os_release_value(text, "VERSION_CODENAME") : NULL;
	CLEANUP_JSON json_t *packages = text ? list_packages(tree, err) : NULL;
	CLEANUP_JSON json_t *info = NULL;
	char hex[DIGEST_HEX_SIZE];

	if (!packages)
		return -1;
	info = json_pack("{s:s, s:s, s:s, s:s}", "digest", digest_hex(digest, hex), "distribution",
			 id ? id : "unknown", "release", release ? release : "unknown",
			 "architecture", architecture_of(packages));
	if (!info)
		return err_set(err, ERR_VERIFY,
			       "cannot start from this image: its os-release is no UTF-8");
	return json_write_file(path, info, true, err);
}

/* What the hooks of the package step (firmware/packages) and mmdebstrap reach by a path from outside of the
 * root. A link there could lead them to files of this machine; one in the same folder cannot. */
static const char *const reached[] = {
	"/boot",
	"/dev",
	"/etc",
	"/etc/apt",
	"/etc/default",
	"/etc/dpkg",
	"/etc/dpkg/dpkg.cfg.d",
	"/etc/hostname",
	"/etc/kernel",
	"/etc/kernel/postinst.d",
	"/etc/kernel/postinst.d/dracut",
	"/etc/ssh",
	"/lib",
	"/proc",
	"/run",
	"/sys",
	"/tmp",
	"/usr",
	"/usr/lib",
	"/usr/lib/modules",
	"/usr/lib/udev",
	"/var",
	"/var/backups",
	"/var/cache",
	"/var/cache/apt",
	"/var/lib",
	"/var/lib/apt",
	"/var/lib/dpkg",
	"/var/lib/misc",
	"/var/log",
	"/var/log/apt",
};

static int check_links(const struct tree *tree, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(reached); i++) {
		const struct tree_node *node = tree_find(tree, reached[i]);
		const char *target =
			node && node->inode->type == TREE_SYMLINK ? node->inode->target : NULL;

		if (target && (*target == '/' || strstr(target, "..")))
			return err_set(
				err, ERR_VERIFY,
				"cannot start from this image: its '%s' is a link to '%.100s'",
				reached[i], target);
	}
	return 0;
}

int guestroot_import(int tar_fd, const char *dir, struct log_step *step, struct err *err)
{
	CLEANUP_FREE char *tar = path_join(dir, GUESTROOT_TAR);
	CLEANUP_FD int fd = open(tar, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	struct digest digest;

	if (fd < 0)
		return err_sys(err, errno, "cannot make '%s'", tar);
	if (tree_import_tar(tar_fd, fd, tree, "the image", &digest, on_bytes, step, err) < 0 ||
	    check_links(tree, err) < 0 || write_info(tree, &digest, dir, err) < 0)
		return -1;
	/* Dear to make, so it is worth the wait (the cache itself does not sync). */
	return fsync(fd) < 0 ? err_sys(err, errno, "cannot write '%s'", tar) : 0;
}

int guestroot_check(const char *dir, const struct profile *profile, struct err *err)
{
	const struct {
		const char *name, *wanted;
	} members[] = {
		{"distribution", profile->base.distribution},
		{"release", profile->base.release},
		{"architecture", profile->base.architecture},
	};
	CLEANUP_FREE char *path = path_join(dir, INFO);
	CLEANUP_JSON json_t *info = json_read_file(path, INFO_MAX, err);

	if (!info)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const char *is = json_member_string(info, members[i].name);

		if (is && strcmp(is, members[i].wanted) == 0)
			continue;
		err_set(err, ERR_PROFILE, "cannot start from '%s': its %s is '%.60s', not '%s'",
			profile->base.image, members[i].name, is ? is : "unknown",
			members[i].wanted);
		return err_hint(err, "set base.%s in the profile, or use another image",
				members[i].name);
	}
	return 0;
}
