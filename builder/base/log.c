/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress and messages. One lock keeps lines whole; the live line of a terminal is drawn last and
 * erased before anything else is printed.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_SECONDS 0.1
#define PLAIN_SECONDS 20.0 /* how often a long step says that it lives, without a terminal */
#define EVENT_SECONDS 1.0

static struct log_options options;
static bool terminal, colored, live;
static double last_draw;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void log_open(const struct log_options *how)
{
	const char *term = getenv("TERM");
	bool dumb = !term || strcmp(term, "dumb") == 0;

	options = *how;
	terminal = isatty(STDERR_FILENO) && !dumb && !options.json && options.verbosity >= 0;
	colored = options.color == LOG_COLOR_ALWAYS ||
		  (options.color == LOG_COLOR_AUTO && isatty(STDERR_FILENO) && !dumb &&
		   !getenv("NO_COLOR"));
	if (terminal)
		setvbuf(stderr, NULL, _IOLBF, 8192);
}

bool log_is_json(void)
{
	return options.json;
}

int log_verbosity(void)
{
	return options.verbosity;
}

static const char *paint(const char *code)
{
	return colored ? code : "";
}

#define BOLD paint("\033[1m")
#define RED paint("\033[1;31m")
#define YELLOW paint("\033[33m")
#define DIM paint("\033[2m")
#define PLAIN paint("\033[0m")

/* The callers hold the lock in all functions that end in _locked. */
static void erase_locked(void)
{
	if (live)
		fputs("\r\033[K", stderr);
	live = false;
}

static void event_locked(const char *name, json_t *members)
{
	json_t *event = members ? members : json_object();
	struct timespec now;
	char *line;

	clock_gettime(CLOCK_REALTIME, &now);
	json_object_set_new(event, "v", json_integer(1));
	json_object_set_new(event, "event", json_string(name));
	json_object_set_new(event, "time",
			    json_real((double)now.tv_sec + (double)(now.tv_nsec / 1000000) / 1e3));
	line = json_line(event);
	printf("%s\n", line);
	fflush(stdout);
	free(line);
	json_decref(event);
}

/* Messages name what comes from outside: no control character of it reaches the terminal (but the ends of lines,
 * which messages of several lines have) and no event is lost by it. */
static char *printable(const char *text)
{
	struct str s = {0};

	while (*text) {
		size_t len = strcspn(text, "\n\t");

		str_add_utf8(&s, text, len);
		text += len;
		if (*text)
			str_add_bytes(&s, text++, 1);
	}
	return str_steal(&s);
}

void log_event(const char *name, json_t *members)
{
	if (!options.json) {
		json_decref(members);
		return;
	}
	pthread_mutex_lock(&lock);
	event_locked(name, members);
	pthread_mutex_unlock(&lock);
}

static void message(const char *level, int needed, const char *color, const char *prefix,
		    const char *fmt, va_list ap) __attribute__((format(printf, 5, 0)));

