/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a disk with a partition table: what is accepted lies inside the disk, does not
 * overlap and can be written again. An odd last byte puts right checksums in first, so that the
 * checks behind them are reached.
 */
#include "demand.h"
#include "memimage.h"

#include "base/mem.h"
#include "disk/endian.h"
#include "disk/gpt.h"

#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *disk, size_t size, size_t header)
{
	uint8_t *h = disk + header;
	uint64_t at = get_le64(h + 72), len = (uint64_t)get_le32(h + 80) * get_le32(h + 84);
	uint32_t head_len = get_le32(h + 12);

	if (at < size / GPT_SECTOR && len <= size - at * GPT_SECTOR)
		put_le32(h + 88, (uint32_t)crc32(0, disk + at * GPT_SECTOR, (uInt)len));
	put_le32(h + 16, 0);
	if (head_len <= GPT_SECTOR)
		put_le32(h + 16, (uint32_t)crc32(0, h, head_len));
}

static void check(const struct gpt *gpt, uint64_t size)
{
	uint8_t head[GPT_HEAD_SIZE], tail[GPT_TAIL_SIZE];
	struct err err = {0};
	bool writable = gpt->count <= GPT_ENTRIES && size % GPT_SECTOR == 0;

	for (size_t i = 0; i < gpt->count; i++) {
		const struct gpt_partition *p = &gpt->items[i];

		demand(p->size > 0 && p->offset < size && p->size <= size - p->offset,
		       "a partition lies inside the disk");
		demand(strlen(p->label) < GPT_LABEL_SIZE, "a label ends");
		writable = writable && p->offset >= GPT_HEAD_SIZE &&
			   p->offset + p->size <= size - GPT_TAIL_SIZE;
		for (size_t k = 0; k < i; k++)
			demand(gpt->items[k].offset + gpt->items[k].size <= p->offset ||
				       p->offset + p->size <= gpt->items[k].offset,
			       "partitions do not overlap");
	}
	/* U+FFFD for what was no UTF-16 never makes a label longer. */
	if (writable)
		demand(gpt_write(gpt, size, head, tail, &err) == 0, "a table is written again");
}

/* A table that was read and can be moved is the same at the end of a larger disk, and whole there. */
static void check_growth(const uint8_t *disk, size_t size, const struct gpt *was)
{
	size_t larger = (size + 1048576) / GPT_SECTOR * GPT_SECTOR;
	CLEANUP_FREE uint8_t *copy = mem_alloc(larger);
	CLEANUP(gpt_free) struct gpt gpt = {0};
	struct memimage image = memimage(copy, larger);
	struct err err = {0};
	uint64_t kept;
	bool found;

	memcpy(copy, disk, size);
	if (size % GPT_SECTOR != 0 ||
	    gpt_enlarge(copy, size, larger, copy + larger - GPT_TAIL_SIZE, &found, &kept, &err) < 0)
		return;
	demand(kept <= size && kept <= larger - GPT_TAIL_SIZE, "the backup has room");
	if (was->from_backup)
		return;
	demand(found && gpt_read(&image.image, &gpt, &err) == 0, "a moved table is one");
	demand(!gpt.problem[0] && gpt.count == was->count, "both copies are right");
	for (size_t i = 0; i < gpt.count; i++)
		demand(memcmp(&gpt.items[i], &was->items[i], sizeof(gpt.items[i])) == 0,
		       "partitions stay");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE uint8_t *disk = mem_alloc(size);
	struct memimage image = memimage(disk, size);
	struct gpt gpt;
	struct err err = {0};

	if (size > 0)
		memcpy(disk, data, size);
	if (size >= (size_t)3 * GPT_SECTOR && data[size - 1] & 1) {
		seal(disk, size, GPT_SECTOR);
		seal(disk, size, size / GPT_SECTOR * GPT_SECTOR - GPT_SECTOR);
	}
	if (gpt_read(&image.image, &gpt, &err) < 0) {
		demand(err.code == ERR_VERIFY && err.msg[0], "an error is told");
		return 0;
	}
	check(&gpt, size);
	check_growth(disk, size, &gpt);
	gpt_free(&gpt);
	return 0;
}
