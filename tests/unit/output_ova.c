/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OVA: what we write is what tar, sha256sum and readers of the disk inside expect, what tar programs
 * make of it is read, and damage to the archive is found.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "memimage.h"
#include "output/formats.h"
#include "output/image.h"
#include "output/ova_parts.h"
#include "output/vmdk.h"
#include "readback.h"

#define DISK_SIZE (1 * MIB)

static uint8_t *sample(void)
{
	uint8_t *bytes = mem_alloc(DISK_SIZE);

	fill_random(bytes + 70000, 3000, 3);
	memcpy(bytes + DISK_SIZE - 512, "end", 3);
	return bytes;
}

static void make(const uint8_t *bytes, const char *format, const char *path, const char *name)
{
	const struct region region = {.length = DISK_SIZE, .bytes = bytes, .fd = -1};
	const struct region_list list = {
		.items = (struct region *)&region, .count = 1, .size = DISK_SIZE};
	const struct output_target target = {
		.format = output_format_find(format),
		.path = path,
		.options = {.name = name, .no_sync = true, .portable = true}};
	struct output_result result;
	struct err err = {0};

	CHECK_OK(output_write_all(&list, &target, 1, 2, NULL, &result, &err), &err);
}

static void check_same(const char *path, const uint8_t *want)
{
	check_readback(path, "ova", want, DISK_SIZE, DISK_SIZE);
}

static void check_output(const char *const argv[], const char *want)
{
	CLEANUP(str_free) struct str out = {0};
	struct err err = {0};

	CHECK_OK(run_tool(&out, &err, argv), &err);
	CHECK_STR(out.data, want);
}

#define CHECK_OUTPUT(want, ...) check_output((const char *const[]){__VA_ARGS__, NULL}, want)

TEST(others_read_it)
{
	static const char members[] = "m.ovf\nm.mf\nm-disk1.vmdk\n";
	CLEANUP_FREE uint8_t *bytes = sample();
	CLEANUP(str_free) struct str out = {0};
	struct err err = {0};

	make(bytes, "ova", "m.ova", NULL);
	check_same("m.ova", bytes);
	CHECK_OUTPUT(members, "tar", "-tf", "m.ova");
	CHECK_OUTPUT(members, "bsdtar", "-tf", "m.ova");
	CHECK_OK(RUN(&out, &err, "file", "m.ova"), &err);
	CHECK_CONTAINS(out.data, "POSIX tar archive");
	CHECK_OK(RUN(NULL, &err, "tar", "-xf", "m.ova"), &err);
	/* The manifest is in the form that sha256sum checks too. */
	CHECK_OK(RUN(NULL, &err, "sha256sum", "--strict", "-c", "m.mf"), &err);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "check", "m-disk1.vmdk"), &err);
	CHECK_OK(RUN(NULL, &err, "vmdkinfo", "m-disk1.vmdk"), &err);
	tap_spew("raw", bytes, DISK_SIZE);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "compare", "-f", "raw", "-F", "vmdk", "raw",
		     "m-disk1.vmdk"),
		 &err);
}

TEST(the_disk_is_the_vmdk)
{
	CLEANUP_FREE uint8_t *bytes = sample();
	CLEANUP_FREE char *vmdk = NULL;
	struct err err = {0};
	size_t size;

	make(bytes, "vmdk", "m-disk1.vmdk", NULL);
	vmdk = tap_slurp("m-disk1.vmdk", &size);
	CHECK_INT(unlink("m-disk1.vmdk"), 0);
	make(bytes, "ova", "m.ova", NULL);
	CHECK_OK(RUN(NULL, &err, "tar", "-xf", "m.ova", "m-disk1.vmdk"), &err);
	CHECK_FILE_MEM("m-disk1.vmdk", vmdk, size);
}

TEST(members_are_of_nobody_and_no_time)
{
	CLEANUP_FREE uint8_t *bytes = sample();
	CLEANUP(str_free) struct str out = {0};
	struct err err = {0};

	make(bytes, "ova", "m.ova", NULL);
	CHECK_OK(RUN(&out, &err, "tar", "--numeric-owner", "--utc", "--full-time", "-tvf", "m.ova"),
		 &err);
	for (char *line = strtok(out.data, "\n"); line; line = strtok(NULL, "\n")) {
		CHECK(str_has_prefix(line, "-rw-r--r-- 0/0 "));
		CHECK_CONTAINS(line, " 1970-01-01 00:00:00 m");
	}
}

