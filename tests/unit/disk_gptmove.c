/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition tables of disks that grow: sgdisk and sfdisk find nothing wrong with them, partitions stay, what
 * is damaged or unusual is refused.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "disk/endian.h"
#include "disk/gpt.h"
#include "memimage.h"

#define OLD_SIZE (20 * MIB + 1536)

/* A disk that sfdisk made, as file "disk" and in memory; caller frees. */
static uint8_t *make_disk(const char *extra)
{
	CLEANUP_FREE char *script = mem_printf(
		"truncate -s %llu disk && printf '%s\\nstart=2048, size=4096, name=one\\n"
		"start=8192, size=2048, type=uefi, name=two\\n' | sfdisk -q disk",
		(unsigned long long)OLD_SIZE, extra);
	struct err err = {0};
	size_t size;

	unlink("disk");
	CHECK_OK(RUN(NULL, &err, "sh", "-c", script), &err);
	return (uint8_t *)tap_slurp("disk", &size);
}

static void spew_at(const char *path, const void *bytes, size_t len, uint64_t offset)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	CHECK(pwrite(fd, bytes, len, (off_t)offset) == (ssize_t)len);
	close(fd);
}

static char *partitions_of(const char *path)
{
	CLEANUP_FREE char *script =
		mem_printf("sfdisk -d %s | sed 's/^%s//; /^last-lba\\|^device/d'", path, path);
	struct str out = {0};
	struct err err = {0};

	CHECK_OK(RUN(&out, &err, "sh", "-c", script), &err);
	return str_steal(&out);
}

static void check_grows(const char *extra, uint64_t size, uint32_t mbr_size)
{
	CLEANUP_FREE uint8_t *disk = make_disk(extra);
	CLEANUP_FREE char *before = partitions_of("disk"), *after = NULL;
	CLEANUP(str_free) struct str out = {0};
	uint8_t tail[GPT_TAIL_SIZE];
	static const uint8_t zeros[GPT_TAIL_SIZE];
	struct err err = {0};
	uint64_t kept;
	bool found;

	CHECK_OK(gpt_enlarge(disk, OLD_SIZE, size, tail, &found, &kept, &err), &err);
	CHECK(found);
	CHECK_U64(kept, OLD_SIZE - GPT_TAIL_SIZE);
	CHECK_U64(get_le32(disk + 446 + 12), mbr_size);
	spew_at("disk", disk, GPT_HEAD_SIZE, 0);
	spew_at("disk", zeros, OLD_SIZE - kept, kept);
	CHECK_INT(truncate("disk", (off_t)size), 0);
	spew_at("disk", tail, sizeof(tail), size - sizeof(tail));
	CHECK_OK(RUN(&out, &err, "sgdisk", "-v", "disk"), &err);
	CHECK_CONTAINS(out.data, "No problems found.");
	str_free(&out);
	CHECK_OK(RUN(&out, &err, "sfdisk", "--verify", "disk"), &err);
	CHECK_CONTAINS(out.data, "No errors detected.");
	after = partitions_of("disk");
	CHECK_STR(after, before);
}

TEST(other_tools_find_nothing_wrong)
{
	check_grows("label: gpt", 21 * MIB, 21 * MIB / 512 - 1);
	check_grows("label: gpt", OLD_SIZE + 512, OLD_SIZE / 512);
	check_grows("label: gpt", GIB, GIB / 512 - 1);
	check_grows("label: gpt", 4096 * GIB, UINT32_MAX);
}

TEST(a_backup_elsewhere_stays)
{
	CLEANUP_FREE uint8_t *disk = make_disk("label: gpt");
	uint8_t tail[GPT_TAIL_SIZE];
	struct err err = {0};
	uint64_t kept;
	bool found;

	/* The disk was enlarged before, and nobody moved its backup. */
	CHECK_OK(gpt_enlarge(disk, 30 * MIB, 31 * MIB, tail, &found, &kept, &err), &err);
	CHECK(found);
	CHECK_U64(kept, 30 * MIB);
}

