/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster of virtual machines that runs in the background: one process, the supervisor, owns the machines and
 * their network and answers on a socket in the cluster's state folder. It never outlives its machines, nor they it.
 */
#ifndef INGOT_VM_CLUSTER_H
#define INGOT_VM_CLUSTER_H

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "vm/clusterfile.h"
#include "vm/tools.h"
#include "vm/vm.h"

#include <stdbool.h>
#include <stddef.h>

/* One machine: what the file says, and what was found out about its image. */
struct cluster_member {
	const struct cluster_spec *spec;
	struct vm_image image;
	const char *role;                        /* "manager", "worker", or NULL */
	bool swarm;                              /* its role joins a swarm */
	const struct vm_credential *credentials; /* or NULL */
	size_t credential_count;
	int seed;                        /* as in vm_options */
	char link_mac[18], user_mac[18]; /* of its two network cards */
};

struct cluster_options {
	const struct cluster_file *file;
	const char *state;   /* folder for the socket and the consoles; see cluster_lock */
	const char *version; /* digest of the file, to tell whether it was changed meanwhile */
	const struct vm_tools *tools;
	bool kvm;
	const struct cluster_member *members;
	size_t count;
};

/* The state folder of a cluster, open. */
struct cluster_state {
	char *path;
	int dir, lock; /* -1: not open, not locked */
};

#define CLUSTER_STATE_NONE ((struct cluster_state){.dir = -1, .lock = -1})

/* Makes the folder (mode 0700) and opens it. Close with cluster_state_close. */
int cluster_state_open(const char *path, struct cluster_state *ret, struct err *err);

/* Closes it, and gives back the lock; usable with CLEANUP(). */
void cluster_state_close(struct cluster_state *state);

/* Takes the lock that a running cluster holds: true when it is ours now, false when another process has it. */
bool cluster_state_lock(struct cluster_state *state);

/* The same, with patience: waits up to seconds while another process has it. */
bool cluster_state_wait(struct cluster_state *state, double seconds);

/* The machines' two MAC addresses, by their place in the file. */
void cluster_macs(size_t index, struct cluster_member *member);

/* The text of a credential "network.network.20-cluster" (systemd.network(5)): the machine's address on the private
 * network. For images without our agent; what the agent writes (10-ingot-...) comes first. Caller frees. */
char *cluster_network_unit(const struct cluster_file *file, const struct cluster_member *member);

#define CLUSTER_SECRET_SIZE 65 /* hex digits of 256 bits, and NUL */

/* Makes the secret of a cluster; the caller wipes it. */
int cluster_secret(char secret[CLUSTER_SECRET_SIZE], struct err *err);

/* Makes the medium that tells a machine its name, its address and, when its role joins a swarm, its cluster: the
 * managers' addresses and the secret. It exists in memory only; *ret_fd is open for reading, the caller closes it. */
int cluster_seed(const struct cluster_options *options, const struct cluster_member *member,
		 const char *secret, int *ret_fd, struct err *err);

/* ERR_SPACE when this computer has less memory free than the machines need together. */
int cluster_check_memory(const struct cluster_member *members, size_t count, bool kvm,
			 struct err *err);

/* Splits off the supervisor: a process in a session of its own, which inherits the lock. *ret_fd is our end of its
 * first connection: it watches (see cluster_send), and everything is taken down again when it closes before
 * "keep" was sent, however that happens. */
int cluster_start(const struct cluster_options *options, struct cluster_state *state, int *ret_fd,
		  struct err *err);

/* Connects to the supervisor: *ret_fd is -1 when none answers. *ret_pidfd (may be NULL) is a handle of its process. */
int cluster_connect(const struct cluster_state *state, int *ret_fd, int *ret_pidfd,
		    struct err *err);

/* Sends a request, one of
 *     {"do": "keep"}                 the machines stay when this connection ends
 *     {"do": "status"}               answered by {"event": "status", ...}
 *     {"do": "watch"}                {"event": "state", "machine", "state", "seconds", "boots"} for each state that is or
 *                                    comes, then {"event": "ready"} or {"event": "failed", "machine", "why"}
 *     {"do": "run", "machine", "command", "seconds"}  {"event": "ran", "exit", "output", "error"}
 *     {"do": "down"}                 ends everything; answered by the end of the connection
 * A wrong request is answered by {"event": "error", "text"}. Takes the reference of request. */
int cluster_send(int fd, json_t *request, struct err *err);

/* Reads the next answer: *ret is NULL at the end of the connection. buffer keeps what came too early. ERR_OTHER when
 * seconds are over. Caller decrefs. Blocks. */
int cluster_receive(int fd, struct str *buffer, double seconds, json_t **ret, struct err *err);

#endif
