/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a local image by their names: of a folder, or of a tar, which may be compressed. Private to oci/.
 */
#ifndef INGOT_OCI_FILES_H
#define INGOT_OCI_FILES_H

#include "base/err.h"
#include "base/str.h"
#include "cache/cache.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A folder or archive, open. May be used from several threads. */
struct oci_files;

/* Where the content of one file is. */
struct oci_file {
	int fd; /* open for reading; closed by oci_file_close when own is set */
	bool own;
	uint64_t offset, size; /* bytes */
};

#define OCI_FILE_NONE ((struct oci_file){.fd = -1})

/* Opens the folder or tar at path. A compressed tar is unpacked into the cache once, under the digest of its
 * bytes. What is neither is ERR_VERIFY; an absent one ERR_PROFILE. Free with oci_files_free. Blocks. */
struct oci_files *oci_files_open(struct cache *cache, const char *path, struct err *err);

/* Closes it; NULL is allowed. */
void oci_files_free(struct oci_files *files);

/* True when there is a file of this name (a clean relative path). */
bool oci_files_have(const struct oci_files *files, const char *name);

/* Finds a regular file by its name; links inside of an archive are followed. An absent one is ERR_VERIFY. Close
 * with oci_file_close. */
int oci_files_find(const struct oci_files *files, const char *name, struct oci_file *ret,
		   struct err *err);

/* Closes the file; usable with CLEANUP() on OCI_FILE_NONE. */
void oci_file_close(struct oci_file *file);

/* Reads a whole file of at most max bytes; more is ERR_VERIFY. */
int oci_files_read(const struct oci_files *files, const char *name, size_t max, struct str *ret,
		   struct err *err);

#endif
