/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw.zst: zstd itself reads it, any byte can be read by the table; files of others are read or refused with
 * what to do; damage is found.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "disk/endian.h"
#include "memimage.h"
#include "output/image.h"
#include "output/output.h"
#include "output/zst.h"
#include "readback.h"

#define DISK_SIZE (5 * MIB + 1536)

static uint8_t want[DISK_SIZE];

/* Frame 2 is a hole, 3 random, the last one short. */
static void make(const char *path, struct output_result *result)
{
	struct region region = {.length = DISK_SIZE, .bytes = want, .fd = -1};
	const struct region_list disk = {.items = &region, .count = 1, .size = DISK_SIZE};
	const struct output_target target = {.format = output_format_find("raw.zst"),
					     .path = path,
					     .options = {.no_sync = true}};
	struct err err = {0};

	for (size_t i = 70000; i < MIB; i++)
		want[i] = (uint8_t) "pattern that repeats"[i % 20];
	want[2 * MIB - 1] = 1;
	fill_random(want + 3 * MIB, MIB, 3);
	want[DISK_SIZE - 1] = 9;
	CHECK_OK(output_write_all(&disk, &target, 1, 2, NULL, result, &err), &err);
}

static void check_same(const char *path)
{
	check_readback(path, "raw.zst", want, DISK_SIZE, DISK_SIZE);
}

TEST(zstd_reads_it)
{
	struct output_result result;
	struct err err = {0};

	make("image.raw.zst", &result);
	check_same("image.raw.zst");
	CHECK_OK(RUN(NULL, &err, "zstd", "-q", "-t", "image.raw.zst"), &err);
	CHECK_OK(RUN(NULL, &err, "zstd", "-q", "-d", "image.raw.zst"), &err);
	CHECK_FILE_MEM("image.raw", (const char *)want, DISK_SIZE);
}

/* The table as its specification has it, with the lengths of the frames as libzstd counts them. */
TEST(the_table_is_that_of_the_specification)
{
	struct output_result result;
	size_t size, table;
	uint8_t *bytes, *entry;
	uint64_t packed = 0;

	make("image", &result);
	bytes = (uint8_t *)tap_slurp("image", &size);
	CHECK_U64(size, result.size);
	CHECK_U64(get_le32(bytes + size - 4), 0x8f92eab1);
	CHECK_INT(bytes[size - 5], 0x80);
	CHECK_U64(get_le32(bytes + size - 9), 6);
	table = size - 9 - (size_t)6 * 12;
	CHECK_U64(get_le32(bytes + table - 8), 0x184d2a5e);
	CHECK_U64(get_le32(bytes + table - 4), 6 * 12 + 9);
	for (unsigned i = 0; i < 6; i++) {
		entry = bytes + table + (size_t)i * 12;
		CHECK_U64(get_le32(bytes + packed), 0xfd2fb528);
		packed += get_le32(entry);
		CHECK_U64(get_le32(entry + 4), i < 5 ? MIB : 1536);
		/* The low half of XXH64 ends a frame, and is the table's checksum. */
		CHECK_U64(get_le32(entry + 8), get_le32(bytes + packed - 4));
	}
	CHECK_U64(packed, table - 8);
	free(bytes);
}

TEST(empty_disks_are_small)
{
	const struct region_list disk = {.size = 4 * GIB};
	const struct output_target target = {.format = output_format_find("raw.zst"),
					     .path = "empty",
					     .options = {.no_sync = true}};
	struct output_result result;
	struct err err = {0};

	CHECK_OK(output_write_all(&disk, &target, 1, 2, NULL, &result, &err), &err);
	CHECK(result.size < (uint64_t)4096 * 100);
	CLEANUP(image_close) struct image *image = image_open("empty", &err);
	CHECK_OK_PTR(image, &err);
	CHECK_U64(image->size, 4 * GIB);
}

TEST(too_large_disks_are_refused)
{
	const struct region_list disk = {.size = (ZST_FRAMES_MAX + 1) * OUTPUT_CHUNK};
	const struct output_target target = {.format = output_format_find("raw.zst"),
					     .path = "huge"};
	struct output_result result;
	struct err err = {0};

	CHECK_ERR(output_write_all(&disk, &target, 1, 1, NULL, &result, &err), &err, ERR_OTHER,
		  "a disk of format raw.zst has at most");
	CHECK(access("huge", F_OK) < 0);
}

static void check_refused(const char *path, const char *message, const char *hint)
{
	struct err err = {0};

	CHECK_ERR_PTR(image_open(path, &err), &err, ERR_VERIFY, message);
	CHECK_CONTAINS(err.hint, hint);
}

/* Joins files into one. */
static void join(const char *path, const char *const parts[])
{
	CLEANUP(str_free) struct str all = {0};

	for (; *parts; parts++) {
		size_t size;
		char *bytes = tap_slurp(*parts, &size);

		str_add_bytes(&all, bytes, size);
		free(bytes);
	}
	tap_spew(path, all.data, all.len);
}

#define JOIN(path, ...) join(path, (const char *const[]){__VA_ARGS__, NULL})

