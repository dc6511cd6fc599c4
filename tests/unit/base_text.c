/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors, strings, sizes, paths and clocks.
 */
#include "tap.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/size.h"
#include "base/str.h"

#include <errno.h>

TEST(err_gathers_context)
{
	struct err err = {0};

	CHECK_INT(err_sys(&err, ENOENT, "cannot read '%s'", "x"), -1);
	CHECK_STR(err.msg, "cannot read 'x': No such file or directory");
	CHECK_INT(err.code, ERR_OTHER);
	err_wrap(&err, "profile '%s'", "db");
	CHECK_STR(err.msg, "profile 'db': cannot read 'x': No such file or directory");
	err_sys(&err, ENOSPC, "cannot write 'y'");
	CHECK_INT(err.code, ERR_SPACE);
	CHECK_INT(err_set(NULL, ERR_OTHER, "nobody listens"), -1);
}

TEST(err_cuts_what_does_not_fit)
{
	struct err err = {0};
	char *big = mem_alloc(10000);

	memset(big, 'a', 9999);
	err_set(&err, ERR_OTHER, "%s", big);
	CHECK_U64(strlen(err.msg), sizeof(err.msg) - 1);
	err_wrap(&err, "%s", big);
	CHECK_U64(strlen(err.msg), sizeof(err.msg) - 1);
	free(big);
}

TEST(exit_codes_are_unique)
{
	for (const struct err_code_row *a = err_codes; a->name; a++)
		for (const struct err_code_row *b = a + 1; b->name; b++) {
			CHECK(a->code != b->code);
			CHECK(strcmp(a->name, b->name) != 0);
		}
}

TEST(str_grows)
{
	struct str s = {0};

	for (int i = 0; i < 1000; i++)
		str_addf(&s, "%03d", i);
	CHECK_U64(s.len, 3000);
	CHECK_MEM(s.data + 2997, "999", 4);
	str_free(&s);
	CHECK(s.data == NULL);
	char *empty = str_steal(&s);
	CHECK_STR(empty, "");
	free(empty);
}

TEST(text_becomes_utf8)
{
#define NO "\xef\xbf\xbd"
	static const struct {
		const char *from, *to;
	} cases[] = {
		{"", ""},
		{"a b~", "a b~"},
		{"\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\xa7", "\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\xa7"},
		{"J\xf6rg", "J" NO "rg"},
		{"a\n\x7f\x1b"
		 "b",
		 "a" NO NO NO "b"},
		{"\xc2\x9b", NO},                  /* a control character of ISO 6429 */
		{"\xc0\xaf", NO NO},               /* too long a form of '/' */
		{"\xed\xa0\x80", NO NO NO},        /* a surrogate */
		{"\xf4\x90\x80\x80", NO NO NO NO}, /* over U+10FFFF */
		{"\xf8\x88\x80\x80\x80", NO NO NO NO NO},
		{"a\xe2\x82", "a" NO NO}, /* cut off */
		{"\xe2\x82z", NO NO "z"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(str_free) struct str s = {0};

		str_add_utf8(&s, cases[i].from, strlen(cases[i].from));
		CHECK_STR(s.data, cases[i].to);
	}
}

TEST(nearest_word)
{
	static const char *const words[] = {"packages", "overlays", "services", "sysctl"};

	CHECK_STR(str_nearest("pakages", words, 4), "packages");
	CHECK_STR(str_nearest("sysclt", words, 4), "sysctl");
	CHECK_STR(str_nearest("service", words, 4), "services");
	CHECK(str_nearest("kernel", words, 4) == NULL);
	CHECK(str_nearest("x", words, 4) == NULL);
}

TEST(strv_sorts_bytewise)
{
	struct strv v = {0};

	strv_add(&v, "b");
	strv_add(&v, "a");
	strv_addf(&v, "%c", 'B');
	strv_sort(&v);
	CHECK_STR(v.items[0], "B");
	CHECK_STR(v.items[2], "b");
	CHECK(v.items[3] == NULL);
	CHECK(strv_has(&v, "a"));
	CHECK(!strv_has(&v, "c"));
	strv_free(&v);
}

TEST(sizes_parse)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0},          {"1024", 1024},     {"1K", 1024}, {"512M", 512 * MIB},
		    {"4GiB", 4 * GIB}, {"1t", 1024 * GIB}, {"7B", 7}};
	static const char *const bad[] = {
		"",    "M",    "-1",  "1.5G",      "1GG",
		"1 G", "0x10", "1Kb", "99999999T", "18446744073709551616"};
	struct err err = {0};
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_OK(size_parse(good[i].text, &bytes, &err), &err);
		CHECK_U64(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK_ERR(size_parse(bad[i], &bytes, &err), &err, ERR_PROFILE, "is not a size");
	}
}

TEST(sizes_format)
{
	char text[16];

	CHECK_STR(size_format(0, text), "0 B");
	CHECK_STR(size_format(1536, text), "1.5 KiB");
	CHECK_STR(size_format(UINT64_MAX, text), "16.0 EiB");
	CHECK_U64(size_align(1, 4096), 4096);
	CHECK_U64(size_align(4096, 4096), 4096);
}

TEST(image_paths)
{
	static const char *const good[] = {"/etc/passwd", "a", "a/..b", "a/...", "usr/lib/a b"};
	static const char *const bad[] = {"",    "/",    "..", "../a", "a/..", "a/../b", "./a",
					  "a/.", "a//b", "a/", "//a",  "a\nb", "\x7f"};
	char longest[400];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		CHECK(path_is_clean(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (path_is_clean(bad[i]))
			FAIL("'%s' should not be clean", bad[i]);
	}
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	CHECK(!path_is_clean(longest));
	CHECK(path_is_clean(longest + 144));
}

TEST(source_date)
{
	struct err err = {0};
	int64_t epoch = 0;
	bool set = true;

	unsetenv("SOURCE_DATE_EPOCH");
	CHECK_OK(clock_source_date(&epoch, &set, &err), &err);
	CHECK(!set);
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	CHECK_OK(clock_source_date(&epoch, &set, &err), &err);
	CHECK(set);
	CHECK_U64((uint64_t)epoch, 1700000000);
	setenv("SOURCE_DATE_EPOCH", "yesterday", 1);
	CHECK_ERR(clock_source_date(&epoch, &set, &err), &err, ERR_USAGE, "SOURCE_DATE_EPOCH");
	char text[24];
	CHECK_STR(clock_format(1700000000, text), "2023-11-14T22:13:20Z");
}
