/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of a virtual machine: a qcow2 overlay over the image, which itself stays untouched.
 * Private to vm/.
 */
#ifndef INGOT_VM_DISK_H
#define INGOT_VM_DISK_H

#include "base/err.h"
#include "vm/tools.h"
#include "vm/vm.h"

#include <stdint.h>

/* Creates an overlay over the image at path, size bytes large (0: 8 GiB larger than the image, room
 * for the second slot and for var). ERR_USAGE when size is smaller than the image or QEMU does not read
 * the format. Blocks shortly. */
int vm_disk_create(const struct vm_tools *tools, const struct vm_image *image, const char *path,
		   uint64_t size, struct err *err);

/* Overwrites one byte of disk, an overlay of vm_disk_create that nobody uses. ERR_TOOL when qemu-io
 * is not installed. */
int vm_disk_damage(const char *disk, const struct vm_damage *damage, struct err *err);

#endif
