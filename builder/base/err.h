/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error value. It lives on the caller's stack, is the last parameter of every function that
 * can fail, and gains context on the way up. Only main() prints it.
 */
#ifndef INGOT_BASE_ERR_H
#define INGOT_BASE_ERR_H

/* Values are the exit codes of the program; the README's table is checked against err_codes[]. */
enum err_code {
	ERR_OTHER = 1,
	ERR_USAGE = 2,
	ERR_PROFILE = 3,
	ERR_NETWORK = 4,
	ERR_VERIFY = 5,
	ERR_TOOL = 6,
	ERR_SPACE = 7,
	ERR_TEST = 8,
	ERR_LINT = 9,
	ERR_INTERRUPTED = 10,
};

struct err {
	int code; /* enum err_code; 0 when nothing failed */
	char msg[2048];
	char hint[512];
};

struct err_code_row {
	int code;
	const char *name;
	const char *meaning;
};

/* Every exit code with its name and meaning, ended by a row with a NULL name. */
extern const struct err_code_row err_codes[];

/* Sets the error and its message (no full stop, "cannot verb 'thing': cause"). A NULL err is
 * allowed. Always returns -1, so that a caller can write `return err_set(...)`. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Like err_set with ": <text of errnum>" appended; the code is ERR_SPACE for ENOSPC and EDQUOT,
 * else ERR_OTHER. Returns -1. */
int err_sys(struct err *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "<text>: " before the message that is already there. Returns -1. */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sets the hint: one sentence that says what the user can do. Returns -1. */
int err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Forgets the error; for callers that handle it. */
void err_clear(struct err *err);

#endif
