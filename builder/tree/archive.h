/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees to and from tar and cpio (libarchive), folders on disk, and the index that lies beside a
 * cached layer.
 */
#ifndef INGOT_TREE_ARCHIVE_H
#define INGOT_TREE_ARCHIVE_H

#include "base/digest.h"
#include "base/str.h"
#include "tree/tree.h"

/* Reads a tar stream (plain or gzip, bzip2, xz, zstd, lz4) from in_fd to its last byte (more than 1 MiB behind
 * the end of the archive is ERR_VERIFY; who writes the padding finds a reader) and writes it again as an
 * uncompressed pax tar to tar_fd (at its current position 0), entries in the order of arrival, and
 * fills tree, whose data refer to tar_fd. Paths that are not clean or leave the tree, and links out of
 * it, are ERR_VERIFY. *ret_digest is the SHA-256 of the tar that was written. progress (may be NULL) is
 * called with the bytes so far. Blocks. */
int tree_import_tar(int in_fd, int tar_fd, struct tree *tree, const char *origin,
		    struct digest *ret_digest, void (*progress)(uint64_t bytes, void *context),
		    void *context, struct err *err);

/* Fills tree with the files, folders and links of a plain tar (POSIX.1-2017 ustar and pax, GNU) without
 * copying anything: data refer to fd (borrowed; a regular file, read from its start). Only headers are read. Attributes are
 * not kept. For archives of at most 65536 large files; sparse ones, paths out of the tree and everything that
 * is no tar are ERR_VERIFY. */
int tree_scan_tar(int fd, const char *origin, struct tree *tree, struct err *err);

/* Appends the index of a tree to text: one line per entry, escaped; version in the first line. Only
 * for trees whose data are in one fd (offsets are written, not contents); ERR_OTHER otherwise. Overwrites
 * the inodes' marks. */
int tree_write_index(const struct tree *tree, struct str *text, struct err *err);

/* Fills an empty tree from an index; data refer to tar_fd (borrowed), whose size bounds every offset. A broken
 * index is ERR_VERIFY. */
int tree_read_index(const char *text, size_t len, int tar_fd, uint64_t tar_size, const char *origin,
		    struct tree *tree, struct err *err);

/* Scans a folder on disk as an overlay: root:root, 0644/0755 (files executable by their owner 0755),
 * times 0; folders that base has too keep what base says about them. Exceptions come from the folder's
 * own ".ingot-manifest": lines "PATH MODE OWNER GROUP", MODE octal or "-" for the default, owners as
 * numbers or as names of base's /etc/passwd and /etc/group; "PATH/" makes a folder that is not there (git
 * keeps no empty ones); "#" starts a comment line. Without base (NULL) every name counts as root: for
 * keys, with the manifest's text beside, and for trees that have no users. Contents are read into memory
 * owned by the tree. Sockets, pipes and devices, a path that the overlay lacks and unknown names are
 * ERR_PROFILE, in the manifest with file:line:column. Bounded: 65536 entries, 256 MiB per file. */
int tree_scan_overlay(const char *dir, const struct tree *base, struct tree *tree, struct err *err);

/* Digest over all paths, attributes and contents of a tree: the key of an overlay. Overwrites the inodes'
 * marks. */
int tree_digest(const struct tree *tree, struct digest *ret, struct err *err);

/* Fills tree from one or more concatenated, uncompressed newc cpio archives in [offset, offset + size)
 * of fd; data refer to fd. */
int tree_read_cpio(int fd, uint64_t offset, uint64_t size, const char *origin, struct tree *tree,
		   struct err *err);

/* Writes the tree as one newc cpio (sorted, inode numbers counted from 1, times as in the tree, device
 * nodes and extended attributes left out, for the format has none of the latter), zstd-compressed at
 * level (1-19; 0: not compressed), to fd at its current position. Overwrites the inodes' marks. */
int tree_write_cpio(const struct tree *tree, int level, int fd, const char *name, struct err *err);

struct tree_iso {
	const char *label; /* of the volume: up to 16 characters of ASCII, kept as they are */
	int64_t time;      /* of all files and of the volume: seconds since 1970 */
};

/* Writes the folders and files of the tree, whose contents must be in memory, as an ISO 9660 image with Joliet
 * and Rock Ridge names (ECMA-119) to ret, which must be empty; it holds at most 64 MiB. Modes and owners are
 * those of the tree. The same tree gives the same bytes. The library keeps the contents in an unnamed file of
 * the folder for temporary ones meanwhile. */
int tree_write_iso(const struct tree *tree, const struct tree_iso *options, struct str *ret,
		   struct err *err);

#endif
