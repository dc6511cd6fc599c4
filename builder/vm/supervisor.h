/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that owns a cluster's machines. Private to vm/.
 */
#ifndef INGOT_VM_SUPERVISOR_H
#define INGOT_VM_SUPERVISOR_H

#include "base/err.h"
#include "vm/cluster.h"

#include <sys/un.h>

/* One request or answer, in bytes. */
#define CLUSTER_LINE_MAX ((size_t)1 << 20)

/* The address of the socket in the state folder. */
void cluster_socket_address(int dir, struct sockaddr_un *ret);

/* Starts the machines and serves until it is told to end them, or until owner ends before it said "keep". Returns
 * once all machines have ended. Takes owner. */
int supervisor_run(const struct cluster_options *options, const struct cluster_state *state,
		   int owner, struct err *err);

#endif
