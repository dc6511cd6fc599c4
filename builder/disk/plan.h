/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where everything lies on the disk: from the parts of an image to regions. Pure: no input or
 * output, the same parts give the same disk.
 */
#ifndef INGOT_DISK_PLAN_H
#define INGOT_DISK_PLAN_H

#include "base/digest.h"
#include "base/err.h"
#include "base/region.h"
#include "disk/gpt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_input {
	const char *name, *version; /* the labels are <name>_<version>[_verity] */
	const char *architecture;   /* "amd64", "arm64" */
	const struct region_list *esp;
	const struct region_list *root;   /* squashfs */
	const struct region_list *verity; /* superblock and hash tree */
	struct digest root_hash;
	uint64_t
		root_slot; /* bytes that a root partition may have: this one and all its successors */
	bool compact;      /* the partition is as large as its content (1 MiB steps); grown to
			     * root_slot when the machine boots first */
	uint64_t align;    /* the disk's size is a multiple of it; 0: 1 GiB */
};

struct disk_partition {
	const char *name; /* "esp", "root-verity", "root" */
	struct gpt_partition entry;
	uint64_t used; /* bytes of content */
};

#define DISK_PARTITIONS 3

/* The disk; borrows what the regions of the input borrow. */
struct disk {
	struct region_list regions;
	struct guid guid; /* of the disk */
	struct disk_partition parts[DISK_PARTITIONS];
	size_t part_count;
	uint64_t slot, slot_used; /* of root, bytes: what a caller compares with its limit */
	void *buffer;             /* both copies of the GPT */
};

/* Bytes of the hash area (superblock and tree) of data bytes: 4 KiB blocks, 32 byte digests. */
uint64_t disk_verity_size(uint64_t data);

/* Bytes of the verity partition that belongs to a root partition of slot bytes: disk_verity_size,
 * rounded up to 1 MiB. */
uint64_t disk_verity_slot(uint64_t slot);

/* The largest slot whose verity partition has size bytes: what a root beside such a partition may grow to. */
uint64_t disk_slot_max(uint64_t verity_partition);

/* The volume serial number of the ESP, derived from the root hash. */
uint32_t disk_esp_serial(const struct digest *root_hash);

/* Plans the disk. A root that is larger than its slot is ERR_SPACE with a hint, an unknown
 * architecture or a label that is too long ERR_OTHER. Free with disk_free. */
int disk_plan(const struct disk_input *input, struct disk *ret, struct err *err);

/* Frees what disk_plan allocated and clears the struct. Usable with CLEANUP(). */
void disk_free(struct disk *disk);

#endif
