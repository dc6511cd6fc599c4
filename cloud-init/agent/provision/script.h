/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of user-data: they run as root, with the unit's output, below the agent's root. What was begun and did not
 * end (a power cut, a reboot by the script itself) is told and not begun again.
 */
#ifndef INGOT_AGENT_SCRIPT_H
#define INGOT_AGENT_SCRIPT_H

#include "agent/provision/cloudconfig.h"
#include "agent/userdata/userdata.h"

#define SCRIPT_FOLDER AGENT_RUN "/scripts"

/* Appends a word as sh(1) reads it back: in single quotes. Pure. */
void script_quote(struct str *text, const char *word);

/* Makes one sh(1) script of a list of commands (texts, or lists of words); each that fails notes its number (from 1)
 * and exit code in the file failures. Wrong items are told and left out. */
void script_build(struct cc *cc, const struct doc_node *list, const char *key, const char *failures,
		  struct str *ret);

/* Writes text to SCRIPT_FOLDER/name and runs it; *ret_exit is its exit code, or 128 + signal. -1 when it cannot be
 * started. Blocks as long as it runs. */
int script_run(struct cc *cc, const char *name, const char *text, size_t len, int *ret_exit,
	       struct err *err);

/* Runs the scripts of user-data that belong into this stage: boothooks early, the others in CC_FINAL. */
void script_run_all(struct cc *cc, const struct userdata *userdata, enum cc_stage stage);

#endif
