/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest wrote on its serial console: for searching, for keeping, and for error messages.
 */
#include "vm/vm.h"

#include "base/fd.h"
#include "base/mem.h"
#include "vm/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPLAIN_LINES 12
#define EXPLAIN_BYTES 16384

void vm_console(const struct vm *vm, size_t max, struct str *text)
{
	CLEANUP_FREE char *bytes = NULL;
	struct stat st;
	ssize_t n;

	if (vm->console < 0 || fstat(vm->console, &st) < 0)
		return;
	if ((uint64_t)st.st_size < max)
		max = (size_t)st.st_size;
	bytes = mem_alloc(max);
	n = pread(vm->console, bytes, max, st.st_size - (off_t)max);
	/* A guest may print NULs; the text is searched as a string. */
	for (ssize_t i = 0; i < n; i++)
		if (bytes[i] == '\0')
			bytes[i] = ' ';
	if (n > 0)
		str_add_bytes(text, bytes, (size_t)n);
}

int vm_console_save(const struct vm *vm, const char *path, struct err *err)
{
	CLEANUP(outfile_abandon) struct outfile out = OUTFILE_NONE;
	uint64_t size;

	if (vm->console < 0)
		return err_set(err, ERR_OTHER, "cannot keep the console log: there is none");
	if (fd_size(vm->console, "console", &size, err) < 0 || outfile_open(&out, path, err) < 0 ||
	    fd_copy(vm->console, 0, out.fd, 0, size, path, err) < 0)
		return err_wrap(err, "cannot keep the console log");
	return outfile_finish(&out, false, err);
}

void vm_console_clean(const char *raw, size_t len, struct str *text)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)raw[i];

		if (c == '\033') {
			/* ECMA-48: CSI, then parameters up to a byte from '@' to '~'. */
			if (i + 1 < len && raw[i + 1] == '[')
				for (i += 2; i < len && (raw[i] < '@' || raw[i] > '~'); i++)
					;
			else
				i++;
		} else if (c == '\n' || c == '\t' || (c >= 32 && c != 127)) {
			/* Firmware draws over the screen: many empty lines say nothing. */
			if (c != '\n' || (text->len && text->data[text->len - 1] != '\n'))
				str_add_bytes(text, &raw[i], 1);
		}
	}
}

int vm_console_explain(const struct vm *vm, struct err *err)
{
	CLEANUP(str_free) struct str raw = {0}, text = {0};
	const char *from;
	size_t lines = 0, used;

	if (!err)
		return -1;
	vm_console(vm, EXPLAIN_BYTES, &raw);
	vm_console_clean(raw.data ? raw.data : "", raw.len, &text);
	while (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	used = strlen(err->msg);
	if (!text.len) {
		snprintf(err->msg + used, sizeof(err->msg) - used, "; its console is empty");
		return -1;
	}
	for (from = text.data + text.len; from > text.data; from--)
		if (from[-1] == '\n' && ++lines == EXPLAIN_LINES)
			break;
	snprintf(err->msg + used, sizeof(err->msg) - used, "; the last lines of its console:\n%s",
		 from);
	return -1;
}
