/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SOURCE_DATE_EPOCH and durations.
 */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int clock_source_date(int64_t *ret_epoch, bool *ret_set, struct err *err)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char *end;
	long long value;

	*ret_set = false;
	if (!text || !*text)
		return 0;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end || value < 0 || value > (1LL << 33))
		return err_set(err, ERR_USAGE,
			       "SOURCE_DATE_EPOCH is '%.40s', expected seconds since 1970", text);
	*ret_epoch = value;
	*ret_set = true;
	return 0;
}

double clock_monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

char *clock_format(int64_t epoch, char *text)
{
	time_t t = (time_t)epoch;
	struct tm tm;

	gmtime_r(&t, &tm);
	if (!strftime(text, 24, "%Y-%m-%dT%H:%M:%SZ", &tm))
		text[0] = '\0';
	return text;
}

int clock_parse(const char *text, int64_t *ret_epoch, struct err *err)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	char again[24];

	/* strptime takes single digits and spaces too. */
	if (!end || *end || strcmp(clock_format((int64_t)timegm(&tm), again), text) != 0)
		return err_set(err, ERR_VERIFY, "'%.40s' is no time such as 2026-11-21T01:02:03Z",
			       text);
	*ret_epoch = (int64_t)timegm(&tm);
	return 0;
}
