/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks that every image has to pass, as a table. Private to vm/.
 */
#ifndef INGOT_VM_CHECKS_H
#define INGOT_VM_CHECKS_H

#include "base/err.h"
#include "base/str.h"
#include "vm/suite.h"

#include <stdbool.h>
#include <stddef.h>

struct vm_check {
	const char *name;
	const char *run; /* shell command for the guest; exit code 0 passes */
	/* Judges the output when the exit code is 0: true passes, else why (appended) says why not.
	 * NULL: the exit code decides. */
	bool (*judge)(const char *output, struct str *why);
	bool swarm; /* only for roles that join a swarm */
	bool again; /* also after the reboot */
	unsigned
		wait; /* seconds (with KVM) during which it may become true; 0: it must be at once */
};

/* Every check, in order, ended by a row with a NULL name. */
extern const struct vm_check vm_checks[];

/* Waits, in the guest, until the boot is complete; fails as soon as it cannot become so. */
extern const char vm_check_boot_complete[];

/* What identifies a machine: one line per fact. Two machines must differ in each line. */
extern const char vm_check_identity[];

/* Checks whether each line of two texts of vm_check_identity is equal (same) or different (!same);
 * why (appended) names the first line that is not as it should. */
bool vm_check_identities(const char *a, const char *b, bool same, struct str *why);

/* Reads the JSON of `ingot-agent status --json`: true when the role is healthy. */
bool vm_check_healthy(const char *output, struct str *why);

/* The same: true when the machine is an active node of a swarm and the agent noted that it joined. */
bool vm_check_swarm(const char *output, struct str *why);

#endif
