/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the partition table of a finished disk: for a disk that grows the backup has to be at the end, and the
 * primary table and the protective MBR have to say where that is; and a partition can be added behind the others
 * (UEFI specification 2.10, 5.2.3 and 5.3).
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

/* The copy at the end of the disk: the entries, then a header that says where both are. */
static void put_backup(const uint8_t *header, uint64_t sectors, uint8_t *backup)
{
	memcpy(backup, header + GPT_SECTOR, ENTRIES_SIZE);
	backup += ENTRIES_SIZE;
	memcpy(backup, header, GPT_SECTOR);
	put_le64(backup + 24, sectors - 1);
	put_le64(backup + 32, 1);
	put_le64(backup + 72, sectors - TAIL_SECTORS);
	seal(backup);
}

int gpt_enlarge(void *head, uint64_t old_size, uint64_t new_size, void *tail, bool *ret_found,
		uint64_t *ret_kept, struct err *err)
{
	uint8_t *mbr = head, *header = mbr + GPT_SECTOR;
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

	put_backup(header, sectors, tail);
	return 0;
}

/* The first entry that is not used; the new partition must begin behind all that are. */
static uint8_t *free_entry(uint8_t *entries, uint32_t entry_size, uint64_t first,
			   unsigned *ret_number, struct err *err)
{
	static const uint8_t unused[16];
	uint8_t *found = NULL;

	for (uint32_t i = 0; i < ENTRIES_SIZE / entry_size; i++) {
		uint8_t *entry = entries + (size_t)i * entry_size;

		if (memcmp(entry, unused, sizeof(unused)) != 0) {
			if (get_le64(entry + 40) >= first) {
				err_set(err, ERR_OTHER, "partition %u is in the way", i + 1);
				return NULL;
			}
		} else if (!found) {
			found = entry;
			*ret_number = i + 1;
		}
	}
	if (!found)
		err_set(err, ERR_VERIFY, "the partition table has no free entry");
	return found;
}

int gpt_add(void *head, uint64_t size, struct gpt_partition *part, void *tail, struct err *err)
{
	uint8_t *header = (uint8_t *)head + GPT_SECTOR, *entries = header + GPT_SECTOR, *entry;
	uint64_t sectors = size / GPT_SECTOR, first = part->offset / GPT_SECTOR;
	uint64_t last = first + part->size / GPT_SECTOR - 1;
	uint32_t entry_size = get_le32(header + 84);

	if (memcmp(header, SIGNATURE, 8) != 0)
		return err_set(err, ERR_VERIFY, "there is no partition table");
	if (check(header, entries, sectors, err) < 0)
		return err_wrap(err, "cannot change the partition table");
	if (part->offset % GPT_SECTOR || part->size % GPT_SECTOR || part->size == 0 ||
	    first < get_le64(header + 40) || last > get_le64(header + 48) || entry_size < 128 ||
	    strlen(part->label) > 36)
		return err_set(err, ERR_OTHER, "a partition cannot lie there");
	entry = free_entry(entries, entry_size, first, &part->number, err);
	if (!entry)
		return -1;
	memset(entry, 0, entry_size);
	memcpy(entry, part->type.bytes, 16);
	memcpy(entry + 16, part->unique.bytes, 16);
	put_le64(entry + 32, first);
	put_le64(entry + 40, last);
	put_le64(entry + 48, part->flags);
	for (size_t i = 0; part->label[i]; i++)
		put_le16(entry + 56 + 2 * i, (uint8_t)part->label[i]);
	put_le32(header + 88, (uint32_t)crc32(0, entries, ENTRIES_SIZE));
	put_le64(header + 32, sectors - 1);
	seal(header);
	put_backup(header, sectors, tail);
	return 0;
}
