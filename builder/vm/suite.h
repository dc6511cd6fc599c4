/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests of an image: it boots, is what it claims to be, survives a reboot, is another machine when
 * it is booted again, and refuses to come up when a bit of it is wrong.
 */
#ifndef INGOT_VM_SUITE_H
#define INGOT_VM_SUITE_H

#include "base/err.h"
#include "vm/vm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A test of the profile. */
struct vm_test {
	const char *name;
	const char *run;    /* shell command for the guest; exit code 0 passes */
	const char *expect; /* text that the output must contain, or NULL */
	unsigned seconds;   /* at most, on a machine with KVM; 0: 60 */
};

struct vm_suite {
	const struct vm_tools *tools;
	const struct vm_options
		*machine; /* image, kvm, memory, cpus; the rest is up to the suite */
	const struct vm_test *tests;
	size_t test_count;
	bool swarm;                     /* the role joins a swarm */
	bool quick;                     /* only the first boot */
	const char *only;               /* only checks whose name contains this, or NULL */
	const struct vm_damage *damage; /* a byte that only verification can notice */

	/* What comes out, in order. Texts are borrowed; why is "" for a check that passed. */
	void (*result)(bool passed, const char *name, const char *why, void *context);
	void (*note)(const char *text, void *context);
	/* A machine ends ("boot", "second", "damage"); failed when one of its checks did. */
	void (*finished)(const struct vm *vm, const char *machine, bool failed, void *context);
	void *context;
};

/* Runs all phases one after the other; checks that fail do not stop it. *ret_failed is the number of
 * failed checks. Fails itself only when the machines cannot be started at all. Blocks for minutes. */
int vm_suite_run(const struct vm_suite *suite, unsigned *ret_failed, struct err *err);

#endif
