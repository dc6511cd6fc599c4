/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time: SOURCE_DATE_EPOCH (reproducible-builds.org) and a monotonic clock for durations.
 */
#ifndef INGOT_BASE_CLOCK_H
#define INGOT_BASE_CLOCK_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Reads SOURCE_DATE_EPOCH (seconds since 1970, at most 2^33). *ret_set is false when the variable is
 * absent; a value that is no number is ERR_USAGE. */
int clock_source_date(int64_t *ret_epoch, bool *ret_set, struct err *err);

/* Seconds on a clock that never jumps; only differences mean something. */
double clock_monotonic(void);

/* Writes "2026-11-21T01:02:03Z" (UTC) into text (at least 24 bytes). Returns text. */
char *clock_format(int64_t epoch, char *text);

/* Reads exactly that form back; ERR_VERIFY otherwise. */
int clock_parse(const char *text, int64_t *ret_epoch, struct err *err);

#endif
