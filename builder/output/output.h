/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk image files: one table of formats, all of which are written in one pass over the regions of
 * a disk. A new format is one file and one row in formats.c (and a file for its reader).
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
#define OUTPUT_CLUSTERS (OUTPUT_CHUNK / OUTPUT_CLUSTER)
#define OUTPUT_TARGETS_MAX 16

struct output_options {
	const char *name; /* of the machine, for formats that have one (OVF); NULL: the file's */
	bool portable;    /* the same bytes on every CPU; deflate takes longer */
	bool no_sync;     /* do not wait for the disk (tests, benchmarks) */
	bool secret;      /* mode 0600, also while it is unfinished: the disk holds secrets */
};

/* A cluster as raw deflate (RFC 1951) that ends byte aligned with a full flush (00 00 ff ff) and is
 * no last block: grains can stand behind each other in one stream, and each can be read alone. Behind
 * its len bytes are two more, 03 00, an empty last block for who needs the stream's end. */
struct output_grain {
	const uint8_t *bytes;
	uint32_t len;            /* 0: the cluster is all zero */
	uint32_t crc32, adler32; /* of the cluster (OUTPUT_CLUSTER bytes) */
};

/* One chunk of the disk; the last one may be shorter than OUTPUT_CHUNK. */
struct output_chunk {
	uint64_t offset;
	size_t len;
	const uint8_t *bytes; /* NULL: all zero. Up to the end of the last cluster, with zeros */
	uint16_t zero;        /* bit n: cluster n of the chunk is all zero */
	/* OUTPUT_CLUSTERS of them when a target's format has deflate set, else NULL; NULL too when
	 * the chunk is all zero. */
	const struct output_grain *grains;
};

/* The disk itself, whatever the format of the file. */
struct output_content {
	struct digest digest; /* of all bytes of the disk: of the raw file */
	/* The digest before its end: digest_restart_from() goes on from it (a footer, say). */
	const struct digest_ctx *running;
};

struct output_sink;
struct image;

struct output_format {
	const char *name;    /* "qcow2" */
	const char *suffix;  /* ".qcow2" */
	const char *summary; /* one line for help and README */
	const char *with;    /* name of a format that is always written beside it, or NULL */
	uint64_t multiple;   /* the disk's size must be a multiple of this; 0: any */
	uint64_t size_max;   /* of the disk, bytes; 0: no limit */
	bool deflate;        /* wants grains */
	/* Starts a file; fd is open read-write, empty and borrowed. disk is there until close. */
	struct output_sink *(*open)(int fd, const char *path, const struct region_list *disk,
				    const struct output_options *options, struct err *err);
	/* Work on one chunk that needs no order (compression); called by several threads at once.
	 * Returns what write will get (it frees it) or NULL. May be NULL. */
	void *(*prepare)(struct output_sink *sink, const struct output_chunk *chunk);
	/* Adds the next chunk; called in order, by one thread. */
	int (*write)(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		     struct err *err);
	/* Completes the file and tells its digest. UUIDs and the like come from the content. */
	int (*finish)(struct output_sink *sink, const struct output_content *content,
		      struct digest *ret_digest, struct err *err);
	/* Frees prepared work that write never got. NULL: nothing to free. */
	void (*drop)(void *prepared);
	/* Frees the sink; NULL is allowed. */
	void (*close)(struct output_sink *sink);
	/* Whether a file is of this format, by its first and last bytes (512 each, zeros when the file is
	 * shorter). NULL: it cannot be read, or (raw) it is what no other format is. */
	bool (*is)(const uint8_t *head, const uint8_t *tail);
	/* Opens a file of this format for reading; see image_open. NULL: it cannot be read. */
	struct image *(*read)(int fd, const char *path, struct err *err);
};

/* All formats, ended by NULL. */
extern const struct output_format *const output_formats[];

/* Finds a format by name; NULL when there is none. */
const struct output_format *output_format_find(const char *name);

/* Reads a list of names ("raw,vhd") into rows in the order of the table, each once, with the formats that are
 * always written beside them. ret has room for OUTPUT_TARGETS_MAX. ERR_USAGE, with the names that there are,
 * for an unknown or no name. */
int output_formats_choose(const char *list, const struct output_format **ret, size_t *ret_count,
			  struct err *err);

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
	 * final name, with the digest of the disk. -1 with err ends the pass: then none gets it. */
	int (*complete)(const struct output_result *results, const struct digest *content,
			void *context, struct err *err);
	void *context;
};

/* Writes the disk in all formats, reading it once. jobs is the number of threads that compress (at
 * least 1); the bytes do not depend on it. watch may be NULL. On success all files are there, synced,
 * under their final names, and results[i] belongs to targets[i]; else none is. A disk whose
 * size a format cannot have is ERR_OTHER. Memory: 1 MiB x (2 x jobs + 4), and as much again for each
 * kind of compression. Blocks for seconds. */
int output_write_all(const struct region_list *regions, const struct output_target *targets,
		     size_t count, unsigned jobs, const struct output_watch *watch,
		     struct output_result *results, struct err *err);

#endif
