/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of a tree are read as text, and text of unknown encoding as JSON.
 */
#include "inspect/inventory_parts.h"

#include "attest/containers.h"

#include <string.h>

#define TEXT_MAX ((uint64_t)1 << 20)
#define STATUS_MAX ((uint64_t)32 << 20)

static const char *const whole_paths[] = {
	"/etc/passwd",
	"/etc/group",
	"/etc/shadow",
	"/etc/os-release",
	"/usr/lib/os-release",
	"/etc/sysctl.conf",
	"/usr/lib/ingot/firewall.nft",
	"/etc/nftables.conf",
};

static const char *const unit_suffixes[] = {".service",   ".socket", ".timer", ".mount",
					    ".automount", ".swap",   ".path",  ".target",
					    ".slice",     ".conf"};

/* The folders that units, their drop-ins and links, and settings of the kernel may be in. */
static const char *const folders[] = {"/systemd/system/", "/systemd/system.attached/",
				      "/sysctl.d/"};

bool inventory_wants_text(const char *path, uint64_t size)
{
	const char *base = strrchr(path, '/');

	if (str_has_prefix(path, CONTAINERS_LAYERS))
		return false;
	if (strcmp(path, CONTAINERS_FILE) == 0)
		return size <= CONTAINERS_BYTES_MAX;
	if (str_has_suffix(path, "/dpkg/status"))
		return size <= STATUS_MAX;
	if (size > TEXT_MAX || !base)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(whole_paths); i++)
		if (strcmp(path, whole_paths[i]) == 0)
			return true;
	if (strstr(path, "/.ssh/authorized_keys") || strstr(path, "/authorized_keys.d/"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		for (size_t k = 0; strstr(path, folders[i]) && k < ARRAY_SIZE(unit_suffixes); k++)
			if (str_has_suffix(path, unit_suffixes[k]))
				return true;
	return false;
}

/* Bytes of the UTF-8 character at text, 0 when it is none (Unicode 15, table 3-7). */
static size_t character(const unsigned char *text, size_t len)
{
	unsigned char first = text[0], low = 0x80, high = 0xbf;
	size_t more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;

	if (first >= 0x80 && (first < 0xc2 || first > 0xf4))
		return 0;
	if (more >= len)
		return 0;
	low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : low;
	high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : high;
	for (size_t i = 1; i <= more; i++) {
		if (text[i] < low || text[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return more + 1;
}

json_t *inventory_string_n(const char *text, size_t len)
{
	CLEANUP(str_free) struct str good = {0};
	size_t n;

	str_add(&good, "");
	for (size_t i = 0; i < len; i += n) {
		n = character((const unsigned char *)text + i, len - i);
		if (n && text[i]) {
			str_add_bytes(&good, text + i, n);
		} else {
			str_addf(&good, "\\x%02x", (unsigned char)text[i]);
			n = 1;
		}
	}
	return json_string(good.data);
}

json_t *inventory_string(const char *text)
{
	return inventory_string_n(text, strlen(text));
}

const char *inventory_line(const char **at, size_t *ret_len)
{
	const char *line = *at;

	if (!*line)
		return NULL;
	*ret_len = strcspn(line, "\n");
	*at = line + *ret_len + (line[*ret_len] == '\n');
	return line;
}
