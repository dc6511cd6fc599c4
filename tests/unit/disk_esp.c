/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The EFI system partition: fsck.fat and mtools read what we write, our reader reads both it and
 * what mkfs.fat and mtools write.
 */
#include "tap.h"

#include "base/digest.h"
#include "base/mem.h"
#include "base/size.h"
#include "disk/endian.h"
#include "disk/esp.h"
#include "disk/fatread.h"
#include "memimage.h"
#include "output/image.h"

#define UKI_SIZE (3 * MIB + 1234)

static uint8_t uki[UKI_SIZE];
static struct region uki_parts[2], conf, loader;

static void init_contents(void)
{
	fill_random(uki, sizeof(uki), 1);
	memset(uki + 2 * MIB, 0, 100);
	/* With a gap of 100 bytes. */
	uki_parts[0] = (struct region){.bytes = uki, .length = 2 * MIB, .fd = -1};
	uki_parts[1] = (struct region){.offset = 2 * MIB + 100,
				       .bytes = uki + 2 * MIB + 100,
				       .length = sizeof(uki) - 2 * MIB - 100,
				       .fd = -1};
	conf = (struct region){.bytes = "timeout 0\n", .length = 10, .fd = -1};
	loader = (struct region){.bytes = uki, .length = 4096, .fd = -1};
}

static const struct esp_file files[] = {
	{"loader/loader.conf", &conf, 1, 10},
	{"EFI/BOOT/BOOTX64.EFI", &loader, 1, 4096},
	{"EFI/systemd/systemd-bootx64.efi", &loader, 1, 4096},
	{"EFI/Linux/swarm-manager_1.2.3+3.efi", uki_parts, 2, UKI_SIZE},
	{"EFI/Linux/swarm-manager_1.2.2.efi", &conf, 1, 10},
	{"loader/empty", NULL, 0, 0},
};

static const struct esp_options options = {
	.size = 64 * MIB, .serial = 0x1234abcd, .label = "ESP", .time = 1700000000};

static void write_esp(const struct esp_options *o)
{
	CLEANUP(esp_free) struct esp esp = {0};
	struct err err = {0};

	init_contents();
	CHECK_OK(esp_plan(files, ARRAY_SIZE(files), o, &esp, &err), &err);
	CHECK_U64(esp.regions.size, o->size);
	CHECK_INT(spew_regions("esp", &esp.regions), 0);
}

TEST(fsck_finds_no_fault_in_any_size)
{
	static const unsigned sizes[] = {34, 65, 66, 67, 130, 131, 260, 261, 512, 1024};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(str_free) struct str out = {0};
		struct esp_options o = options;
		struct err err = {0};

		o.size = sizes[i] * MIB;
		write_esp(&o);
		CHECK_OK(RUN(&out, &err, "fsck.fat", "-nv", "esp"), &err);
		CHECK_CONTAINS(out.data, "32 bit entries");
		CHECK_CONTAINS(out.data, "512 bytes per logical sector");
		CHECK_CONTAINS(out.data, "esp: 12 files,");
		if (strstr(out.data, "wrong") || strstr(out.data, "ifferences"))
			FAIL("%u MiB: %s", sizes[i], out.data);
	}
}

TEST(mtools_read_it)
{
	CLEANUP(str_free) struct str out = {0};
	struct err err = {0};

	write_esp(&options);
	CHECK_OK(RUN(&out, &err, "env", "TZ=UTC", "mdir", "-i", "esp", "::EFI/Linux"), &err);
	CHECK_CONTAINS(out.data, "Volume in drive : is ESP");
	CHECK_CONTAINS(out.data, "Volume Serial Number is 1234-ABCD");
	CHECK_CONTAINS(out.data, "3146962 2023-11-14  22:13  swarm-manager_1.2.3+3.efi");
	CHECK_CONTAINS(out.data, "swarm-manager_1.2.2.efi");
	CHECK_OK(RUN(NULL, &err, "mcopy", "-i", "esp", "::EFI/Linux/swarm-manager_1.2.3+3.efi",
		     "::efi/boot/bootx64.efi", "::loader/empty", "::loader/loader.conf", "."),
		 &err);
	CHECK_FILE_MEM("swarm-manager_1.2.3+3.efi", uki, sizeof(uki));
	CHECK_FILE_MEM("bootx64.efi", uki, 4096);
	CHECK_FILE("empty", "");
	CHECK_FILE("loader.conf", "timeout 0\n");
}

