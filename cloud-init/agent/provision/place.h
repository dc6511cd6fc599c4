/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and folders that user-data names, below the agent's root: only where the machine can be written,
 * never through a symbolic link, each file complete or not there.
 */
#ifndef INGOT_AGENT_PLACE_H
#define INGOT_AGENT_PLACE_H

#include "agent/agent.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PLACE_FILE_MAX ((size_t)16 << 20) /* bytes of a file that is read back or appended to */

struct place {
	mode_t mode; /* 07777 */
	uid_t uid;
	gid_t gid;
	bool append; /* to what is there, unless that ends with the same bytes */
	bool sync;   /* on the disk when this returns */
};

/* True when the path is clean, absolute and in a folder that can be written and is not the agent's own. *ret_why
 * (a constant) says why not. Pure. */
bool place_allowed(const char *path, const char **ret_why);

/* True when what is there is gone after a reboot (/etc of a transient image, /run, /tmp). */
bool place_transient(const struct agent *agent, const char *path);

/* Opens the folder, none of whose parts may be a symbolic link (/home and /var/run are known and followed), making
 * missing ones (root, 0755) when make is set. Returns a descriptor or -1 with err. */
int place_open_folder(const struct agent *agent, const char *path, bool make, struct err *err);

/* Writes a file by way of a temporary name in its folder, which is made when it is missing. A symbolic link that has
 * the file's name is replaced, not followed. */
int place_write(const struct agent *agent, const char *path, const void *bytes, size_t len,
		const struct place *place, struct err *err);

/* The same for a text that root owns. */
int place_text(const struct agent *agent, const char *path, const char *text, mode_t mode,
	       struct err *err);

/* Makes path a symbolic link to target, replacing a file or link. */
int place_link(const struct agent *agent, const char *path, const char *target, struct err *err);

/* Makes a folder (its parents: root, 0755) and sets owner and mode if it was missing. *ret_made may be NULL. */
int place_folder(const struct agent *agent, const char *path, const struct place *place,
		 bool *ret_made, struct err *err);

#endif
