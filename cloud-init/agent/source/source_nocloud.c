/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NoCloud without a network: a file system with the label cidata, a folder, or only what the kernel's command line or
 * the DMI serial number says.
 */
#include "agent/source/source_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SEED_FOLDER "/var/lib/ingot/seed/nocloud"

static const char *const labels[2] = {"cidata", "CIDATA"};

static bool has_folder(const struct agent *agent)
{
	CLEANUP_FREE char *path = agent_path(agent, SEED_FOLDER "/meta-data");

	return access(path, F_OK) == 0;
}

/* "ds=nocloud" or its old name. */
static bool is_ours(const struct source_option *option)
{
	return option->name &&
	       (strcmp(option->name, "nocloud") == 0 || strcmp(option->name, "nocloud-net") == 0);
}

/* The folder that the seed URL of a local seed names ("/x/" or "file:///x/"); NULL when it is another URL. */
static const char *local_seed(const char *seed)
{
	if (str_has_prefix(seed, "file://"))
		seed += 7;
	return *seed == '/' ? seed : NULL;
}

bool source_nocloud_detect(const struct agent *agent)
{
	CLEANUP(source_option_free) struct source_option option = {0};

	if (source_option_find(agent, &option) && is_ours(&option)) {
		if (option.seed)
			return local_seed(option.seed) != NULL;
		if (option.id)
			return true;
	}
	return has_folder(agent) || source_has_label(agent, labels);
}

static int read_folder(const struct agent *agent, const char *path, struct instance *ret,
		       struct err *err)
{
	size_t len = strlen(path);
	CLEANUP_FREE char *clean =
		mem_strndup(path, len > 1 && path[len - 1] == '/' ? len - 1 : len);
	CLEANUP_FREE char *full = agent_path(agent, clean);
	CLEANUP_FD int dir = -1;

	if (!path_is_clean(clean))
		return err_set(err, ERR_OTHER, "the seed '%s' is no clean path", path);
	dir = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, errno, "cannot open the seed '%s'", full);
	return source_read_seed(dir, full, ret, err);
}

static int read_label(const struct agent *agent, struct instance *ret, struct err *err)
{
	CLEANUP_FD int dir = -1;

	if (source_open_label(agent, labels, &dir, err) < 0)
		return -1;
	return dir < 0 ? 0 : source_read_seed(dir, "cidata", ret, err);
}

/* What the option says wins over meta-data. */
static void take_option(const struct source_option *option, struct instance *ret)
{
	if (option->id)
		ret->id = source_id(option->id, strlen(option->id));
	if (option->hostname)
		ret->hostname = source_hostname(option->hostname, strlen(option->hostname));
}

int source_nocloud_fetch(const struct agent *agent, struct instance *ret, struct err *err)
{
	CLEANUP(source_option_free) struct source_option option = {0};
	const char *path = NULL;
	int r;

	if (source_option_find(agent, &option) && is_ours(&option)) {
		take_option(&option, ret);
		path = option.seed ? local_seed(option.seed) : NULL;
	}
	if (path)
		r = read_folder(agent, path, ret, err);
	else if (has_folder(agent))
		r = read_folder(agent, SEED_FOLDER, ret, err);
	else
		r = read_label(agent, ret, err);
	if (r < 0)
		return -1;
	if (ret->id)
		return 0;
	err_set(err, ERR_OTHER, "the seed has no instance-id");
	return err_hint(err, "its meta-data needs a line 'instance-id: NAME'");
}
