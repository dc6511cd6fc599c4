/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's words when a join fails (moby daemon/cluster, swarmkit ca and manager) and what they mean. They have
 * no codes, so their text is all there is.
 */
#include "agent/join/swarm.h"

#include <string.h>

const struct swarm_fault_row swarm_faults[] = {
	{"could not connect to prospective new cluster member", SWARM_FAULT_DIAL_BACK,
	 "the swarm's leader does not reach this machine: port 2377/tcp must be open here and the "
	 "advertised address be right"},
	{"already part of a swarm", SWARM_FAULT_ALREADY, NULL},
	{"Timeout was reached before node joined", SWARM_FAULT_TIMEOUT, NULL},
	{"valid join token is necessary", SWARM_FAULT_TOKEN,
	 "the join token is not good (any more)"},
	{"invalid join token", SWARM_FAULT_TOKEN, "the join token is not good (any more)"},
	{"does not match fingerprint", SWARM_FAULT_FINGERPRINT,
	 "the token is of another swarm than the manager's"},
	{"certificate has expired or is not yet valid", SWARM_FAULT_CLOCK,
	 "the swarm's certificates are not valid at this machine's time: one of the clocks is "
	 "wrong"},
	{"certificate is not yet valid", SWARM_FAULT_CLOCK,
	 "the swarm's certificates are not valid at this machine's time: one of the clocks is "
	 "wrong"},
	{"certificate (1 - swarm-root-ca) not valid", SWARM_FAULT_CLOCK,
	 "the swarm's certificates are not valid at this machine's time: one of the clocks is "
	 "wrong"},
	{"no elected cluster leader", SWARM_FAULT_LEADER, "the swarm has no leader now"},
	{"does not have a leader", SWARM_FAULT_LEADER, "the swarm has no leader now"},
	{"lost leader status", SWARM_FAULT_LEADER, "the swarm has no leader now"},
	{"not yet part of a raft cluster", SWARM_FAULT_LEADER, "the swarm has no leader now"},
	{"live-restore", SWARM_FAULT_IMAGE,
	 "the image's daemon.json has a setting that swarm does not allow"},
	{"firewall-backend", SWARM_FAULT_IMAGE,
	 "the image's daemon.json has a setting that swarm does not allow"},
	{"needs to be unlocked", SWARM_FAULT_LOCKED,
	 "the swarm waits for somebody to unlock it (docker swarm unlock)"},
	{NULL, SWARM_FAULT_OTHER, NULL},
};

const struct swarm_fault_row *swarm_fault_find(const char *message)
{
	const struct swarm_fault_row *row = swarm_faults;

	while (row->text && !strstr(message, row->text))
		row++;
	return row;
}
