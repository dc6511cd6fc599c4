/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GUIDs and building partition tables. The layout is that of the UEFI specification 2.10, 5.2.3 and
 * 5.3; numbers in comments are offsets in bytes.
 */
#include "disk/gpt.h"

#include "base/mem.h"
#include "disk/endian.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define ENTRY_SIZE 128
#define ENTRIES_SIZE ((size_t)GPT_ENTRIES * ENTRY_SIZE)
#define ENTRIES_SECTORS (ENTRIES_SIZE / GPT_SECTOR)
#define HEADER_SIZE 92
#define LABEL_UNITS 36

const struct gpt_type gpt_types[] = {
	{"esp", NULL, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"},
	{"root", "amd64", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"},
	{"root-verity", "amd64", "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"},
	{"root-verity-sig", "amd64", "41092b05-9fc8-4523-994f-2def0408b176"},
	{"usr", "amd64", "8484680c-9521-48c6-9c11-b0720656f69e"},
	{"usr-verity", "amd64", "77ff5f63-e7b6-4633-acf4-1565b864c0e6"},
	{"usr-verity-sig", "amd64", "e7bb33fb-06cf-4e81-8273-e543b413e2e2"},
	{"root", "arm64", "b921b045-1df0-41c3-af44-4c6f280d3fae"},
	{"root-verity", "arm64", "df3300ce-d69f-4c92-978c-9bfb0f38d820"},
	{"root-verity-sig", "arm64", "6db69de6-29f4-4758-a7a5-962190f00ce3"},
	{"xbootldr", NULL, "bc13c2ff-59e6-4262-a352-b275fd6f7172"},
	{"swap", NULL, "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"},
	{"home", NULL, "933ac7e1-2eb4-4f13-b844-0e14e2aef915"},
	{"srv", NULL, "3b8f8425-20e0-4f3b-907f-1a25a76f98e8"},
	{"var", NULL, "4d21b016-b534-45c2-a9fb-5c16e091fd2d"},
	{"tmp", NULL, "7ec6f557-3bc5-4aca-b293-16ef5df639d1"},
	{"linux-generic", NULL, "0fc63daf-8483-4772-8e79-3d69d8477de4"},
	{0},
};

const struct gpt_type *gpt_type_find(const char *name, const char *architecture)
{
	for (const struct gpt_type *t = gpt_types; t->name; t++)
		if (strcmp(t->name, name) == 0 &&
		    (!t->architecture ||
		     (architecture && strcmp(t->architecture, architecture) == 0)))
			return t;
	return NULL;
}

const struct gpt_type *gpt_type_of(const struct guid *type)
{
	char text[GUID_TEXT_SIZE];

	guid_format(type, text);
	for (const struct gpt_type *t = gpt_types; t->name; t++)
		if (strcmp(t->guid, text) == 0)
			return t;
	return NULL;
}

/* Between printed and stored order; it is its own inverse. */
static void swap_fields(const uint8_t from[16], uint8_t to[16])
{
	static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

	for (int i = 0; i < 16; i++)
		to[i] = from[order[i]];
}

void guid_from_bytes(const uint8_t bytes[16], struct guid *ret)
{
	swap_fields(bytes, ret->bytes);
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;

	return p ? (int)(p - digits) : -1;
}

int guid_parse(const char *text, struct guid *ret, struct err *err)
{
	uint8_t bytes[16];
	size_t n = 0;
	const char *p = text;

	if (strlen(text) != GUID_TEXT_SIZE - 1)
		goto bad;
	while (*p) {
		size_t at = (size_t)(p - text);

		if (at == 8 || at == 13 || at == 18 || at == 23) {
			if (*p++ != '-')
				goto bad;
			continue;
		}
		int high = hex_digit(p[0]), low = high < 0 ? -1 : hex_digit(p[1]);

		if (low < 0)
			goto bad;
		bytes[n++] = (uint8_t)(high << 4 | low);
		p += 2;
	}
	swap_fields(bytes, ret->bytes);
	return 0;
bad:
	return err_set(err, ERR_VERIFY, "'%.64s' is no GUID", text);
}

char *guid_format(const struct guid *guid, char text[GUID_TEXT_SIZE])
{
	uint8_t b[16];

	swap_fields(guid->bytes, b);
	snprintf(text, GUID_TEXT_SIZE,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
	return text;
}

void guid_derive(const char *domain, const struct digest *digest, struct guid *ret)
{
	struct digest_ctx *ctx = digest_start();
	struct digest d;

	digest_add(ctx, domain, strlen(domain) + 1);
	digest_add(ctx, digest->bytes, DIGEST_SIZE);
	digest_finish(ctx, &d);
	d.bytes[6] = (d.bytes[6] & 0x0f) | 0x80; /* version 8 */
	d.bytes[8] = (d.bytes[8] & 0x3f) | 0x80; /* variant 10 */
	swap_fields(d.bytes, ret->bytes);
}

/* Decodes one character of UTF-8; returns its length or 0. */
static size_t utf8_decode(const uint8_t *p, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = p[0] < 0x80             ? 1
		     : (p[0] & 0xe0) == 0xc0 ? 2
		     : (p[0] & 0xf0) == 0xe0 ? 3
		     : (p[0] & 0xf8) == 0xf0 ? 4
					     : 0;

	if (len == 0)
		return 0;
	*ret = len == 1 ? p[0] : p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*ret = *ret << 6 | (p[i] & 0x3f);
	}
	if (*ret < least[len] || *ret > 0x10ffff || (*ret >= 0xd800 && *ret < 0xe000))
		return 0;
	return len;
}

static int put_label(uint8_t *to, const char *label, struct err *err)
{
	const uint8_t *p = (const uint8_t *)label;
	size_t units = 0;

	while (*p) {
		uint32_t c = 0;
		size_t len = utf8_decode(p, &c), need = c >= 0x10000 ? 2 : 1;

		if (len == 0)
			return err_set(err, ERR_OTHER, "partition label '%s' is no UTF-8", label);
		if (units + need > LABEL_UNITS)
			return err_set(err, ERR_OTHER,
				       "partition label '%s' is longer than %d characters", label,
				       LABEL_UNITS);
		if (need == 2) {
			c -= 0x10000;
			put_le16(to + 2 * units++, (uint16_t)(0xd800 + (c >> 10)));
			c = 0xdc00 + (c & 0x3ff);
		}
		put_le16(to + 2 * units++, (uint16_t)c);
		p += len;
	}
	return 0;
}

static int check_range(const struct gpt *gpt, size_t i, uint64_t disk_size, struct err *err)
{
	const struct gpt_partition *p = &gpt->items[i];

	if (p->offset % GPT_SECTOR != 0 || p->size % GPT_SECTOR != 0 || p->size == 0)
		return err_set(err, ERR_OTHER, "partition '%s' is not made of whole sectors",
			       p->label);
	if (p->offset < GPT_HEAD_SIZE || p->offset > disk_size || p->size > disk_size - p->offset ||
	    p->offset + p->size > disk_size - GPT_TAIL_SIZE)
		return err_set(err, ERR_OTHER, "partition '%s' lies outside of the usable range",
			       p->label);
	for (size_t k = 0; k < i; k++) {
		const struct gpt_partition *q = &gpt->items[k];

		if (p->offset < q->offset + q->size && q->offset < p->offset + p->size)
			return err_set(err, ERR_OTHER, "partitions '%s' and '%s' overlap", q->label,
				       p->label);
	}
	return 0;
}

static int put_entries(const struct gpt *gpt, uint64_t disk_size, uint8_t *to, struct err *err)
{
	if (gpt->count > GPT_ENTRIES)
		return err_set(err, ERR_OTHER, "more than %d partitions", GPT_ENTRIES);
	for (size_t i = 0; i < gpt->count; i++) {
		const struct gpt_partition *p = &gpt->items[i];
		uint8_t *entry = to + i * ENTRY_SIZE;

		if (check_range(gpt, i, disk_size, err) < 0 ||
		    put_label(entry + 56, p->label, err) < 0)
			return -1;
		memcpy(entry, p->type.bytes, 16);
		memcpy(entry + 16, p->unique.bytes, 16);
		put_le64(entry + 32, p->offset / GPT_SECTOR);
		put_le64(entry + 40, (p->offset + p->size) / GPT_SECTOR - 1);
		put_le64(entry + 48, p->flags);
	}
	return 0;
}

static void put_header(uint8_t *to, const struct gpt *gpt, uint64_t sectors, uint64_t own,
		       uint64_t other, uint64_t entries_at, uint32_t entries_crc)
{
	put_text(to, "EFI PART", 8);
	put_le32(to + 8, 0x00010000);
	put_le32(to + 12, HEADER_SIZE);
	put_le64(to + 24, own);
	put_le64(to + 32, other);
	put_le64(to + 40, 2 + ENTRIES_SECTORS);
	put_le64(to + 48, sectors - 2 - ENTRIES_SECTORS);
	memcpy(to + 56, gpt->disk.bytes, 16);
	put_le64(to + 72, entries_at);
	put_le32(to + 80, GPT_ENTRIES);
	put_le32(to + 84, ENTRY_SIZE);
	put_le32(to + 88, entries_crc);
	put_le32(to + 16, (uint32_t)crc32(0, to, HEADER_SIZE));
}

/* One partition of type 0xee over the whole disk (5.2.3); the CHS fields are those for "too large". */
static void put_mbr(uint8_t *to, uint64_t sectors)
{
	static const uint8_t chs_first[] = {0x00, 0x02, 0x00}, chs_last[] = {0xff, 0xff, 0xff};
	uint64_t size = sectors - 1;

	memcpy(to + 447, chs_first, 3);
	to[450] = 0xee;
	memcpy(to + 451, chs_last, 3);
	put_le32(to + 454, 1);
	put_le32(to + 458, size > UINT32_MAX ? UINT32_MAX : (uint32_t)size);
	put_le16(to + 510, 0xaa55);
}

int gpt_write(const struct gpt *gpt, uint64_t disk_size, void *head, void *tail, struct err *err)
{
	uint64_t sectors = disk_size / GPT_SECTOR;
	uint8_t *h = head, *t = tail;

	if (disk_size % GPT_SECTOR != 0 || disk_size < GPT_HEAD_SIZE + GPT_TAIL_SIZE + GPT_SECTOR)
		return err_set(err, ERR_OTHER,
			       "cannot make a partition table: a disk of %llu bytes is too small "
			       "or not made of whole sectors",
			       (unsigned long long)disk_size);
	memset(h, 0, GPT_HEAD_SIZE);
	memset(t, 0, GPT_TAIL_SIZE);
	if (put_entries(gpt, disk_size, h + 2 * GPT_SECTOR, err) < 0)
		return err_wrap(err, "cannot make the partition table");
	memcpy(t, h + 2 * GPT_SECTOR, ENTRIES_SIZE);

	uint32_t crc = (uint32_t)crc32(0, t, ENTRIES_SIZE);

	put_mbr(h, sectors);
	put_header(h + GPT_SECTOR, gpt, sectors, 1, sectors - 1, 2, crc);
	put_header(t + ENTRIES_SIZE, gpt, sectors, sectors - 1, 1, sectors - 1 - ENTRIES_SECTORS,
		   crc);
	return 0;
}
