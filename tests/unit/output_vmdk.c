/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMDK: what we write is read by others, what others write is read by us, and damage anywhere in what
 * describes the disk is found or does not matter.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "memimage.h"
#include "output/formats.h"
#include "output/image.h"
#include "output/vmdk.h"
#include "output/vmdk_parts.h"
#include "readback.h"

/* More than one grain table, and the last grain is partial for neither of them. */
#define DISK_SIZE (33 * MIB)
/* A disk that is read as a whole for each byte that is damaged. */
#define SMALL_SIZE (1 * MIB)

static void fill_text(uint8_t *to, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t) "all work and no play makes a dull disk "[(i * seed / 97) % 39];
}

/* Writes raw bytes as "raw" and as VMDK. */
static void make(const uint8_t *bytes, uint64_t size, const char *path)
{
	const struct region region = {.length = size, .bytes = bytes, .fd = -1};
	const struct region_list list = {
		.items = (struct region *)&region, .count = 1, .size = size};
	const struct output_target target = {.format = output_format_find("vmdk"),
					     .path = path,
					     .options = {.no_sync = true, .portable = true}};
	struct output_result result;
	struct err err = {0};

	tap_spew("raw", bytes, size);
	CHECK_OK(output_write_all(&list, &target, 1, 2, NULL, &result, &err), &err);
}

static uint8_t *sample(void)
{
	uint8_t *bytes = mem_alloc(DISK_SIZE);

	fill_random(bytes + 70000, 300000, 3);
	fill_text(bytes + 3 * MIB, MIB, 5);
	bytes[32 * MIB - 1] = 1;
	bytes[DISK_SIZE - 1] = 9;
	return bytes;
}

static void check_same(const char *path, const uint8_t *want, uint64_t size)
{
	check_readback(path, "vmdk", want, size, size);
}

TEST(others_read_it)
{
	static const char script[] = "import sys, pyvmdk\n"
				     "disk = pyvmdk.handle()\n"
				     "disk.open('d.vmdk')\n"
				     "disk.open_extent_data_files()\n"
				     "with open('raw', 'rb') as f: want = f.read()\n"
				     "size = disk.get_media_size()\n"
				     "assert size == len(want), size\n"
				     "assert disk.read_buffer_at_offset(size, 0) == want\n";
	CLEANUP_FREE uint8_t *bytes = sample();
	CLEANUP(str_free) struct str out = {0};
	struct err err = {0};

	make(bytes, DISK_SIZE, "d.vmdk");
	check_same("d.vmdk", bytes, DISK_SIZE);
	CHECK_OK(RUN(&out, &err, "qemu-img", "check", "d.vmdk"), &err);
	CHECK_CONTAINS(out.data, "No errors were found on the image.");
	CHECK_OK(RUN(&out, &err, "qemu-img", "compare", "-f", "raw", "-F", "vmdk", "raw", "d.vmdk"),
		 &err);
	CHECK_OK(RUN(&out, &err, "qemu-img", "info", "d.vmdk"), &err);
	CHECK_CONTAINS(out.data, "create type: streamOptimized");
	CHECK_CONTAINS(out.data, "compressed: true");
	CHECK_OK(RUN(&out, &err, "vmdkinfo", "d.vmdk"), &err);
	CHECK_CONTAINS(out.data, "Stream optimized");
	CHECK_CONTAINS(out.data, "33 MiB (34603008 bytes)");
	CHECK_OK(RUN(&out, &err, "/usr/bin/python3", "-c", script), &err);
}