TEST(names_are_escaped)
{
	CLEANUP_FREE uint8_t *bytes = sample();
	CLEANUP_FREE char *file = NULL;
	struct err err = {0};

	make(bytes, "ova", "a <b>&c.ova", "node <1> & \"2\"\n\xff");
	check_same("a <b>&c.ova", bytes);
	CHECK_OUTPUT("a__b__c.ovf\na__b__c.mf\na__b__c-disk1.vmdk\n", "tar", "-tf", "a <b>&c.ova");
	CHECK_OK(RUN(NULL, &err, "tar", "-xf", "a <b>&c.ova"), &err);
	file = tap_slurp("a__b__c.ovf", NULL);
	CHECK_CONTAINS(file, "<VirtualSystem ovf:id=\"node &lt;1&gt; &amp; &quot;2&quot;__\">");
	CHECK_CONTAINS(file, "<File ovf:href=\"a__b__c-disk1.vmdk\"");
}

TEST(long_names_are_refused)
{
	char path[256];
	struct region_list list = {.size = DISK_SIZE};
	struct output_target target = {.format = output_format_find("ova"), .path = path};
	struct output_result result;
	struct err err = {0};

	memset(path, 'n', sizeof(path));
	strcpy(path + 89, ".ova");
	CHECK_ERR(output_write_all(&list, &target, 1, 1, NULL, &result, &err), &err, ERR_OTHER,
		  "its name is too long for an OVA");
	strcpy(path + 88, ".ova");
	CHECK_OK(output_write_all(&list, &target, 1, 1, NULL, &result, &err), &err);
}

/* The header before the content of a sparse file of that size. */
static void make_large(const char *path, uint64_t size)
{
	uint8_t h[TAR_BLOCK];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ova_member_header(h, "m.ovf", size);
	CHECK(pwrite(fd, h, sizeof(h), 0) == (ssize_t)sizeof(h));
	CHECK_INT(ftruncate(fd, (off_t)(size + (size_t)3 * TAR_BLOCK)), 0);
	close(fd);
}

TEST(large_members_have_binary_sizes)
{
	static const uint64_t sizes[] = {8 * GIB - 512, 8 * GIB, 700 * GIB};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP_FREE char *text = mem_printf(" %" PRIu64 " ", sizes[i]);
		CLEANUP(str_free) struct str out = {0};
		struct err err = {0};

		make_large("large", sizes[i]);
		CHECK_OK(RUN(&out, &err, "tar", "-tvf", "large"), &err);
		CHECK_CONTAINS(out.data, text);
		str_free(&out);
		CHECK_OK(RUN(&out, &err, "bsdtar", "-tvf", "large"), &err);
		CHECK_CONTAINS(out.data, text);
		/* We read it as far as that there is no disk. */
		CHECK_ERR_PTR(image_open("large", &err), &err, ERR_VERIFY, "with 0 disks");
	}
}

TEST(archives_of_others_are_read)
{
	static const char *const forms[] = {"--format=ustar", "--format=gnu", "--format=pax",
					    "--format=v7"};
	static const char long_name[] =
		"a-name-that-is-longer-than-a-hundred-characters-so-that-it-"
		"needs-a-header-of-its-own-in-all-of-the-formats-x.vmdk";
	CLEANUP_FREE uint8_t *bytes = sample();
	struct err err = {0};

	make(bytes, "vmdk", "d.vmdk", NULL);
	CHECK_OK(RUN(NULL, &err, "cp", "d.vmdk", long_name), &err);
	tap_spew("d.ovf", "<Envelope/>", 11);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		CHECK_OK(RUN(NULL, &err, "tar", forms[i], "-cf", "o.ova", "d.ovf", "d.vmdk"), &err);
		if (i == 3) {
			/* Nothing tells such an archive from a disk. */
			CLEANUP(image_close) struct image *image = image_open("o.ova", &err);

			CHECK_OK_PTR(image, &err);
			CHECK_STR(image->format, "raw");
			break;
		}
		check_same("o.ova", bytes);
		if (i == 0)
			continue;
		CHECK_OK(RUN(NULL, &err, "tar", forms[i], "-cf", "o.ova", "d.ovf", long_name),
			 &err);
		check_same("o.ova", bytes);
	}
	CHECK_OK(RUN(NULL, &err, "bsdtar", "--format=pax", "-cf", "o.ova", "d.ovf", long_name),
		 &err);
	check_same("o.ova", bytes);
	CHECK_OK(RUN(NULL, &err, "tar", "--format=pax", "--pax-option=globexthdr.name=g,comment=x",
		     "-cf", "o.ova", "d.ovf", "d.vmdk"),
		 &err);
	check_same("o.ova", bytes);
}

