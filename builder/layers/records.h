/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What apt knows about packages, as firmware/packages/records leaves it: where each .deb came from and
 * its digest. For the files of this folder.
 */
#ifndef INGOT_LAYERS_RECORDS_H
#define INGOT_LAYERS_RECORDS_H

#include "base/json.h"
#include "base/str.h"
#include "layers/packages.h"

#define RECORDS_INDEX "index"                   /* what the repositories have */
#define RECORDS_STATUS "status"                 /* dpkg's list when all is installed */
#define RECORDS_IMAGE_STATUS "image-status"     /* and before it began, of base.image */
#define RECORDS_EXPECTED "expected"             /* what may be installed, for the script */
#define RECORDS_EXPECTED_FILES "expected-files" /* and with which digest */
#define RECORDS_OFFERED "offered"               /* what apt would install */

/* The indexes of the repositories. */
struct records {
	struct records_row *rows;
	size_t count, room;
	json_t *by_name; /* {"name architecture": [number of row...]} */
	char *text;      /* what the rows point into */
};

/* One package that a repository has; all borrowed from the records. */
struct records_row {
	const char *name, *architecture, *version, *sha256, *path;
	const char *suite, *component, *origin;
	uint64_t size;  /* bytes of the .deb */
	size_t line;    /* in the index */
	size_t ranking; /* place of its suite among the repositories; first is best */
};

/* Reads the index in len bytes of text (taken over, also on error; ended by NUL) for the packages
 * that wanted lists (rows with name and architecture): a line that is damaged is ERR_VERIFY, paths must be
 * clean and relative. Free with records_free. */
int records_parse(char *text, size_t len, const json_t *wanted,
		  const struct repositories *repositories, struct records *ret, struct err *err);

/* Reads the file RECORDS_INDEX of the folder, at most 256 MiB, like records_parse. */
int records_read(const char *folder, const json_t *wanted, const struct repositories *repositories,
		 struct records *ret, struct err *err);

/* Frees the records; usable with CLEANUP() on a zeroed one. */
void records_free(struct records *records);

/* Adds origin, suite, component and path to packages that have name, version, architecture, sha256 and
 * size: of the first repository that has exactly this file. All four are null for a package that no
 * repository knows in this version; ERR_VERIFY when they know it with another digest only. */
int records_complete(const struct records *records, json_t *packages, struct err *err);

/* Appends a line "name version: cause" for each of at most max rows of wanted (with sha256) that the
 * repositories do not have; returns how many there are. Rows without an origin are left out. */
size_t records_missing(const struct records *records, const json_t *wanted, size_t max,
		       struct str *text);

#endif
