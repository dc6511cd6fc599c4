/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors: whole reads and writes, files that appear only when they are complete.
 */
#ifndef INGOT_BASE_FD_H
#define INGOT_BASE_FD_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Closes *fd if it is open and sets it to -1; errno is kept. Usable with CLEANUP(). */
void fd_close(int *fd);

#define CLEANUP_FD CLEANUP(fd_close)

/* Moves a descriptor out of a variable that has a cleanup attribute. */
static inline int fd_steal(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Writes all of the bytes at the current position; name is for the message. Blocks. */
int fd_write(int fd, const void *bytes, size_t len, const char *name, struct err *err);

/* Writes all of the bytes at offset (bytes from the start of the file). Blocks. */
int fd_pwrite(int fd, const void *bytes, size_t len, uint64_t offset, const char *name,
	      struct err *err);

/* Reads exactly len bytes at offset; an early end is an error (ERR_VERIFY, "truncated"). */
int fd_pread(int fd, void *bytes, size_t len, uint64_t offset, const char *name, struct err *err);

/* Copies length bytes inside the kernel where it can (copy_file_range), else through memory. The
 * target's holes are not kept. Both offsets are bytes. */
int fd_copy(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t length,
	    const char *name, struct err *err);

/* Reads a whole file of at most max bytes into content (appended). ERR_OTHER when it is larger. */
int fd_read_file(const char *path, size_t max, struct str *content, struct err *err);

/* Size of the open regular file in bytes. */
int fd_size(int fd, const char *name, uint64_t *ret_size, struct err *err);

/* Raises the soft limit of open files (RLIMIT_NOFILE) so far that count more can be opened, and some besides. When
 * the hard limit forbids it, ERR_OTHER with a hint. */
int fd_make_room(size_t count, struct err *err);

/* A file under construction: written as "<path>.<pid>.<n>.tmp" in the same directory and renamed
 * when it is complete. Files that are not finished are unlinked by outfile_abandon, at exit and on
 * SIGINT/SIGTERM/SIGHUP (see outfile_unlink_all). */
struct outfile {
	int fd; /* read-write, -1 when not open */
	char *path, *temp;
};

#define OUTFILE_NONE ((struct outfile){.fd = -1})

/* Creates the temporary file with mode 0666 less umask. The folder must exist. */
int outfile_open(struct outfile *out, const char *path, struct err *err);

/* As outfile_open with mode 0600 (less umask): nobody else could ever open it, also while it is unfinished. */
int outfile_open_private(struct outfile *out, const char *path, struct err *err);

/* Syncs, renames to the final name and syncs the folder. With sync false nothing is synced: for
 * caches, whose entries are verified otherwise. On error the temporary file is gone. */
int outfile_finish(struct outfile *out, bool sync, struct err *err);

/* As outfile_finish with sync, but a file that has the final name already stays, and is an error. */
int outfile_finish_new(struct outfile *out, struct err *err);

/* Unlinks the temporary file if outfile_finish was not reached. Usable with CLEANUP(). */
void outfile_abandon(struct outfile *out);

/* Unlinks every unfinished file of this process; async-signal-safe. For signal handlers. */
void outfile_unlink_all(void);

/* True for a name (without folder) that outfile_open gives to an unfinished file of any process: what a
 * killed one leaves behind can be told by it. */
bool outfile_is_temp(const char *name);

/* Writes bytes to path by way of a temporary file; synced when sync is set. */
int outfile_write(const char *path, const void *bytes, size_t len, bool sync, struct err *err);

#endif