/* As VMware's own open-vmdk writes them: what ESXi insists on. */
TEST(the_header_is_as_vmware_writes_it)
{
	CLEANUP_FREE uint8_t *bytes = sample();
	CLEANUP_FREE uint8_t *file = NULL;
	uint64_t first = 22, overhead = first + 2 * VMDK_TABLE_SECTORS;
	const char *text;
	size_t size;

	make(bytes, DISK_SIZE, "d.vmdk");
	file = (uint8_t *)tap_slurp("d.vmdk", &size);
	CHECK_MEM(file, "KDMV\3\0\0\0\1\0\3\0", 12);
	CHECK_U64(get_le64(file + 12), DISK_SIZE / 512);
	CHECK_U64(get_le64(file + 20), 128);
	CHECK_U64(get_le64(file + 28), 1);
	CHECK_U64(get_le64(file + 36), 20);
	CHECK_U64(get_le32(file + 44), 512);
	CHECK_U64(get_le64(file + 48), 0);
	CHECK_U64(get_le64(file + 56), 21);
	CHECK_U64(get_le64(file + 64), overhead);
	CHECK_MEM(file + 72, "\0\n \r\n\1\0", 7);
	CHECK_U64(get_le32(file + (size_t)21 * 512), first);
	CHECK_U64(get_le32(file + (size_t)21 * 512 + 4), first + 4);
	/* The first grain: of sector 128, right behind the tables. */
	CHECK_U64(get_le32(file + first * 512 + 4), overhead);
	CHECK_U64(get_le64(file + overhead * 512), 128);
	CHECK_MEM(file + overhead * 512 + 12, "\x78\x01", 2);
	/* Grains are whole sectors, the stream is ended by one of zeros. */
	CHECK_U64(size % 512, 0);
	for (size_t i = size - 512; i < size; i++)
		CHECK_INT(file[i], 0);
	text = (const char *)file + 512;
	CHECK(str_has_prefix(text, "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID="));
	CHECK_CONTAINS(text, "\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n");
	CHECK_CONTAINS(text, "\nRW 67584 SPARSE \"d.vmdk\"\n");
	CHECK_CONTAINS(text, "\nddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"5\"\n");
	CHECK_CONTAINS(text, "\nddb.adapterType = \"lsilogic\"\n");
}

static void read_ids(const char *path, char cid[9], char id[33])
{
	CLEANUP_FREE char *file = tap_slurp(path, NULL);
	const char *long_id = strstr(file + 512, "ddb.longContentID = \"");

	CHECK(long_id && strstr(file + 512, "\nCID="));
	memcpy(cid, strstr(file + 512, "\nCID=") + 5, 8);
	memcpy(id, long_id + strlen("ddb.longContentID = \""), 32);
	cid[8] = id[32] = 0;
}

TEST(ids_come_from_the_content)
{
	CLEANUP_FREE uint8_t *bytes = sample();
	char cid[3][9], id[3][33];

	make(bytes, DISK_SIZE, "one.vmdk");
	make(bytes, DISK_SIZE, "two.vmdk");
	bytes[5] = 1;
	make(bytes, DISK_SIZE, "other.vmdk");
	read_ids("one.vmdk", cid[0], id[0]);
	read_ids("two.vmdk", cid[1], id[1]);
	read_ids("other.vmdk", cid[2], id[2]);
	CHECK_STR(id[0] + 24, cid[0]);
	CHECK_STR(id[0], id[1]);
	CHECK(strcmp(id[0], id[2]) != 0 && strcmp(cid[0], cid[2]) != 0);
}

TEST(names_do_not_break_the_descriptor)
{
	CLEANUP_FREE uint8_t *bytes = sample();
	CLEANUP_FREE char *file = NULL;

	make(bytes, DISK_SIZE, "a\"b\nRW 1 FLAT \"x.vmdk");
	check_same("a\"b\nRW 1 FLAT \"x.vmdk", bytes, DISK_SIZE);
	file = tap_slurp("a\"b\nRW 1 FLAT \"x.vmdk", NULL);
	CHECK_CONTAINS(file + 512, "SPARSE \"a_b_RW_1_FLAT__x.vmdk\"\n");
}

