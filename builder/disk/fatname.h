/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directory entries of FAT: long names and the short ones that each of them needs.
 */
#ifndef INGOT_DISK_FATNAME_H
#define INGOT_DISK_FATNAME_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

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

#endif