static void check_content(struct fatread *fat, const char *path, const void *want, size_t len)
{
	struct err err = {0};
	CLEANUP(image_close) struct image *file = fatread_open_file(fat, path, &err);
	CLEANUP_FREE uint8_t *got = mem_alloc(len);

	CHECK_OK_PTR(file, &err);
	CHECK_U64(file->size, len);
	CHECK_OK(file->pread(file, got, len, 0, &err), &err);
	CHECK_MEM(got, want, len);
	CHECK_ERR(file->pread(file, got, 1, len, &err), &err, ERR_VERIFY, "beyond the end");
}

TEST(we_read_it)
{
	struct err err = {0};
	CLEANUP(image_close) struct image *image = NULL;
	CLEANUP(fatread_cleanup) struct fatread *fat = NULL;
	CLEANUP_FREE struct fatread_entry *items = NULL;
	size_t count;

	write_esp(&options);
	image = image_open("esp", &err);
	CHECK_OK_PTR(image, &err);
	fat = fatread_open(image, &err);
	CHECK_OK_PTR(fat, &err);
	check_content(fat, "EFI/Linux/swarm-manager_1.2.3+3.efi", uki, sizeof(uki));
	check_content(fat, "efi/boot/bootx64.efi", uki, 4096);
	check_content(fat, "loader/empty", "", 0);
	CHECK_OK(fatread_list(fat, "EFI/linux", &items, &count, &err), &err);
	CHECK_INT(count, 2);
	CHECK_STR(items[0].name, "swarm-manager_1.2.2.efi");
	CHECK_STR(items[1].name, "swarm-manager_1.2.3+3.efi");
	CHECK_U64(items[1].size, UKI_SIZE);
	CHECK(!items[1].is_folder);
	free(MEM_STEAL(items));
	CHECK_OK(fatread_list(fat, "", &items, &count, &err), &err);
	CHECK_INT(count, 2);
	CHECK_STR(items[0].name, "EFI");
	CHECK(items[0].is_folder);
	free(MEM_STEAL(items));
	CHECK_OK(fatread_list(fat, "EFI/none", &items, &count, &err), &err);
	CHECK_INT(count, 0);
	CHECK_ERR_PTR(fatread_open_file(fat, "EFI/none", &err), &err, ERR_OTHER,
		      "there is no file 'EFI/none' in 'esp'");
	CHECK_ERR_PTR(fatread_open_file(fat, "EFI", &err), &err, ERR_OTHER, "there is no file");
	CHECK_ERR_PTR(fatread_open_file(fat, "loader/loader.conf/x", &err), &err, ERR_OTHER,
		      "there is no file");
}