TEST(disks_without_a_table_stay_as_they_are)
{
	uint8_t head[GPT_HEAD_SIZE] = {0}, tail[GPT_TAIL_SIZE];
	const uint8_t zeros[GPT_HEAD_SIZE] = {0};
	struct err err = {0};
	uint64_t kept;
	bool found;

	CHECK_OK(gpt_enlarge(head, OLD_SIZE, GIB, tail, &found, &kept, &err), &err);
	CHECK(!found);
	CHECK_U64(kept, OLD_SIZE);
	CHECK_MEM(head, zeros, sizeof(head));
	put_text(head + 4096, "EFI PART", 8);
	CHECK_ERR(gpt_enlarge(head, OLD_SIZE, GIB, tail, &found, &kept, &err), &err, ERR_VERIFY,
		  "sectors of 4096 bytes");
}

TEST(a_hybrid_mbr_keeps_its_partitions)
{
	CLEANUP_FREE uint8_t *disk = make_disk("label: gpt");
	uint8_t tail[GPT_TAIL_SIZE], mbr[512];
	struct err err = {0};
	uint64_t kept;
	bool found;

	/* 0xee up to the first partition, which is in the second entry too. */
	put_le32(disk + 446 + 12, 2047);
	disk[462 + 4] = 0x83;
	put_le32(disk + 462 + 8, 2048);
	put_le32(disk + 462 + 12, 4096);
	memcpy(mbr, disk, 512);
	CHECK_OK(gpt_enlarge(disk, OLD_SIZE, GIB, tail, &found, &kept, &err), &err);
	CHECK_MEM(disk, mbr, 512);
}

static void check_refused(uint8_t *disk, uint64_t old_size, uint64_t new_size, int code,
			  const char *message)
{
	CLEANUP_FREE uint8_t *copy = mem_alloc(GPT_HEAD_SIZE);
	uint8_t tail[GPT_TAIL_SIZE];
	struct err err = {0};
	uint64_t kept;
	bool found;

	memcpy(copy, disk, GPT_HEAD_SIZE);
	CHECK_ERR(gpt_enlarge(disk, old_size, new_size, tail, &found, &kept, &err), &err, code,
		  message);
	CHECK_MEM(disk, copy, GPT_HEAD_SIZE);
}

TEST(wrong_sizes_are_refused)
{
	CLEANUP_FREE uint8_t *disk = make_disk("label: gpt");

	check_refused(disk, OLD_SIZE, OLD_SIZE, ERR_OTHER, "cannot move the partition table from");
	check_refused(disk, OLD_SIZE, OLD_SIZE - 512, ERR_OTHER, "cannot move");
	check_refused(disk, OLD_SIZE, GIB + 1, ERR_OTHER, "cannot move");
	check_refused(disk, 4096, GIB, ERR_OTHER, "cannot move");
	/* The file was cut off. */
	check_refused(disk, 10 * MIB, GIB, ERR_VERIFY, "no room for the backup");
}

TEST(unusual_tables_are_refused)
{
	CLEANUP_FREE uint8_t *disk = make_disk("label: gpt\\ntable-length: 256");

	check_refused(disk, OLD_SIZE, GIB, ERR_VERIFY, "16 KiB");
}

TEST(every_flipped_bit_is_noticed)
{
	CLEANUP_FREE uint8_t *disk = make_disk("label: gpt");

	for (size_t at = 512; at < GPT_HEAD_SIZE; at++) {
		/* The signature tells whether there is a table; behind the header is nothing. */
		if (at < 520 || (at >= 512 + 92 && at < 1024))
			continue;
		for (unsigned bit = 0; bit < 8; bit += 3) {
			disk[at] ^= (uint8_t)(1u << bit);
			check_refused(disk, OLD_SIZE, GIB, ERR_VERIFY, "");
			disk[at] ^= (uint8_t)(1u << bit);
		}
	}
}
