/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The advertised address: a cluster remembers it, so a guess among several would be worse than to wait.
 */
#include "agent/join/address.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_MAX 256
#define ROUTES_MAX ((size_t)4 << 20)

bool address_default_interface(const char *routes, char interface[16])
{
	unsigned best = 0;
	bool found = false;

	/* The first line holds the headings. */
	for (const char *line = strchr(routes, '\n'); line && line[1]; line = strchr(line, '\n')) {
		unsigned destination, gateway, flags, metric, mask;
		char name[16];

		line++;
		if (sscanf(line, "%15s %x %x %x %*d %*d %u %x", name, &destination, &gateway,
			   &flags, &metric, &mask) != 6)
			continue;
		if (destination != 0 || mask != 0 || !(flags & RTF_UP) || (flags & RTF_REJECT))
			continue;
		if (found && metric >= best)
			continue;
		memcpy(interface, name, sizeof(name));
		best = metric;
		found = true;
	}
	return found;
}

static bool is_global(struct in_addr ip)
{
	uint32_t a = ntohl(ip.s_addr);

	return a != 0 && a >> 24 != 127 && a >> 16 != 0xa9fe /* 169.254 */ && a >> 28 < 0xe;
}

/* Bridges that container engines make: their addresses are the same on every machine. */
static bool is_container_interface(const char *name)
{
	static const char *const prefixes[] = {"docker", "br-", "veth", "cni", "flannel", "cali"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (str_has_prefix(name, prefixes[i]))
			return true;
	return false;
}

const struct address *address_choose(const struct address *list, size_t count,
				     const char *interface, const char **ret_why)
{
	const struct address *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!is_global(list[i].ip))
			continue;
		if (interface) {
			if (strcmp(list[i].interface, interface) == 0)
				return &list[i];
			continue;
		}
		if (is_container_interface(list[i].interface))
			continue;
		if (found) {
			*ret_why = "a default route: there are several addresses to choose from";
			return NULL;
		}
		found = &list[i];
	}
	if (!found)
		*ret_why = interface ? "an IPv4 address on the interface of the default route"
				     : "an IPv4 address";
	return found;
}

static size_t list_addresses(struct address *list, size_t max)
{
	struct ifaddrs *all = NULL;
	size_t count = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (const struct ifaddrs *i = all; i && count < max; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP))
			continue;
		snprintf(list[count].interface, sizeof(list[count].interface), "%s", i->ifa_name);
		memcpy(&list[count].ip,
		       (const char *)i->ifa_addr + offsetof(struct sockaddr_in, sin_addr),
		       sizeof(list[count].ip));
		count++;
	}
	freeifaddrs(all);
	return count;
}

bool address_find(const struct agent *agent, char *text, char interface[16], const char **ret_why)
{
	struct address list[ADDRESS_MAX];
	size_t count = list_addresses(list, ADDRESS_MAX);
	CLEANUP(str_free) struct str routes = {0};
	const struct address *chosen;
	bool routed = agent_read(agent, "/proc/net/route", ROUTES_MAX, &routes, NULL) == 0 &&
		      address_default_interface(routes.data, interface);

	chosen = address_choose(list, count, routed ? interface : NULL, ret_why);
	if (!chosen)
		return false;
	memcpy(interface, chosen->interface, 16);
	return inet_ntop(AF_INET, &chosen->ip, text, INET_ADDRSTRLEN) != NULL;
}

bool address_wanted(const struct agent *agent, const char *wanted, char *text, char interface[16],
		    const char **ret_why)
{
	struct address list[ADDRESS_MAX];
	const struct address *chosen;
	struct in_addr ip;

	if (!wanted || !*wanted)
		return address_find(agent, text, interface, ret_why);
	if (inet_pton(AF_INET, wanted, &ip) == 1) {
		interface[0] = '\0';
		return inet_ntop(AF_INET, &ip, text, INET_ADDRSTRLEN) != NULL;
	}
	chosen = address_choose(list, list_addresses(list, ADDRESS_MAX), wanted, ret_why);
	if (!chosen) {
		*ret_why = "an IPv4 address on the interface that is to be advertised";
		return false;
	}
	memcpy(interface, chosen->interface, 16);
	return inet_ntop(AF_INET, &chosen->ip, text, INET_ADDRSTRLEN) != NULL;
}
