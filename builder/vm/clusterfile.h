/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of `ingot cluster`: which machines there are, from which images, on which network. Errors name their
 * place, as those of profiles do.
 */
#ifndef INGOT_VM_CLUSTERFILE_H
#define INGOT_VM_CLUSTERFILE_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLUSTER_MACHINES_MAX 32
#define CLUSTER_USER_DATA_MAX ((size_t)1 << 20) /* bytes */

/* One machine; an entry with a count is several. Strings are owned by the arena of the file. */
struct cluster_spec {
	const char *name;    /* also its host name */
	const char *operand; /* name or path of a profile, or path of an image */
	const char *address; /* on the private network: "192.168.77.11" */
	uint64_t memory;     /* bytes */
	uint64_t disk;       /* bytes; 0: as vm_options has it */
	unsigned cpus;
	const char *user_data;       /* bytes of the file, or NULL */
	size_t user_data_len;        /* of them */
	const char *const *forwards; /* ended by NULL, or NULL */
};

struct cluster_file {
	struct mem_arena *arena;
	const char *name; /* of the cluster */
	unsigned prefix;  /* of the network: 24 in 192.168.77.0/24 */
	bool internet;    /* the machines may reach what this computer reaches */
	struct cluster_spec *machines;
	size_t count, room;
};

/* Reads the file. What is wrong with it goes to problems, as "FILE:LINE:COLUMN: error: ..." lines; then it is
 * ERR_PROFILE. Free with cluster_file_free. Blocks while reading. */
int cluster_file_read(const char *path, struct cluster_file *ret, struct str *problems,
		      struct err *err);

/* Frees all of it; usable with CLEANUP() on a zeroed value. */
void cluster_file_free(struct cluster_file *file);

#endif
