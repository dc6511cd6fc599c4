/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this machine doing its job? The answer decides whether a boot is marked good, so it must tell what
 * is broken here from what is missing elsewhere.
 */
#ifndef INGOT_AGENT_HEALTH_H
#define INGOT_AGENT_HEALTH_H

#include "agent/agent.h"

/* From good to bad; the worst of all checks counts. */
enum health_verdict {
	HEALTH_OK,
	HEALTH_REMOTE,   /* all is well here, but somebody else is missing */
	HEALTH_STARTING, /* not there yet; bad if it stays so */
	HEALTH_BAD,
};

struct health {
	enum health_verdict verdict;
	char why[512]; /* of the worst check; "" when all is well */
};

/* The name of a verdict: "ok", "remote", "starting", "bad". */
const char *health_name(enum health_verdict verdict);

/* Makes the verdict worse (never better) and says why. */
void health_lower(struct health *health, enum health_verdict verdict, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Asks once: the units, and the role's own truth; with settled, also that systemd has no unit left to
 * start. Waits at most about 30 s, for an engine that hangs. */
void health_probe(const struct agent *agent, bool settled, struct health *ret);

/* What is known from the probes so far. */
struct health_judge {
	double deadline;     /* on clock_monotonic */
	double remote_since; /* 0: no remote is missing */
	unsigned bad;        /* failures in a row */
};

/* Judges the probe made at time now: 1 healthy, or for a minute only a remote was missing; -1 broken
 * twice in a row, or not there yet when the time was over; 0 go on. Pure, so that it can be tested. */
int health_decide(struct health_judge *judge, const struct health *probe, double now);

#endif