/* The tables of the largest disk are 128 MiB, nearly all of it a hole; each of its ends is content. */
TEST(the_largest_disk)
{
	const uint64_t size = VMDK_SIZE_MAX;
	struct region regions[2] = {
		{.length = 5, .bytes = "start", .fd = -1},
		{.offset = size - 3, .length = 3, .bytes = "end", .fd = -1},
	};
	struct region_list list = {.items = regions, .count = 2, .size = size};
	int fd = open("big.vmdk", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const struct output_options options = {.no_sync = true};
	const struct output_format *format = output_format_find("vmdk");
	struct err err = {0};
	struct output_sink *sink = format->open(fd, "big.vmdk", &list, &options, &err);
	/* Grains that hold less than a cluster would, as the format allows for the last one only, so
	 * the real thing: stored blocks, made by hand. */
	CLEANUP_FREE uint8_t *grain = mem_alloc(OUTPUT_CLUSTER + 64);
	struct output_grain grains[OUTPUT_CLUSTERS] = {{0}};
	struct output_chunk chunk = {.len = OUTPUT_CHUNK, .bytes = grain, .grains = grains};
	struct output_content content = {{{0}}, NULL};
	char got[5];
	struct digest digest;
	struct image *image;
	struct stat st;

	CHECK_OK_PTR(sink, &err);
	/* One stored block of 65535 bytes, one of 1, both of them zeros but for the end. */
	memcpy(grain, "\0\xff\xff\0\0", 5);
	memcpy(grain + 5 + 65535, "\0\1\0\xfe\xff", 5);
	grain[5 + 65535 + 5] = 'x';
	memcpy(grain + 5 + 65535 + 6, "\3\0", 2);
	grains[15] = (struct output_grain){.bytes = grain, .len = 5 + 65535 + 6};
	/* Adler-32 of 65535 zeros and an 'x': both sums are 1, and 65535 + 1, before that byte. */
	grains[15].adler32 = (uint32_t)((65535 + 1 + 'x') % 65521) << 16 | (1 + 'x');
	CHECK_OK(format->write(sink, &chunk, NULL, &err), &err);
	chunk.offset = size - OUTPUT_CHUNK;
	CHECK_OK(format->write(sink, &chunk, NULL, &err), &err);
	CHECK_OK(format->finish(sink, &content, &digest, &err), &err);
	format->close(sink);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK((uint64_t)st.st_size > 128 * MIB && (uint64_t)st.st_size < 129 * MIB);
	CHECK((uint64_t)st.st_blocks * 512 < 2 * MIB);
	image = vmdk_read(fd, "big.vmdk", &err);
	CHECK_OK_PTR(image, &err);
	CHECK_U64(image->size, size);
	CHECK_OK(image->pread(image, got, 2, size - 2, &err), &err);
	CHECK_MEM(got, "\0x", 2);
	CHECK_OK(image->pread(image, got, 3, MIB - 2, &err), &err);
	CHECK_MEM(got, "\0x\0", 3);
	CHECK_OK(image->pread(image, got, 5, size / 2, &err), &err);
	CHECK_MEM(got, "\0\0\0\0\0", 5);
	image_close(&image);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "check", "big.vmdk"), &err);
}

TEST(larger_disks_are_refused)
{
	const struct region_list list = {.size = VMDK_SIZE_MAX + OUTPUT_CLUSTER};
	const struct output_target target = {.format = output_format_find("vmdk"), .path = "x"};
	struct output_result result;
	struct err err = {0};

	CHECK_ERR(output_write_all(&list, &target, 1, 1, NULL, &result, &err), &err, ERR_OTHER,
		  "at most 2.0 TiB");
}

TEST(variants_of_qemu_are_read)
{
	static const char *const variants[] = {
		"subformat=streamOptimized",
		"subformat=monolithicSparse",
		"subformat=monolithicSparse,zeroed_grain=on",
		"subformat=monolithicSparse,compat6=on,adapter_type=lsilogic",
	};
	CLEANUP_FREE uint8_t *bytes = sample();
	struct err err = {0};

	tap_spew("raw", bytes, DISK_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o",
			     variants[i], "raw", "image"),
			 &err);
		check_same("image", bytes, DISK_SIZE);
	}
}

static void check_refused(const char *path, const char *message)
{
	struct err err = {0};

	CHECK_ERR_PTR(image_open(path, &err), &err, ERR_VERIFY, message);
	CHECK_CONTAINS(err.msg, path);
}

TEST(disks_of_several_files_are_refused)
{
	static const char hint[] = "make it a single file with 'qemu-img convert'";
	static const char evil[] = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
				   "createType=\"monolithicFlat\"\nRW 1 FLAT \"/etc/passwd\" 0\n";
	CLEANUP_FREE uint8_t *bytes = sample();
	struct err err = {0};

	tap_spew("raw", bytes, DISK_SIZE);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-O", "vmdk", "-o",
		     "subformat=monolithicFlat", "raw", "flat.vmdk"),
		 &err);
	check_refused("flat.vmdk", "whose content is in other files");
	CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-O", "vmdk", "-o",
		     "subformat=twoGbMaxExtentSparse", "raw", "split.vmdk"),
		 &err);
	check_refused("split.vmdk", hint);
	check_refused("split-s001.vmdk", "with no descriptor of its own");
	CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-O", "vmdk", "raw", "base.vmdk"), &err);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F",
		     "vmdk", "child.vmdk"),
		 &err);
	check_refused("child.vmdk", "with a difference to another file");
	/* Never opened: a descriptor that names what must not be read. */
	tap_spew("evil.vmdk", evil, strlen(evil));
	check_refused("evil.vmdk", hint);
	tap_spew("esx.vmdk", "COWD\1\0\0\0", 8);
	check_refused("esx.vmdk", "of the kind that ESXi uses for snapshots");
	tap_spew("short.vmdk", "KDMV\1\0\0\0", 8);
	check_refused("short.vmdk", "truncated header");
}

