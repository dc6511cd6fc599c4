/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of the disk, and its partition table as we read it again.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "disk/plan.h"
#include "disk/verity.h"
#include "memimage.h"

static struct region esp_region, root_region, verity_region;
static struct region_list esp, root, verity;

static struct disk_input sample(void)
{
	struct disk_input input = {.name = "swarm-manager",
				   .version = "1.2.3",
				   .architecture = "amd64",
				   .esp = &esp,
				   .root = &root,
				   .verity = &verity,
				   .root_slot = 2 * GIB};

	esp_region = (struct region){.offset = 4096, .length = 5, .bytes = "esp!!", .fd = -1};
	root_region = (struct region){.length = 10 * MIB + 4096, .fd = 0, .name = "root"};
	verity_region = (struct region){.length = 8192, .fd = 0, .name = "root-verity"};
	esp = (struct region_list){.items = &esp_region, .count = 1, .size = 64 * MIB};
	root = (struct region_list){.items = &root_region, .count = 1, .size = root_region.length};
	verity = (struct region_list){.items = &verity_region, .count = 1, .size = 8192};
	for (unsigned i = 0; i < DIGEST_SIZE; i++)
		input.root_hash.bytes[i] = (uint8_t)(0x10 + i);
	return input;
}

TEST(verity_slots_hold_the_tree)
{
	/* What veritysetup writes for these sizes: 1 + 1, 1 + 128 + 1, 1 + 4096 + 32 + 1 blocks. */
	CHECK_U64(disk_verity_slot(4096), MIB);
	CHECK_U64(disk_verity_slot(64 * MIB), MIB);
	CHECK_U64(disk_verity_slot(128 * MIB), 2 * MIB);
	CHECK_U64(disk_verity_slot(2 * GIB), 17 * MIB);
	CHECK_U64(disk_verity_slot(4 * GIB), 33 * MIB);
}

/* The real tree of a full slot has to fit. */
TEST(verity_slots_hold_a_real_tree)
{
	static const uint8_t uuid[16] = {1};
	struct verity *v = verity_new(uuid, 0, uuid);
	CLEANUP_FREE uint8_t *zeros = mem_alloc(MIB);
	CLEANUP(str_free) struct str area = {0};
	struct digest root_hash;
	struct err err = {0};
	uint64_t blocks;

	for (int i = 0; i < 127; i++)
		verity_add(v, zeros, MIB);
	CHECK_OK(verity_finish(v, &root_hash, &area, &blocks, &err), &err);
	CHECK(area.len <= disk_verity_slot(127 * MIB));
	CHECK(area.len > disk_verity_slot(127 * MIB) - MIB);
	verity_free(v);
}

TEST(partitions_follow_each_other)
{
	struct disk_input input = sample();
	CLEANUP(disk_free) struct disk disk = {0};
	struct err err = {0};
	const struct disk_partition *p;
	char text[GUID_TEXT_SIZE];

	CHECK_OK(disk_plan(&input, &disk, &err), &err);
	CHECK_INT(disk.part_count, 3);
	CHECK_U64(disk.regions.size, 3 * GIB);
	CHECK_U64(disk.slot, 2 * GIB);
	CHECK_U64(disk.slot_used, 10 * MIB + 4096);

	p = &disk.parts[0];
	CHECK_STR(p->name, "esp");
	CHECK_STR(p->entry.label, "esp");
	CHECK_U64(p->entry.offset, MIB);
	CHECK_U64(p->entry.size, 64 * MIB);
	CHECK_HEX(p->entry.flags, 0);

	p = &disk.parts[1];
	CHECK_STR(p->name, "root-verity");
	CHECK_STR(p->entry.label, "swarm-manager_1.2.3_verity");
	CHECK_U64(p->entry.offset, 65 * MIB);
	CHECK_U64(p->entry.size, 17 * MIB);
	CHECK_HEX(p->entry.flags, GPT_FLAG_READ_ONLY);
	CHECK_STR(guid_format(&p->entry.unique, text), "20212223-2425-2627-2829-2a2b2c2d2e2f");

	p = &disk.parts[2];
	CHECK_STR(p->name, "root");
	CHECK_STR(p->entry.label, "swarm-manager_1.2.3");
	CHECK_U64(p->entry.offset, 82 * MIB);
	CHECK_U64(p->entry.size, 2 * GIB);
	CHECK_U64(p->used, 10 * MIB + 4096);
	CHECK_STR(guid_format(&p->entry.unique, text), "10111213-1415-1617-1819-1a1b1c1d1e1f");
	CHECK_STR(gpt_type_of(&p->entry.type)->name, "root");
	CHECK_STR(gpt_type_of(&p->entry.type)->architecture, "amd64");
}

