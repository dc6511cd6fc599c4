/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that give rights to who runs them: setuid, setgid, and capabilities (capabilities(7), stored as
 * struct vfs_cap_data of linux/capability.h).
 */
#include "inspect/inventory_parts.h"

#include "attest/containers.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ATTRIBUTE "security.capability="
#define WORDS_MAX 6

/* By number, as in linux/capability.h. */
static const char *const names[] = {"chown",
				    "dac_override",
				    "dac_read_search",
				    "fowner",
				    "fsetid",
				    "kill",
				    "setgid",
				    "setuid",
				    "setpcap",
				    "linux_immutable",
				    "net_bind_service",
				    "net_broadcast",
				    "net_admin",
				    "net_raw",
				    "ipc_lock",
				    "ipc_owner",
				    "sys_module",
				    "sys_rawio",
				    "sys_chroot",
				    "sys_ptrace",
				    "sys_pacct",
				    "sys_admin",
				    "sys_boot",
				    "sys_nice",
				    "sys_resource",
				    "sys_time",
				    "sys_tty_config",
				    "mknod",
				    "lease",
				    "audit_write",
				    "audit_control",
				    "setfcap",
				    "mac_override",
				    "mac_admin",
				    "syslog",
				    "wake_alarm",
				    "block_suspend",
				    "audit_read",
				    "perfmon",
				    "bpf",
				    "checkpoint_restore"};

static void add_names(const char *kind, uint64_t set, struct str *text)
{
	for (unsigned i = 0; i < 64; i++) {
		if (!(set >> i & 1))
			continue;
		str_addf(text, "%s%s", text->len ? "," : "", "");
		if (i < ARRAY_SIZE(names))
			str_addf(text, "cap_%s", names[i]);
		else
			str_addf(text, "cap_%u", i);
		str_addf(text, "=%s", kind);
	}
}

/* The little-endian words of the attribute, or 0 of them. */
static size_t read_words(const char *hex, uint32_t words[WORDS_MAX])
{
	size_t count = strspn(hex, "0123456789abcdef") / 8;

	for (size_t i = 0; i < count && i < WORDS_MAX; i++) {
		unsigned b[4];

		if (sscanf(hex + i * 8, "%2x%2x%2x%2x", &b[0], &b[1], &b[2], &b[3]) != 4)
			return 0;
		words[i] = b[0] | b[1] << 8 | b[2] << 16 | b[3] << 24;
	}
	return count <= WORDS_MAX ? count : 0;
}

/* "cap_net_raw=ep", or the attribute itself when it is of no known form. */
static json_t *capabilities(const char *hex)
{
	CLEANUP(str_free) struct str text = {0};
	uint32_t words[WORDS_MAX] = {0};
	size_t count = read_words(hex, words);
	bool effective = words[0] & VFS_CAP_FLAGS_EFFECTIVE;
	uint64_t permitted, inheritable;

	if (count < 5)
		return inventory_string_n(hex, strcspn(hex, "\n"));
	permitted = words[1] | (uint64_t)words[3] << 32;
	inheritable = words[2] | (uint64_t)words[4] << 32;
	add_names(effective ? "eip" : "ip", permitted & inheritable, &text);
	add_names(effective ? "ep" : "p", permitted & ~inheritable, &text);
	add_names(effective ? "ei" : "i", inheritable & ~permitted, &text);
	return json_string(text.data ? text.data : "none");
}

int inventory_add_setuid(struct inventory *inv, struct err *err)
{
	inventory_category(inv, "setuid");
	for (size_t i = 0; i < inv->count; i++) {
		const struct inventory_file *file = &inv->files[i];
		const char *caps = file->xattrs ? strstr(file->xattrs, ATTRIBUTE) : NULL;
		json_t *row;

		/* No user of the host gets into container layers. */
		if (str_has_prefix(file->path, CONTAINERS_LAYERS))
			continue;
		if (!S_ISREG(file->mode) || (!(file->mode & 06000) && !caps))
			continue;
		row = json_object();
		json_object_set_new(row, "mode", json_sprintf("%04o", file->mode & 07777));
		json_object_set_new(row, "uid", json_integer(file->uid));
		json_object_set_new(row, "gid", json_integer(file->gid));
		if (caps)
			json_object_set_new(row, "capabilities",
					    capabilities(caps + strlen(ATTRIBUTE)));
		if (inventory_set(inv, "setuid", file->path, row, err) < 0)
			return -1;
	}
	return 0;
}