TEST(frames_of_others_are_walked)
{
	static const uint8_t skippable[] = {0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3};
	struct output_result result;
	struct err err = {0};

	make("unused", &result);
	tap_spew("raw", want, DISK_SIZE);
	CHECK_OK(RUN(NULL, &err, "zstd", "-q", "raw", "-o", "one"), &err);
	check_same("one");
	CHECK_OK(RUN(NULL, &err, "zstd", "-q", "--no-check", "-19", "raw", "-o", "unsummed"), &err);
	check_same("unsummed");
	tap_spew("a", want, 1000000);
	tap_spew("b", want + 1000000, DISK_SIZE - 1000000);
	tap_spew("skip", skippable, sizeof(skippable));
	CHECK_OK(RUN(NULL, &err, "zstd", "-q", "a", "b"), &err);
	JOIN("joined", "skip", "a.zst", "skip", "skip", "b.zst", "skip");
	check_same("joined");
	/* A block of one repeated byte (RLE) is 1 byte long, whatever its size says. */
	CHECK_OK(RUN(NULL, &err, "truncate", "-s", "3M", "zeros"), &err);
	CHECK_OK(RUN(NULL, &err, "zstd", "-q", "zeros"), &err);
	CLEANUP(image_close) struct image *image = image_open("zeros.zst", &err);
	CHECK_OK_PTR(image, &err);
	CHECK_U64(image->size, 3 * MIB);
}

TEST(what_cannot_be_read_in_pieces_is_refused)
{
	struct err err = {0};

	CHECK_OK(RUN(NULL, &err, "truncate", "-s", "40M", "large"), &err);
	CHECK_OK(RUN(NULL, &err, "zstd", "-q", "large"), &err);
	check_refused("large.zst", "no seek table and a frame is too large", "zstd -d");
	CHECK_OK(RUN(NULL, &err, "sh", "-c", "head -c 1000 large | zstd -q >streamed.zst"), &err);
	check_refused("streamed.zst", "no seek table and a frame does not tell its size",
		      "zstd -d");
}

static const uint8_t *good;
static size_t good_size;

/* Puts 4 bytes at an offset counted from the end into a copy; opening or reading must fail so. */
static void check_damaged(size_t from_end, uint32_t value, const char *message)
{
	CLEANUP_FREE uint8_t *copy = mem_alloc(good_size), *all = mem_alloc(2 * DISK_SIZE);
	CLEANUP(image_close) struct image *image = NULL;
	struct err err = {0};

	memcpy(copy, good, good_size);
	put_le32(copy + good_size - from_end, value);
	tap_spew("damaged", copy, good_size);
	image = image_open("damaged", &err);
	if (image)
		CHECK_ERR(image->pread(image, all, image->size, 0, &err), &err, ERR_VERIFY,
			  message);
	else
		CHECK_ERR(-1, &err, ERR_VERIFY, message);
	CHECK_CONTAINS(err.msg, "cannot read 'damaged': ");
}

TEST(a_damaged_table_is_found)
{
	const size_t entries = 9 + 6 * 12;
	struct output_result result;

	make("image", &result);
	good = (uint8_t *)tap_slurp("image", &good_size);
	check_damaged(9, 0, "does not fit the file");
	check_damaged(9, 7, "does not fit the file");
	check_damaged(9, UINT32_MAX, "does not fit the file");
	check_damaged(9, 0x08000000, "does not fit the file");
	/* The descriptor, in front of the magic's first three bytes. */
	check_damaged(5, 0x92eab184, "unknown kind of seek table");
	check_damaged(5, 0x92eab100, "does not fit the file");
	check_damaged(entries + 8, 0x184d2a5d, "does not fit the file");
	check_damaged(entries + 4, 100, "does not fit the file");
	check_damaged(entries, 1, "the seek table does not fit the frames");
	check_damaged(entries, UINT32_MAX, "a frame is too large");
	check_damaged(entries - 4, UINT32_MAX, "a frame is too large");
	check_damaged(entries - 4, MIB + 1, "a frame cannot be expanded");
	check_damaged(entries - 4, MIB - 1, "a frame cannot be expanded");
	check_damaged(entries - 4, 0, "the seek table does not fit the frames");
	check_damaged(17, 0, "a frame cannot be expanded");
	/* The last frame's content checksum. */
	check_damaged(entries + 12, 0, "a frame cannot be expanded");
	free((void *)good);
}

/* Cut anywhere, or with any bit of the first and last bytes turned, the file is refused, or what can be
 * read of it is right. */
TEST(no_damage_gives_wrong_bytes)
{
	struct output_result result;
	CLEANUP_FREE uint8_t *got = mem_alloc(40 * MIB);
	uint8_t *bytes;
	size_t size;

	make("image", &result);
	bytes = (uint8_t *)tap_slurp("image", &size);
	for (size_t step = 0; step < 400; step++) {
		struct err err = {0};
		size_t at = step < 200 ? step : size - 400 + step;
		CLEANUP(image_close) struct image *image = NULL;

		bytes[at] ^= (uint8_t)(1u << step % 8);
		tap_spew("flipped", bytes, size);
		bytes[at] ^= (uint8_t)(1u << step % 8);
		image = image_open("flipped", &err);
		if (!image) {
			CHECK(err.code == ERR_VERIFY || err.code == ERR_OTHER);
			continue;
		}
		/* Without its magic it is a raw disk, as any file is. */
		if (strcmp(image->format, "raw.zst") != 0) {
			CHECK(at < 4);
			continue;
		}
		CHECK(image->size < 40 * MIB);
		if (image->pread(image, got, image->size, 0, &err) == 0) {
			CHECK_U64(image->size, DISK_SIZE);
			CHECK_MEM(got, want, DISK_SIZE);
		}
	}
	for (size_t len = 0; len < size; len += size / 97) {
		struct err err = {0};
		CLEANUP(image_close) struct image *image = NULL;

		tap_spew("cut", bytes, len);
		image = image_open("cut", &err);
		if (image && strcmp(image->format, "raw.zst") == 0)
			CHECK(image->size < DISK_SIZE);
	}
	free(bytes);
}
