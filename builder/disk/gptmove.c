/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition table for a disk that grows: the backup has to be at the end, and the primary table and the
 * protective MBR have to say where that is (UEFI specification 2.10, 5.2.3 and 5.3.2).
 */
#include "disk/gpt.h"

#include "disk/endian.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#define TAIL_SECTORS (GPT_TAIL_SIZE / GPT_SECTOR)
#define ENTRIES_SIZE (GPT_TAIL_SIZE - GPT_SECTOR)
#define MBR_TABLE 446
#define MBR_ENTRY 16
#define MBR_PROTECTIVE 0xee
#define SECTOR_4K 4096
#define SIGNATURE "EFI PART"

static void seal(uint8_t *header)
{
	memset(header + 16, 0, 4);
	put_le32(header + 16, (uint32_t)crc32(0, header, get_le32(header + 12)));
}

/* Checks what would be lost or wrong if the table were not as nearly all partitioners write it. */
static int check(const uint8_t *header, const uint8_t *entries, uint64_t sectors, struct err *err)
{
	uint8_t copy[GPT_SECTOR];
	uint32_t size = get_le32(header + 12);

	memcpy(copy, header, sizeof(copy));
	if (size < 92 || size > GPT_SECTOR)
		return err_set(err, ERR_VERIFY, "wrong header size");
	seal(copy);
	if (memcmp(copy, header, sizeof(copy)) != 0)
		return err_set(err, ERR_VERIFY, "wrong header checksum");
	if (get_le64(header + 24) != 1 || get_le64(header + 72) != 2 ||
	    (uint64_t)get_le32(header + 80) * get_le32(header + 84) != ENTRIES_SIZE)
		return err_set(err, ERR_VERIFY, "its entries are not 16 KiB behind the header");
	if ((uint32_t)crc32(0, entries, ENTRIES_SIZE) != get_le32(header + 88))
		return err_set(err, ERR_VERIFY, "wrong checksum of the entries");
	if (get_le64(header + 48) > sectors - 1 - TAIL_SECTORS)
		return err_set(err, ERR_VERIFY, "no room for the backup behind the last partition");
	return 0;
}

/* The protective partition covers the whole disk. */
static void enlarge_mbr(uint8_t *mbr, uint64_t sectors)
{
	uint64_t size = sectors - 1;

	for (unsigned i = 0; i < 4; i++) {
		uint8_t *entry = mbr + MBR_TABLE + (size_t)i * MBR_ENTRY;

		/* In a hybrid MBR others may follow it: then it ends in front of them. */
		if (entry[4] != MBR_PROTECTIVE || get_le32(entry + 8) != 1)
			continue;
		for (unsigned k = 0; k < 4; k++)
			if (k != i && mbr[MBR_TABLE + k * MBR_ENTRY + 4] != 0)
				return;
		put_le32(entry + 12, size > UINT32_MAX ? UINT32_MAX : (uint32_t)size);
	}
}

int gpt_enlarge(void *head, uint64_t old_size, uint64_t new_size, void *tail, bool *ret_found,
		uint64_t *ret_kept, struct err *err)
{
	uint8_t *mbr = head, *header = mbr + GPT_SECTOR, *backup = tail;
	uint64_t sectors = new_size / GPT_SECTOR;

	*ret_kept = old_size;
	*ret_found = memcmp(header, SIGNATURE, 8) == 0;
	if (!*ret_found && memcmp(mbr + SECTOR_4K, SIGNATURE, 8) == 0)
		return err_set(err, ERR_VERIFY,
			       "cannot move the partition table: sectors of 4096 bytes");
	if (!*ret_found)
		return 0;
	if (old_size < GPT_HEAD_SIZE + GPT_TAIL_SIZE || new_size < old_size ||
	    new_size - old_size < GPT_SECTOR || new_size % GPT_SECTOR != 0)
		return err_set(err, ERR_OTHER,
			       "cannot move the partition table from %" PRIu64 " to %" PRIu64
			       " bytes",
			       old_size, new_size);
	if (check(header, header + GPT_SECTOR, old_size / GPT_SECTOR, err) < 0)
		return err_wrap(err, "cannot move the partition table");
	if (get_le64(header + 32) == old_size / GPT_SECTOR - 1)
		*ret_kept = old_size - GPT_TAIL_SIZE;
	if (*ret_kept > new_size - GPT_TAIL_SIZE)
		*ret_kept = new_size - GPT_TAIL_SIZE;
	enlarge_mbr(mbr, sectors);
	put_le64(header + 32, sectors - 1);
	put_le64(header + 48, sectors - 1 - TAIL_SECTORS);
	seal(header);

	memcpy(backup, header + GPT_SECTOR, ENTRIES_SIZE);
	backup += ENTRIES_SIZE;
	memcpy(backup, header, GPT_SECTOR);
	put_le64(backup + 24, sectors - 1);
	put_le64(backup + 32, 1);
	put_le64(backup + 72, sectors - TAIL_SECTORS);
	seal(backup);
	return 0;
}
