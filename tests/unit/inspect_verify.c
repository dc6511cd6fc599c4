/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of inspect/verify*.c: an image in every format that can be read, together and alone, and what
 * papers may lack. Tampering is tested from outside, in tests/cli/verify.t.
 */
#include "tap.h"

#include "attest/dsse.h"
#include "attest/sums.h"
#include "base/fd.h"
#include "base/mem.h"
#include "inspect/verify.h"
#include "testimage.h"

#include <sys/stat.h>

static struct testimage demo;
static const char *formats[OUTPUT_TARGETS_MAX + 1];
static struct verify_options options = {.jobs = 2};

static const char *suffix_of(const char *format)
{
	return output_format_find(format)->suffix;
}

/* demo.raw and so on: all rows of the table that small disks can have, or those that they cannot. */
static void make_all(bool large)
{
	size_t count = 0;

	demo.align = large ? GIB : MIB;

	for (const struct output_format *const *f = output_formats; *f; f++) {
		bool taken = ((*f)->multiple > MIB) != large;

		/* Variants of a format have its suffix. */
		for (size_t i = 0; i < count; i++)
			taken |= strcmp(suffix_of(formats[i]), (*f)->suffix) == 0;
		if (!taken)
			formats[count++] = (*f)->name;
	}
	testimage_make(formats, false, &demo);
}

static json_t *artifact(size_t i)
{
	char hex[DIGEST_HEX_SIZE], file[64];

	snprintf(file, sizeof(file), "demo%s", suffix_of(formats[i]));
	return json_pack("{s:s, s:s, s:I, s:I, s:s}", "file", file, "format", formats[i], "size",
			 (json_int_t)demo.size, "bytes", (json_int_t)demo.results[i].size, "sha256",
			 digest_hex(&demo.results[i].digest, hex));
}

/* manifest.json of all images, SHA256SUMS of them and of it. */
static void write_papers(bool disk_digest)
{
	CLEANUP_JSON json_t *manifest = json_pack("{s:i, s:[]}", "schema", 1, "artifacts");
	CLEANUP(sums_free) struct sums sums = {0};
	CLEANUP(str_free) struct str text = {0};
	struct digest digest;
	struct err err = {0};
	char hex[DIGEST_HEX_SIZE];

	if (disk_digest)
		json_object_set_new(manifest, "disk_sha256",
				    json_string(digest_hex(&demo.content, hex)));
	json_object_set_new(manifest, "root_hash", json_string(demo.hash_hex));
	for (size_t i = 0; formats[i]; i++) {
		json_t *item = artifact(i);

		json_array_append_new(json_object_get(manifest, "artifacts"), item);
		CHECK_OK(sums_add(&sums, json_member_string(item, "file"), &demo.results[i].digest,
				  &err),
			 &err);
	}
	CHECK_OK(json_write_file("manifest.json", manifest, false, &err), &err);
	CHECK_OK(digest_file("manifest.json", &digest, &err), &err);
	CHECK_OK(sums_add(&sums, "manifest.json", &digest, &err), &err);
	sums_text(&sums, &text);
	tap_spew("SHA256SUMS", text.data, text.len);
}

/* Tests start in a folder of their own: the images go into one below it. */
static void enter_folder(bool large)
{
	CHECK_INT(mkdir("out", 0755), 0);
	CHECK_INT(chdir("out"), 0);
	make_all(large);
	CHECK_INT(rename("squash", "../squash"), 0);
	CHECK_INT(rename("root", "../root"), 0);
}

static json_t *check_good(const char *path)
{
	struct err err = {0};
	json_t *report = NULL;

	CHECK_OK(verify_path(path, &options, &report, &err), &err);
	CHECK(json_is_true(json_object_get(report, "verified")));
	CHECK(json_array_size(json_object_get(report, "checks")) >= 5);
	return report;
}

static void check_bad(const char *path, const char *why)
{
	struct err err = {0};
	CLEANUP_JSON json_t *report = NULL;
	json_t *checks, *last;

	CHECK_ERR(verify_path(path, &options, &report, &err), &err, ERR_VERIFY, why);
	CHECK(!strchr(err.msg, '\n'));
	CHECK(json_is_false(json_object_get(report, "verified")));
	checks = json_object_get(report, "checks");
	last = json_array_get(checks, json_array_size(checks) - 1);
	CHECK_STR(json_member_string(last, "result"), "failed");
	CHECK_STR(json_member_string(last, "text"), err.msg);
}

static const char *text_of(const json_t *report, const char *check, const char *key)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(report, "checks"), i, item)
	{
		if (strcmp(json_member_string(item, "check"), check) == 0)
			return json_member_string(item, key);
	}
	FAIL("no check '%s'", check);
}

