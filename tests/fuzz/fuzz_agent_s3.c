/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: what a S3 store answers: its date, the code of an error, the record, keys of a role. A line, then the body.
 */
#include "agent/join/rendezvous_record.h"
#include "agent/join/s3_answer.h"
#include "agent/join/s3_keys.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t line = end ? (size_t)(end - data) : size, rest = end ? size - line - 1 : 0;
	CLEANUP(rendezvous_record_free) struct rendezvous_record record = {0};
	CLEANUP_FREE char *date = mem_strndup((const char *)data, line);
	/* A copy of its very size, so that reading behind it is seen. */
	CLEANUP_FREE char *body = mem_strndup(end ? (const char *)end + 1 : "", rest);
	char code[S3_CODE_SIZE];
	struct s3_keys keys = {0};
	int64_t seconds;

	if (s3_date(date, &seconds) && (seconds < 0 || seconds > 253402300800))
		abort();
	s3_error_code(body, rest, code);
	for (const char *p = code; *p; p++)
		if (!isalpha((unsigned char)*p))
			abort();
	if (rendezvous_record_parse(body, rest, "prod", &record, NULL) == 0 && record.epoch == 0)
		abort();
	if (s3_keys_parse(body, rest, &keys) && strpbrk(keys.token, "\r\n"))
		abort();
	s3_keys_free(&keys);
	return 0;
}
