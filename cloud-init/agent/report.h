/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent says: STATUS= to systemd (sd_notify(3)) and structured entries in the journal with
 * INGOT_STEP=, INGOT_ERROR=, INGOT_KIND=, INGOT_ROLE=; without a journal plain lines on stderr.
 */
#ifndef INGOT_AGENT_REPORT_H
#define INGOT_AGENT_REPORT_H

#include "base/err.h"

#include <stdbool.h>

struct report {
	const char *kind, *role; /* for the journal's fields; borrowed, may be NULL */
	bool quiet;              /* no plain lines on stderr (systemd is still told) */
	char last[512];          /* the status told last, so that it is said once */
};

/* Tells systemd the one-line status; no-op without $NOTIFY_SOCKET. Equal text is not told twice. */
void report_status(struct report *report, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Tells systemd that the unit is up (READY=1) and waits until it knows (at most 5 s). */
void report_ready(void);

/* One journal entry. priority is one of syslog(3)'s; step is the step that it is about; cause, when not
 * NULL, is the error behind it (its text becomes INGOT_ERROR= and is appended to the line, or is the line). */
void report_log(const struct report *report, int priority, const char *step,
		const struct err *cause, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#endif
