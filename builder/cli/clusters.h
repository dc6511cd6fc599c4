/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the file of a cluster to machines that can be started. Private to cli/.
 */
#ifndef INGOT_CLI_CLUSTERS_H
#define INGOT_CLI_CLUSTERS_H

#include "base/digest.h"
#include "cli/machine.h"
#include "vm/cluster.h"

struct clusters {
	char *path;                    /* of the file, without links */
	char version[DIGEST_HEX_SIZE]; /* digest of the file; "" when it cannot be read any more */
	struct cluster_state state;
	struct cluster_file file;
	struct cluster_options options;
	/* What options points to, one for each machine. */
	struct cluster_member *members;
	struct vm_credential *credentials;
	/* One for each different image. */
	struct cli_machine *images;
	size_t image_count;
};

#define CLUSTERS_NONE ((struct clusters){.state = CLUSTER_STATE_NONE})

/* Finds the state folder that belongs to the file: CACHE/clusters/DIGEST-OF-ITS-PATH. The file need not be right,
 * so that a cluster can be taken down whose file was changed. Close with clusters_close. */
int clusters_open(const struct cli *cli, const char *file, struct clusters *c, struct err *err);

/* Reads the file; its problems are printed to standard error, and are an event with json. */
int clusters_read(struct clusters *c, bool json, struct err *err);

/* Builds the images that are not up to date, checks the memory, makes the provisioning data: c->options is complete
 * then. Blocks for as long as builds do. */
int clusters_prepare(const struct cli *cli, const struct cli_args *args, struct clusters *c,
		     struct err *err);

/* Frees all of it; usable with CLEANUP(). */
void clusters_close(struct clusters *c);

#endif