TEST(we_read_what_mtools_write)
{
	struct err err = {0};
	CLEANUP(image_close) struct image *image = NULL;
	CLEANUP(fatread_cleanup) struct fatread *fat = NULL;
	CLEANUP_FREE struct fatread_entry *items = NULL;
	size_t count;

	init_contents();
	tap_spew("esp", "", 0);
	CHECK_INT(truncate("esp", 40 << 20), 0);
	tap_spew("big", uki, sizeof(uki));
	tap_spew("small.txt", "hello", 5);
	CHECK_OK(RUN(NULL, &err, "mkfs.fat", "-F", "32", "-s", "1", "esp"), &err);
	CHECK_OK(RUN(NULL, &err, "mmd", "-i", "esp", "::a", "::a/b"), &err);
	/* Two pieces: the space of a deleted file is used again. */
	CHECK_OK(RUN(NULL, &err, "mcopy", "-i", "esp", "big", "::first"), &err);
	CHECK_OK(RUN(NULL, &err, "mcopy", "-i", "esp", "small.txt", "::a/b/small.txt"), &err);
	CHECK_OK(RUN(NULL, &err, "mdel", "-i", "esp", "::first"), &err);
	CHECK_OK(RUN(NULL, &err, "mcopy", "-i", "esp", "big", "::a/A Long Name \xc3\xa4.x"), &err);
	for (int i = 0; i < 100; i++) {
		char name[64];

		snprintf(name, sizeof(name), "::a/b/file number %d", i);
		CHECK_OK(RUN(NULL, &err, "mcopy", "-i", "esp", "small.txt", name), &err);
	}
	image = image_open("esp", &err);
	CHECK_OK_PTR(image, &err);
	fat = fatread_open(image, &err);
	CHECK_OK_PTR(fat, &err);
	check_content(fat, "a/b/small.txt", "hello", 5);
	check_content(fat, "a/b/file number 99", "hello", 5);
	CHECK_OK(fatread_list(fat, "a", &items, &count, &err), &err);
	CHECK_INT(count, 2);
	check_content(fat, "A/a long name \xc3\xa4.x", uki, sizeof(uki));
	free(MEM_STEAL(items));
	CHECK_OK(fatread_list(fat, "a/b", &items, &count, &err), &err);
	CHECK_INT(count, 101);
	CHECK_STR(items[0].name, "small.txt");
}

