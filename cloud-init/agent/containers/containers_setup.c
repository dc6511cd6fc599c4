/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How docker is set up here. Its store is written only where it will look for it in the form that we write; a store
 * that it does not want could keep it from starting.
 */
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define DAEMON_JSON "/etc/docker/daemon.json"
#define DATA_ROOT "/var/lib/docker"
#define UNIT_MAX ((size_t)256 << 10)
#define MAJOR_FIRST 20 /* of the engines that read this form of the store */
#define MAJOR_LAST 28
#define XFS_MAGIC 0x58465342

__attribute__((format(printf, 2, 3))) static bool refuse(struct containers_setup *setup,
							 const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(setup->why, sizeof(setup->why), fmt, ap);
	va_end(ap);
	return false;
}

static bool check_version(const char *version, struct containers_setup *setup)
{
	char *end;
	unsigned long major = strtoul(version, &end, 10);

	if (*end != '.' || major < MAJOR_FIRST || major > MAJOR_LAST)
		return refuse(setup, "the store of docker %s is not known", version);
	return true;
}

/* *ret_driver gets the storage driver that is asked for, or NULL; borrowed from config. */
static bool check_config(const json_t *config, struct containers_setup *setup,
			 const char **ret_driver)
{
	const char *root = json_member_string(config, "data-root");
	const char *driver = json_member_string(config, "storage-driver");
	const char *remap = json_member_string(config, "userns-remap");

	if (!root)
		root = json_member_string(config, "graph"); /* what 20.10 called it before */
	if (root && *root) {
		if (*root != '/' || !path_is_clean(root))
			return refuse(setup, "data-root is no clean path");
		free(setup->data_root);
		setup->data_root = mem_strdup(root);
	}
	if (driver && *driver && strcmp(driver, "overlay2") != 0)
		return refuse(setup, "the storage driver is %.40s", driver);
	*ret_driver = driver && *driver ? driver : NULL;
	if (remap && *remap)
		return refuse(setup, "userns-remap is set");
	if (json_is_true(
		    json_object_get(json_object_get(config, "features"), "containerd-snapshotter")))
		return refuse(setup, "images are in containerd's store");
	return true;
}

static bool has_option(const char *line)
{
	static const char *const options[] = {"--data-root",    "--graph",       "--storage-driver",
					      "--userns-remap", "--config-file", "DOCKER_DRIVER="};
	static const char *const brief[] = {" -g", " -s", "\"-g", "\"-s", "=-g", "=-s"};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strstr(line, options[i]))
			return true;
	/* Other programs of a unit have options of one letter, too: kill -s HUP. */
	if (!strstr(line, "dockerd") && !strstr(line, "DOCKER_OPTS"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(brief); i++)
		if (strstr(line, brief[i]))
			return true;
	return false;
}

/* Options on the engine's command line win over daemon.json; then it is better not to guess. */
static bool check_options(const struct agent *agent, const char *file,
			  struct containers_setup *setup)
{
	CLEANUP(str_free) struct str text = {0};
	char *save = NULL;

	if (agent_read(agent, file, UNIT_MAX, &text, NULL) < 0)
		return true;
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		if (*line != '#' && *line != ';' && has_option(line))
			return refuse(setup, "'%s' gives the engine options", file);
	}
	return true;
}

static bool check_units(const struct agent *agent, struct containers_setup *setup)
{
	static const char *const files[] = {"/etc/default/docker",
					    "/etc/systemd/system/docker.service",
					    "/usr/lib/systemd/system/docker.service"};
	static const char *const folders[] = {"/etc/systemd/system/docker.service.d",
					      "/usr/lib/systemd/system/docker.service.d",
					      "/run/systemd/system/docker.service.d"};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (!check_options(agent, files[i], setup))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		CLEANUP_FREE char *path = agent_path(agent, folders[i]);
		bool good = true;
		const struct dirent *entry;
		DIR *dir = opendir(path);

		while (dir && good && (entry = readdir(dir))) {
			CLEANUP_FREE char *file = path_join(folders[i], entry->d_name);

			if (str_has_suffix(entry->d_name, ".conf"))
				good = check_options(agent, file, setup);
		}
		if (dir)
			closedir(dir);
		if (!good)
			return false;
	}
	return true;
}

/* Docker refuses to start when there is a store of overlay2 and its file system cannot be below an overlay. */
static bool check_file_system(const struct agent *agent, struct containers_setup *setup)
{
	static const long known[] = {EXT4_SUPER_MAGIC, XFS_MAGIC, BTRFS_SUPER_MAGIC,
				     F2FS_SUPER_MAGIC, TMPFS_MAGIC};
	CLEANUP_FREE char *path = agent_path(agent, setup->data_root);
	const struct dirent *entry;
	struct statfs fs;
	bool good = false, typed = true;
	DIR *dir;

	while (statfs(path, &fs) < 0) {
		char *parent = path_parent(path);

		if (errno != ENOENT || strcmp(parent, path) == 0) {
			free(parent);
			return refuse(setup, "cannot look at '%s'", setup->data_root);
		}
		free(path);
		path = parent;
	}
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		good |= (long)fs.f_type == known[i];
	if (!good)
		return refuse(setup, "the file system of '%s' (type %lx) is not known to work",
			      setup->data_root, (unsigned long)fs.f_type);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		typed &= entry->d_type != DT_UNKNOWN;
	if (dir)
		closedir(dir);
	return typed || refuse(setup, "the file system of '%s' does not tell types in folders",
			       setup->data_root);
}

/* Without a driver in its settings docker takes the one whose folder it finds, and none when it finds two. */
static bool check_prior(const struct agent *agent, struct containers_setup *setup)
{
	static const char *const others[] = {"btrfs", "zfs",     "fuse-overlayfs", "aufs",
					     "vfs",   "overlay", "devicemapper"};
	CLEANUP_FREE char *root = agent_path(agent, setup->data_root);
	CLEANUP_FREE char *own = path_join(root, "overlay2");

	if (access(own, F_OK) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		CLEANUP_FREE char *other = path_join(root, others[i]);

		if (access(other, F_OK) == 0)
			return refuse(setup, "'%s' has a store of the driver %s", setup->data_root,
				      others[i]);
	}
	return true;
}

void containers_setup_read(const struct agent *agent, const char *version,
			   struct containers_setup *ret)
{
	CLEANUP_FREE char *path = agent_path(agent, DAEMON_JSON);
	CLEANUP_JSON json_t *config = NULL;
	const char *driver = NULL;

	*ret = (struct containers_setup){.data_root = mem_strdup(DATA_ROOT)};
	if (access(path, F_OK) == 0) {
		config = agent_read_json(agent, DAEMON_JSON, NULL);
		if (!config) {
			refuse(ret, "'" DAEMON_JSON "' is no JSON object");
			return;
		}
	}
	if (*version && !check_version(version, ret))
		return;
	if (!check_config(config, ret, &driver) || !check_units(agent, ret) ||
	    !check_file_system(agent, ret))
		return;
	if (!driver)
		check_prior(agent, ret);
}
