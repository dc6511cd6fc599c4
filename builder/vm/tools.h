/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is needed on this machine to run images: QEMU, qemu-img and UEFI firmware.
 */
#ifndef INGOT_VM_TOOLS_H
#define INGOT_VM_TOOLS_H

#include "base/err.h"

#include <stdbool.h>

struct vm_tools {
	char *qemu, *qemu_img; /* paths of the programs */
	unsigned qemu_major;   /* version of QEMU */
	const char *firmware;  /* UEFI code for x86-64, read-only */
	const char *variables; /* the empty variable store that belongs to it */
};

/* Finds the programs in PATH and the firmware at the places where distributions put it. ERR_TOOL,
 * with a hint what to install, when something is missing. Runs QEMU once to ask for its version. Free
 * with vm_tools_free. */
int vm_tools_find(struct vm_tools *tools, struct err *err);

/* Frees what vm_tools_find found; usable with CLEANUP() on a zeroed value. */
void vm_tools_free(struct vm_tools *tools);

/* Reads the major version out of the text of `qemu --version`; 0 when there is none. */
unsigned vm_tools_parse_version(const char *text);

/* The value for QEMU's -cpu that works with this QEMU; a constant string. */
const char *vm_tools_cpu(const struct vm_tools *tools, bool kvm);

#endif