TEST(the_order_of_the_files_does_not_matter)
{
	struct esp_file reversed[ARRAY_SIZE(files)];
	CLEANUP(esp_free) struct esp esp = {0};
	struct digest first, second;
	struct err err = {0};

	write_esp(&options);
	CHECK_OK(digest_file("esp", &first, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		reversed[i] = files[ARRAY_SIZE(files) - 1 - i];
	CHECK_OK(esp_plan(reversed, ARRAY_SIZE(files), &options, &esp, &err), &err);
	CHECK_INT(spew_regions("esp", &esp.regions), 0);
	CHECK_OK(digest_file("esp", &second, &err), &err);
	CHECK_MEM(first.bytes, second.bytes, DIGEST_SIZE);
}

TEST(many_names_get_short_names_of_their_own)
{
	struct esp_file many[200];
	CLEANUP(strv_free) struct strv names = {0};
	CLEANUP(str_free) struct str out = {0};
	CLEANUP(esp_free) struct esp esp = {0};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		strv_addf(&names, "d/same beginning %zu.config", i);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct esp_file){.path = names.items[i]};
	CHECK_OK(esp_plan(many, ARRAY_SIZE(many), &options, &esp, &err), &err);
	CHECK_INT(spew_regions("esp", &esp.regions), 0);
	CHECK_OK(RUN(&out, &err, "fsck.fat", "-nv", "esp"), &err);
	CHECK_CONTAINS(out.data, "esp: 202 files,");
	if (strstr(out.data, "uplicate"))
		FAIL("%s", out.data);
}

static void check_refused(const struct esp_file *f, size_t count, const struct esp_options *o,
			  int code, const char *message)
{
	struct esp esp;
	struct err err = {0};

	init_contents();
	CHECK_ERR(esp_plan(f, count, o, &esp, &err), &err, code, message);
	CHECK_CONTAINS(err.msg, "cannot make the EFI system partition: ");
}

TEST(what_does_not_fit_is_refused)
{
	struct esp_options o = options;

	o.reserve = 70 * MIB;
	check_refused(files, ARRAY_SIZE(files), &o, ERR_SPACE, "and the next version need 73.");
	o.reserve = UINT64_MAX;
	check_refused(files, ARRAY_SIZE(files), &o, ERR_SPACE, "it has room for");
	o.reserve = 0;
	o.size = 33 * MIB;
	check_refused(files, ARRAY_SIZE(files), &o, ERR_OTHER, "between 34 MiB and 1 TiB");
	o.size = 64 * MIB + 512;
	check_refused(files, ARRAY_SIZE(files), &o, ERR_OTHER, "whole MiB");
	o.size = 64 * MIB;
	o.label = "twelve_chars";
	check_refused(files, ARRAY_SIZE(files), &o, ERR_OTHER, "cannot be its label");
	o.label = "esp";
	check_refused(files, ARRAY_SIZE(files), &o, ERR_OTHER, "cannot be its label");
}

TEST(bad_paths_are_refused)
{
	static const struct {
		struct esp_file files[2];
		const char *message;
	} bad[] = {
		{{{.path = "a/../b"}, {.path = "x"}}, "no clean relative path"},
		{{{.path = "/a"}, {.path = "x"}}, "no clean relative path"},
		{{{.path = "a"}, {.path = "A"}}, "'a' exists twice"},
		{{{.path = "a"}, {.path = "a/b"}}, "'a' and 'a/b' cannot both exist"},
		{{{.path = "x/b"}, {.path = "X/a"}}, "cannot both exist"},
		{{{.path = "a:b"}, {.path = "x"}}, "'a:b' cannot be a name on the ESP"},
		{{{.path = "a."}, {.path = "x"}}, "cannot be a name on the ESP"},
		{{{.path = "\xc3\xa4"}, {.path = "x"}}, "cannot be a name on the ESP"},
		{{{.path = "a", .size = (uint64_t)1 << 32}, {.path = "x"}}, "larger than 4 GiB"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		check_refused(bad[i].files, 2, &options,
			      bad[i].files[0].size ? ERR_SPACE : ERR_OTHER, bad[i].message);
}

/* Puts value at offset at, lists and opens what is there, and puts the old value back. Returns whether
 * that failed. */
static bool fails_with(struct memimage *image, uint8_t *bytes, size_t at, uint32_t value,
		       const char *message)
{
	CLEANUP(fatread_cleanup) struct fatread *fat = NULL;
	CLEANUP(image_close) struct image *file = NULL;
	uint32_t old = get_le32(bytes + at);
	struct err err = {0};

	put_le32(bytes + at, value);
	fat = fatread_open(&image->image, &err);
	if (fat)
		file = fatread_open_file(fat, "EFI/Linux/swarm-manager_1.2.3+3.efi", &err);
	put_le32(bytes + at, old);
	if (!file && (err.code != ERR_VERIFY || !strstr(err.msg, message)))
		FAIL("got %d '%s', want '%s'", err.code, err.msg, message);
	return !file;
}

TEST(damage_is_found)
{
	CLEANUP(esp_free) struct esp esp = {0};
	CLEANUP_FREE uint8_t *b = NULL;
	struct memimage m;
	struct err err = {0};
	size_t fat;

	init_contents();
	CHECK_OK(esp_plan(files, ARRAY_SIZE(files), &options, &esp, &err), &err);
	b = mem_alloc(options.size);
	for (size_t i = 0; i < esp.regions.count; i++)
		memcpy(b + esp.regions.items[i].offset, esp.regions.items[i].bytes,
		       esp.regions.items[i].length);
	m = memimage(b, options.size);
	fat = (size_t)get_le16(b + 14) * 512;
	/* 64 MiB: clusters of 512 bytes; the root folder is cluster 2. */
	CHECK(!fails_with(&m, b, 0, get_le32(b), ""));
	CHECK(fails_with(&m, b, 508, 0, "no FAT32 file system"));
	CHECK(fails_with(&m, b, 12, 0x00000004, "no FAT32 file system"));
	CHECK(fails_with(&m, b, 32, UINT32_MAX, "larger than its partition"));
	CHECK(fails_with(&m, b, 36, 10, "allocation table is too small"));
	CHECK(fails_with(&m, b, 36, UINT32_MAX, "larger than its partition"));
	CHECK(fails_with(&m, b, 44, 0x0fffff00, "begins outside"));
	CHECK(fails_with(&m, b, 44, 1, "begins outside"));
	CHECK(fails_with(&m, b, fat + (size_t)4 * 2, 2, "chain is too long"));
	CHECK(fails_with(&m, b, fat + (size_t)4 * 2, 0x0ffffff0, "chain leaves"));
	CHECK(fails_with(&m, b, fat + (size_t)4 * 2, 0, "chain leaves"));
	/* In the middle of the large file. */
	CHECK(fails_with(&m, b, fat + (size_t)4 * 1000, 0x0fffffff, "shorter than it says"));
	CHECK(fails_with(&m, b, fat + (size_t)4 * 1000, 999, "chain is too long"));
}