/* Writes a file of layout A as layout B: what cannot be changed when it was written stands at the end. */
static void make_stream(const char *from, const char *to)
{
	/* Sector 128 would do, but see small_sample. */
	size_t size, out = (size_t)131 * 512, tables, gd_sectors;
	CLEANUP_FREE uint8_t *a = (uint8_t *)tap_slurp(from, &size);
	CLEANUP_FREE uint8_t *b = mem_alloc(size + 256 * 512);
	uint32_t *gd;

	tables = (get_le64(a + VMDK_CAPACITY) / 128 + 511) / 512;
	gd_sectors = (tables * 4 + 511) / 512;
	gd = mem_alloc(gd_sectors * 512);
	memcpy(b, a, (size_t)21 * 512);
	put_le64(b + VMDK_GD, VMDK_AT_END);
	put_le64(b + VMDK_OVERHEAD, 131);
	for (size_t t = 0; t < tables; t++) {
		uint8_t *gt = a + (size_t)get_le32(a + (size_t)21 * 512 + 4 * t) * 512;
		bool used = false;

		for (size_t i = 0; i < 512; i++) {
			const uint8_t *grain = a + (size_t)get_le32(gt + 4 * i) * 512;
			size_t len = size_align(12 + (uint64_t)get_le32(grain + 8), 512);

			if (get_le32(gt + 4 * i) == 0)
				continue;
			used = true;
			memcpy(b + out, grain, len);
			put_le32(gt + 4 * i, (uint32_t)(out / 512));
			out += len;
		}
		if (!used)
			continue;
		put_le64(b + out, 4);
		put_le32(b + out + 12, 1);
		memcpy(b + out + 512, gt, 2048);
		put_le32((uint8_t *)&gd[t], (uint32_t)(out / 512 + 1));
		out += 512 + 2048;
	}
	put_le64(b + out, gd_sectors);
	put_le32(b + out + 12, 2);
	memcpy(b + out + 512, gd, gd_sectors * 512);
	free(gd);
	put_le64(b + out + 512 + gd_sectors * 512, 1);
	put_le32(b + out + 512 + gd_sectors * 512 + 12, VMDK_MARKER_FOOTER);
	memcpy(b + out + 1024 + gd_sectors * 512, b, 512);
	put_le64(b + out + 1024 + gd_sectors * 512 + VMDK_GD, out / 512 + 1);
	tap_spew(to, b, out + 1536 + gd_sectors * 512 + 512);
}

TEST(streams_with_a_footer_are_read)
{
	CLEANUP_FREE uint8_t *bytes = sample();
	struct err err = {0};

	memset(bytes + 32 * MIB, 0, MIB); /* the second table is absent */
	make(bytes, DISK_SIZE, "a.vmdk");
	make_stream("a.vmdk", "b.vmdk");
	/* The copy is one that others take. */
	CHECK_OK(RUN(NULL, &err, "qemu-img", "check", "b.vmdk"), &err);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "compare", "raw", "b.vmdk"), &err);
	check_same("b.vmdk", bytes, DISK_SIZE);
	/* And one that others wrote. */
	CHECK_OK(RUN(NULL, &err, "/usr/bin/python3", "-c",
		     "import VMDKstream; VMDKstream.convert_to_stream('raw', 'c.vmdk')"),
		 &err);
	check_same("c.vmdk", bytes, DISK_SIZE);
}

/* The file with something wrong: an error, or what it was before. */
static void check_damage(const char *path, const uint8_t *want, uint64_t size, const char *what,
			 size_t at)
{
	static uint8_t *got;
	struct err err = {0};
	struct image *image;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (!got)
		got = mem_alloc(DISK_SIZE);
	image = vmdk_read(fd, path, &err);
	if (image && image->size != size)
		FAIL("%s at byte %zu: disk of %" PRIu64, what, at, image->size);
	if (image && image->pread(image, got, size, 0, &err) == 0) {
		if (memcmp(got, want, size) != 0)
			FAIL("%s at byte %zu: other content", what, at);
	} else if (err.code != ERR_VERIFY || !strstr(err.msg, path)) {
		FAIL("%s at byte %zu: error %d: %s", what, at, err.code, err.msg);
	}
	image_close(&image);
}