TEST_TIMEOUT(every_format_is_verified, 300)
{
	CLEANUP_JSON json_t *report = NULL, *again = NULL;
	size_t images = 0;
	char hex[DIGEST_HEX_SIZE];

	enter_folder(false);
	write_papers(true);
	report = check_good(".");
	for (size_t i = 0; formats[i]; i++) {
		CLEANUP_JSON json_t *alone = NULL;
		char file[64];

		snprintf(file, sizeof(file), "demo%s", suffix_of(formats[i]));
		if (!output_format_find(formats[i])->read)
			continue;
		images++;
		CHECK_CONTAINS(text_of(report, "disk", "subject"), file);
		alone = check_good(file);
		CHECK_STR(text_of(alone, "disk", "subject"), file);
		CHECK_CONTAINS(text_of(alone, "disk", "text"), digest_hex(&demo.content, hex));
	}
	CHECK(images >= 2);
	CHECK_CONTAINS(text_of(report, "disk", "text"), digest_hex(&demo.content, hex));
	CHECK_CONTAINS(text_of(report, "root", "text"), demo.hash_hex);
	CHECK_STR(text_of(report, "signature", "result"), "skipped");
	/* What is told does not depend on who was faster. */
	options.jobs = 7;
	again = check_good(".");
	CHECK(json_equal(report, again));
}

TEST_TIMEOUT(formats_of_large_disks_are_verified, 300)
{
	CLEANUP_JSON json_t *report = NULL;
	char hex[DIGEST_HEX_SIZE];

	enter_folder(true);
	CHECK(formats[0]);
	write_papers(true);
	report = check_good(".");
	CHECK_CONTAINS(text_of(report, "disk", "text"), digest_hex(&demo.content, hex));
}

TEST(manifests_without_a_digest_of_the_disk)
{
	CLEANUP_JSON json_t *report = NULL;
	CLEANUP_FD int fd = -1;

	enter_folder(false);
	formats[2] = NULL;
	write_papers(false);
	report = check_good(".");
	/* Another disk in one of them, sealed. Between the partitions nobody else looks. */
	fd = open("demo.raw", O_RDWR | O_CLOEXEC);
	CHECK(pwrite(fd, "x", 1, 20000) == 1);
	for (size_t i = 0; formats[i]; i++) {
		struct err err = {0};

		if (strcmp(formats[i], "raw") == 0)
			CHECK_OK(digest_file("demo.raw", &demo.results[i].digest, &err), &err);
	}
	write_papers(false);
	check_bad(".", ": the sha256 of its disk is ");
	write_papers(true);
	check_bad(".", "demo.raw: the sha256 of its disk is ");
}

TEST_TIMEOUT(a_flipped_byte_of_any_file_is_a_wrong_sum, 300)
{
	enter_folder(false);
	write_papers(true);
	for (size_t i = 0; formats[i]; i++) {
		char file[64], why[128];
		uint64_t places[3] = {0, demo.results[i].size / 2, demo.results[i].size - 1};
		CLEANUP_FD int fd = -1;

		snprintf(file, sizeof(file), "demo%s", suffix_of(formats[i]));
		snprintf(why, sizeof(why), "%s: sha256 is ", file);
		fd = open(file, O_RDWR | O_CLOEXEC);
		CHECK(fd >= 0);
		for (size_t k = 0; k < ARRAY_SIZE(places); k++) {
			uint8_t byte, other;

			CHECK(pread(fd, &byte, 1, (off_t)places[k]) == 1);
			other = byte ^ 0x20;
			CHECK(pwrite(fd, &other, 1, (off_t)places[k]) == 1);
			check_bad(".", why);
			CHECK(pwrite(fd, &byte, 1, (off_t)places[k]) == 1);
		}
	}
}

TEST(signed_papers)
{
	struct err err = {0};
	CLEANUP(sign_cleanup) struct sign_key *key = sign_generate(SIGN_ED25519, &err);
	CLEANUP(sign_cleanup) struct sign_key *other = sign_generate(SIGN_ECDSA, &err);
	const struct sign_key *keys[2] = {other, key};
	CLEANUP_JSON json_t *report = NULL;

	CHECK(key && other);
	enter_folder(false);
	formats[1] = NULL;
	write_papers(true);
	options.keys = keys;
	options.key_count = 2;
	check_bad(".", "SHA256SUMS.sig: it is missing");
	CHECK_OK(sums_sign("SHA256SUMS", key, &err), &err);
	report = check_good(".");
	CHECK_STR(text_of(report, "signature", "result"), "passed");
	CHECK_CONTAINS(text_of(report, "signature", "text"), "Ed25519");
	options.key_count = 1;
	check_bad(".", "SHA256SUMS: its signature is not by the given key");
}

static uint64_t told, told_total;

static void watch(uint64_t done, uint64_t total, void *context)
{
	(void)context;
	told = done > told ? done : told;
	told_total = total;
}

TEST(progress_is_told)
{
	CLEANUP_JSON json_t *report = NULL;

	enter_folder(false);
	write_papers(true);
	options.jobs = 1;
	options.progress = watch;
	report = check_good(".");
	CHECK(told > demo.size && told == told_total);
}

TEST(what_is_no_image)
{
	struct err err = {0};
	CLEANUP_JSON json_t *report = NULL, *second = NULL;

	CHECK_ERR(verify_path("absent", &options, &report, &err), &err, ERR_OTHER, "No such file");
	CHECK_INT(mkdir("empty", 0755), 0);
	check_bad("empty", "cannot verify 'empty': it has no SHA256SUMS");
	tap_spew("text", "hello\n", 6);
	check_bad("text", "too small");
	CHECK_INT(mkfifo("pipe", 0600), 0);
	CHECK_ERR(verify_path("pipe", &options, &second, &err), &err, ERR_OTHER, "neither a file");
}
