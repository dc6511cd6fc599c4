/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that runs beside us: started, watched through a pidfd, ended by its own id. It never
 * outlives this process. Private to vm/.
 */
#ifndef INGOT_VM_CHILD_H
#define INGOT_VM_CHILD_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct vm_child {
	pid_t pid;  /* 0: not running */
	int pidfd;  /* readable once the program has ended; -1 when there is none */
	int output; /* what it printed (a memfd), -1 when it prints on our terminal */
	int status; /* of waitpid, once it has ended */
};

#define VM_CHILD_NONE ((struct vm_child){.pidfd = -1, .output = -1})

/* Starts argv (ended by NULL, looked up in PATH). The keep_count descriptors in keep are inherited
 * under their numbers, others are closed. With terminal set it gets our standard streams, else
 * /dev/null as input, and what it prints is kept for vm_child_output. It gets SIGKILL when the
 * calling thread ends. ERR_TOOL when it is not installed. */
int vm_child_start(struct vm_child *child, const char *const *argv, const int *keep,
		   size_t keep_count, bool terminal, struct err *err);

/* Waits at most seconds (0: only looks) for the end. True when the program has ended. */
bool vm_child_wait(struct vm_child *child, double seconds);

/* Kills the program if it runs, waits for it and closes the descriptors. Usable with CLEANUP() on a
 * VM_CHILD_NONE or started value. */
void vm_child_end(struct vm_child *child);

/* Appends the last max bytes of what it printed; nothing for a program on the terminal. */
void vm_child_output(const struct vm_child *child, size_t max, struct str *text);

#endif
