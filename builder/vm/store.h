/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of one virtual machine: disk, UEFI variables, console. Without a folder to keep them in they
 * have no name, so that nothing is left behind even when this process is killed. Private to vm/.
 */
#ifndef INGOT_VM_STORE_H
#define INGOT_VM_STORE_H

#include "base/err.h"
#include "vm/tools.h"
#include "vm/vm.h"

struct vm_store {
	int disk, variables; /* read-write */
	int console;         /* read-only; -1 for a console on the terminal */
	int console_writer;  /* the same file, write-only */
};

#define VM_STORE_NONE ((struct vm_store){-1, -1, -1, -1})

/* Makes (or, in options->keep, finds again) the files. A kept disk that was made over another state of
 * the image is refused (ERR_USAGE). Close with vm_store_close. Blocks shortly. */
int vm_store_open(const struct vm_tools *tools, const struct vm_options *options,
		  struct vm_store *store, struct err *err);

/* Closes what is open; usable with CLEANUP(). */
void vm_store_close(struct vm_store *store);

#endif
