/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One machine of a cluster: a thread that follows it from power-on to joined, through reboots, and runs commands
 * in it. Private to vm/.
 */
#ifndef INGOT_VM_MEMBER_H
#define INGOT_VM_MEMBER_H

#include "base/err.h"
#include "base/str.h"
#include "vm/cluster.h"

#include <pthread.h>
#include <stdbool.h>

enum member_state {
	MEMBER_ON,
	MEMBER_SHELL,   /* its root is up */
	MEMBER_JOINED,  /* an active node; only for roles that join */
	MEMBER_HEALTHY, /* the boot is complete: nothing is awaited any more */
	MEMBER_OFF,     /* switched off from inside */
	MEMBER_FAILED,
};
#define MEMBER_STATES (MEMBER_FAILED + 1)

/* "on", "shell", "joined", "healthy", "off", "failed". */
extern const char *const member_state_names[MEMBER_STATES];

/* What is known about a machine; a value that can be copied. */
struct member_report {
	enum member_state state;
	unsigned boots;                /* from 1 */
	bool reached[MEMBER_STATES];   /* in this boot */
	double seconds[MEMBER_STATES]; /* when, since this boot began */
	char waits_for[512];           /* what the agent says, or "" */
	char why[2048];                /* of MEMBER_FAILED */
};

/* A command for the machine and what came of it. */
struct member_job {
	char *command; /* NULL: there is none */
	unsigned seconds;
	bool done;
	int exit;
	struct str output;
	struct err err; /* err.code is 0 when the command was run */
};

struct member;

/* Starts the machine and its thread. link is the machine's end of the network, console the file for its console.
 * wake (an eventfd) is written to whenever there is news. NULL on errors; end with member_free. */
struct member *member_start(const struct cluster_options *options,
			    const struct cluster_member *what, int link, const char *console,
			    int wake, struct err *err);

/* Kills the machine, ends the thread and frees all of it; NULL is allowed. */
void member_free(struct member *member);

/* Kills the machine, but does not wait: for ending many. */
void member_kill(struct member *member);

/* A copy of what is known. */
struct member_report member_report(struct member *member);

/* True once nothing is awaited any more. */
bool member_is_ready(const struct member_report *report);

/* The process id of its QEMU, 0 once that has ended. */
int member_pid(struct member *member);

/* Hands a shell command to the machine, to run for at most seconds; false while another one runs. */
bool member_run(struct member *member, const char *command, unsigned seconds);

/* Takes the result of member_run: true when there is one. The caller frees command and output. */
bool member_take(struct member *member, struct member_job *ret);

#endif
