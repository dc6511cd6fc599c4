/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What formats.c gets from the files of the formats. The calls are those of struct output_format.
 */
#ifndef INGOT_OUTPUT_FORMATS_H
#define INGOT_OUTPUT_FORMATS_H

#include "output/output.h"

/* raw: see struct output_format.open. */
struct output_sink *raw_open(int fd, const char *path, uint64_t disk_size,
			     const struct output_options *options, struct err *err);

/* raw: see struct output_format.write. */
int raw_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
	      struct err *err);

/* raw: see struct output_format.finish. */
int raw_finish(struct output_sink *sink, struct digest *ret_digest, struct err *err);

/* raw: see struct output_format.close. */
void raw_close(struct output_sink *sink);

/* qcow2: see struct output_format.open. */
struct output_sink *qcow2_open(int fd, const char *path, uint64_t disk_size,
			       const struct output_options *options, struct err *err);

/* qcow2: compresses the clusters of a chunk; the result is freed with free(). */
void *qcow2_prepare(struct output_sink *sink, const struct output_chunk *chunk);

/* qcow2: see struct output_format.write. */
int qcow2_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		struct err *err);

/* qcow2: see struct output_format.finish. */
int qcow2_finish(struct output_sink *sink, struct digest *ret_digest, struct err *err);

/* qcow2: see struct output_format.close. */
void qcow2_close(struct output_sink *sink);

#endif
