/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an S3 store answers besides the object: the code of an error (S3 API reference, "Error responses"), and the
 * time by its clock (RFC 9110, 5.6.7).
 */
#ifndef INGOT_AGENT_S3_ANSWER_H
#define INGOT_AGENT_S3_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3_CODE_SIZE 65

/* Finds the error's code in a body of XML ("AccessDenied"); "" when there is none that is a word of letters. Returns
 * code. */
const char *s3_error_code(const char *body, size_t len, char code[S3_CODE_SIZE]);

/* Reads "Sun, 06 Nov 1994 08:49:37 GMT", as HTTP wants every sender to write a date. False when it is another text. */
bool s3_date(const char *text, int64_t *ret_seconds);

#endif
