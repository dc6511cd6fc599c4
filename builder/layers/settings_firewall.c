/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firewall as one nftables ruleset that replaces itself atomically. It only has an input chain, in a
 * table of its own: engines of containers keep their tables, and a drop of ours in a forward chain could
 * not be undone by an accept of theirs.
 */
#include "layers/settings_parts.h"

#include <inttypes.h>
#include <string.h>

static void add_networks(const struct profile_list *from, bool six, struct str *text)
{
	const char *separator = "";

	for (size_t i = 0; i < from->count; i++) {
		if ((strchr(from->items[i], ':') != NULL) != six)
			continue;
		str_addf(text, "%s%s", separator, from->items[i]);
		separator = ", ";
	}
}

static bool has_network(const struct profile_list *from, bool six)
{
	for (size_t i = 0; i < from->count; i++)
		if ((strchr(from->items[i], ':') != NULL) == six)
			return true;
	return false;
}

static void add_match(const struct profile_rule *rule, struct str *text)
{
	bool ports = strcmp(rule->protocol, "tcp") == 0 || strcmp(rule->protocol, "udp") == 0;

	if (strcmp(rule->protocol, "icmp") == 0)
		str_add(text, "meta l4proto { icmp, ipv6-icmp }");
	else if (!ports)
		str_addf(text, "meta l4proto %s", rule->protocol);
	else if (rule->port_last > rule->port)
		str_addf(text, "%s dport %u-%u", rule->protocol, rule->port, rule->port_last);
	else
		str_addf(text, "%s dport %u", rule->protocol, rule->port);
	str_addf(text, " accept comment \"%s\"\n", rule->name);
}

static void add_rule(const struct profile_rule *rule, struct str *text)
{
	for (int six = 0; six < 2; six++) {
		if (!has_network(&rule->from, six))
			continue;
		str_addf(text, "\t\t%s saddr { ", six ? "ip6" : "ip");
		add_networks(&rule->from, six, text);
		str_add(text, " } ");
		add_match(rule, text);
	}
	if (!rule->from.count) {
		str_add(text, "\t\t");
		add_match(rule, text);
	}
}

void settings_firewall(const struct profile *profile, struct str *text)
{
	str_add(text,
		"# Made by ingot from the profile: what may come in. Loaded by ingot-agent before any\n"
		"# listener starts.\n"
		"table inet ingot\n"
		"delete table inet ingot\n");
	if (!profile->firewall.enabled)
		return;
	str_add(text,
		"table inet ingot {\n"
		"\tchain input {\n"
		"\t\ttype filter hook input priority filter - 5; policy drop;\n"
		"\t\tct state established,related accept\n"
		"\t\tct state invalid drop\n"
		"\t\tiif lo accept\n"
		"\t\ticmp type { destination-unreachable, time-exceeded, parameter-problem } accept\n"
		"\t\ticmp type echo-request limit rate 20/second accept\n"
		"\t\ticmpv6 type { destination-unreachable, packet-too-big, time-exceeded, "
		"parameter-problem, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, "
		"mld-listener-query } accept\n"
		"\t\ticmpv6 type echo-request limit rate 20/second accept\n"
		"\t\tudp sport 67 udp dport 68 accept comment \"DHCP\"\n"
		"\t\tip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment \"DHCPv6\"\n");
	for (size_t i = 0; i < profile->firewall.allow_count; i++)
		add_rule(&profile->firewall.allow[i], text);
	str_add(text, "\t}\n}\n");
}
