/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading partition tables. The bytes are not to be trusted: everything is checked against the size
 * of the disk before it is used, and what the primary copy lacks is looked for in the backup.
 */
#include "disk/gpt.h"

#include "base/mem.h"
#include "disk/endian.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

/* Real tables have 128 entries of 128 bytes; these limits are far above what partitioners write. */
#define ENTRIES_MAX 1024
#define ENTRY_SIZE_MAX 512

struct header {
	uint64_t first, last; /* usable sectors */
	uint64_t other;       /* sector of the other copy */
	uint64_t entries_at;
	uint32_t count, entry_size, entries_crc;
	struct guid disk;
};

static int parse_header(uint8_t sector[GPT_SECTOR], uint64_t at, uint64_t sectors,
			struct header *ret, struct err *err)
{
	uint32_t size = get_le32(sector + 12), crc = get_le32(sector + 16);

	if (memcmp(sector, "EFI PART", 8) != 0)
		return err_set(err, ERR_VERIFY, "no GPT signature");
	if (get_le32(sector + 8) != 0x00010000 || size < 92 || size > GPT_SECTOR)
		return err_set(err, ERR_VERIFY, "unknown revision or header size");
	memset(sector + 16, 0, 4);
	if ((uint32_t)crc32(0, sector, size) != crc)
		return err_set(err, ERR_VERIFY, "wrong header checksum");
	if (get_le64(sector + 24) != at)
		return err_set(err, ERR_VERIFY, "the header says that it belongs elsewhere");
	ret->other = get_le64(sector + 32);
	ret->first = get_le64(sector + 40);
	ret->last = get_le64(sector + 48);
	memcpy(ret->disk.bytes, sector + 56, 16);
	ret->entries_at = get_le64(sector + 72);
	ret->count = get_le32(sector + 80);
	ret->entry_size = get_le32(sector + 84);
	ret->entries_crc = get_le32(sector + 88);
	if (ret->first > ret->last || ret->last >= sectors)
		return err_set(err, ERR_VERIFY, "the usable range leaves the disk");
	if (ret->count == 0 || ret->count > ENTRIES_MAX || ret->entry_size < 128 ||
	    ret->entry_size > ENTRY_SIZE_MAX || ret->entry_size % 128 != 0)
		return err_set(err, ERR_VERIFY, "%" PRIu32 " entries of %" PRIu32 " bytes",
			       ret->count, ret->entry_size);
	return 0;
}

/* UTF-16 to UTF-8; what is no valid UTF-16 becomes U+FFFD. */
static void get_label(const uint8_t *from, char ret[GPT_LABEL_SIZE])
{
	char *to = ret;

	for (int i = 0; i < 36; i++) {
		uint32_t c = get_le16(from + 2 * i);

		if (c == 0)
			break;
		if (c >= 0xd800 && c < 0xdc00 && i < 35) {
			uint32_t low = get_le16(from + 2 * i + 2);

			if (low >= 0xdc00 && low < 0xe000) {
				c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
				i++;
			}
		}
		if (c >= 0xd800 && c < 0xe000)
			c = 0xfffd;
		/* Labels get printed: no control characters. */
		if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
			*to++ = '?';
		} else if (c < 0x80) {
			*to++ = (char)c;
		} else if (c < 0x800) {
			*to++ = (char)(0xc0 | c >> 6);
			*to++ = (char)(0x80 | (c & 0x3f));
		} else if (c < 0x10000) {
			*to++ = (char)(0xe0 | c >> 12);
			*to++ = (char)(0x80 | (c >> 6 & 0x3f));
			*to++ = (char)(0x80 | (c & 0x3f));
		} else {
			*to++ = (char)(0xf0 | c >> 18);
			*to++ = (char)(0x80 | (c >> 12 & 0x3f));
			*to++ = (char)(0x80 | (c >> 6 & 0x3f));
			*to++ = (char)(0x80 | (c & 0x3f));
		}
	}
	*to = 0;
}

static int check_overlap(const struct gpt *gpt, const struct gpt_partition *p, struct err *err)
{
	for (size_t i = 0; i < gpt->count; i++) {
		const struct gpt_partition *q = &gpt->items[i];

		if (p->offset < q->offset + q->size && q->offset < p->offset + p->size)
			return err_set(err, ERR_VERIFY, "partitions %u and %u overlap", q->number,
				       p->number);
	}
	return 0;
}

static int parse_entries(const uint8_t *entries, const struct header *h, struct gpt *ret,
			 struct err *err)
{
	static const uint8_t unused[16];