TEST(regions_are_sorted_and_inside)
{
	struct disk_input input = sample();
	CLEANUP(disk_free) struct disk disk = {0};
	struct err err = {0};
	uint64_t end = 0;

	CHECK_OK(disk_plan(&input, &disk, &err), &err);
	CHECK_INT(disk.regions.count, 5);
	for (size_t i = 0; i < disk.regions.count; i++) {
		CHECK(disk.regions.items[i].offset >= end);
		end = disk.regions.items[i].offset + disk.regions.items[i].length;
	}
	CHECK_U64(end, disk.regions.size);
	CHECK_U64(disk.regions.items[1].offset, MIB + 4096);
	CHECK_U64(disk.regions.items[2].offset, 65 * MIB);
	CHECK_U64(disk.regions.items[3].offset, 82 * MIB);
}

TEST(a_compact_disk_ends_behind_the_root)
{
	struct disk_input input = sample();
	CLEANUP(disk_free) struct disk disk = {0};
	struct err err = {0};

	input.compact = true;
	input.align = MIB;
	CHECK_OK(disk_plan(&input, &disk, &err), &err);
	CHECK_U64(disk.parts[1].entry.size, 17 * MIB);
	CHECK_U64(disk.parts[2].entry.size, 11 * MIB);
	CHECK_U64(disk.regions.size, 94 * MIB);
	CHECK_U64(disk.slot, 2 * GIB);
}

TEST(the_table_is_read_again)
{
	struct disk_input input = sample();
	CLEANUP(disk_free) struct disk disk = {0};
	CLEANUP(gpt_free) struct gpt gpt = {0};
	CLEANUP_FREE uint8_t *bytes = NULL;
	struct memimage image;
	struct err err = {0};

	input.compact = true;
	input.align = MIB;
	CHECK_OK(disk_plan(&input, &disk, &err), &err);
	bytes = mem_alloc(disk.regions.size);
	memcpy(bytes, disk.regions.items[0].bytes, GPT_HEAD_SIZE);
	memcpy(bytes + disk.regions.size - GPT_TAIL_SIZE, disk.regions.items[4].bytes,
	       GPT_TAIL_SIZE);
	image = memimage(bytes, disk.regions.size);
	CHECK_OK(gpt_read(&image.image, &gpt, &err), &err);
	CHECK_STR(gpt.problem, "");
	CHECK_INT(gpt.count, 3);
	CHECK_MEM(gpt.disk.bytes, disk.guid.bytes, 16);
	for (size_t i = 0; i < 3; i++) {
		CHECK_STR(gpt.items[i].label, disk.parts[i].entry.label);
		CHECK_U64(gpt.items[i].offset, disk.parts[i].entry.offset);
		CHECK_U64(gpt.items[i].size, disk.parts[i].entry.size);
	}
}

TEST(other_roots_give_other_disks)
{
	struct disk_input input = sample();
	CLEANUP(disk_free) struct disk a = {0}, b = {0}, c = {0};
	struct err err = {0};

	CHECK_OK(disk_plan(&input, &a, &err), &err);
	CHECK_OK(disk_plan(&input, &b, &err), &err);
	CHECK_MEM(a.buffer, b.buffer, GPT_HEAD_SIZE + GPT_TAIL_SIZE);
	CHECK_INT(disk_esp_serial(&input.root_hash), disk_esp_serial(&input.root_hash));
	uint32_t serial = disk_esp_serial(&input.root_hash);

	input.root_hash.bytes[0] ^= 1;
	CHECK_OK(disk_plan(&input, &c, &err), &err);
	CHECK(memcmp(&a.guid, &c.guid, sizeof(a.guid)) != 0);
	CHECK(memcmp(&a.parts[0].entry.unique, &c.parts[0].entry.unique, 16) != 0);
	CHECK(memcmp(&a.guid, &a.parts[0].entry.unique, 16) != 0);
	CHECK(serial != disk_esp_serial(&input.root_hash));
}

static void check_refused(const struct disk_input *input, int code, const char *message)
{
	struct disk disk;
	struct err err = {0};

	CHECK_ERR(disk_plan(input, &disk, &err), &err, code, message);
	CHECK(!disk.regions.items);
}

TEST(impossible_disks_are_refused)
{
	struct disk_input input = sample();
	struct disk disk;
	struct err err = {0};

	input.root_slot = 10 * MIB;
	CHECK_ERR(disk_plan(&input, &disk, &err), &err, ERR_SPACE,
		  "the root file system has 10.0 MiB, its slot 10.0 MiB");
	CHECK_CONTAINS(err.hint, "disk.root");
	input = sample();
	input.root_slot = 0;
	check_refused(&input, ERR_OTHER, "sizes of slot and alignment");
	input = sample();
	input.align = MIB + 1;
	check_refused(&input, ERR_OTHER, "sizes of slot and alignment");
	input = sample();
	input.architecture = "vax";
	check_refused(&input, ERR_OTHER, "there is no partition type 'root-verity' for 'vax'");
	input = sample();
	input.name = "a-name-that-is-really-too-long";
	check_refused(&input, ERR_OTHER, "is longer than 36 characters");
	input = sample();
	verity_region.length = 18 * MIB;
	check_refused(&input, ERR_OTHER, "content of partition 'root-verity' does not fit");
}
