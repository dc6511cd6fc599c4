/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes: argument arrays only, never a shell; their output is bounded and kept for the
 * error message.
 */
#ifndef INGOT_BASE_PROC_H
#define INGOT_BASE_PROC_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct proc {
	const char *const *argv; /* ended by NULL; argv[0] is looked up in PATH */
	const char *const
		*env;       /* "NAME=value" added to (or replacing) ours, ended by NULL, or NULL */
	const char *cwd;    /* or NULL */
	int stdin_fd;       /* 0 means /dev/null; borrowed */
	int stdout_fd;      /* where standard output goes; 0: into output. Borrowed */
	struct str *output; /* collects standard output (when stdout_fd is 0), or NULL */
	size_t output_max;  /* bytes; 0 means 64 MiB; more is an error */
	/* Called for each line of standard error (and of standard output when stdout_fd is 0 and
	 * output is NULL), without the newline; may be NULL. */
	void (*line)(const char *text, void *context);
	void *context;
	/* For programs that signal their process group: a group of its own, which the terminal's Ctrl-C does not
	 * reach either. */
	bool own_group;
};

/* Runs the program and waits. An exit code other than 0 is ERR_OTHER with the last lines of its
 * standard error in the message; a program that is not installed is ERR_TOOL. A signal
 * from the terminal reaches the child, too, if it has no group of its own. The child dies with us
 * (PR_SET_PDEATHSIG). */
int proc_run(const struct proc *p, struct err *err);

/* Finds a program in PATH; returns its path (caller frees) or NULL. */
char *proc_find(const char *name);

/* Unprivileged users cannot see sbin in PATH on Debian: adds the sbin folders to PATH. Call once at
 * start. */
void proc_fix_path(void);

#endif
