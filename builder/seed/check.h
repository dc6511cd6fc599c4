/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at user-data before a machine does: what would be told in the journal of its first boot is told
 * here, with file, line and column.
 */
#ifndef INGOT_SEED_CHECK_H
#define INGOT_SEED_CHECK_H

#include "base/str.h"

#include <stddef.h>

/* Checks user-data or vendor-data by its first line: a kind that is known, YAML that is well-formed where the kind
 * is YAML. Compressed data and parts of MIME are not looked into. Appends lines "FILE:LINE:COLUMN: error: ..."
 * and returns how many errors there are. No I/O. */
size_t seed_check_user_data(const char *file, const char *bytes, size_t len, struct str *problems);

/* Checks a network-config of NoCloud: YAML, a map, version 1 or 2. Otherwise as seed_check_user_data. */
size_t seed_check_network(const char *file, const char *bytes, size_t len, struct str *problems);

/* Appends which clouds do not take user-data of len bytes ("EC2 takes ..., GCE takes ..."); nothing when
 * all do. */
void seed_check_size(size_t len, struct str *text);

#endif
