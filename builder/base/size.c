/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes as people write them.
 */
#include "base/size.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int size_parse(const char *text, uint64_t *ret_bytes, struct err *err)
{
	static const char units[] = "KMGT";
	uint64_t value = 0, unit = 1;
	const char *p = text;

	if (!isdigit((unsigned char)*p))
		goto bad;
	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			goto bad;
	if (*p && toupper((unsigned char)*p) != 'B') {
		const char *u = strchr(units, toupper((unsigned char)*p));

		if (!u)
			goto bad;
		for (long i = 0; i <= u - units; i++)
			unit *= 1024;
		p++;
		if (strcasecmp(p, "") != 0 && strcasecmp(p, "iB") != 0)
			goto bad;
	} else if (*p && p[1]) {
		goto bad;
	}
	if (__builtin_mul_overflow(value, unit, ret_bytes) || *ret_bytes > INT64_MAX)
		goto bad;
	return 0;
bad:
	return err_set(err, ERR_PROFILE,
		       "'%.40s' is not a size: expected a number with K, M, G or T, such as 512M",
		       text);
}

char *size_format(uint64_t bytes, char *text)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t i = 0;

	while (value >= 1024 && i + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		i++;
	}
	snprintf(text, 16, i ? "%.1f %s" : "%.0f %s", value, units[i]);
	return text;
}
