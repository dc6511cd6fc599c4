/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error value: setting, wrapping, hints. Messages that do not fit are cut, never overrun.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct err_code_row err_codes[] = {
	{0, "ok", "done"},
	{ERR_OTHER, "other",
	 "any failure without a code of its own (input/output, a child failed)"},
	{ERR_USAGE, "usage", "wrong verb, option or argument"},
	{ERR_PROFILE, "profile", "the profile, an overlay or another input file is wrong"},
	{ERR_NETWORK, "network", "a repository, registry or daemon could not be reached"},
	{ERR_VERIFY, "verify", "a digest, signature or format check failed"},
	{ERR_TOOL, "tool", "a needed program, library, privilege or firmware is missing"},
	{ERR_SPACE, "space", "disk full or quota reached"},
	{ERR_TEST, "test", "the image booted but a test of it failed"},
	{ERR_LINT, "lint", "the image holds something that no image may hold"},
	{ERR_INTERRUPTED, "interrupted", "stopped by SIGINT, SIGTERM or SIGHUP"},
	{0, NULL, NULL},
};

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	err->code = code;
	err->hint[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return -1;
}

int err_sys(struct err *err, int errnum, const char *fmt, ...)
{
	va_list ap;
	size_t used;

	if (!err)
		return -1;
	err->code = errnum == ENOSPC || errnum == EDQUOT ? ERR_SPACE : ERR_OTHER;
	err->hint[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	used = strlen(err->msg);
	snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", strerror(errnum));
	return -1;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char head[sizeof(err->msg)];
	char tail[sizeof(err->msg)];
	va_list ap;
	size_t used;

	if (!err)
		return -1;
	if (!err->code)
		err->code = ERR_OTHER;
	va_start(ap, fmt);
	vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	memcpy(tail, err->msg, sizeof(tail));
	used = strlen(head);
	memcpy(err->msg, head, used + 1);
	/* A message that is too long loses its end. */
	if (snprintf(err->msg + used, sizeof(err->msg) - used, ": %s", tail) < 0)
		err->msg[used] = 0;
	return -1;
}

int err_hint(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
	return -1;
}

void err_clear(struct err *err)
{
	if (!err)
		return;
	err->code = 0;
	err->msg[0] = '\0';
	err->hint[0] = '\0';
}
