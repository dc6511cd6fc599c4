/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of attest/sums.c: what sha256sum writes is read and the other way round; what it would take but has
 * two meanings is refused.
 */
#include "tap.h"

#include "attest/sums.h"
#include "base/fd.h"
#include "base/mem.h"
#include "memimage.h"

#include <sys/stat.h>

#define HEX "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void add_file(struct sums *sums, const char *name)
{
	struct err err = {0};
	struct digest d;

	tap_spew(name, name, strlen(name));
	digest_bytes(name, strlen(name), &d);
	CHECK_OK(sums_add(sums, name, &d, &err), &err);
}

static void write_sums(const struct sums *sums)
{
	CLEANUP(str_free) struct str text = {0};

	sums_text(sums, &text);
	tap_spew("SHA256SUMS", text.data, text.len);
}

TEST(sha256sum_takes_what_we_write)
{
	CLEANUP(sums_free) struct sums sums = {0}, back = {0};
	CLEANUP(str_free) struct str text = {0}, again = {0};
	struct err err = {0};

	add_file(&sums, "b");
	add_file(&sums, "a file.raw");
	add_file(&sums, "back\\slash");
	add_file(&sums, "-rf");
	add_file(&sums, "\xc3\xa4\xe2\x82\xac");
	write_sums(&sums);
	CHECK_OK(RUN(NULL, &err, "sha256sum", "--check", "--strict", "SHA256SUMS"), &err);
	CHECK_OK(fd_read_file("SHA256SUMS", 10000, &text, &err), &err);
	CHECK_OK(sums_parse(text.data, text.len, "SHA256SUMS", &back, &err), &err);
	CHECK_INT(back.count, 5);
	for (size_t i = 0; i < sums.count; i++) {
		const struct sums_entry *entry = sums_find(&back, sums.items[i].name);

		CHECK(entry);
		CHECK_MEM(entry->digest.bytes, sums.items[i].digest.bytes, DIGEST_SIZE);
	}
	sums_text(&back, &again);
	CHECK_STR(again.data, text.data);
	CHECK(!sums_find(&back, "absent"));
}

TEST(we_take_what_sha256sum_writes)
{
	static const char *const modes[] = {"--text", "--binary"};
	struct err err = {0};
	struct digest d;

	tap_spew("one", "1", 1);
	tap_spew("t\\w o", "2", 1);
	digest_bytes("2", 1, &d);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		CLEANUP(sums_free) struct sums sums = {0};
		CLEANUP(str_free) struct str text = {0};

		CHECK_OK(RUN(&text, &err, "sha256sum", modes[i], "one", "t\\w o"), &err);
		CHECK_OK(sums_parse(text.data, text.len, "x", &sums, &err), &err);
		CHECK_INT(sums.count, 2);
		CHECK(sums_find(&sums, "t\\w o"));
		CHECK_MEM(sums_find(&sums, "t\\w o")->digest.bytes, d.bytes, DIGEST_SIZE);
	}
}

static void check_bad(const char *text, size_t len, const char *why)
{
	struct sums sums;
	struct err err = {0};

	CHECK_ERR(sums_parse(text, len, "SUMS", &sums, &err), &err, ERR_VERIFY, why);
	CHECK_CONTAINS(err.msg, "cannot read 'SUMS': ");
	CHECK_INT(sums.count, 0);
}

