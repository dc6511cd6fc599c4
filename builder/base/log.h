/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user sees while work goes on: steps with time and bytes. On a terminal a live line, else
 * plain lines, with --json one NDJSON event per line on standard output (schema version 1, see
 * README). Everything else goes to standard error. May be called from several threads.
 */
#ifndef INGOT_BASE_LOG_H
#define INGOT_BASE_LOG_H

#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

enum log_color { LOG_COLOR_AUTO, LOG_COLOR_ALWAYS, LOG_COLOR_NEVER };

struct log_options {
	int verbosity; /* -1 quiet (errors only), 0 normal, 1 -v, 2 -vv */
	bool json;
	enum log_color color;
};

/* Sets how to print; before it, normal plain lines. Call once, before threads start. */
void log_open(const struct log_options *options);

/* True when events are written as NDJSON to standard output. */
bool log_is_json(void);

/* Verbosity as given to log_open. */
int log_verbosity(void);

/* One line for the user (verbosity >= 0). */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One line with "warning: " (verbosity >= 0; always an event with --json). */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One line for -v. */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A running step; borrowed names must live until log_step_end. */
struct log_step {
	const char *name;    /* "packages" */
	const char *subject; /* profile or image it is for, or NULL */
	double started;
	uint64_t bytes, total; /* progress; total 0 when unknown */
	char detail[96];
};

/* Starts a step: event "step-started"; the live line shows it. */
void log_step_begin(struct log_step *step, const char *name, const char *subject);

/* Tells how far it is (total 0: unknown) and, when detail is not NULL, what it is at. Cheap: prints
 * at most ten times a second. */
void log_step_progress(struct log_step *step, uint64_t bytes, uint64_t total, const char *detail);

enum log_outcome { LOG_DONE, LOG_CACHED, LOG_FAILED };

/* Ends the step: one line "name subject  detail  bytes  seconds" and event "step-finished". */
void log_step_end(struct log_step *step, enum log_outcome outcome);

/* Writes an event with --json (nothing otherwise): {"v":1,"event":name,"time":..., members}. Takes
 * the reference of members (an object or NULL). */
void log_event(const char *name, json_t *members);

/* Prints an error once: "ingot: message" and a hint line on standard error, and with --json an event
 * "error" with code. prog is "ingot" or "ingot-agent". */
void log_error(const char *prog, const struct err *err);

#endif
