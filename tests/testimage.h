/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole small image, put together as a build does it: ESP with a kernel image, squashfs, hash tree, GPT.
 */
#ifndef TESTS_TESTIMAGE_H
#define TESTS_TESTIMAGE_H

#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "disk/esp.h"
#include "disk/plan.h"
#include "disk/uki.h"
#include "disk/verity.h"
#include "memimage.h"
#include "output/output.h"
#include "testpe.h"

static const char testimage_osrel[] =
	"PRETTY_NAME=\"Debian \\\"trixie\\\"\"\n# comment\nIMAGE_ID=demo\n"
	"IMAGE_VERSION='1.0'\nBAD LINE\n";

/* Of everything about the container image docker.io/team/app:1 in it. */
#define TESTIMAGE_DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct testimage {
	bool compact;   /* given: the root partition is as large as its content */
	uint64_t align; /* given: the size of the disk is a multiple of it; 0: 1 MiB */
	char hash_hex[DIGEST_HEX_SIZE];
	uint64_t root_at, tree_at, root_used;             /* bytes on the disk */
	uint64_t size;                                    /* of the disk */
	struct output_result results[OUTPUT_TARGETS_MAX]; /* in the order of the formats */
	struct digest content;                            /* of the disk */
};

/* A squashfs with two packages; its fd, for the region. */
static int testimage_root(uint64_t *ret_size)
{
	static const char containers[] =
		"{\"version\": 1, \"images\": [{\"names\": [\"docker.io/team/app:1\"],"
		"\"repositories\": [\"docker.io/team/app\"],"
		"\"target\": {\"digest\": \"sha256:" TESTIMAGE_DIGEST "\"},"
		"\"manifest\": {\"digest\": \"sha256:" TESTIMAGE_DIGEST "\"},"
		"\"config\": {\"digest\": \"sha256:" TESTIMAGE_DIGEST "\"},"
		"\"layers\": [\"sha256:" TESTIMAGE_DIGEST "\"]}],"
		"\"layers\": {\"sha256:" TESTIMAGE_DIGEST "\": {\"size\": 42}}}\n";
	static const char status[] = "Package: bash\nStatus: install ok installed\n\n"
				     "Package: gone\nStatus: deinstall ok config-files\n\n"
				     "Package: docker.io\nStatus: hold ok installed\n";
	static uint8_t noise[2000000];
	struct err err = {0};
	int fd;

	CHECK_OK(RUN(NULL, &err, "mkdir", "-p", "root/usr/lib/sysimage/dpkg", "root/var/lib",
		     "root/usr/share/ingot/containers"),
		 &err);
	tap_spew("root/usr/lib/sysimage/dpkg/status", status, strlen(status));
	tap_spew("root/usr/share/ingot/containers/images.json", containers, strlen(containers));
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

static void testimage_hash(int fd, uint64_t size, struct digest *ret, struct str *area)
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

static int testimage_content(const struct output_result *results, const struct digest *content,
			     void *context, struct err *err)
{
	(void)results, (void)err;
	*(struct digest *)context = *content;
	return 0;
}

/* Writes demo.raw and so on in the formats, ended by NULL; with broken set its ESP holds a file that is no
 * kernel image although it is named so. */
__attribute__((unused)) static void testimage_make(const char *const *formats, bool broken,
						   struct testimage *ret)
{
	static uint8_t stub[TESTPE_SIZE], kernel[TESTPE_SIZE];
	struct region initrd = {.length = 6, .bytes = "initrd", .fd = -1};
	struct uki_input input = {.stub = stub,
				  .stub_size = sizeof(stub),
				  .osrel = testimage_osrel,
				  .uname = "6.12.1-test",
				  .kernel = {.bytes = kernel, .length = TESTPE_SIZE, .fd = -1},
				  .initrds = &initrd,
				  .initrd_count = 1};
	struct disk_input disk_input = {.name = "demo",
					.version = "1.0",
					.architecture = "amd64",
					.root_slot = 64 * MIB,
					.compact = ret->compact,
					.align = ret->align ? ret->align : MIB};
	const struct esp_options options = {.size = 34 * MIB, .label = "ESP"};
	const struct output_watch watch = {.complete = testimage_content, .context = &ret->content};
	struct output_target targets[OUTPUT_TARGETS_MAX];
	char paths[OUTPUT_TARGETS_MAX][64];
	size_t count = 0;
	CLEANUP(str_free) struct str area = {0}, cmdline = {0};
	CLEANUP(uki_free) struct uki uki = {0};
	CLEANUP(esp_free) struct esp esp = {0};
	CLEANUP(disk_free) struct disk disk = {0};
	CLEANUP_FD int fd = testimage_root(&ret->root_used);
	struct region root = {.length = ret->root_used, .fd = fd, .name = "root"}, tree;
	struct region_list roots = {&root, 1, 1, ret->root_used}, trees;
	struct err err = {0};

	testimage_hash(fd, ret->root_used, &disk_input.root_hash, &area);
	tree = (struct region){.length = area.len, .bytes = area.data, .fd = -1};
	trees = (struct region_list){&tree, 1, 1, area.len};
	testpe_stub(stub);
	testpe_kernel(kernel, "6.12.1-test");
	str_addf(&cmdline, "roothash=%s ro quiet\x1b[2J",
		 digest_hex(&disk_input.root_hash, ret->hash_hex));
	input.cmdline = cmdline.data;
	CHECK_OK(uki_plan(&input, &uki, &err), &err);
	const struct esp_file files[] = {
		{"EFI/Linux/demo_1.0+3-1.efi", uki.regions.items, uki.regions.count,
		 uki.regions.size},
		{"EFI/Linux/readme.txt", &initrd, 1, 6},
		{"EFI/Linux/broken.efi", &initrd, 1, 6},
	};

	CHECK_OK(esp_plan(files, ARRAY_SIZE(files) - !broken, &options, &esp, &err), &err);
	disk_input.esp = &esp.regions;
	disk_input.root = &roots;
	disk_input.verity = &trees;
	CHECK_OK(disk_plan(&disk_input, &disk, &err), &err);
	for (; formats[count]; count++) {
		const struct output_format *format = output_format_find(formats[count]);

		CHECK(format && count < OUTPUT_TARGETS_MAX);
		snprintf(paths[count], sizeof(paths[count]), "demo%s", format->suffix);
		targets[count] = (struct output_target){format, paths[count], {.no_sync = true}};
	}
	CHECK_OK(output_write_all(&disk.regions, targets, count, 2, &watch, ret->results, &err),
		 &err);
	ret->size = disk.regions.size;
	ret->tree_at = disk.parts[1].entry.offset;
	ret->root_at = disk.parts[2].entry.offset;
}

#endif
