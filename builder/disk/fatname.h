/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directory entries of FAT: long names and the short ones that each of them needs.
 */
#ifndef INGOT_DISK_FATNAME_H
#define INGOT_DISK_FATNAME_H

#include "base/err.h"
#include "disk/fat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FATNAME_TEXT_SIZE (FAT_NAME_MAX * 3 + 1) /* a name as UTF-8 */

/* The parts of a long name that were read so far; {0} is none. */
struct fatname_long {
	uint16_t units[20 * FAT_LONG_UNITS + 1];
	unsigned expected; /* number of the part that comes next; 0: none is being read */
	bool complete;
	uint8_t checksum;
};

/* ERR_OTHER unless the name is printable ASCII without " * / : < > ? \ |, at most 255 characters,
 * with no dot or space at its end: names that every firmware reads. */
int fatname_check(const char *name, struct err *err);

/* Makes the short name of a checked name. tail 0: exactly the name, returns -1 when that is not
 * possible; else with "~<tail>" in it. */
int fatname_short(const char *name, unsigned tail, uint8_t ret[11]);

/* Number of 32-byte entries that the name takes, the short one included. */
size_t fatname_entries(const char *name);

/* Writes the long name entries (if it needs any) and the name of the short one, whose other fields
 * the caller sets. Returns where the short entry begins. */
uint8_t *fatname_write(const char *name, const uint8_t short_name[11], uint8_t *to);

/* Takes a long name entry (32 bytes, hostile) that was found in a folder. */
void fatname_add_long(struct fatname_long *name, const uint8_t *entry);

/* The name of a short entry (32 bytes, hostile): the long one when the entries before belong to it.
 * What is no printable character becomes "?". */
void fatname_read(const uint8_t *entry, const struct fatname_long *name,
		  char ret[FATNAME_TEXT_SIZE]);

#endif
