/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition tables: what we write is what sfdisk reads, and the other way round; damage is found
 * and the backup used.
 */
#include "tap.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/size.h"
#include "disk/endian.h"
#include "disk/gpt.h"
#include "memimage.h"

#include <zlib.h>

#define DISK_SIZE (64 * MIB)

static void set_part(struct gpt_partition *p, const char *type, const char *unique,
		     const char *label, uint64_t offset, uint64_t size, uint64_t flags)
{
	struct err err = {0};

	*p = (struct gpt_partition){.offset = offset, .size = size, .flags = flags};
	CHECK_OK(guid_parse(gpt_type_find(type, "amd64")->guid, &p->type, &err), &err);
	CHECK_OK(guid_parse(unique, &p->unique, &err), &err);
	snprintf(p->label, sizeof(p->label), "%s", label);
}

static struct gpt_partition parts[3];

static struct gpt sample(void)
{
	struct gpt gpt = {.items = parts, .count = 3};
	struct err err = {0};

	CHECK_OK(guid_parse("01234567-89ab-8def-8123-456789abcdef", &gpt.disk, &err), &err);
	set_part(&parts[0], "esp", "11111111-2222-8333-8444-555555555555", "esp", MIB, 34 * MIB, 0);
	set_part(&parts[1], "root-verity", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
		 "demo_1.0_verity", 35 * MIB, MIB, GPT_FLAG_READ_ONLY);
	set_part(&parts[2], "root", "00112233-4455-6677-8899-aabbccddeeff",
		 "Wurzel \xc3\xa4\xf0\x9f\x8c\xb1", 36 * MIB, 20 * MIB,
		 GPT_FLAG_READ_ONLY | GPT_FLAG_GROWFS);
	return gpt;
}

/* A disk with the table; caller frees. */
static uint8_t *sample_disk(void)
{
	struct gpt gpt = sample();
	uint8_t *disk = mem_alloc(DISK_SIZE);
	struct err err = {0};

	CHECK_OK(gpt_write(&gpt, DISK_SIZE, disk, disk + DISK_SIZE - GPT_TAIL_SIZE, &err), &err);
	return disk;
}

TEST(guids_are_mixed_endian)
{
	static const uint8_t stored[16] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
					   0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};
	static const uint8_t printed[16] = {0xc1, 0x2a, 0x73, 0x28, 0xf8, 0x1f, 0x11, 0xd2,
					    0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};
	struct guid guid, other;
	char text[GUID_TEXT_SIZE];
	struct err err = {0};

	CHECK_OK(guid_parse("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", &guid, &err), &err);
	CHECK_MEM(guid.bytes, stored, 16);
	CHECK_STR(guid_format(&guid, text), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
	guid_from_bytes(printed, &other);
	CHECK_MEM(other.bytes, stored, 16);
	CHECK_STR(gpt_type_of(&guid)->name, "esp");
}

TEST(bad_guids_are_refused)
{
	static const char *const bad[] = {
		"",
		"c12a7328f81f11d2ba4b00a0c93ec93b",
		"c12a7328-f81f-11d2-ba4b-00a0c93ec93",
		"c12a7328-f81f-11d2-ba4b-00a0c93ec93bb",
		"c12a7328-f81f-11d2-ba4b-00a0c93ec93g",
		"c12a7328-f81f-11d2-ba4b000a0c93ec93b",
		"-12a7328-f81f-11d2-ba4b-00a0c93ec93b",
		"c12a732--f81f-11d2-ba4b-00a0c93ec93b",
	};
	struct guid guid;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};

		CHECK_ERR(guid_parse(bad[i], &guid, &err), &err, ERR_VERIFY, "is no GUID");
	}
}

TEST(types_are_valid_and_unique)
{
	for (const struct gpt_type *t = gpt_types; t->name; t++) {
		struct guid guid;
		struct err err = {0};

		CHECK_OK(guid_parse(t->guid, &guid, &err), &err);
		CHECK(gpt_type_of(&guid) == t);
		CHECK(gpt_type_find(t->name, t->architecture) == t);
	}
	CHECK(!gpt_type_find("root", "riscv64"));
	CHECK(!gpt_type_find("nothing", "amd64"));
	CHECK(gpt_type_find("var", "riscv64"));
}

