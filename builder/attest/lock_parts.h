/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of locks: what reader and writer share. Private to attest/lock*.c.
 */
#ifndef INGOT_ATTEST_LOCK_PARTS_H
#define INGOT_ATTEST_LOCK_PARTS_H

#include <stddef.h>

#define LOCK_SCHEMA 1 /* version of the format */

enum { LOCK_ROW_COUNT = 9, LOCK_SUITE_COUNT = 3, LOCK_CONTAINER_COUNT = 2 };
enum { LOCK_ROW_DIGEST = 3 }; /* from here on a row says what the .deb is */
enum { LOCK_ROW_ORIGIN = 5 }; /* and from here on where it came from */

/* The members of the rows of packages, repositories and containers, in the order in which they are
 * written. */
extern const char *const lock_row_names[LOCK_ROW_COUNT];
extern const char *const lock_suite_names[LOCK_SUITE_COUNT];
extern const char *const lock_container_names[LOCK_CONTAINER_COUNT];

/* The line (from 1) of a member of the object in text, or of the element of the array in it that index
 * counts (from 0; SIZE_MAX: the member itself). text must be valid JSON. 1 when it is not found. */
size_t lock_line(const char *text, size_t len, const char *member, size_t index);

#endif
