/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox in which mmdebstrap runs: namespaces that die with us, a clean environment, a folder that
 * the next run removes when we are killed. For the files of this folder, and `ingot cache gc`.
 */
#ifndef INGOT_LAYERS_SANDBOX_H
#define INGOT_LAYERS_SANDBOX_H

#include "base/str.h"
#include "cache/cache.h"

struct sandbox {
	char *dir; /* empty at first; the TMPDIR of what runs inside */
	int lock_fd;
};

#define SANDBOX_NONE ((struct sandbox){.lock_fd = -1})

/* Checks that programs and, for an ordinary user, subordinate ids are there; ERR_TOOL with a hint. */
int sandbox_check(struct err *err);

/* Removes the folders that killed runs left; what cannot be removed is a warning. Blocks while it
 * removes. */
void sandbox_sweep(const struct cache *cache);

/* Makes the folder, after sandbox_sweep. */
int sandbox_open(const struct cache *cache, struct sandbox *box, struct err *err);

/* Removes the folder. Usable with CLEANUP(). */
void sandbox_close(struct sandbox *box);

/* Appends the start of a command line that runs the words after it inside: as root of a mount and PID
 * namespace (for an ordinary user also a user namespace) whose processes are all killed when we die,
 * with PATH, LC_ALL, TZ, TMPDIR and the proxy settings as their only environment. box may be NULL for
 * the default TMPDIR. */
void sandbox_command(const struct sandbox *box, struct strv *argv);

#endif
