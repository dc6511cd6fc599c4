/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes pax tar streams (POSIX.1-2017, pax interchange format) by hand: the same bytes with every
 * version of every library, and the offset of each file's data is known exactly.
 */
#ifndef INGOT_TREE_PAX_H
#define INGOT_TREE_PAX_H

#include "base/digest.h"
#include "base/err.h"
#include "tree/tree.h"

#include <stdint.h>

struct pax;

/* Starts a tar on fd (borrowed) at its current position, which counts as offset 0; name is for
 * messages and borrowed. Free with pax_free. */
struct pax *pax_new(int fd, const char *name);

/* Frees the writer; NULL is allowed. */
void pax_free(struct pax *pax);

/* Bytes written so far: after pax_header the offset of the file's data. */
uint64_t pax_offset(const struct pax *pax);

/* Writes the header of an entry. path is clean and relative ("" is the root); link is the path of the
 * entry that this one is a hard link to, or NULL. A file's data follow by pax_data. */
int pax_header(struct pax *pax, const char *path, const struct tree_inode *inode, const char *link,
	       struct err *err);

/* Writes len bytes of the data of the current file, at most its size. */
int pax_data(struct pax *pax, const void *bytes, size_t len, struct err *err);

/* Writes len zeros as data of the current file. */
int pax_zeros(struct pax *pax, uint64_t len, struct err *err);

/* Fills the last block of the current file's data. */
int pax_end_data(struct pax *pax, struct err *err);

/* Writes the end of the archive and everything that is still in memory; returns the digest. */
int pax_finish(struct pax *pax, struct digest *ret, struct err *err);

#endif
