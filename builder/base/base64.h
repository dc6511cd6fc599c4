/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 (RFC 4648, section 4): with padding, without line breaks, one text for one value.
 */
#ifndef INGOT_BASE_BASE64_H
#define INGOT_BASE_BASE64_H

#include "base/str.h"

#include <stddef.h>

/* Appends the base64 of len bytes. */
void base64_add(const void *bytes, size_t len, struct str *text);

/* Appends the bytes that base64 text of len characters stands for. Returns -1 when it is not base64 or not
 * what base64_add writes; then bytes may hold a part. */
int base64_decode(const char *text, size_t len, struct str *bytes);

#endif
