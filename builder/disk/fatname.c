/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FAT names. A long name is stored in front of the short entry, its last part first.
 */
#include "disk/fatname.h"

#include "disk/endian.h"
#include "disk/fat.h"

#include <stdio.h>
#include <string.h>

int fatname_check(const char *name, struct err *err)
{
	size_t len = strlen(name);

	if (len == 0 || len > FAT_NAME_MAX || name[len - 1] == '.' || name[len - 1] == ' ')
		return err_set(err, ERR_OTHER, "'%.64s' cannot be a name on the ESP", name);
	for (const char *p = name; *p; p++)
		if (*p < ' ' || *p > '~' || strchr("\"*/:<>?\\|", *p))
			return err_set(err, ERR_OTHER, "'%.64s' cannot be a name on the ESP", name);
	return 0;
}

/* A character that a short name may hold, upper case; 0: none. */
static char short_char(char c)
{
	if (c >= 'a' && c <= 'z')
		return (char)(c - 32);
	if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("$%'-_@~`!(){}^#&", c))
		return c;
	return 0;
}

static int exact_short(const char *name, uint8_t ret[11])
{
	const char *dot = strchr(name, '.');
	size_t base = dot ? (size_t)(dot - name) : strlen(name);
	size_t extension = dot ? strlen(dot + 1) : 0;

	if (base == 0 || base > 8 || extension > 3)
		return -1;
	for (const char *p = name; *p; p++)
		if (p != dot && short_char(*p) != *p)
			return -1;
	memcpy(ret, name, base);
	if (dot)
		memcpy(ret + 8, dot + 1, extension);
	return 0;
}

int fatname_short(const char *name, unsigned tail, uint8_t ret[11])
{
	const char *dot = strrchr(name, '.');
	char suffix[8];
	size_t n = 0, room;

	memset(ret, ' ', 11);
	if (tail == 0)
		return exact_short(name, ret);
	room = 8 - (size_t)snprintf(suffix, sizeof(suffix), "~%u", tail % 1000000);
	if (dot == name)
		dot = NULL;
	for (const char *p = name; *p && p != dot && n < room; p++) {
		if (*p == '.' || *p == ' ')
			continue;
		ret[n++] = (uint8_t)(short_char(*p) ? short_char(*p) : '_');
	}
	memcpy(ret + n, suffix, strlen(suffix));
	n = 8;
	for (const char *p = dot ? dot + 1 : ""; *p && n < 11; p++)
		if (*p != ' ')
			ret[n++] = (uint8_t)(short_char(*p) ? short_char(*p) : '_');
	return 0;
}

static size_t long_entries(const char *name)
{
	uint8_t unused[11];

	if (fatname_short(name, 0, unused) == 0)
		return 0;
	return (strlen(name) + FAT_LONG_UNITS - 1) / FAT_LONG_UNITS;
}

size_t fatname_entries(const char *name)
{
	return long_entries(name) + 1;
}

uint8_t *fatname_write(const char *name, const uint8_t short_name[11], uint8_t *to)
{
	size_t count = long_entries(name), len = strlen(name);

	for (size_t i = count; i > 0; i--, to += FAT_ENTRY_SIZE) {
		to[0] = (uint8_t)(i | (i == count ? 0x40 : 0));
		to[11] = FAT_LONG;
		to[13] = fat_checksum(short_name);
		for (unsigned k = 0; k < FAT_LONG_UNITS; k++) {
			size_t at = (i - 1) * FAT_LONG_UNITS + k;

			put_le16(to + fat_long_at(k), at < len    ? (uint8_t)name[at]
						      : at == len ? 0
								  : 0xffff);
		}
	}
	memcpy(to, short_name, 11);
	return to;
}
