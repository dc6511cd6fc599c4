/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts: by mount(8) at each boot, before anything that may use them starts; systemd finds them in the kernel's table
 * and unmounts them at the end. No unit files: reading them in would cost more than the mounts.
 */
#include "agent/provision/cloudconfig.h"
#include "agent/provision/disk.h"
#include "agent/provision/place.h"

#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"

#include <string.h>
#include <unistd.h>

#define FIELDS 4 /* device, folder, type, options; dump and pass mean nothing here */
#define TABLE_MAX ((size_t)4 << 20)

struct mount_entry {
	const char *device, *folder, *type, *options;
};

static bool word_valid(const char *text)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	return *text && *text != '-';
}

static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = options; *p;) {
		size_t one = strcspn(p, ",");

		if (one == len && strncmp(p, name, len) == 0)
			return true;
		p += one + (p[one] == ',');
	}
	return false;
}

/* The source as mount(8) takes it; NULL, and told, when it is not there. Caller frees. */
static char *find_source(struct cc *cc, const struct doc_node *node,
			 const struct mount_entry *entry)
{
	static const struct {
		const char *tag, *folder;
	} tags[] = {
		{"LABEL=", "/dev/disk/by-label/"},
		{"UUID=", "/dev/disk/by-uuid/"},
		{"PARTLABEL=", "/dev/disk/by-partlabel/"},
		{"PARTUUID=", "/dev/disk/by-partuuid/"},
	};

	if (strcmp(entry->type, "tmpfs") == 0)
		return mem_strdup("tmpfs");
	if (has_option(entry->options, "bind") || has_option(entry->options, "rbind")) {
		if (*entry->device == '/' && path_is_clean(entry->device))
			return agent_path(cc->agent, entry->device);
		cc_problem(cc, node, "'%s' is no clean absolute path", cc_show(cc, entry->device));
		return NULL;
	}
	if (str_has_prefix(entry->type, "nfs") || strcmp(entry->type, "cifs") == 0) {
		cc_problem(cc, node, "'%s' needs the network: write a mount unit with write_files",
			   cc_show(cc, entry->type));
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		CLEANUP_FREE char *path = NULL;

		if (!str_has_prefix(entry->device, tags[i].tag))
			continue;
		path = mem_printf("%s%s", tags[i].folder, entry->device + strlen(tags[i].tag));
		return disk_find(cc, node, path);
	}
	return disk_find(cc, node, entry->device);
}

static bool is_mounted(struct cc *cc, const char *folder)
{
	CLEANUP(str_free) struct str table = {0};
	CLEANUP_FREE char *needle = mem_printf(" %s ", folder);

	/* Fifth field of a line: the mount point (proc_pid_mountinfo(5)). */
	return agent_read(cc->agent, "/proc/self/mountinfo", TABLE_MAX, &table, NULL) == 0 &&
	       strstr(table.data, needle);
}

static int swap_on(struct cc *cc, const struct doc_node *node, const struct mount_entry *entry,
		   struct err *err)
{
	CLEANUP_FREE char *device = find_source(cc, node, entry);
	const char *argv[] = {"swapon", "--", device, NULL};
	CLEANUP(str_free) struct str table = {0};

	if (!device)
		return 0;
	if (agent_read(cc->agent, "/proc/swaps", TABLE_MAX, &table, NULL) == 0 &&
	    strstr(table.data, device))
		return 0;
	return proc_run(&(struct proc){.argv = argv}, err);
}

/* The folder must exist in the read-only root, or lie where one can be made. */
static bool have_folder(struct cc *cc, const struct doc_node *node, const char *folder,
			struct err *err)
{
	const struct place place = {.mode = 0755};
	const char *why;
	int fd;

	if (place_allowed(folder, &why))
		return place_folder(cc->agent, folder, &place, NULL, err) == 0;
	fd = *folder == '/' && path_is_clean(folder)
		     ? place_open_folder(cc->agent, folder, false, NULL)
		     : -1;
	if (fd >= 0) {
		close(fd);
		return true;
	}
	cc_problem(cc, node, "cannot mount on '%s': %s", cc_show(cc, folder), why);
	doc_note(&cc->problems, &node->place,
		 "folders can be made below /var; /mnt and /srv exist");
	return false;
}

static int mount_one(struct cc *cc, const struct doc_node *node, const struct mount_entry *entry,
		     struct err *err)
{
	CLEANUP_FREE char *target = agent_path(cc->agent, entry->folder);
	CLEANUP_FREE char *source = NULL;
	const char *argv[] = {"mount", "-t", entry->type, "-o", entry->options,
			      "--",    NULL, target,      NULL};

	if (strcmp(entry->type, "swap") == 0)
		return swap_on(cc, node, entry, err);
	if (has_option(entry->options, "noauto"))
		return 0;
	/* What the image is, and what the agent needs, is not covered. */
	if (strcmp(entry->folder, "/") == 0 || str_has_prefix(entry->folder, "/proc") ||
	    str_has_prefix(entry->folder, "/sys") || str_has_prefix(entry->folder, "/dev") ||
	    str_has_prefix(entry->folder, "/usr") || strcmp(entry->folder, "/etc") == 0 ||
	    strcmp(entry->folder, "/run") == 0 || strcmp(entry->folder, "/var") == 0 ||
	    strcmp(entry->folder, "/var/lib") == 0) {
		cc_problem(cc, node, "nothing may be mounted on '%s'", cc_show(cc, entry->folder));
		return 0;
	}
	if (!have_folder(cc, node, entry->folder, err))
		return err->code ? -1 : 0;
	if (is_mounted(cc, target))
		return 0;
	source = find_source(cc, node, entry);
	if (!source)
		return 0;
	argv[6] = source;
	return proc_run(&(struct proc){.argv = argv}, err);
}

static void apply_entry(struct cc *cc, const struct doc_node *node)
{
	const char *fields[FIELDS] = {NULL, NULL, "auto", "defaults"};
	struct mount_entry entry;
	struct err err = {0};

	if (!cc_is(cc, node, DOC_LIST, "an entry of mounts"))
		return;
	for (size_t i = 0; i < node->count && i < FIELDS; i++) {
		if (doc_node_is_null(node->items[i]))
			continue;
		fields[i] = cc_text(cc, node->items[i], "a field of mounts");
		if (!fields[i])
			return;
		if (!word_valid(fields[i])) {
			cc_problem(cc, node->items[i], "'%s' cannot be in mounts",
				   cc_show(cc, fields[i]));
			return;
		}
	}
	entry = (struct mount_entry){fields[0], fields[1], fields[2], fields[3]};
	/* [device, null] takes one out of cloud-init's own list: we have none. */
	if (entry.device && node->count > 1 && !entry.folder)
		return;
	if (!entry.device || !entry.folder)
		cc_problem(cc, node, "mounts: an entry needs a device and a folder");
	else if (mount_one(cc, node, &entry, &err) < 0)
		cc_failed(cc, node, &err);
}

int cc_mounts(struct cc *cc, const struct doc_node *value, struct err *err)
{
	(void)err; /* each mount is a matter of its own */
	if (!cc_is(cc, value, DOC_LIST, "mounts"))
		return 0;
	for (size_t i = 0; i < value->count; i++)
		apply_entry(cc, value->items[i]);
	return 0;
}