static void message(const char *level, int needed, const char *color, const char *prefix,
		    const char *fmt, va_list ap)
{
	char *raw = NULL, *text;

	if (options.verbosity < needed && !options.json)
		return;
	if (vasprintf(&raw, fmt, ap) < 0)
		return;
	text = printable(raw);
	free(raw);
	pthread_mutex_lock(&lock);
	if (options.json) {
		event_locked("message", json_pack("{s:s, s:s}", "level", level, "text", text));
	} else {
		erase_locked();
		fprintf(stderr, "%s%s%s%s\n", color, prefix, *color ? PLAIN : "", text);
	}
	pthread_mutex_unlock(&lock);
	free(text);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message("info", 0, "", "", fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message("warning", 0, YELLOW, "warning: ", fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (options.verbosity >= 1)
		message("debug", 1, DIM, "", fmt, ap);
	va_end(ap);
}

static json_t *step_json(const struct log_step *step)
{
	json_t *o = json_pack("{s:s}", "step", step->name);

	if (step->subject)
		json_object_set_new(o, "profile", json_string(step->subject));
	return o;
}

void log_step_begin(struct log_step *step, const char *name, const char *subject)
{
	*step = (struct log_step){.name = name, .subject = subject, .started = clock_monotonic()};
	if (options.json)
		log_event("step-started", step_json(step));
	else
		log_step_progress(step, 0, 0, NULL);
}

static void draw_locked(const struct log_step *step, double now)
{
	char size[16], total[16];
	struct str line = {0};

	str_addf(&line, "  %-12s %s", step->name, step->subject ? step->subject : "");
	if (step->total)
		str_addf(&line, "  %s of %s", size_format(step->bytes, size),
			 size_format(step->total, total));
	else if (step->bytes)
		str_addf(&line, "  %s", size_format(step->bytes, size));
	str_addf(&line, "  %.0f s  %s", now - step->started, step->detail);
	if (terminal)
		fprintf(stderr, "\r\033[K%s%.110s%s", DIM, line.data, PLAIN);
	else
		fprintf(stderr, "%s\n", line.data);
	fflush(stderr);
	live = terminal;
	str_free(&line);
}

void log_step_progress(struct log_step *step, uint64_t bytes, uint64_t total, const char *detail)
{
	double now = clock_monotonic();
	double pause = options.json ? EVENT_SECONDS : terminal ? REDRAW_SECONDS : PLAIN_SECONDS;

	pthread_mutex_lock(&lock);
	step->bytes = bytes;
	step->total = total;
	if (detail)
		snprintf(step->detail, sizeof(step->detail), "%s", detail);
	/* Without a terminal a step speaks only once it has lasted a while. */
	if (now - last_draw >= pause && (terminal || now - step->started >= pause) &&
	    options.verbosity >= 0) {
		last_draw = now;
		if (options.json) {
			json_t *o = step_json(step);

			json_object_set_new(o, "bytes", json_integer((json_int_t)bytes));
			json_object_set_new(o, "total", json_integer((json_int_t)total));
			json_object_set_new(o, "detail", json_string(step->detail));
			event_locked("step-progress", o);
		} else {
			draw_locked(step, now);
		}
	}
	pthread_mutex_unlock(&lock);
}

void log_step_end(struct log_step *step, enum log_outcome outcome)
{
	static const char *const words[] = {"done", "cached", "failed"};
	double seconds = clock_monotonic() - step->started;
	char size[16];

	pthread_mutex_lock(&lock);
	if (options.json) {
		json_t *o = step_json(step);

		json_object_set_new(o, "outcome", json_string(words[outcome]));
		json_object_set_new(o, "seconds", json_real((double)(long)(seconds * 1e3) / 1e3));
		json_object_set_new(o, "bytes", json_integer((json_int_t)step->bytes));
		event_locked("step-finished", o);
	} else if (options.verbosity >= 0) {
		erase_locked();
		fprintf(stderr, "  %s%-12s%s %-24s %6.2f s  %10s  %s%s%s\n", BOLD, step->name,
			PLAIN, step->subject ? step->subject : "", seconds,
			step->bytes ? size_format(step->bytes, size) : "",
			outcome == LOG_FAILED ? RED : "", words[outcome],
			outcome == LOG_FAILED ? PLAIN : "");
	}
	pthread_mutex_unlock(&lock);
}

static const char *code_name(int code)
{
	for (const struct err_code_row *row = err_codes; row->name; row++)
		if (row->code == code)
			return row->name;
	return "other";
}

void log_error(const char *prog, const struct err *err)
{
	CLEANUP_FREE char *text = printable(err->msg);
	CLEANUP_FREE char *hint = printable(err->hint);

	pthread_mutex_lock(&lock);
	erase_locked();
	if (options.json)
		event_locked("error", json_pack("{s:i, s:s, s:s, s:s}", "code", err->code, "kind",
						code_name(err->code), "text", text, "hint", hint));
	fprintf(stderr, "%s%s:%s %s\n", RED, prog, PLAIN, text);
	if (*hint)
		fprintf(stderr, "%shint:%s %s\n", BOLD, PLAIN, hint);
	pthread_mutex_unlock(&lock);
}
