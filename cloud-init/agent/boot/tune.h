/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel settings from the machine's size and role: a table of tuners, a pure function from machine to
 * settings, and a function that applies them below the agent's root.
 */
#ifndef INGOT_AGENT_TUNE_H
#define INGOT_AGENT_TUNE_H

#include "agent/agent.h"
#include "agent/boot/machine.h"

#define TUNE_MAX 64
#define TUNE_VALUE_SIZE 64

enum tune_mode {
	TUNE_SET,    /* write the value */
	TUNE_RAISE,  /* write the number unless what is there is larger already */
	TUNE_CHOOSE, /* one of the words that the kernel offers; it may not have this one */
};

/* One tunable. Adding one is adding a row to tuners[]. */
struct tuner {
	const char *key;         /* a sysctl ("net.core.somaxconn") or a path below /sys */
	const char *kind, *role; /* of join, NULL for every one */
	enum tune_mode mode;
	const char *text; /* the value, or what comes before the number */
	uint64_t (*number)(const struct machine *machine); /* or NULL */
	const char *needs; /* folder of the module or feature; without it the row does not apply */
	const char *why;
};

/* Ended by a row with a NULL key. */
extern const struct tuner tuners[];

struct tune_setting {
	const struct tuner *tuner;
	char value[TUNE_VALUE_SIZE];
};

/* The settings of a machine with that role, in the order of the table; returns how many. Pure. */
size_t tune_compute(const struct machine *machine, const char *kind, const char *role,
		    struct tune_setting settings[TUNE_MAX]);

/* Writes the settings, except those that the profile sets itself (/usr/lib/sysctl.d/60-ingot.conf), and
 * appends for each {key, value, was, state, why} to results; state is "set", "kept" (was so or larger),
 * "profile", "absent" (its module or feature is not there, "detail" says which) or "failed" ("detail"
 * says why). Goes on after a failure and then returns -1 with the first one. Needs root on a real
 * machine. */
int tune_apply(const struct agent *agent, const struct tune_setting *settings, size_t count,
	       json_t *results, struct err *err);

/* Reads the keys of a sysctl.d(5) file's text into keys (appended), dots as separators, a leading "-"
 * removed; wildcards stay. */
void tune_parse_sysctl(const char *text, struct strv *keys);

#endif