static void check_refused(const char *path, const char *message)
{
	struct err err = {0};

	CHECK_ERR_PTR(image_open(path, &err), &err, ERR_VERIFY, message);
	CHECK_CONTAINS(err.msg, path);
}

TEST(archives_without_one_disk_are_refused)
{
	CLEANUP_FREE uint8_t *bytes = sample();
	struct err err = {0};

	make(bytes, "vmdk", "d.vmdk", NULL);
	make(bytes, "vmdk", "e.VMDK", NULL);
	tap_spew("d.ovf", "<Envelope/>", 11);
	CHECK_INT(mkdir("link.vmdk", 0700), 0);
	CHECK_OK(RUN(NULL, &err, "tar", "-cf", "none.ova", "d.ovf", "link.vmdk"), &err);
	check_refused("none.ova", "an OVA with 0 disks");
	CHECK_OK(RUN(NULL, &err, "tar", "-cf", "two.ova", "d.ovf", "d.vmdk", "e.VMDK"), &err);
	check_refused("two.ova", "an OVA with 2 disks (*.vmdk) instead of one");
	CHECK_OK(RUN(NULL, &err, "tar", "--format=pax", "-cf", "order.ova", "d.vmdk", "d.ovf"),
		 &err);
	check_refused("order.ova", "its first member is no descriptor");
	tap_spew("f.vmdk", "hello", 5);
	CHECK_OK(RUN(NULL, &err, "tar", "-cf", "text.ova", "d.ovf", "f.vmdk"), &err);
	check_refused("text.ova", "damaged VMDK: truncated header");
}

/* With something wrong: an error, or what it was before. */
static void check_damage(const char *path, const uint8_t *want, const char *what, size_t at)
{
	static uint8_t got[DISK_SIZE];
	struct err err = {0};
	struct image *image = ova_read(open(path, O_RDONLY | O_CLOEXEC), path, &err);

	if (image && image->size != DISK_SIZE)
		FAIL("%s at byte %zu: disk of %" PRIu64, what, at, image->size);
	if (image && image->pread(image, got, DISK_SIZE, 0, &err) == 0) {
		if (memcmp(got, want, DISK_SIZE) != 0)
			FAIL("%s at byte %zu: other content", what, at);
	} else if (err.code != ERR_VERIFY || !strstr(err.msg, path)) {
		FAIL("%s at byte %zu: error %d: %s", what, at, err.code, err.msg);
	}
	image_close(&image);
}

/* The disk's own bytes are damaged in output_vmdk.c: this is for the archive before and around it. */
TEST_TIMEOUT(every_byte_is_checked, 300)
{
	CLEANUP_FREE uint8_t *bytes = sample();
	struct err err = {0};

	make(bytes, "vmdk", "d.vmdk", NULL);
	tap_spew("d.ovf", "<Envelope/>", 11);
	CHECK_OK(RUN(NULL, &err, "tar", "--format=pax", "-cf", "o.ova", "d.ovf", "d.vmdk"), &err);
	make(bytes, "ova", "m.ova", NULL);
	for (int i = 0; i < 2; i++) {
		const char *path = i == 0 ? "m.ova" : "o.ova";
		size_t size;
		CLEANUP_FREE uint8_t *file = (uint8_t *)tap_slurp(path, &size);
		size_t disk = (size_t)((uint8_t *)memmem(file, size, "KDMV", 4) - file);
		int fd = open(path, O_RDWR | O_CLOEXEC);

		for (size_t at = 0; at < size; at++) {
			if (at == disk)
				at = size - TAR_BLOCK;
			for (uint8_t bit = 1; bit; bit = (uint8_t)(bit << 1)) {
				uint8_t other = file[at] ^ bit;

				CHECK(pwrite(fd, &other, 1, (off_t)at) == 1);
				check_damage(path, bytes, "flip", at);
			}
			CHECK(pwrite(fd, file + at, 1, (off_t)at) == 1);
		}
		close(fd);
		for (size_t end = size; end > 0; end -= end > 2000 ? 61 : 1) {
			CHECK_INT(truncate(path, (off_t)end), 0);
			check_damage(path, bytes, "end", end);
		}
	}
}

