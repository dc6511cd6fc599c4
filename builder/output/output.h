/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk image files: one table of formats, all of which are written in one pass over the regions of
 * a disk. A new format is one file and one row in formats.c.
 */
#ifndef INGOT_OUTPUT_OUTPUT_H
#define INGOT_OUTPUT_OUTPUT_H

#include "base/digest.h"
#include "base/err.h"
#include "base/region.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_CHUNK ((size_t)1 << 20)   /* bytes that are handed around at once */
#define OUTPUT_CLUSTER ((size_t)1 << 16) /* granularity in which zeros become holes */
#define OUTPUT_TARGETS_MAX 16

enum output_compression { OUTPUT_ZSTD, OUTPUT_ZLIB };

struct output_options {
	enum output_compression compression; /* of formats that compress */
	int level;                           /* 0: the format's default */
	bool no_sync;                        /* do not wait for the disk (tests, benchmarks) */
};

/* One chunk of the disk; the last one may be shorter than OUTPUT_CHUNK. */
struct output_chunk {
	uint64_t offset;
	size_t len;
	const uint8_t *bytes; /* NULL: all zero */
	uint16_t zero;        /* bit n: cluster n of the chunk is all zero */
};

struct output_sink;

struct output_format {
	const char *name;    /* "qcow2" */
	const char *suffix;  /* ".qcow2" */
	const char *summary; /* one line for help and README */
	/* Starts a file; fd is open read-write, empty and borrowed. */
	struct output_sink *(*open)(int fd, const char *path, uint64_t disk_size,
				    const struct output_options *options, struct err *err);
	/* Work on one chunk that needs no order (compression); called by several threads at once.
	 * Returns what write will get (it frees it) or NULL. May be NULL. */
	void *(*prepare)(struct output_sink *sink, const struct output_chunk *chunk);
	/* Adds the next chunk; called in order, by one thread. */
	int (*write)(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		     struct err *err);
	/* Completes the file and tells its digest. */
	int (*finish)(struct output_sink *sink, struct digest *ret_digest, struct err *err);
	/* Frees prepared work that write never got. NULL: nothing to free. */
	void (*drop)(void *prepared);
	void (*close)(struct output_sink *sink);
};

/* All formats, ended by a row with a NULL name. */
extern const struct output_format output_formats[];

/* Finds a format by name; NULL when there is none. */
const struct output_format *output_format_find(const char *name);

struct output_target {
	const struct output_format *format;
	const char *path; /* final name; the folder must exist */
	struct output_options options;
};

struct output_result {
	uint64_t size; /* of the file, bytes (holes included) */
	struct digest digest;
};

/* Who wants to know how far a pass is; each function may be NULL. */
struct output_watch {
	/* Called from one thread with bytes of the disk done. */
	void (*progress)(uint64_t done, uint64_t total, void *context);
	/* Called once, when all files are complete and synced and before the first of them gets its
	 * final name. -1 with err ends the pass: then none gets it. */
	int (*complete)(const struct output_result *results, void *context, struct err *err);
	void *context;
};

/* Writes the disk in all formats, reading it once. jobs is the number of threads that compress (at
 * least 1); the bytes do not depend on it. watch may be NULL. On success all files are there, synced,
 * under their final names, and results[i] belongs to targets[i]; else none is. Memory: 1 MiB x (2 x
 * jobs + 4), about twice that with compression. Blocks for seconds. */
int output_write_all(const struct region_list *regions, const struct output_target *targets,
		     size_t count, unsigned jobs, const struct output_watch *watch,
		     struct output_result *results, struct err *err);

#endif
