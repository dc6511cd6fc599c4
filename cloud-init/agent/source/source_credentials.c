/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd credentials (systemd.io/CREDENTIALS): what a machine manager hands over by SMBIOS or fw_cfg lies in
 * /run/credentials/@system, what the unit imports or loads (encrypted ones, too) in $CREDENTIALS_DIRECTORY.
 */
#include "agent/source/source_parts.h"

#include "base/fd.h"
#include "base/mem.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_FOLDER "/run/credentials/@system"

/* Ours first; the other prefix is for machines that are made for cloud-init. */
static const char *const prefixes[] = {"ingot", "cloud-init"};

/* The folders in which credentials may lie; *ret_own is freed by the caller. */
static void find_folders(const struct agent *agent, char *folders[2])
{
	const char *own = getenv("CREDENTIALS_DIRECTORY");

	folders[0] = own && *own == '/' ? agent_path(agent, own) : NULL;
	folders[1] = agent_path(agent, SYSTEM_FOLDER);
}

/* Reads PREFIX.name; *ret_found is false when there is none. */
static int read_credential(const struct agent *agent, const char *name, size_t max,
			   struct str *text, bool *ret_found, struct err *err)
{
	char *folders[2];
	int r = 0;

	*ret_found = false;
	find_folders(agent, folders);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(prefixes) && r == 0 && !*ret_found; i++) {
		CLEANUP_FREE char *file = mem_printf("%s.%s", prefixes[i / 2], name);
		CLEANUP_FD int dir = -1;

		if (folders[i % 2])
			dir = open(folders[i % 2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0)
			r = source_read_at(dir, file, max, text, ret_found, err);
	}
	free(folders[0]);
	free(folders[1]);
	return r < 0 ? err_wrap(err, "cannot read a credential") : 0;
}

static bool has_credential(const struct agent *agent, const char *name)
{
	char *folders[2];
	bool found = false;

	find_folders(agent, folders);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(prefixes) && !found; i++) {
		CLEANUP_FREE char *path = NULL;

		if (!folders[i % 2])
			continue;
		path = mem_printf("%s/%s.%s", folders[i % 2], prefixes[i / 2], name);
		found = access(path, F_OK) == 0;
	}
	free(folders[0]);
	free(folders[1]);
	return found;
}

bool source_credentials_detect(const struct agent *agent)
{
	return has_credential(agent, "user-data") || has_credential(agent, "meta-data");
}

/* Without meta-data the machine itself is the instance: its UUID, else the id that its disk got. */
static char *own_id(const struct agent *agent)
{
	CLEANUP_FREE char *uuid = source_dmi(agent, "product_uuid");
	CLEANUP_FREE char *text =
		uuid ? MEM_STEAL(uuid) : agent_read_line(agent, "/etc/machine-id");
	CLEANUP_FREE char *id = text ? source_id(text, strlen(text)) : NULL;

	for (char *p = id; p && *p; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
	return id ? mem_printf("credentials-%s", id) : NULL;
}

int source_credentials_fetch(const struct agent *agent, struct instance *ret, struct err *err)
{
	struct str *const parts[] = {&ret->user_data, &ret->vendor_data, &ret->network_config};
	static const char *const names[] = {"user-data", "vendor-data", "network-config"};
	CLEANUP(str_wipe) struct str text = {0};
	bool found;

	if (read_credential(agent, "meta-data", SOURCE_META_MAX, &text, &found, err) < 0)
		return -1;
	if (found && source_meta_data(text.data, text.len, "meta-data", ret, err) < 0)
		return err_wrap(err, "cannot understand the credential");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (read_credential(agent, names[i], INSTANCE_DATA_MAX, parts[i], &found, err) < 0)
			return -1;
	if (!ret->id)
		ret->id = own_id(agent);
	if (ret->id)
		return 0;
	err_set(err, ERR_OTHER,
		"the credentials have no instance-id, and this machine has no UUID");
	return err_hint(err, "add a credential ingot.meta-data with the line 'instance-id: NAME'");
}