TEST(lines_that_are_refused)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", "it names no file"},
		{"\n", "line 1: it is not '<SHA-256>  <name>'"},
		{HEX "  a", "line 1: it does not end"},
		{HEX "  a\n" HEX "  b", "line 2: it does not end"},
		{HEX "  a\n\n", "line 2"},
		{HEX "  \n", "line 1: it is not"},
		{HEX " a\n", "line 1: it is not"},
		{HEX "\ta\n", "line 1: it is not"},
		{HEX "   \xff\n", "same folder"},
		{"E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n", "line 1"},
		{"SHA256 (a) = " HEX "\n", "line 1"},
		{HEX "  a\r\n", "same folder"},
		{HEX "  a\n" HEX "  a\n", "line 2: 'a' is named twice"},
		{HEX "  ../a\n", "line 1: the name is not that of a file in the same folder"},
		{HEX "  /etc/passwd\n", "same folder"},
		{HEX "  sub/a\n", "same folder"},
		{HEX "  ..\n", "same folder"},
		{HEX "  .\n", "same folder"},
		{HEX "  a\x1b[31m\n", "same folder"},
		{HEX "  a\xc2\x9b\n", "same folder"},
		{HEX "  a\\b\n", "escaped in a wrong way"},
		{"\\" HEX "  a\\tb\n", "escaped in a wrong way"},
		{"\\" HEX "  a\\\n", "escaped in a wrong way"},
		{"\\" HEX "  a\\nb\n", "same folder"},
	};
	static char large[5000];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_bad(rows[i].text, strlen(rows[i].text), rows[i].why);
	check_bad(HEX "  a\0b\n", 70, "line 1");
	memset(large, 'x', sizeof(large));
	memcpy(large, HEX "  ", 66);
	large[sizeof(large) - 1] = '\n';
	check_bad(large, sizeof(large), "line 1: it is not");
	memcpy(large + 66 + 256, "\n", 1);
	check_bad(large, 66 + 257, "same folder");
}

TEST(names)
{
	CLEANUP(sums_free) struct sums sums = {0};
	struct digest d = {{1}};
	struct err err = {0};

	CHECK(sums_is_name("swarm-manager_1.0.0.raw.zst"));
	CHECK(!sums_is_name(""));
	CHECK(!sums_is_name("a/b"));
	CHECK(!sums_is_name("\xed\xa0\x80")); /* a surrogate */
	CHECK(!sums_is_name("\xc0\xaf"));     /* a slash in two bytes */
	CHECK_ERR(sums_add(&sums, "a/b", &d, &err), &err, ERR_OTHER, "same folder");
	CHECK_OK(sums_add(&sums, "a", &d, &err), &err);
	CHECK_ERR(sums_add(&sums, "a", &d, &err), &err, ERR_OTHER, "twice");
	for (int i = 0; i < 4095; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		CHECK_OK(sums_add(&sums, name, &d, &err), &err);
	}
	CHECK_ERR(sums_add(&sums, "one more", &d, &err), &err, ERR_OTHER, "more than 4096");
}

TEST(signatures)
{
	struct err err = {0};
	CLEANUP(sign_cleanup) struct sign_key *ed = sign_generate(SIGN_ED25519, &err);
	CLEANUP(sign_cleanup) struct sign_key *ec = sign_generate(SIGN_ECDSA, &err);
	CLEANUP(sums_free) struct sums sums = {0};
	CLEANUP_FREE char *first = NULL, *second = NULL, *third = NULL;
	size_t first_len, second_len, third_len;

	CHECK(ed && ec);
	CHECK_ERR(sums_sign("SHA256SUMS", ed, &err), &err, ERR_OTHER, "No such file");
	add_file(&sums, "a");
	write_sums(&sums);
	CHECK_OK(sign_write_public(ed, "ed.pub", &err), &err);
	CHECK_OK(sums_sign("SHA256SUMS", ed, &err), &err);
	CHECK_OK(RUN(NULL, &err, "openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey",
		     "ed.pub", "-sigfile", "SHA256SUMS.sig", "-in", "SHA256SUMS"),
		 &err);
	/* One of another key is replaced, one of the same key is kept: ECDSA's are random. */
	CHECK_OK(sums_sign("SHA256SUMS", ec, &err), &err);
	first = tap_slurp("SHA256SUMS.sig", &first_len);
	CHECK_OK(sums_sign("SHA256SUMS", ec, &err), &err);
	second = tap_slurp("SHA256SUMS.sig", &second_len);
	CHECK(first_len == second_len && memcmp(first, second, first_len) == 0);
	/* Not when the text is another one. */
	add_file(&sums, "b");
	write_sums(&sums);
	CHECK_OK(sums_sign("SHA256SUMS", ec, &err), &err);
	third = tap_slurp("SHA256SUMS.sig", &third_len);
	CHECK(first_len != third_len || memcmp(first, third, first_len) != 0);
}