static void check_flips(const char *path, const uint8_t *want, uint64_t size, size_t from,
			size_t to, size_t step)
{
	static const uint8_t flips[] = {0xff, 0x01, 0x80, 0x10};
	int fd = open(path, O_RDWR | O_CLOEXEC);

	for (size_t at = from; at < to; at += step) {
		uint8_t old, new;

		CHECK(pread(fd, &old, 1, (off_t)at) == 1);
		for (size_t i = 0; i < ARRAY_SIZE(flips); i++) {
			new = old ^ flips[i];
			CHECK(pwrite(fd, &new, 1, (off_t)at) == 1);
			check_damage(path, want, size, "flip", at);
		}
		CHECK(pwrite(fd, &old, 1, (off_t)at) == 1);
	}
	close(fd);
}

/* Grains whose places in the file are no power of two: an entry that becomes 0 is a hole for every reader
 * of the format, but no single bit makes one of these that. */
static uint8_t *small_sample(void)
{
	uint8_t *bytes = mem_alloc(SMALL_SIZE);

	fill_text(bytes, 1000, 7);
	fill_text(bytes + 5 * OUTPUT_CLUSTER, OUTPUT_CLUSTER, 3);
	fill_random(bytes + 7 * OUTPUT_CLUSTER, 700, 3);
	return bytes;
}

static void check_tables(const char *path)
{
	CLEANUP_FREE uint8_t *file = (uint8_t *)tap_slurp(path, NULL);
	const uint8_t *gt = file + (size_t)get_le32(file + get_le64(file + VMDK_GD) * 512) * 512;

	for (size_t i = 0; i < 16; i++)
		CHECK(get_le32(gt + 4 * i) == 0 || __builtin_popcount(get_le32(gt + 4 * i)) > 1);
}

TEST_TIMEOUT(every_byte_is_checked, 300)
{
	CLEANUP_FREE uint8_t *bytes = small_sample();
	struct stat st;

	make(bytes, SMALL_SIZE, "d.vmdk");
	check_tables("d.vmdk");
	CHECK_INT(stat("d.vmdk", &st), 0);
	/* Header and descriptor, its unused rest coarser; directory and what is used of the table. */
	check_flips("d.vmdk", bytes, SMALL_SIZE, 0, 1200, 1);
	check_flips("d.vmdk", bytes, SMALL_SIZE, 1200, (size_t)21 * 512, 97);
	check_flips("d.vmdk", bytes, SMALL_SIZE, (size_t)21 * 512, (size_t)21 * 512 + 8, 1);
	check_flips("d.vmdk", bytes, SMALL_SIZE, (size_t)22 * 512, (size_t)22 * 512 + 80, 1);
	/* All grains. */
	check_flips("d.vmdk", bytes, SMALL_SIZE, (size_t)26 * 512, (size_t)st.st_size, 1);
}

TEST_TIMEOUT(every_byte_of_a_stream_is_checked, 300)
{
	CLEANUP_FREE uint8_t *bytes = small_sample();
	struct stat st;

	make(bytes, SMALL_SIZE, "a.vmdk");
	make_stream("a.vmdk", "d.vmdk");
	CHECK_INT(stat("d.vmdk", &st), 0);
	check_flips("d.vmdk", bytes, SMALL_SIZE, 0, 600, 1);
	/* From the first grain on, with table, directory and footer. */
	check_flips("d.vmdk", bytes, SMALL_SIZE, (size_t)131 * 512, (size_t)st.st_size, 1);
}

/* Two tables: the directory's entries must not be exchanged or point into the other. */
TEST_TIMEOUT(the_directory_is_checked, 300)
{
	CLEANUP_FREE uint8_t *bytes = sample();

	make(bytes, DISK_SIZE, "d.vmdk");
	check_flips("d.vmdk", bytes, DISK_SIZE, (size_t)21 * 512, (size_t)21 * 512 + 8, 1);
	check_flips("d.vmdk", bytes, DISK_SIZE, VMDK_CAPACITY, VMDK_UNCLEAN, 1);
}

/* Plain extents have no markers, but a second set of tables. */
TEST_TIMEOUT(every_byte_of_a_plain_extent_is_checked, 300)
{
	CLEANUP_FREE uint8_t *bytes = small_sample();
	struct err err = {0};

	tap_spew("raw", bytes, SMALL_SIZE);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o",
		     "subformat=monolithicSparse", "raw", "d.vmdk"),
		 &err);
	check_flips("d.vmdk", bytes, SMALL_SIZE, 0, 900, 1);
	check_flips("d.vmdk", bytes, SMALL_SIZE, (size_t)21 * 512, (size_t)32 * 512, 3);
}

