/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded reading of gzip (RFC 1952) that lies in memory: user-data and the files in it are hostile, and a
 * small one can become a large one.
 */
#ifndef INGOT_AGENT_GUNZIP_H
#define INGOT_AGENT_GUNZIP_H

#include <stddef.h>

/* Inflates all members of len bytes into to, which has room for max bytes; with to NULL only counts. Returns the
 * number of bytes, more than max when there are more, SIZE_MAX when the data is damaged. What follows the last
 * member is passed over, as gzip does. */
size_t gunzip_all(const void *packed, size_t len, void *to, size_t max);

#endif
