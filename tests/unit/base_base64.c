/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of base/base64.c: the vectors of RFC 4648, every byte, and texts that mean nothing.
 */
#include "tap.h"

#include "base/base64.h"
#include "base/mem.h"

TEST(base64_as_in_rfc_4648)
{
	static const char *const rows[][2] = {{"", ""},
					      {"f", "Zg=="},
					      {"fo", "Zm8="},
					      {"foo", "Zm9v"},
					      {"foob", "Zm9vYg=="},
					      {"fooba", "Zm9vYmE="},
					      {"foobar", "Zm9vYmFy"}};
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "Z===", "Zg==Zg==", "Zm9?", "====", "Z\nm9", "Zh==", "Zm9="};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(str_free) struct str text = {0}, back = {0};

		str_add(&text, "");
		str_add(&back, "");
		base64_add(rows[i][0], strlen(rows[i][0]), &text);
		CHECK_STR(text.data, rows[i][1]);
		CHECK_INT(base64_decode(text.data, text.len, &back), 0);
		CHECK_STR(back.data, rows[i][0]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(str_free) struct str back = {0};

		CHECK_INT(base64_decode(bad[i], strlen(bad[i]), &back), -1);
	}
}

TEST(base64_of_every_byte)
{
	CLEANUP(str_free) struct str text = {0}, back = {0};
	unsigned char bytes[256];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	base64_add(bytes, sizeof(bytes), &text);
	CHECK_INT(base64_decode(text.data, text.len, &back), 0);
	CHECK_U64(back.len, sizeof(bytes));
	CHECK_MEM(back.data, bytes, sizeof(bytes));
}