TEST_TIMEOUT(every_truncation_is_found, 300)
{
	CLEANUP_FREE uint8_t *bytes = small_sample();

	make(bytes, SMALL_SIZE, "a.vmdk");
	make_stream("a.vmdk", "b.vmdk");
	for (int i = 0; i < 2; i++) {
		const char *path = i == 0 ? "a.vmdk" : "b.vmdk";
		struct stat st;

		CHECK_INT(stat(path, &st), 0);
		for (off_t size = st.st_size - 1; size >= 0; size--) {
			CHECK_INT(truncate(path, size), 0);
			check_damage(path, bytes, SMALL_SIZE, "end", (size_t)size);
		}
	}
}

static uint8_t *good;
static size_t good_size;

static void check_set(size_t at, unsigned bytes, uint64_t value, const char *message)
{
	CLEANUP_FREE uint8_t *copy = mem_alloc(good_size), *all = mem_alloc(SMALL_SIZE);
	CLEANUP(image_close) struct image *image = NULL;
	struct err err = {0};

	memcpy(copy, good, good_size);
	if (bytes == 8)
		put_le64(copy + at, value);
	else
		put_le32(copy + at, (uint32_t)value);
	tap_spew("damaged", copy, good_size);
	image = image_open("damaged", &err);
	if (image)
		CHECK_ERR(image->pread(image, all, SMALL_SIZE, 0, &err), &err, ERR_VERIFY, message);
	else
		CHECK_ERR(-1, &err, ERR_VERIFY, message);
	CHECK_CONTAINS(err.msg, "cannot read 'damaged': ");
}

TEST(impossible_values_are_refused)
{
	CLEANUP_FREE uint8_t *bytes = small_sample();
	const size_t gd = (size_t)21 * 512, gt = gd + 512, grain = (size_t)26 * 512;

	make(bytes, SMALL_SIZE, "good");
	good = (uint8_t *)tap_slurp("good", &good_size);
	check_set(VMDK_VERSION, 4, 4, "of an unknown version");
	check_set(VMDK_FLAGS, 4, 1u << 3, "features that are not supported");
	check_set(VMDK_FLAGS, 4, 1, "it is compressed and is not");
	check_set(VMDK_CAPACITY, 8, 0, "wrong disk size");
	check_set(VMDK_CAPACITY, 8, UINT64_MAX, "wrong disk size");
	check_set(VMDK_CAPACITY, 8, (uint64_t)1 << 37, "descriptor of another size");
	check_set(VMDK_GRAIN, 8, 0, "wrong grain size");
	check_set(VMDK_GRAIN, 8, 96, "wrong grain size");
	check_set(VMDK_GRAIN, 8, (uint64_t)1 << 63, "wrong grain size");
	check_set(VMDK_ENTRIES, 4, 0, "wrong size of grain tables");
	check_set(VMDK_ENTRIES, 4, UINT32_MAX, "wrong size of grain tables");
	check_set(VMDK_DESCRIPTOR, 8, 0, "one of several files");
	check_set(VMDK_DESCRIPTOR, 8, UINT64_MAX / 512, "descriptor lies behind the end");
	check_set(VMDK_DESCRIPTOR_SIZE, 8, UINT64_MAX, "descriptor lies behind the end");
	check_set(VMDK_GD, 8, UINT64_MAX - 1, "grain directory lies behind the end");
	check_set(VMDK_GD, 8, 0, "grain directory lies behind the end");
	check_set(VMDK_GD, 8, UINT64_MAX, "no footer");
	check_set(VMDK_NEWLINES_AT, 4, 0, "transferred as text");
	check_set(gd, 4, UINT32_MAX, "grain table lies outside of its place");
	check_set(gd, 4, 21, "grain table overlaps something else");
	check_set(gt, 4, UINT32_MAX, "grain lies behind the end");
	check_set(gt, 4, 1, "grain lies among the tables");
	check_set(gt, 4, 27, "a grain is of another place");
	check_set(grain, 8, 128, "a grain is of another place");
	check_set(grain + 8, 4, 0, "impossible length");
	check_set(grain + 8, 4, UINT32_MAX, "impossible length");
	check_set(grain + 8, 4, 131000, "grain lies behind the end");
	check_set(grain + 8, 4, 10, "cannot be expanded");
	free(good);
}
