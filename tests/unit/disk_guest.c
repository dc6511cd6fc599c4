/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which format a foreign image has, by what qemu-img makes, and that none is opened which names other
 * files.
 */
#include "tap.h"

#include "base/mem.h"
#include "disk/guest_parts.h"
#include "memimage.h"

static void spew(const char *path, const char *text)
{
	tap_spew(path, text, strlen(text));
}

static const char *format_of(const char *path)
{
	struct err err = {0};
	const char *format = NULL;

	CHECK_OK(guest_format(path, &format, &err), &err);
	return format;
}

static void refused(const char *path, const char *why)
{
	struct err err = {0};
	const char *format;

	CHECK_ERR(guest_format(path, &format, &err), &err, ERR_VERIFY, why);
}

static void create(const char *path, const char *format, const char *options)
{
	struct err err = {0};

	CHECK_OK(RUN(NULL, &err, "qemu-img", "create", "-q", "-f", format, "-o", options, path,
		     "64M"),
		 &err);
}

/* Puts bytes at offset (negative: from the end) of a copy of the file. */
static void patch(const char *path, const char *copy, off_t offset, const void *bytes, size_t len)
{
	struct err err = {0};
	int fd;

	CHECK_OK(RUN(NULL, &err, "cp", path, copy), &err);
	fd = open(copy, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	if (offset < 0)
		offset += lseek(fd, 0, SEEK_END);
	CHECK(pwrite(fd, bytes, len, offset) == (ssize_t)len);
	close(fd);
}

TEST(formats_of_qemu_are_told)
{
	static const struct {
		const char *format, *options, *want;
	} rows[] = {
		{"raw", "preallocation=off", "raw"},
		{"qcow2", "compat=0.10", "qcow2"},
		{"qcow2", "compat=1.1,compression_type=zstd", "qcow2"},
		{"vmdk", "subformat=monolithicSparse", "vmdk"},
		{"vpc", "subformat=dynamic", "vpc"},
		{"vpc", "subformat=fixed", "vpc"},
		{"vhdx", "subformat=dynamic", "vhdx"},
		{"vdi", "static=off", "vdi"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		create("image", rows[i].format, rows[i].options);
		CHECK_STR(format_of("image"), rows[i].want);
		CHECK(unlink("image") == 0);
	}
}

TEST(a_stream_optimised_vmdk_is_told)
{
	struct err err = {0};

	create("raw", "raw", "preallocation=off");
	CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-O", "vmdk", "-o",
		     "subformat=streamOptimized", "raw", "image"),
		 &err);
	CHECK_STR(format_of("image"), "vmdk");
}

TEST(images_that_name_other_files_are_refused)
{
	struct err err = {0};

	create("base", "raw", "preallocation=off");
	CHECK_OK(RUN(NULL, &err, "qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F",
		     "raw", "child", "64M"),
		 &err);
	refused("child", "it has a backing file");
	create("data", "qcow2", "data_file=data.raw,data_file_raw=on");
	refused("data", "keeps its data in another file");
	create("parent.vmdk", "vmdk", "subformat=monolithicSparse");
	CHECK_OK(RUN(NULL, &err, "qemu-img", "create", "-q", "-f", "vmdk", "-b", "parent.vmdk",
		     "-F", "vmdk", "child.vmdk"),
		 &err);
	refused("child.vmdk", "has a parent");
	create("flat.vmdk", "vmdk", "subformat=monolithicFlat");
	refused("flat.vmdk", "");
	create("split.vmdk", "vmdk", "subformat=twoGbMaxExtentSparse");
	refused("split.vmdk", "");
}

TEST(every_byte_of_a_backing_offset_counts)
{
	create("image", "qcow2", "compat=1.1");
	for (off_t at = 8; at < 16; at++) {
		patch("image", "copy", at, "\1", 1);
		refused("copy", "it has a backing file");
	}
}

TEST(headers_that_lie_are_refused)
{
	static const uint8_t zeros[8], ones[8] = {255, 255, 255, 255, 255, 255, 255, 255};
	static const char descriptor[] =
		"  \n# Disk DescriptorFile\nRW 2048 FLAT \"/etc/shadow\" 0\n";

	create("qcow2", "qcow2", "compat=1.1");
	patch("qcow2", "copy", 7, "\1", 1);
	refused("copy", "version 1 is not supported");
	patch("qcow2", "copy", 7, "\4", 1);
	refused("copy", "version 4 is not supported");
	patch("qcow2", "copy", 35, "\1", 1);
	refused("copy", "it is encrypted");
	patch("qcow2", "copy", 79, "\4", 1);
	refused("copy", "keeps its data in another file");
	create("vmdk", "vmdk", "subformat=monolithicSparse");
	patch("vmdk", "copy", 12, zeros, sizeof(zeros));
	refused("copy", "describes a disk that is in other files");
	patch("vmdk", "copy", 56, ones, sizeof(ones));
	refused("copy", "has no footer of a disk");
	create("vhd", "vpc", "subformat=dynamic");
	patch("vhd", "copy", -512 + 63, "\4", 1);
	refused("copy", "has a parent");
	create("vdi", "vdi", "static=off");
	patch("vdi", "copy", 76, "\4", 1);
	refused("copy", "has a parent");
	create("raw", "raw", "preallocation=off");
	patch("raw", "copy", 0, descriptor, sizeof(descriptor));
	refused("copy", "describes a disk that is in other files");
}

TEST(what_is_no_image_is_refused)
{
	struct err err = {0};
	const char *format;

	spew("short", "QFI\xfb");
	refused("short", "it is no image of a disk");
	spew("empty", "");
	refused("empty", "it is no image of a disk");
	CHECK_ERR(guest_format(".", &format, &err), &err, ERR_USAGE, "it is no regular file");
	CHECK_ERR(guest_format("absent", &format, &err), &err, ERR_OTHER, "cannot open 'absent'");
}