	ret->disk = h->disk;
	ret->items = mem_alloc_array(h->count, sizeof(*ret->items));
	for (uint32_t i = 0; i < h->count; i++) {
		const uint8_t *e = entries + (size_t)i * h->entry_size;
		uint64_t first = get_le64(e + 32), last = get_le64(e + 40);
		struct gpt_partition *p = &ret->items[ret->count];

		if (memcmp(e, unused, 16) == 0)
			continue;
		if (first < h->first || first > last || last > h->last)
			return err_set(err, ERR_VERIFY,
				       "partition %" PRIu32 " leaves the usable range", i + 1);
		memcpy(p->type.bytes, e, 16);
		memcpy(p->unique.bytes, e + 16, 16);
		p->offset = first * GPT_SECTOR;
		p->size = (last - first + 1) * GPT_SECTOR;
		p->flags = get_le64(e + 48);
		p->number = i + 1;
		get_label(e + 56, p->label);
		if (check_overlap(ret, p, err) < 0)
			return -1;
		ret->count++;
	}
	return 0;
}

/* Reads the copy whose header is in the sector at. */
static int read_copy(struct image *image, uint64_t at, struct gpt *ret, struct header *ret_header,
		     struct err *err)
{
	uint64_t sectors = image->size / GPT_SECTOR;
	uint8_t sector[GPT_SECTOR];
	CLEANUP_FREE uint8_t *entries = NULL;

	if (image->pread(image, sector, sizeof(sector), at * GPT_SECTOR, err) < 0 ||
	    parse_header(sector, at, sectors, ret_header, err) < 0)
		return -1;

	size_t size = (size_t)ret_header->count * ret_header->entry_size;
	uint64_t taken = (size + GPT_SECTOR - 1) / GPT_SECTOR;

	if (ret_header->entries_at < 2 || ret_header->entries_at >= sectors ||
	    taken > sectors - ret_header->entries_at ||
	    (ret_header->entries_at <= ret_header->last &&
	     ret_header->entries_at + taken > ret_header->first))
		return err_set(err, ERR_VERIFY, "the entries lie in a wrong place");
	entries = mem_alloc(size);
	if (image->pread(image, entries, size, ret_header->entries_at * GPT_SECTOR, err) < 0)
		return -1;
	if ((uint32_t)crc32(0, entries, (uInt)size) != ret_header->entries_crc)
		return err_set(err, ERR_VERIFY, "wrong checksum of the entries");
	if (parse_entries(entries, ret_header, ret, err) < 0) {
		gpt_free(ret);
		return -1;
	}
	return 0;
}

static bool same_entries(const struct gpt *a, const struct gpt *b)
{
	if (a->count != b->count || memcmp(&a->disk, &b->disk, sizeof(a->disk)) != 0)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct gpt_partition *p = &a->items[i], *q = &b->items[i];

		if (memcmp(&p->type, &q->type, sizeof(p->type)) != 0 ||
		    memcmp(&p->unique, &q->unique, sizeof(p->unique)) != 0 ||
		    p->offset != q->offset || p->size != q->size || p->flags != q->flags ||
		    p->number != q->number || strcmp(p->label, q->label) != 0)
			return false;
	}
	return true;
}

int gpt_read(struct image *image, struct gpt *ret, struct err *err)
{
	uint64_t sectors = image->size / GPT_SECTOR;
	struct err first = {0}, second = {0};
	struct header header = {0}, other_header = {0};
	CLEANUP(gpt_free) struct gpt other = {0};

	*ret = (struct gpt){0};
	if (sectors < (GPT_HEAD_SIZE + GPT_TAIL_SIZE) / GPT_SECTOR)
		return err_set(err, ERR_VERIFY,
			       "cannot read the partition table of '%s': the disk is too small",
			       image->name);
	if (read_copy(image, 1, ret, &header, &first) == 0) {
		/* After the disk was enlarged, the backup is not at its end any more. */
		uint64_t at = header.other > header.last && header.other < sectors ? header.other
										   : sectors - 1;

		if (read_copy(image, at, &other, &other_header, &second) < 0)
			snprintf(ret->problem, sizeof(ret->problem),
				 "the backup table is damaged: %.200s", second.msg);
		else if (!same_entries(ret, &other))
			snprintf(ret->problem, sizeof(ret->problem),
				 "the backup table differs from the primary one");
		else if (at != sectors - 1)
			snprintf(ret->problem, sizeof(ret->problem),
				 "the backup table is not at the end of the disk");
		return 0;
	}
	if (read_copy(image, sectors - 1, ret, &header, &second) < 0)
		return err_set(err, ERR_VERIFY,
			       "cannot read the partition table of '%s': %.200s; backup: %.200s",
			       image->name, first.msg, second.msg);
	ret->from_backup = true;
	snprintf(ret->problem, sizeof(ret->problem),
		 "the primary table is damaged (%.200s): the backup is used", first.msg);
	return 0;
}

void gpt_free(struct gpt *gpt)
{
	if (!gpt)
		return;
	free(gpt->items);
	*gpt = (struct gpt){0};
}
