/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting until a machine does what its role is there for.
 */
#ifndef INGOT_VM_READY_H
#define INGOT_VM_READY_H

#include "base/err.h"
#include "vm/vm.h"

#include <stdbool.h>

struct vm_ready {
	bool kvm;   /* as in vm_options: limits are longer without */
	bool swarm; /* the role joins a swarm */
	/* Called when a state ("shell", "healthy", "joined") is reached, with the seconds since power-on. */
	void (*reached)(const char *state, double seconds, void *context);
	void *context;
};

/* Waits for the test shell, for a complete boot (the role is healthy) and, for a swarm, until the node is
 * active in it. ERR_TEST when one of these is not reached in time or cannot be reached any more. Blocks. */
int vm_ready_wait(struct vm *vm, const struct vm_ready *ready, struct err *err);

#endif