/* A header that is right by its checksum and says something impossible. */
static void check_header(const uint8_t *good, size_t size, size_t at, const char *bytes, size_t len,
			 const char *message)
{
	CLEANUP_FREE uint8_t *copy = mem_alloc(size);

	memcpy(copy, good, size);
	memcpy(copy + at, bytes, len);
	snprintf((char *)copy + at / TAR_BLOCK * TAR_BLOCK + TAR_CHECKSUM, 7, "%06o",
		 tar_sum(copy + at / TAR_BLOCK * TAR_BLOCK));
	tap_spew("damaged", copy, size);
	check_refused("damaged", message);
}

TEST(impossible_headers_are_refused)
{
	CLEANUP_FREE uint8_t *bytes = sample();
	CLEANUP_FREE uint8_t *good = NULL;
	size_t size;

	make(bytes, "ova", "m.ova", NULL);
	good = (uint8_t *)tap_slurp("m.ova", &size);
	check_header(good, size, TAR_SIZE, "77777777777", 12, "a member is longer than the file");
	check_header(good, size, TAR_SIZE, "x", 1, "the size of a member is no number");
	check_header(good, size, TAR_SIZE, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12,
		     "the size of a member is no number");
	check_header(good, size, TAR_SIZE, "\x80\x01\0\0\0\0\0\0\0\0\0\0", 12,
		     "the size of a member is no number");
	check_header(good, size, TAR_SIZE, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12,
		     "a member is longer than the file");
	check_header(good, size, TAR_TYPE, "x", 1, "a pax header cannot be read");
	/* Goes on in the middle of the descriptor. */
	check_header(good, size, TAR_SIZE, "00000001000", 12, "a header is wrong");
}

static size_t add_record(uint8_t *to, const char *record)
{
	size_t len = strlen(record);

	memset(to, 0, (size_t)2 * TAR_BLOCK);
	ova_member_header(to, "pax", len);
	to[TAR_TYPE] = 'x';
	snprintf((char *)to + TAR_CHECKSUM, 7, "%06o", tar_sum(to));
	memcpy(to + TAR_BLOCK, record, len);
	return (size_t)2 * TAR_BLOCK;
}

TEST(impossible_pax_records_are_refused)
{
	static const char *const bad[] = {
		"x",
		"9",
		"99 path=x\n",
		"4 =\n",
		"6 a=\n",
		"0 a=b\n",
		"7 a=bc",
		"11 size=x1\n",
		"10 size=\n",
		"10 size=1",
		"99999999999999999999 a=b\n",
		"13 size=12x4\n",
	};
	uint8_t file[(size_t)4 * TAR_BLOCK];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(file, 0, sizeof(file));
		add_record(file, bad[i]);
		tap_spew("pax", file, sizeof(file));
		check_refused("pax", "a pax header cannot be read");
	}
	add_record(file, "28 size=9223372036854775807\n");
	ova_member_header(file + (size_t)2 * TAR_BLOCK, "m.ovf", 0);
	tap_spew("pax", file, sizeof(file));
	check_refused("pax", "a member is longer than the file");
}

/* Headers without end must not be read for ever. */
TEST(archives_of_headers_only_end)
{
	CLEANUP_FREE uint8_t *file = mem_alloc((size_t)1100 * TAR_BLOCK);

	for (size_t i = 0; i < 1100; i++)
		ova_member_header(file + i * TAR_BLOCK, "m.ovf", 0);
	tap_spew("many", file, (size_t)1100 * TAR_BLOCK);
	check_refused("many", "too many members");
}
