/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of ingot-agent. Each has a file of its own and a row in main.c.
 */
#ifndef INGOT_AGENT_VERBS_H
#define INGOT_AGENT_VERBS_H

#include "base/err.h"

#include <stdbool.h>

struct verb_options {
	const char *root; /* "" on a real machine */
	unsigned timeout; /* seconds; 0: the verb's default */
	bool json;
	const char *argument; /* what followed the verb, or NULL */
	bool load;            /* containers: through the engine, which runs */
	bool keys;            /* check-user-data: print the table of settings instead */
	bool initialise;      /* join: this seed may make the swarm in place of the first one */
};

/* Loads the firewall, then tunes the kernel; before any listener starts. Records both below /run/ingot.
 * Tunes even when the firewall failed, and fails if one of the two did. Needs root. */
int verb_boot(const struct verb_options *options, struct err *err);

/* Makes the machine a member of its cluster; returns when it is one. Blocks for ever while it cannot
 * (with a timeout: that long, then the last error). Needs root (the engine's socket). */
int verb_join(const struct verb_options *options, struct err *err);

/* Serves the cluster as long as it runs, on managers whose settings name one: answers machines that want to join,
 * copies engine labels into node labels, removes dead managers that were replaced, publishes what changed. Ends at
 * once (0) on any other machine. Needs root. */
int verb_serve(const struct verb_options *options, struct err *err);

/* Waits until the role is healthy on this machine. Fails (ERR_TEST) when it is not by the timeout
 * (default 300 s) or is broken for good. A remote that is down is not this machine's failure. */
int verb_health(const struct verb_options *options, struct err *err);

/* Prints what this machine is, what it waits for and why, as text or JSON. What cannot be read without
 * root is listed as such. Blocks at most a few seconds. */
int verb_status(const struct verb_options *options, struct err *err);

/* Reboots if this boot is one of a counted entry's tries and another one can follow, so that the boot
 * loader falls back; otherwise says why not and leaves the machine up. Needs root. */
int verb_rollback(const struct verb_options *options, struct err *err);

/* Before the engines start: writes their stores so that they find the containers of this image. With load, when
 * they run: hands them what could not be written. An engine that fails does not keep the other one from its
 * containers. Needs root. */
int verb_containers(const struct verb_options *options, struct err *err);

/* Prints what the metadata source of this boot said (see struct instance), or with an argument the value of one key;
 * "user-data", "vendor-data" and "network-config" need root. Blocks for no longer than it reads a file. */
int verb_query(const struct verb_options *options, struct err *err);

/* Says what is wrong in the file of user-data that is the argument: problems go to standard error as a compiler
 * prints them, then ERR_PROFILE. What it includes is not fetched. With keys: prints the table of our own settings
 * (Markdown). Needs no root, writes nothing. */
int verb_check_user_data(const struct verb_options *options, struct err *err);

/* Makes the machine what its metadata source says. argument: "local" (before the network), "network" (when the source
 * needs it; timeout is how long it may take to answer, default 60 s) or "final" (when all else runs: commands of the
 * user). Goes on after what is wrong; then ERR_PROFILE (user-data), ERR_NETWORK (the source is silent: try again) or
 * ERR_OTHER (this machine). Needs root. Blocks as long as the user's commands do. */
int verb_provision(const struct verb_options *options, struct err *err);

#endif
