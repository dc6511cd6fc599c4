/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices that user-data names: what is on them, whether they are in use, and their partitions. On a test's root
 * they are regular files.
 */
#ifndef INGOT_AGENT_DISK_H
#define INGOT_AGENT_DISK_H

#include "agent/provision/cloudconfig.h"

#include <stdbool.h>
#include <stdint.h>

#define DISK_WAIT 10 /* seconds for a device to appear */

struct disk_content {
	bool any;       /* something is there, be it unknown */
	char type[32];  /* of the file system, or "" */
	char label[64]; /* of the file system, or "" */
	char table[16]; /* kind of the partition table, or "" */
};

/* The path of a device below the root, links resolved ("/dev/disk/by-id/x" too); waits at most DISK_WAIT for it on
 * a live machine. NULL, and told, when it is no device. Caller frees. */
char *disk_find(struct cc *cc, const struct doc_node *node, const char *name);

/* Looks at what is there, by blkid(8) and at the first and last MiB: a device is empty only when both are zeros.
 * Needs root. */
int disk_probe(const char *path, struct disk_content *ret, struct err *err);

/* Size in bytes. */
int disk_size(const char *path, uint64_t *ret, struct err *err);

/* True when the kernel says that it is mounted or otherwise taken, whole or a part of it. */
bool disk_busy(const char *path);

/* True when path may be written: it is not in use, and empty unless overwrite is set. Else says why not: a problem at
 * the node, or only a remark when its content is kept. */
bool disk_may_write(struct cc *cc, const struct doc_node *node, const char *path, bool overwrite);

/* The path of a partition: "/dev/vdb1", "/dev/nvme0n1p1". Caller frees. Pure. */
char *disk_partition(const char *path, unsigned number);

/* Waits until udev has handled what changed, at most DISK_WAIT; on a live machine only. */
void disk_settle(const struct cc *cc);

#endif
