/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where this machine booted from: the slot of the root, its root hash, and what systemd-boot counts
 * (systemd.io/AUTOMATIC_BOOT_ASSESSMENT, systemd.io/BOOT_LOADER_INTERFACE).
 */
#ifndef INGOT_AGENT_PLATFORM_H
#define INGOT_AGENT_PLATFORM_H

#include "agent/agent.h"

struct platform_slot {
	char letter;         /* 'A', 'B', or 0 when it cannot be told */
	char device[64];     /* "vda2" */
	char label[73];      /* of the partition, "<name>_<version>" */
	char root_hash[129]; /* hex; "" when the root is not verified */
};

struct platform_boot {
	char entry[256]; /* "ingot_1+2-1.efi"; "" when it was no systemd-boot */
	bool counted;    /* this boot used up one of the entry's tries */
	unsigned left;   /* tries that are left after this boot */
	unsigned done;   /* tries used up, this boot included */
};

/* Finds the partition under / and its label, and roothash= of the kernel's command line. */
int platform_slot(const struct agent *agent, struct platform_slot *ret, struct err *err);

/* Reads the boot loader's EFI variables. No such variables is no error: nothing is counted then. */
int platform_boot(const struct agent *agent, struct platform_boot *ret, struct err *err);

/* Reads "name+LEFT-DONE.efi" or "name+LEFT.efi"; false when the name has no counter. Pure. */
bool platform_parse_counter(const char *entry, unsigned *ret_left, unsigned *ret_done);

#endif
