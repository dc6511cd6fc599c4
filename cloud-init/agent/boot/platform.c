/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slot, root hash and boot counter, from /proc, /sys and the EFI variables.
 */
#include "agent/boot/platform.h"

#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EFIVARS "/sys/firmware/efi/efivars/"
#define LOADER_GUID "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
#define MOUNTINFO_MAX ((size_t)8 << 20)

/* The value of NAME=... in the command line, up to a blank. */
static void find_option(const char *cmdline, const char *name, char *to, size_t size)
{
	size_t len = strlen(name);

	*to = '\0';
	for (const char *p = cmdline; *p; p += strspn(p, " ")) {
		size_t word = strcspn(p, " ");

		if (word > len && p[len] == '=' && strncmp(p, name, len) == 0 &&
		    word - len - 1 < size) {
			memcpy(to, p + len + 1, word - len - 1);
			to[word - len - 1] = '\0';
		}
		p += word;
	}
}

/* "major:minor" of what is mounted on /, into number. */
static int root_device(const struct agent *agent, char number[32], struct err *err)
{
	CLEANUP(str_free) struct str text = {0};

	*number = '\0';
	if (agent_read(agent, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, err) < 0)
		return -1;
	/* 36 35 98:0 /mnt1 /mnt2 ...; the last mount on / is the one that is seen. */
	for (const char *line = text.data; line && *line;) {
		char device[32], point[8];

		if (sscanf(line, "%*d %*d %31s %*s %7s", device, point) == 2 &&
		    strcmp(point, "/") == 0)
			memcpy(number, device, sizeof(device));
		line = strchr(line, '\n');
		line += line != NULL;
	}
	if (!*number)
		return err_set(err, ERR_OTHER, "cannot find what is mounted on /");
	return 0;
}

/* A line NAME=value of a block device's uevent. */
static bool uevent_value(const struct agent *agent, const char *device, const char *name, char *to,
			 size_t size)
{
	CLEANUP_FREE char *path = mem_printf("/sys/class/block/%s/uevent", device);
	CLEANUP(str_free) struct str text = {0};
	size_t len = strlen(name);

	if (agent_read(agent, path, 16384, &text, NULL) < 0)
		return false;
	for (const char *line = text.data; line && *line;) {
		if (strncmp(line, name, len) == 0 && line[len] == '=') {
			snprintf(to, size, "%.*s", (int)strcspn(line + len + 1, "\n"),
				 line + len + 1);
			return true;
		}
		line = strchr(line, '\n');
		line += line != NULL;
	}
	return false;
}

static unsigned partition_number(const struct agent *agent, const char *device)
{
	char number[16];

	return uevent_value(agent, device, "PARTN", number, sizeof(number))
		       ? (unsigned)strtoul(number, NULL, 10)
		       : 0;
}

/* Of the two partitions under the verity device the data is the one whose label has no "_verity". */
static bool find_data(const struct agent *agent, const char *number, struct platform_slot *slot)
{
	CLEANUP_FREE char *path = mem_printf("%s/sys/dev/block/%s/slaves", agent->root, number);
	const struct dirent *entry;
	DIR *dir = opendir(path);
	bool found = false;

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		if (*entry->d_name == '.' || strlen(entry->d_name) >= sizeof(slot->device) ||
		    !uevent_value(agent, entry->d_name, "PARTNAME", slot->label,
				  sizeof(slot->label)) ||
		    str_has_suffix(slot->label, "_verity"))
			continue;
		agent_copy_text(slot->device, sizeof(slot->device), entry->d_name);
		found = true;
	}
	closedir(dir);
	if (!found)
		*slot->label = '\0';
	return found;
}

/* The artifact's own slot comes right behind the ESP (2 and 3, verity first); the second was made at first boot. */
static char slot_letter(unsigned number)
{
	if (number == 0)
		return 0;
	return number <= 3 ? 'A' : 'B';
}

int platform_slot(const struct agent *agent, struct platform_slot *ret, struct err *err)
{
	CLEANUP_FREE char *cmdline = agent_read_line(agent, "/proc/cmdline");
	char number[32];

	*ret = (struct platform_slot){0};
	if (!cmdline)
		return err_sys(err, errno, "cannot read the kernel's command line");
	find_option(cmdline, "roothash", ret->root_hash, sizeof(ret->root_hash));
	if (root_device(agent, number, err) < 0)
		return -1;
	if (!find_data(agent, number, ret))
		return err_set(err, ERR_OTHER, "/ is no verified partition (device %s)", number);
	ret->letter = slot_letter(partition_number(agent, ret->device));
	return 0;
}

bool platform_parse_counter(const char *entry, unsigned *ret_left, unsigned *ret_done)
{
	const char *plus = strrchr(entry, '+');
	char rest[8];

	*ret_done = 0;
	if (!plus || !isdigit((unsigned char)plus[1]))
		return false;
	if (sscanf(plus, "+%4u-%4u.%7s", ret_left, ret_done, rest) == 3)
		return true;
	*ret_done = 0;
	return sscanf(plus, "+%4u.%7s", ret_left, rest) == 2;
}

/* Reads a variable that holds UTF-16 text behind 4 bytes of attributes; only ASCII is kept as it is.
 * Returns 0 when there is no such variable, 1 when there is. */
static int read_variable(const struct agent *agent, const char *name, char *to, size_t size,
			 struct err *err)
{
	CLEANUP_FREE char *path = mem_printf(EFIVARS "%s" LOADER_GUID, name);
	CLEANUP_FREE char *full = agent_path(agent, path);
	CLEANUP(str_free) struct str bytes = {0};
	size_t len = 0;

	if (access(full, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (agent_read(agent, path, 4096, &bytes, err) < 0)
		return -1;
	for (size_t i = 4; i + 1 < bytes.len && len + 1 < size; i += 2) {
		unsigned char low = (unsigned char)bytes.data[i];

		if (low == 0 && bytes.data[i + 1] == 0)
			break;
		to[len++] = bytes.data[i + 1] == 0 && low >= ' ' && low < 127 ? (char)low : '?';
	}
	to[len] = '\0';
	return 1;
}

int platform_boot(const struct agent *agent, struct platform_boot *ret, struct err *err)
{
	char path[256];
	int r;

	*ret = (struct platform_boot){0};
	if (read_variable(agent, "LoaderEntrySelected", ret->entry, sizeof(ret->entry), err) < 0)
		return -1;
	r = read_variable(agent, "LoaderBootCountPath", path, sizeof(path), err);
	if (r <= 0)
		return r;
	/* The path is what the entry was renamed to before it was booted. */
	ret->counted = platform_parse_counter(path, &ret->left, &ret->done);
	if (!ret->counted)
		return err_set(err, ERR_OTHER, "the boot loader counts '%s', which has no counter",
			       path);
	if (strrchr(path, '\\'))
		snprintf(ret->entry, sizeof(ret->entry), "%s", strrchr(path, '\\') + 1);
	return 0;
}