TEST(derived_guids_have_version_and_variant)
{
	struct digest digest = {{1, 2, 3}};
	struct guid a, b, c;
	char text[GUID_TEXT_SIZE];

	guid_derive("one", &digest, &a);
	guid_derive("one", &digest, &b);
	guid_derive("two", &digest, &c);
	CHECK_MEM(a.bytes, b.bytes, 16);
	CHECK(memcmp(a.bytes, c.bytes, 16) != 0);
	guid_format(&a, text);
	CHECK_INT(text[14], '8');
	CHECK(strchr("89ab", text[19]));
}

static void check_member(json_t *object, const char *key, const char *want)
{
	CHECK_STR(json_member_string(object, key), want);
}

TEST(sfdisk_reads_what_we_write)
{
	CLEANUP_FREE uint8_t *disk = sample_disk();
	CLEANUP(str_free) struct str out = {0};
	CLEANUP_JSON json_t *json = NULL;
	struct err err = {0};
	json_t *table, *part;

	tap_spew("disk", disk, DISK_SIZE);
	CHECK_OK(RUN(&out, &err, "sfdisk", "--verify", "disk"), &err);
	CHECK_CONTAINS(out.data, "No errors detected");
	str_free(&out);
	CHECK_OK(RUN(&out, &err, "sfdisk", "-J", "disk"), &err);
	json = json_parse(out.data, out.len, "sfdisk", &err);
	CHECK_OK_PTR(json, &err);
	table = json_object_get(json, "partitiontable");
	check_member(table, "id", "01234567-89AB-8DEF-8123-456789ABCDEF");
	CHECK_INT(json_array_size(json_object_get(table, "partitions")), 3);

	part = json_array_get(json_object_get(table, "partitions"), 0);
	check_member(part, "type", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
	check_member(part, "name", "esp");
	CHECK_INT(json_integer_value(json_object_get(part, "start")), 2048);
	CHECK_INT(json_integer_value(json_object_get(part, "size")), 34 * 2048);
	CHECK(!json_object_get(part, "attrs"));

	part = json_array_get(json_object_get(table, "partitions"), 2);
	check_member(part, "type", "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709");
	check_member(part, "uuid", "00112233-4455-6677-8899-AABBCCDDEEFF");
	check_member(part, "name", "Wurzel \xc3\xa4\xf0\x9f\x8c\xb1");
	check_member(part, "attrs", "GUID:59,60");
}

TEST(we_read_what_we_write)
{
	CLEANUP_FREE uint8_t *disk = sample_disk();
	CLEANUP(gpt_free) struct gpt got = {0};
	struct memimage image = memimage(disk, DISK_SIZE);
	struct gpt want = sample();
	struct err err = {0};

	CHECK_OK(gpt_read(&image.image, &got, &err), &err);
	CHECK(!got.from_backup);
	CHECK_STR(got.problem, "");
	CHECK_MEM(got.disk.bytes, want.disk.bytes, 16);
	CHECK_INT(got.count, 3);
	for (size_t i = 0; i < 3; i++) {
		CHECK_INT(got.items[i].number, i + 1);
		CHECK_U64(got.items[i].offset, want.items[i].offset);
		CHECK_U64(got.items[i].size, want.items[i].size);
		CHECK_HEX(got.items[i].flags, want.items[i].flags);
		CHECK_STR(got.items[i].label, want.items[i].label);
		CHECK_MEM(got.items[i].type.bytes, want.items[i].type.bytes, 16);
		CHECK_MEM(got.items[i].unique.bytes, want.items[i].unique.bytes, 16);
	}
}

TEST(we_read_what_sfdisk_writes)
{
	static const char script[] = "label: gpt\nlabel-id: 01234567-89AB-4DEF-8123-456789ABCDEF\n"
				     "start=2048, size=4096, type=uefi, name=\"boot\"\n"
				     "9: start=10240, size=2048, "
				     "type=4d21b016-b534-45c2-a9fb-5c16e091fd2d, name=\"var\", "
				     "attrs=\"GUID:59\"\n";
	CLEANUP(gpt_free) struct gpt got = {0};
	CLEANUP_FREE char *disk = NULL;
	CLEANUP_FD int in = -1;
	const char *const argv[] = {"sfdisk", "-q", "disk", NULL};
	struct memimage image;
	struct err err = {0};
	size_t len;

	tap_spew("disk", "", 0);
	CHECK_INT(truncate("disk", 16 << 20), 0);
	tap_spew("script", script, strlen(script));
	in = open("script", O_RDONLY | O_CLOEXEC);
	proc_fix_path();
	CHECK_OK(proc_run(&(struct proc){.argv = argv, .stdin_fd = in}, &err), &err);
	disk = tap_slurp("disk", &len);
	image = memimage(disk, len);
	CHECK_OK(gpt_read(&image.image, &got, &err), &err);
	CHECK_STR(got.problem, "");
	CHECK_INT(got.count, 2);
	CHECK_STR(got.items[0].label, "boot");
	CHECK_INT(got.items[1].number, 9);
	CHECK_STR(gpt_type_of(&got.items[1].type)->name, "var");
	CHECK_U64(got.items[1].offset, 10240 * 512);
	CHECK_U64(got.items[1].size, 2048 * 512);
	CHECK_HEX(got.items[1].flags, GPT_FLAG_GROWFS);
}

TEST(every_flipped_bit_of_the_primary_table_is_noticed)
{
	CLEANUP_FREE uint8_t *disk = sample_disk();
	struct memimage image = memimage(disk, DISK_SIZE);

	/* The header's 92 bytes and the entries; what is between them is not covered by a sum. */
	for (size_t at = GPT_SECTOR; at < GPT_HEAD_SIZE; at++) {
		struct gpt got = {0};
		struct err err = {0};

		if (at >= GPT_SECTOR + 92 && at < (size_t)2 * GPT_SECTOR)
			continue;
		disk[at] ^= 0x10;
		CHECK_OK(gpt_read(&image.image, &got, &err), &err);
		CHECK(got.from_backup);
		CHECK_CONTAINS(got.problem, "the primary table is damaged");
		CHECK_INT(got.count, 3);
		CHECK_STR(got.items[1].label, "demo_1.0_verity");
		disk[at] ^= 0x10;
		gpt_free(&got);
	}
}

TEST(damage_of_the_backup_is_told)
{
	CLEANUP_FREE uint8_t *disk = sample_disk();
	CLEANUP(gpt_free) struct gpt got = {0};
	struct memimage image = memimage(disk, DISK_SIZE);
	struct err err = {0};

	disk[DISK_SIZE - GPT_TAIL_SIZE + 60] ^= 1;
	CHECK_OK(gpt_read(&image.image, &got, &err), &err);
	CHECK(!got.from_backup);
	CHECK_CONTAINS(got.problem, "the backup table is damaged: wrong checksum of the entries");
	gpt_free(&got);
	disk[GPT_SECTOR] = 0;
	CHECK_ERR(gpt_read(&image.image, &got, &err), &err, ERR_VERIFY,
		  "cannot read the partition table of 'memory': no GPT signature; backup: wrong");
}

TEST(an_enlarged_disk_is_told)
{
	CLEANUP_FREE uint8_t *disk = sample_disk();
	CLEANUP_FREE uint8_t *larger = mem_alloc(DISK_SIZE + MIB);
	CLEANUP(gpt_free) struct gpt got = {0};
	struct memimage image = memimage(larger, DISK_SIZE + MIB);
	struct err err = {0};

	memcpy(larger, disk, DISK_SIZE);
	CHECK_OK(gpt_read(&image.image, &got, &err), &err);
	CHECK_INT(got.count, 3);
	CHECK_STR(got.problem, "the backup table is not at the end of the disk");
}

/* Puts right checksums into the primary copy, so that the checks behind them are reached. */
static void seal(uint8_t *disk)
{
	uint8_t *h = disk + GPT_SECTOR;
	uint64_t size = (uint64_t)get_le32(h + 80) * get_le32(h + 84), at = get_le64(h + 72) * 512;

	if (at < DISK_SIZE && size <= DISK_SIZE - at)
		put_le32(h + 88, (uint32_t)crc32(0, disk + at, (uInt)size));
	put_le32(h + 16, 0);
	put_le32(h + 16, (uint32_t)crc32(0, h, 92));
}

static void check_hostile(const char *message, size_t at, unsigned bytes, uint64_t value)
{
	CLEANUP_FREE uint8_t *disk = sample_disk();
	CLEANUP(gpt_free) struct gpt got = {0};
	struct memimage image = memimage(disk, DISK_SIZE);
	struct err err = {0};

	if (bytes == 8)
		put_le64(disk + at, value);
	else
		put_le32(disk + at, (uint32_t)value);
	seal(disk);
	memset(disk + DISK_SIZE - GPT_SECTOR, 0, GPT_SECTOR);
	CHECK_ERR(gpt_read(&image.image, &got, &err), &err, ERR_VERIFY, message);
}

TEST(hostile_tables_are_refused)
{
	const size_t header = GPT_SECTOR, entry = (size_t)2 * GPT_SECTOR;

	check_hostile("entries of", header + 80, 4, 0);
	check_hostile("entries of", header + 80, 4, UINT32_MAX);
	check_hostile("entries of", header + 84, 4, 127);
	check_hostile("entries of", header + 84, 4, UINT32_MAX);
	check_hostile("the entries lie in a wrong place", header + 72, 8, 0);
	check_hostile("the entries lie in a wrong place", header + 72, 8, UINT64_MAX);
	check_hostile("the entries lie in a wrong place", header + 72, 8, 100);
	check_hostile("usable range leaves the disk", header + 48, 8, UINT64_MAX);
	check_hostile("usable range leaves the disk", header + 40, 8, UINT64_MAX);
	check_hostile("partition 1 leaves the usable range", entry + 32, 8, 1);
	check_hostile("partition 1 leaves the usable range", entry + 40, 8, UINT64_MAX);
	check_hostile("partition 1 leaves the usable range", entry + 40, 8, 2047);
	check_hostile("partitions 1 and 2 overlap", entry + 40, 8, 80000);
}

TEST(small_disks_are_refused)
{
	uint8_t bytes[1024] = {0};
	struct memimage image = memimage(bytes, sizeof(bytes));
	struct gpt got, gpt = {0};
	uint8_t head[GPT_HEAD_SIZE], tail[GPT_TAIL_SIZE];
	struct err err = {0};

	CHECK_ERR(gpt_read(&image.image, &got, &err), &err, ERR_VERIFY, "too small");
	CHECK_ERR(gpt_write(&gpt, 1024, head, tail, &err), &err, ERR_OTHER, "too small");
	CHECK_ERR(gpt_write(&gpt, MIB + 1, head, tail, &err), &err, ERR_OTHER, "whole sectors");
}

static void check_unwritable(const struct gpt *gpt, const char *message)
{
	uint8_t head[GPT_HEAD_SIZE], tail[GPT_TAIL_SIZE];
	struct err err = {0};

	CHECK_ERR(gpt_write(gpt, DISK_SIZE, head, tail, &err), &err, ERR_OTHER, message);
}

TEST(impossible_tables_are_not_written)
{
	struct gpt gpt = sample();

	parts[1].offset -= 512;
	check_unwritable(&gpt, "partitions 'esp' and 'demo_1.0_verity' overlap");
	gpt = sample();
	parts[0].offset = 512;
	check_unwritable(&gpt, "partition 'esp' lies outside of the usable range");
	gpt = sample();
	parts[2].size = 28 * MIB;
	check_unwritable(&gpt, "lies outside of the usable range");
	gpt = sample();
	parts[2].size = UINT64_MAX - 511;
	check_unwritable(&gpt, "lies outside of the usable range");
	gpt = sample();
	parts[2].size += 1;
	check_unwritable(&gpt, "not made of whole sectors");
	gpt = sample();
	memcpy(parts[2].label, "1234567890123456789012345678901234567", 38);
	check_unwritable(&gpt, "is longer than 36 characters");
	gpt = sample();
	memcpy(parts[2].label, "\xed\xa0\x80", 4);
	check_unwritable(&gpt, "is no UTF-8");
	memcpy(parts[2].label, "\xc0\xaf", 3);
	check_unwritable(&gpt, "is no UTF-8");
	memcpy(parts[2].label, "\xe2\x82", 3);
	check_unwritable(&gpt, "is no UTF-8");
}
