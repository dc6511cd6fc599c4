/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One partition more in a finished image, whose other partitions, table and boot files stay as they are.
 */
#ifndef INGOT_OUTPUT_INJECT_H
#define INGOT_OUTPUT_INJECT_H

#include "base/err.h"
#include "base/region.h"
#include "disk/gpt.h"
#include "output/output.h"

#include <stdbool.h>

struct inject_options {
	const char *input;  /* image of any format that can be read and written */
	const char *output; /* may be the input */
	const char *label;  /* of the partition; one that is there already gets the new content */
	const struct region_list *content; /* its size is that of the partition: whole MiB */
	bool portable;                     /* the same bytes on every CPU */
	unsigned jobs;                     /* threads that compress, at least 1 */
};

struct inject_result {
	struct gpt_partition partition;
	bool replaced; /* the partition was there */
	const struct output_format *format;
	uint64_t size; /* of the disk, bytes */
	struct output_result file;
};

/* Writes the input, in its own format, with the content in a partition of type linux-generic behind all others, and
 * behind the room that a root may take which grows to its slot at first boot. The disk gets larger when there is no
 * room. The file has mode 0600, it is there whole or not at all. ERR_VERIFY for a disk without a (sound) partition
 * table and for one that was booted already, as a partition behind /var would keep that from growing; ERR_USAGE
 * for a target that is no regular file. Shows a step (log.h); blocks for seconds. */
int inject_run(const struct inject_options *options, struct inject_result *ret, struct err *err);

#endif
