/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of the disk: ESP, hash tree, root. The root comes last, so that it can grow into its
 * slot and the second slot and /var can follow it; the hash tree has its final size at once.
 */
#include "disk/plan.h"

#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "disk/endian.h"
#include "disk/verity.h"

#include <stdio.h>
#include <string.h>

#define PARTITION_ALIGN MIB
#define VERITY_FANOUT ((uint64_t)VERITY_BLOCK / DIGEST_SIZE)

uint64_t disk_verity_size(uint64_t data)
{
	uint64_t blocks = size_align(data, VERITY_BLOCK) / VERITY_BLOCK;
	uint64_t total = 1; /* the superblock */

	while (blocks > 1) {
		blocks = size_align(blocks, VERITY_FANOUT) / VERITY_FANOUT;
		total += blocks;
	}
	return total * VERITY_BLOCK;
}

uint64_t disk_verity_slot(uint64_t slot)
{
	return size_align(disk_verity_size(slot), PARTITION_ALIGN);
}

uint64_t disk_slot_max(uint64_t verity_partition)
{
	uint64_t low = 0,
		 high = verity_partition / VERITY_BLOCK * VERITY_FANOUT; /* in MiB: too many */

	while (low < high) {
		uint64_t middle = high - (high - low) / 2;

		if (disk_verity_size(middle * PARTITION_ALIGN) <= verity_partition)
			low = middle;
		else
			high = middle - 1;
	}
	return low * PARTITION_ALIGN;
}

uint32_t disk_esp_serial(const struct digest *root_hash)
{
	struct guid guid;

	guid_derive("ingot esp volume", root_hash, &guid);
	return get_le32(guid.bytes);
}

static int add_part(struct disk *disk, const char *name, const char *architecture, uint64_t size,
		    uint64_t used, struct err *err)
{
	const struct gpt_type *type = gpt_type_find(name, architecture);
	struct disk_partition *p = &disk->parts[disk->part_count];
	uint64_t offset = PARTITION_ALIGN;

	if (!type)
		return err_set(err, ERR_OTHER, "there is no partition type '%s' for '%s'", name,
			       architecture);
	if (disk->part_count > 0)
		offset = p[-1].entry.offset + p[-1].entry.size;
	*p = (struct disk_partition){.name = name, .used = used};
	p->entry.offset = offset;
	p->entry.size = size_align(size, PARTITION_ALIGN);
	p->entry.number = (unsigned)++disk->part_count;
	return guid_parse(type->guid, &p->entry.type, err);
}

/* The label, which must also fit once "_verity" is behind it. */
static int set_label(struct disk_partition *p, const struct disk_input *input, const char *suffix,
		     struct err *err)
{
	int n = snprintf(p->entry.label, sizeof(p->entry.label), "%s_%s%s", input->name,
			 input->version, suffix);

	if (n < 0 || (size_t)n >= sizeof(p->entry.label)) {
		err_set(err, ERR_OTHER, "partition label '%.40s_%.40s%s' is too long", input->name,
			input->version, suffix);
		return err_hint(err, "name and version together may have 28 characters");
	}
	return 0;
}

static int add_parts(struct disk *disk, const struct disk_input *input, struct err *err)
{
	uint64_t slot = size_align(input->root_slot, PARTITION_ALIGN);
	struct disk_partition *parts = disk->parts;

	if (add_part(disk, "esp", input->architecture, input->esp->size, input->esp->size, err) <
		    0 ||
	    add_part(disk, "root-verity", input->architecture, disk_verity_slot(slot),
		     input->verity->size, err) < 0 ||
	    add_part(disk, "root", input->architecture, input->compact ? input->root->size : slot,
		     input->root->size, err) < 0)
		return -1;

	snprintf(parts[0].entry.label, sizeof(parts[0].entry.label), "esp");
	guid_derive("ingot esp", &input->root_hash, &parts[0].entry.unique);
	if (set_label(&parts[1], input, "_verity", err) < 0 ||
	    set_label(&parts[2], input, "", err) < 0)
		return -1;
	/* Discoverable Partitions Specification: the root hash names both partitions. */
	guid_from_bytes(input->root_hash.bytes + 16, &parts[1].entry.unique);
	guid_from_bytes(input->root_hash.bytes, &parts[2].entry.unique);
	parts[1].entry.flags = GPT_FLAG_READ_ONLY;
	parts[2].entry.flags = GPT_FLAG_READ_ONLY;
	disk->slot = slot;
	disk->slot_used = input->root->size;
	return 0;
}

