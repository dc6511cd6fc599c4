/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a finished disk image to other formats, all of them in one pass over it.
 */
#ifndef INGOT_OUTPUT_CONVERT_H
#define INGOT_OUTPUT_CONVERT_H

#include "base/json.h"
#include "base/str.h"
#include "output/output.h"

struct convert_options {
	const char *input;   /* image of any format that can be read, or block device */
	const char *formats; /* "qcow2,vhd" */
	const char *folder;  /* for the files; made if needed */
	const char *name;    /* of the files, without suffix; NULL: the input's */
	bool portable;       /* the same bytes on every CPU */
	unsigned jobs;       /* threads that compress, at least 1 */
};

/* Writes FOLDER/NAME.suffix for each format. A disk whose size a format cannot have is enlarged for all of
 * them, with its partition table; the input is never changed. On success *ret (caller decrefs) is
 * {artifacts: [{format, file, size, bytes, sha256}], disk_sha256}; else no file is there. ERR_USAGE for
 * unknown formats and for names that would overwrite the input. Shows a step (log.h); blocks for seconds. */
int convert_run(const struct convert_options *options, json_t **ret, struct err *err);

#endif
