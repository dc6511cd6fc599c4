/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a squashfs inside a disk image without mounting it and without root. The image may be hostile:
 * counts, lengths, depths and loops are bounded, links never lead out of the file system.
 */
#ifndef INGOT_DISK_SQUASHREAD_H
#define INGOT_DISK_SQUASHREAD_H

#include "base/err.h"
#include "base/image.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct squashread;

/* What is known of one entry. */
struct squashread_stat {
	mode_t mode; /* with the type, as st_mode */
	uint32_t uid, gid;
	int64_t mtime;
	uint32_t links; /* hard links */
	uint32_t inode; /* number, from 1 */
	uint64_t size;  /* bytes, of regular files; else 0 */
	dev_t device;   /* of device nodes; else 0 */
	uint64_t ref;   /* names the inode to squashread_content and squashread_xattrs */
	uint64_t order; /* reading files in this order reads every compressed block once */
	bool xattrs;    /* it has extended attributes */
	const char
		*target; /* of symbolic links, else NULL; lives as long as the call it comes from */
};

/* What the superblock says. */
struct squashread_info {
	const char *compression; /* "zstd", ...; static */
	uint32_t block;          /* bytes */
	uint64_t inodes;
	uint64_t bytes; /* used by the file system, without padding */
	int64_t time;   /* seconds since 1970 */
};

/* Opens the squashfs at [offset, offset + size) of the image, which must stay open. ERR_VERIFY when it is
 * none or damaged, ERR_TOOL when libsquashfs lacks its compression. Close with squashread_close. */
struct squashread *squashread_open(struct image *image, uint64_t offset, uint64_t size,
				   struct err *err);

/* Closes it; NULL is allowed. */
void squashread_close(struct squashread *reader);

/* For CLEANUP(). */
static inline void squashread_cleanup(struct squashread **reader)
{
	squashread_close(*reader);
}

/* Fills in the facts of the superblock. */
void squashread_get_info(const struct squashread *reader, struct squashread_info *ret);

/* Looks up a path, following symbolic links inside the file system (at most 40). Returns 1 when found, 0
 * when absent, -1 with ERR_VERIFY when the file system is damaged. target is always NULL. Blocks. */
int squashread_find(struct squashread *reader, const char *path, struct squashread_stat *ret,
		    struct err *err);

/* Reads a regular file of at most max bytes into fresh memory (ended by NUL) that the caller frees; links
 * are followed as by squashread_find. *ret is NULL when the path is absent (that is no error). ERR_OTHER
 * when it is no regular file or larger, ERR_VERIFY when the file system is damaged. Blocks. */
int squashread_file(struct squashread *reader, const char *path, size_t max, char **ret,
		    size_t *ret_len, struct err *err);

/* Hands the content of the regular file whose inode is at ref (of a squashread_stat of this reader) to take,
 * in order, at most 1 MiB at a time; holes are zeros. take returns 0 to go on, -1 with err to stop.
 * ERR_VERIFY when the file system is damaged. May be called from a visit of squashread_walk. Blocks. */
int squashread_content(struct squashread *reader, uint64_t ref,
		       int (*take)(const void *bytes, size_t len, void *context, struct err *err),
		       void *context, struct err *err);

/* Appends the extended attributes of the inode at ref to text, as one line "name=hex digits" each, sorted.
 * At most 64 KiB of them; more and damaged ones are ERR_VERIFY. May be called from a visit of
 * squashread_walk. Blocks. */
int squashread_xattrs(struct squashread *reader, uint64_t ref, struct str *text, struct err *err);

/* Calls visit for each entry in depth-first order, a folder before its children, path with a leading
 * slash ("/" for the root). visit returns 0 to go on, -1 with err to stop. ERR_VERIFY when the file
 * system is damaged (a folder that is in two places included). Blocks. */
int squashread_walk(struct squashread *reader,
		    int (*visit)(const char *path, const struct squashread_stat *stat,
				 void *context, struct err *err),
		    void *context, struct err *err);

#endif
