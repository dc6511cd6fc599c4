/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of struct vm and the command line of QEMU. Private to vm/.
 */
#ifndef INGOT_VM_MACHINE_H
#define INGOT_VM_MACHINE_H

#include "base/err.h"
#include "base/str.h"
#include "vm/child.h"
#include "vm/vm.h"

#include <stdbool.h>

struct vm {
	struct vm_child child;
	double started;    /* clock_monotonic() */
	int console;       /* read-only, -1 on the terminal */
	int qmp, shell;    /* our ends of socket pairs; -1 when there is none or it closed */
	struct str qmp_in; /* what was received and not yet looked at */
	struct str shell_in;
	unsigned resets;
	bool shut_down; /* QEMU said that the guest ended */
	char boot_id[64];
	unsigned hellos, hellos_seen; /* starts of the test shell */
};

/* The open files that QEMU inherits, by number; -1 for none. */
struct vm_files {
	int disk, variables, console, qmp, shell;
};

/* Appends the command line for QEMU, argv[0] included. ERR_USAGE for a bad forward or credential. Does
 * no I/O. */
int vm_machine_arguments(const struct vm_tools *tools, const struct vm_options *options,
			 const struct vm_files *files, struct strv *argv, struct err *err);

/* The credentials that start the test shell; *ret_count of them, constant. */
const struct vm_credential *vm_guest_credentials(size_t *ret_count);

/* A complete answer of the test shell. */
struct vm_answer {
	int exit;
	const char *output; /* base64, borrowed from the line */
	size_t output_len;
};

/* Reads an answer line (ended by NUL) to the command with the id. False when it is not one. */
bool vm_guest_parse_answer(const char *line, const char *id, struct vm_answer *ret);

/* Appends the text without control characters, escape sequences and empty lines. */
void vm_console_clean(const char *raw, size_t len, struct str *text);

/* Takes one complete line out of buffer: returns it (caller frees) or NULL. */
char *vm_take_line(struct str *buffer);

#endif
