/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FAT names, both ways. A long name is stored in front of the short entry, its last part first.
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
	put_text(ret, name, base);
	if (dot)
		put_text(ret + 8, dot + 1, extension);
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
	put_text(ret + n, suffix, strlen(suffix));
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

void fatname_add_long(struct fatname_long *name, const uint8_t *e)
{
	unsigned number = e[0] & 0x3f;

	if (e[0] & 0x40 && number >= 1 && number <= 20) {
		memset(name, 0, sizeof(*name));
		name->expected = number;
		name->checksum = e[13];
	}
	if (number == 0 || number != name->expected || e[13] != name->checksum) {
		name->expected = 0;
		name->complete = false;
		return;
	}
	for (unsigned i = 0; i < FAT_LONG_UNITS; i++)
		name->units[(number - 1) * FAT_LONG_UNITS + i] = get_le16(e + fat_long_at(i));
	name->expected = number - 1;
	name->complete = number == 1;
}

/* Names get printed: other than ASCII only from U+00A0 on, no halves of surrogates. */
static void format_long(const struct fatname_long *name, char *to)
{
	for (const uint16_t *u = name->units; *u && u < name->units + 255; u++) {
		if (*u < 0x80) {
			*to++ = *u < ' ' || *u == 0x7f || *u == '/' ? '?' : (char)*u;
		} else if (*u < 0xa0 || (*u >= 0xd800 && *u < 0xe000)) {
			*to++ = '?';
		} else if (*u < 0x800) {
			*to++ = (char)(0xc0 | *u >> 6);
			*to++ = (char)(0x80 | (*u & 0x3f));
		} else {
			*to++ = (char)(0xe0 | *u >> 12);
			*to++ = (char)(0x80 | (*u >> 6 & 0x3f));
			*to++ = (char)(0x80 | (*u & 0x3f));
		}
	}
	*to = 0;
}

/* One half of a short name without the spaces at its end; returns where the next goes. */
static char *format_half(const uint8_t *from, int len, bool lower, char *to)
{
	while (len > 0 && from[len - 1] == ' ')
		len--;
	for (int i = 0; i < len; i++) {
		bool fine = from[i] >= ' ' && from[i] < 0x7f && from[i] != '/';
		bool upper = from[i] >= 'A' && from[i] <= 'Z';

		*to++ = !fine ? '?' : (char)(from[i] + (lower && upper ? 32 : 0));
	}
	return to;
}

/* Byte 12 holds Windows NT's flags for names in lower case. */
static void format_short(const uint8_t *e, char *to)
{
	to = format_half(e, 8, e[12] & 0x08, to);
	if (memcmp(e + 8, "   ", 3) != 0) {
		*to++ = '.';
		to = format_half(e + 8, 3, e[12] & 0x10, to);
	}
	*to = 0;
}

void fatname_read(const uint8_t *e, const struct fatname_long *name, char ret[FATNAME_TEXT_SIZE])
{
	if (name->complete && name->checksum == fat_checksum(e))
		format_long(name, ret);
	else
		format_short(e, ret);
}
