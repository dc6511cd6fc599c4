/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole small image, put together as a build does it, and what inspection finds in it.
 */
#include "tap.h"

#include "base/mem.h"
#include "inspect/inspect.h"
#include "testimage.h"

static struct testimage demo;

/* Writes demo.raw and demo.qcow2. */
static void make_image(void)
{
	testimage_make((const char *const[]){"raw", "qcow2", NULL}, true, &demo);
}

static void check_image(const char *path, const char *format)
{
	struct err err = {0};
	CLEANUP_JSON json_t *v = inspect_image(path, true, &err);
	json_t *part, *entry;

	CHECK_OK_PTR(v, &err);
	CHECK_STR(json_member_string(v, "format"), format);
	CHECK_STR(json_member_string(v, "root_hash"), demo.hash_hex);
	CHECK_STR(json_member_string(v, "kernel"), "6.12.1-test");
	CHECK(json_is_true(json_object_get(v, "verified")));
	CHECK_INT(json_integer_value(json_object_get(v, "size")), 101 * MIB);
	CHECK_INT(json_integer_value(json_object_get(v, "packages")), 2);
	part = json_array_get(json_object_get(v, "containers"), 0);
	CHECK_STR(json_member_string(part, "reference"), "docker.io/team/app:1");
	CHECK_STR(json_member_string(part, "image"), "sha256:" TESTIMAGE_DIGEST);
	CHECK_INT(json_integer_value(json_object_get(part, "bytes")), 42);
	CHECK_INT(json_array_size(json_object_get(v, "containers")), 1);
	CHECK_STR(json_member_string(json_object_get(v, "root"), "compression"), "zstd");
	CHECK_STR(json_member_string(json_object_get(v, "os_release"), "PRETTY_NAME"),
		  "Debian \"trixie\"");
	CHECK_STR(json_member_string(json_object_get(v, "os_release"), "IMAGE_VERSION"), "1.0");
	CHECK_INT(json_object_size(json_object_get(v, "os_release")), 3);

	part = json_object_get(json_object_get(v, "table"), "partitions");
	CHECK_INT(json_array_size(part), 3);
	part = json_array_get(part, 2);
	CHECK_STR(json_member_string(part, "type"), "root");
	CHECK_STR(json_member_string(part, "label"), "demo_1.0");
	CHECK(json_is_true(json_object_get(part, "read_only")));
	CHECK(json_integer_value(json_object_get(part, "used")) > 0);
	CHECK((uint64_t)json_integer_value(json_object_get(part, "used")) <= demo.root_used);

	CHECK_INT(json_array_size(json_object_get(v, "entries")), 1);
	entry = json_array_get(json_object_get(v, "entries"), 0);
	CHECK_STR(json_member_string(entry, "file"), "EFI/Linux/demo_1.0+3-1.efi");
	CHECK_INT(json_integer_value(json_object_get(entry, "tries_left")), 3);
	CHECK_INT(json_integer_value(json_object_get(entry, "tries_done")), 1);
	CHECK_INT(json_integer_value(json_object_get(entry, "root")), 3);
	CHECK_CONTAINS(json_member_string(entry, "cmdline"), " ro quiet\x1b");
	CHECK_INT(json_array_size(json_object_get(v, "problems")), 1);
	CHECK_CONTAINS(json_string_value(json_array_get(json_object_get(v, "problems"), 0)),
		       "'broken.efi': no PE image");
}

TEST(all_is_found_in_both_formats)
{
	make_image();
	check_image("demo.raw", "raw");
	check_image("demo.qcow2", "qcow2");
}

/* Flips a bit of the raw image. */
static void flip(uint64_t at)
{
	CLEANUP_FD int fd = open("demo.raw", O_RDWR | O_CLOEXEC);
	uint8_t byte;

	CHECK(pread(fd, &byte, 1, (off_t)at) == 1);
	byte ^= 1;
	CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1);
}

static void check_broken(uint64_t at, const char *message)
{
	struct err err = {0};

	flip(at);
	CHECK_ERR_PTR(inspect_image("demo.raw", true, &err), &err, ERR_VERIFY, message);
	flip(at);
}

TEST(flipped_bits_are_found)
{
	struct err err = {0};
	CLEANUP_JSON json_t *v = NULL;

	make_image();
	check_broken(demo.root_at + demo.root_used - 1, "data block");
	check_broken(demo.root_at + 100, "data block 0 does not match");
	check_broken(demo.tree_at + 4, "no verity superblock");
	/* The data are right, but the kernel would refuse them. */
	check_broken(demo.tree_at + 4096, "hash");
	/* Without --verify the content is not looked at. */
	flip(demo.root_at + demo.root_used - 1);
	v = inspect_image("demo.raw", false, &err);
	CHECK_OK_PTR(v, &err);
	CHECK(json_is_null(json_object_get(v, "verified")));
}

static void check_problem(uint64_t at, const char *message)
{
	struct err err = {0};
	CLEANUP_JSON json_t *v = NULL;
	json_t *problem;
	size_t i;
	bool found = false;

	flip(at);
	v = inspect_image("demo.raw", false, &err);
	CHECK_OK_PTR(v, &err);
	json_array_foreach(json_object_get(v, "problems"), i, problem)
	{
		found |= strstr(json_string_value(problem), message) != NULL;
	}
	if (!found)
		FAIL("no problem '%s'", message);
	flip(at);
}

TEST(damage_is_a_problem_not_the_end)
{
	make_image();
	check_problem(512 + 60, "the primary table is damaged (wrong header checksum)");
	check_problem((uint64_t)101 * MIB - 500, "the backup table is damaged");
	check_problem(MIB + 510, "no FAT32 file system");
}

TEST(images_without_an_esp_are_shown)
{
	struct err err = {0};
	CLEANUP_JSON json_t *v = NULL;
	const char *const argv[] = {"sfdisk", "-q", "plain", NULL};
	CLEANUP_FD int in = -1;

	tap_spew("plain", "", 0);
	CHECK_INT(truncate("plain", 16 << 20), 0);
	tap_spew("script", "label: gpt\n,,linux\n", 19);
	in = open("script", O_RDONLY | O_CLOEXEC);
	proc_fix_path();
	CHECK_OK(proc_run(&(struct proc){.argv = argv, .stdin_fd = in}, &err), &err);
	v = inspect_image("plain", false, &err);
	CHECK_OK_PTR(v, &err);
	CHECK_INT(json_array_size(json_object_get(v, "entries")), 0);
	CHECK(json_is_null(json_object_get(v, "root_hash")));
	CHECK_ERR_PTR(inspect_image("plain", true, &err), &err, ERR_VERIFY,
		      "cannot verify 'plain': no kernel image");
	CHECK_ERR_PTR(inspect_image("script", false, &err), &err, ERR_VERIFY, "too small");
}
