/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConfigDrive: OpenStack's documents on a file system with the label config-2.
 */
#include "agent/source/source_parts.h"

#include "base/fd.h"
#include "base/mem.h"

#define FOLDER "openstack/latest/"

static const char *const labels[2] = {"config-2", "CONFIG-2"};

bool source_configdrive_detect(const struct agent *agent)
{
	return source_has_label(agent, labels);
}

int source_configdrive_read(int dir, struct instance *ret, struct err *err)
{
	CLEANUP(str_wipe) struct str meta = {0};
	CLEANUP(str_wipe) struct str vendor = {0};
	const struct {
		const char *path;
		size_t max;
		struct str *to;
	} files[] = {
		{FOLDER "meta_data.json", SOURCE_META_MAX, &meta},
		{FOLDER "user_data", INSTANCE_DATA_MAX, &ret->user_data},
		{FOLDER "network_data.json", INSTANCE_DATA_MAX, &ret->network_config},
		{FOLDER "vendor_data.json", INSTANCE_DATA_MAX, &vendor},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		bool found;

		if (source_read_at(dir, files[i].path, files[i].max, files[i].to, &found, err) < 0)
			return err_wrap(err, "cannot read the config drive");
		if (!found && i == 0)
			return err_set(err, ERR_OTHER, "the config drive has no %s", files[0].path);
	}
	return source_openstack_read(&meta, &ret->network_config, &vendor, ret, err);
}

int source_configdrive_fetch(const struct agent *agent, struct instance *ret, struct err *err)
{
	CLEANUP_FD int dir = -1;

	if (source_open_label(agent, labels, &dir, err) < 0)
		return -1;
	if (dir < 0)
		return err_set(err, ERR_OTHER, "there is no config drive");
	return source_configdrive_read(dir, ret, err);
}
