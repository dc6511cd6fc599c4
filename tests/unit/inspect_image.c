/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole small image, put together as a build does it, and what inspection finds in it.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "disk/esp.h"
#include "disk/plan.h"
#include "disk/uki.h"
#include "disk/verity.h"
#include "memimage.h"
#include "inspect/inspect.h"
#include "output/output.h"
#include "testpe.h"

static const char osrel[] = "PRETTY_NAME=\"Debian \\\"trixie\\\"\"\n# comment\nIMAGE_ID=demo\n"
			    "IMAGE_VERSION='1.0'\nBAD LINE\n";
static char hash_hex[DIGEST_HEX_SIZE];
static uint64_t root_at, tree_at, root_used;

/* A squashfs with two packages; its fd, for the region. */
static int make_root(uint64_t *ret_size)
{
	static const char status[] = "Package: bash\nStatus: install ok installed\n\n"
				     "Package: gone\nStatus: deinstall ok config-files\n\n"
				     "Package: docker.io\nStatus: hold ok installed\n";
	static uint8_t noise[2000000];
	struct err err = {0};
	int fd;

	CHECK_OK(RUN(NULL, &err, "mkdir", "-p", "root/usr/lib/sysimage/dpkg", "root/var/lib"),
		 &err);
	tap_spew("root/usr/lib/sysimage/dpkg/status", status, strlen(status));
	CHECK_INT(symlink("../../usr/lib/sysimage/dpkg", "root/var/lib/dpkg"), 0);
	fill_random(noise, sizeof(noise), 5);
	tap_spew("root/noise", noise, sizeof(noise));
	CHECK_OK(RUN(NULL, &err, "mksquashfs", "root", "squash", "-quiet", "-no-progress",
		     "-noappend", "-comp", "zstd", "-all-root"),
		 &err);
	fd = open("squash", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_OK(fd_size(fd, "squash", ret_size, &err), &err);
	return fd;
}

static void hash_root(int fd, uint64_t size, struct digest *ret, struct str *area)
{
	static const uint8_t uuid[16] = {7}, salt[4] = "salt";
	struct verity *v = verity_new(salt, sizeof(salt), uuid);
	CLEANUP_FREE uint8_t *bytes = mem_alloc(size);
	struct err err = {0};
	uint64_t blocks;

	CHECK_OK(fd_pread(fd, bytes, size, 0, "squash", &err), &err);
	verity_add(v, bytes, size);
	CHECK_OK(verity_finish(v, ret, area, &blocks, &err), &err);
	verity_free(v);
}

/* Writes demo.raw and demo.qcow2. */
static void make_image(void)
{
	static uint8_t stub[TESTPE_SIZE], kernel[TESTPE_SIZE];
	struct region initrd = {.length = 6, .bytes = "initrd", .fd = -1};
	struct uki_input input = {.stub = stub,
				  .stub_size = sizeof(stub),
				  .osrel = osrel,
				  .uname = "6.12.1-test",
				  .kernel = {.bytes = kernel, .length = TESTPE_SIZE, .fd = -1},
				  .initrds = &initrd,
				  .initrd_count = 1};
	struct disk_input disk_input = {.name = "demo",
					.version = "1.0",
					.architecture = "amd64",
					.root_slot = 64 * MIB,
					.align = MIB};
	const struct esp_options options = {.size = 34 * MIB, .label = "ESP"};
	struct output_target targets[2] = {
		{output_format_find("raw"), "demo.raw", {.no_sync = true}},
		{output_format_find("qcow2"), "demo.qcow2", {.no_sync = true}}};
	struct output_result results[2];
	CLEANUP(str_free) struct str area = {0}, cmdline = {0};
	CLEANUP(uki_free) struct uki uki = {0};
	CLEANUP(esp_free) struct esp esp = {0};
	CLEANUP(disk_free) struct disk disk = {0};
	CLEANUP_FD int fd = make_root(&root_used);
	struct region root = {.length = root_used, .fd = fd, .name = "root"}, tree;
	struct region_list roots = {&root, 1, 1, root_used}, trees;
	struct err err = {0};

	hash_root(fd, root_used, &disk_input.root_hash, &area);
	tree = (struct region){.length = area.len, .bytes = area.data, .fd = -1};
	trees = (struct region_list){&tree, 1, 1, area.len};
	testpe_stub(stub);
	testpe_kernel(kernel, "6.12.1-test");
	str_addf(&cmdline, "roothash=%s ro quiet\x1b[2J",
		 digest_hex(&disk_input.root_hash, hash_hex));
	input.cmdline = cmdline.data;
	CHECK_OK(uki_plan(&input, &uki, &err), &err);
	const struct esp_file files[] = {
		{"EFI/Linux/demo_1.0+3-1.efi", uki.regions.items, uki.regions.count,
		 uki.regions.size},
		{"EFI/Linux/readme.txt", &initrd, 1, 6},
		{"EFI/Linux/broken.efi", &initrd, 1, 6},
	};

	CHECK_OK(esp_plan(files, ARRAY_SIZE(files), &options, &esp, &err), &err);
	disk_input.esp = &esp.regions;
	disk_input.root = &roots;
	disk_input.verity = &trees;
	CHECK_OK(disk_plan(&disk_input, &disk, &err), &err);
	CHECK_OK(output_write_all(&disk.regions, targets, 2, 2, NULL, results, &err), &err);
	tree_at = disk.parts[1].entry.offset;
	root_at = disk.parts[2].entry.offset;
}

static void check_image(const char *path, const char *format)
{
	struct err err = {0};
	CLEANUP_JSON json_t *v = inspect_image(path, true, &err);
	json_t *part, *entry;

	CHECK_OK_PTR(v, &err);
	CHECK_STR(json_member_string(v, "format"), format);
	CHECK_STR(json_member_string(v, "root_hash"), hash_hex);
	CHECK_STR(json_member_string(v, "kernel"), "6.12.1-test");
	CHECK(json_is_true(json_object_get(v, "verified")));
	CHECK_INT(json_integer_value(json_object_get(v, "size")), 101 * MIB);
	CHECK_INT(json_integer_value(json_object_get(v, "packages")), 2);
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
	CHECK((uint64_t)json_integer_value(json_object_get(part, "used")) <= root_used);

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
	check_broken(root_at + root_used - 1, "data block");
	check_broken(root_at + 100, "data block 0 does not match");
	check_broken(tree_at + 4, "no verity superblock");
	/* The data are right, but the kernel would refuse them. */
	check_broken(tree_at + 4096, "hash");
	/* Without --verify the content is not looked at. */
	flip(root_at + root_used - 1);
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