static int add_regions(struct disk *disk, const struct disk_partition *p,
		       const struct region_list *from, struct err *err)
{
	struct region_list *to = &disk->regions;
	uint64_t end = 0;

	for (size_t i = 0; i < from->count; i++) {
		struct region r = from->items[i];

		if (r.offset < end || r.offset > p->entry.size ||
		    r.length > p->entry.size - r.offset)
			return err_set(err, ERR_OTHER,
				       "the content of partition '%s' does not fit into it",
				       p->name);
		end = r.offset + r.length;
		if (r.length == 0)
			continue;
		r.offset += p->entry.offset;
		VEC_ADD(to->items, to->count, to->room, r);
	}
	return 0;
}

static int add_all_regions(struct disk *disk, const struct disk_input *input, struct err *err)
{
	const struct region_list *contents[DISK_PARTITIONS] = {input->esp, input->verity,
							       input->root};
	struct gpt_partition entries[DISK_PARTITIONS];
	struct region_list *to = &disk->regions;
	uint8_t *buffer = mem_alloc(GPT_HEAD_SIZE + GPT_TAIL_SIZE);
	struct gpt gpt = {.items = entries, .count = disk->part_count};

	disk->buffer = buffer;
	guid_derive("ingot disk", &input->root_hash, &disk->guid);
	gpt.disk = disk->guid;
	for (size_t i = 0; i < disk->part_count; i++)
		entries[i] = disk->parts[i].entry;
	if (gpt_write(&gpt, to->size, buffer, buffer + GPT_HEAD_SIZE, err) < 0)
		return -1;
	VEC_ADD(to->items, to->count, to->room,
		((struct region){
			.length = GPT_HEAD_SIZE, .bytes = buffer, .fd = -1, .name = "gpt"}));
	for (size_t i = 0; i < disk->part_count; i++)
		if (add_regions(disk, &disk->parts[i], contents[i], err) < 0)
			return -1;
	VEC_ADD(to->items, to->count, to->room,
		((struct region){.offset = to->size - GPT_TAIL_SIZE,
				 .length = GPT_TAIL_SIZE,
				 .bytes = buffer + GPT_HEAD_SIZE,
				 .fd = -1,
				 .name = "gpt"}));
	return 0;
}

int disk_plan(const struct disk_input *input, struct disk *ret, struct err *err)
{
	uint64_t align = input->align ? input->align : GIB;
	const struct disk_partition *last;

	*ret = (struct disk){0};
	if (align % MIB != 0 || align > 1024 * GIB || input->root_slot > 1024 * GIB ||
	    input->root_slot == 0)
		return err_set(err, ERR_OTHER,
			       "cannot plan the disk: sizes of slot and alignment must be between "
			       "1 MiB and 1 TiB");
	if (input->root->size > input->root_slot) {
		char used[16], slot[16];

		err_set(err, ERR_SPACE,
			"cannot plan the disk: the root file system has %s, its "
			"slot %s",
			size_format(input->root->size, used), size_format(input->root_slot, slot));
		return err_hint(err, "set 'disk.root' in the profile to at least twice the size of "
				     "the root file system; it cannot grow later");
	}
	if (add_parts(ret, input, err) < 0)
		goto fail;
	last = &ret->parts[ret->part_count - 1];
	ret->regions.size =
		size_align(last->entry.offset + last->entry.size + GPT_TAIL_SIZE, align);
	if (add_all_regions(ret, input, err) < 0)
		goto fail;
	return 0;
fail:
	disk_free(ret);
	return err_wrap(err, "cannot plan the disk");
}

void disk_free(struct disk *disk)
{
	if (!disk)
		return;
	free(disk->regions.items);
	free(disk->buffer);
	*disk = (struct disk){0};
}
