/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readers: images that qemu-img made in all its variants, and images that are damaged.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "memimage.h"
#include "output/image.h"
#include "output/qcow2.h"
#include "readback.h"

#define DISK_SIZE (5 * MIB + 1536)

static uint8_t want[DISK_SIZE];

static void make_raw(void)
{
	fill_random(want + 70000, 300000, 3);
	for (size_t i = 3 * MIB; i < 4 * MIB; i++)
		want[i] = (uint8_t) "pattern that repeats"[i % 20];
	want[DISK_SIZE - 1] = 9;
	tap_spew("raw", want, DISK_SIZE);
}

static void check_same(const char *path)
{
	check_readback(path, "qcow2", want, DISK_SIZE, DISK_SIZE);
}

TEST(variants_of_qemu_are_read)
{
	static const char *const variants[] = {
		"compat=0.10",
		"compat=1.1",
		"compression_type=zstd",
		"cluster_size=512",
		"cluster_size=4096,compression_type=zstd",
		"cluster_size=2M",
		"refcount_bits=1",
		"lazy_refcounts=on",
		"preallocation=metadata",
		"preallocation=full",
	};

	make_raw();
	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		struct err err = {0};

		CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o",
			     variants[i], "raw", "plain"),
			 &err);
		check_same("plain");
		if (strstr(variants[i], "preallocation") || strstr(variants[i], "bits=1"))
			continue;
		CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2",
			     "-o", variants[i], "raw", "packed"),
			 &err);
		check_same("packed");
	}
}

TEST(snapshots_inside_do_not_matter)
{
	struct err err = {0};

	make_raw();
	CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-O", "qcow2", "raw", "image"), &err);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "snapshot", "-c", "one", "image"), &err);
	check_same("image");
}

static void check_refused(const char *path, int code, const char *message)
{
	struct err err = {0};

	CHECK_ERR_PTR(image_open(path, &err), &err, code, message);
}

TEST(images_that_need_more_are_refused)
{
	struct err err = {0};

	make_raw();
	CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-O", "qcow2", "raw", "base"), &err);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F",
		     "qcow2", "child"),
		 &err);
	check_refused("child", ERR_VERIFY, "with a backing file");
	CHECK_OK(RUN(NULL, &err, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=data",
		     "split", "1M"),
		 &err);
	check_refused("split", ERR_VERIFY, "with features that are not supported");
	CHECK_OK(RUN(NULL, &err, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "extended_l2=on",
		     "extended", "1M"),
		 &err);
	check_refused("extended", ERR_VERIFY, "with features that are not supported");
	CHECK_OK(RUN(NULL, &err, "qemu-img", "create", "-q", "-f", "qcow2", "--object",
		     "secret,id=s,data=abc", "-o", "encrypt.format=luks,encrypt.key-secret=s",
		     "crypt", "1M"),
		 &err);
	check_refused("crypt", ERR_VERIFY, "that is encrypted");
}

TEST(files_that_are_none_are_refused)
{
	tap_spew("empty", "", 0);
	check_refused("empty", ERR_VERIFY, "it is empty");
	check_refused("absent", ERR_OTHER, "cannot open 'absent': No such file");
	check_refused(".", ERR_OTHER, "neither a file nor a block device");
	CHECK_INT(mkfifo("fifo", 0600), 0);
	check_refused("fifo", ERR_OTHER, "neither a file nor a block device");
	tap_spew("short", "QFI\xfb", 4);
	check_refused("short", ERR_VERIFY, "truncated header");
}

static uint8_t *image_bytes;
static size_t image_size;

/* Puts a value into a copy of the image and opens or reads that; it must fail so. */
static void check_damaged(size_t at, unsigned bytes, uint64_t value, const char *message)
{
	CLEANUP_FREE uint8_t *copy = mem_alloc(image_size), *all = mem_alloc(DISK_SIZE);
	CLEANUP(image_close) struct image *image = NULL;
	struct err err = {0};

	memcpy(copy, image_bytes, image_size);
	if (bytes == 8)
		put_be64(copy + at, value);
	else
		put_be32(copy + at, (uint32_t)value);
	tap_spew("damaged", copy, image_size);
	image = image_open("damaged", &err);
	if (image)
		CHECK_ERR(image->pread(image, all, DISK_SIZE, 0, &err), &err, ERR_VERIFY, message);
	else
		CHECK_ERR(-1, &err, ERR_VERIFY, message);
	CHECK_CONTAINS(err.msg, "cannot read 'damaged': ");
}

TEST(damage_is_found)
{
	struct err err = {0};
	size_t l1, l2;

	make_raw();
	CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-c", "-O", "qcow2", "raw", "good"), &err);
	image_bytes = (uint8_t *)tap_slurp("good", &image_size);
	l1 = get_be64(image_bytes + 40);
	l2 = get_be64(image_bytes + l1) & QCOW2_OFFSET_MASK;

	check_damaged(4, 4, 4, "of an unknown version");
	check_damaged(20, 4, 8, "wrong cluster size");
	check_damaged(20, 4, 22, "wrong cluster size");
	check_damaged(24, 8, 0, "wrong disk size");
	check_damaged(24, 8, UINT64_MAX, "wrong disk size");
	check_damaged(24, 8, (uint64_t)1 << 45, "L1 table that does not fit");
	check_damaged(36, 4, 0, "L1 table that does not fit");
	check_damaged(40, 8, (uint64_t)1 << 40, "L1 table lies behind the end");
	check_damaged(40, 8, l1 + 8, "L1 table lies behind the end");
	check_damaged(72, 8, 2, "with features that are not supported");
	check_damaged(72, 8, 8, "two different compression methods");
	check_damaged(100, 4, 10, "wrong header length");
	check_damaged(100, 4, UINT32_MAX, "wrong header length");
	check_damaged(l1, 8, QCOW2_COPIED | (uint64_t)1 << 50, "behind the end");
	check_damaged(l1, 8, QCOW2_COPIED | 512, "L2 table is not aligned");
	/* Cluster 2 is random bytes in a cluster of its own, 48 is compressed. */
	check_damaged(l2 + 16, 8, QCOW2_COPIED | 512, "cluster is not aligned");
	check_damaged(l2 + 16, 8, QCOW2_COPIED | (uint64_t)1 << 55, "behind the end");
	CHECK(get_be64(image_bytes + l2 + (size_t)8 * 48) & QCOW2_COMPRESSED);
	check_damaged(l2 + (size_t)8 * 48, 8, QCOW2_COMPRESSED | (uint64_t)1 << 50,
		      "behind the end");
	check_damaged(l2 + (size_t)8 * 48, 8, QCOW2_COMPRESSED | (l1 + 1), "cannot be expanded");
	free(image_bytes);
}
