/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors and dates of S3 stores. Of the XML only one word is wanted, so no parser of XML is exposed to a stranger.
 */
#include "agent/join/s3_answer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ELEMENT "<Code>"

const char *s3_error_code(const char *body, size_t len, char code[S3_CODE_SIZE])
{
	const char *at = len ? memmem(body, len, ELEMENT, strlen(ELEMENT)) : NULL;
	size_t n = 0;

	code[0] = '\0';
	if (!at)
		return code;
	at += strlen(ELEMENT);
	while (at + n < body + len &&
	       ((at[n] >= 'A' && at[n] <= 'Z') || (at[n] >= 'a' && at[n] <= 'z')))
		n++;
	if (n == 0 || n >= S3_CODE_SIZE || at + n == body + len || at[n] != '<')
		return code;
	memcpy(code, at, n);
	code[n] = '\0';
	return code;
}

bool s3_date(const char *text, int64_t *ret_seconds)
{
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	char month[4] = "", end = '\0';
	struct tm tm = {0};
	int used = 0;

	/* Every field has its width, so nothing can overflow. */
	if (strlen(text) != 29 ||
	    sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GM%c%n", &tm.tm_mday, month,
		   &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end, &used) != 7 ||
	    used != 29 || end != 'T')
		return false;
	for (tm.tm_mon = 0; tm.tm_mon < 12 && strcmp(months[tm.tm_mon], month) != 0;)
		tm.tm_mon++;
	if (tm.tm_mon == 12 || tm.tm_year < 1970 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
	    tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 ||
	    tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	*ret_seconds = (int64_t)timegm(&tm);
	return true;
}
