/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status lines and journal entries by libsystemd.
 */
#include "agent/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
/* Code locations would be the lines of this file: they say nothing. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

void report_status(struct report *report, const char *fmt, ...)
{
	char text[sizeof(report->last)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A newline would end the assignment and start another one. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	if (strcmp(text, report->last) == 0)
		return;
	memcpy(report->last, text, sizeof(text));
	sd_notifyf(0, "STATUS=%s", text);
}

void report_ready(void)
{
	sd_notify(0, "READY=1");
	/* We may end right after this: let systemd read it while it can still tell who we are. */
	sd_notify_barrier(0, 5000000);
}

void report_log(const struct report *report, int priority, const char *step,
		const struct err *cause, const char *fmt, ...)
{
	char text[1024];
	const char *why = cause ? cause->msg : "", *colon;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	colon = *text && *why ? ": " : "";
	/* The journal is for services; who runs a verb by hand wants to see it. */
	if (getenv("JOURNAL_STREAM") &&
	    sd_journal_send("MESSAGE=%s%s%s", text, colon, why, "PRIORITY=%d", priority,
			    "SYSLOG_IDENTIFIER=ingot-agent", "INGOT_STEP=%s", step, "INGOT_KIND=%s",
			    report->kind ? report->kind : "", "INGOT_ROLE=%s",
			    report->role ? report->role : "", "INGOT_ERROR=%s", why, NULL) == 0)
		return;
	if (!report->quiet || priority <= LOG_ERR)
		fprintf(stderr, "ingot-agent: %s%s%s\n", text, colon, why);
}
