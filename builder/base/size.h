/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes as people write them: "512M", "4GiB", "1024".
 */
#ifndef INGOT_BASE_SIZE_H
#define INGOT_BASE_SIZE_H

#include "base/err.h"

#include <stdint.h>

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* Reads a whole number with an optional suffix K, M, G, T (also KiB, MiB, ...; powers of 1024; B or
 * none means bytes). ERR_PROFILE says what was expected. */
int size_parse(const char *text, uint64_t *ret_bytes, struct err *err);

/* Writes a short form such as "321.4 MiB" into text (at least 16 bytes). Returns text. */
char *size_format(uint64_t bytes, char *text);

/* Rounds up to a multiple of step (> 0). */
static inline uint64_t size_align(uint64_t bytes, uint64_t step)
{
	return (bytes + step - 1) / step * step;
}

#endif
