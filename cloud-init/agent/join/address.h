/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which address of this machine others should use.
 */
#ifndef INGOT_AGENT_ADDRESS_H
#define INGOT_AGENT_ADDRESS_H

#include "agent/agent.h"

#include <netinet/in.h>

/* One IPv4 address of an interface. */
struct address {
	char interface[16];
	struct in_addr ip;
};

/* Of the text of /proc/net/route finds the interface of the default route with the lowest metric; false
 * when there is no default route that is up. Pure. */
bool address_default_interface(const char *routes, char interface[16]);

/* Chooses the address to advertise: the first global one on the interface (may be NULL); without a
 * default route the only global one that belongs to no container bridge. NULL when there is none or no
 * unique one; then *ret_why (static) says what is missing. Pure. */
const struct address *address_choose(const struct address *list, size_t count,
				     const char *interface, const char **ret_why);

/* The same for this machine: writes dotted decimals into text (INET_ADDRSTRLEN bytes) and the name of the
 * interface. Returns false with *ret_why (static) while there is no such address yet. */
bool address_find(const struct agent *agent, char *text, char interface[16], const char **ret_why);

/* The same for what the settings want (advertise): an IPv4 address is taken as it is, a name is an interface whose
 * first address counts, NULL is address_find. text has at least INET_ADDRSTRLEN bytes. */
bool address_wanted(const struct agent *agent, const char *wanted, char *text, char interface[16],
		    const char **ret_why);

#endif
