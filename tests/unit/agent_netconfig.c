/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network configuration: the files of networkd that each format becomes, and what is told of wrong ones.
 */
#include "tap.h"

#include "agent/provision/netconfig.h"

struct result {
	struct mem_arena *arena;
	struct netconfig_files files;
	struct str problems;
	size_t count;
};

static struct result run(const char *text)
{
	struct result result = {.arena = mem_arena_new()};
	struct netconfig config = {.arena = result.arena};
	struct doc_report report = {.text = &result.problems};

	netconfig_read(text, strlen(text), "network-config", &report, &config);
	netconfig_render(&config, &result.files);
	netconfig_free(&config);
	result.count = report.count;
	return result;
}

static void done(struct result *result)
{
	netconfig_files_free(&result->files);
	str_free(&result->problems);
	mem_arena_free(result->arena);
}

/* All files as one text. */
static void check_files(const char *text, const char *want)
{
	struct result result = run(text);
	CLEANUP(str_free) struct str all = {0};

	if (result.count)
		FAIL("%s", result.problems.data);
	str_add(&all, "");
	for (size_t i = 0; i < result.files.count; i++)
		str_addf(&all, "== %s\n%s", result.files.items[i].name, result.files.items[i].text);
	CHECK_STR(all.data, want);
	done(&result);
}

static void check_bad(const char *text, const char *want)
{
	struct result result = run(text);

	if (!result.count)
		FAIL("nothing was told of: %s", text);
	CHECK_CONTAINS(result.problems.data, want);
	done(&result);
}

TEST(version_2)
{
	check_files(
		"version: 2\n"
		"ethernets:\n"
		"  lan:\n"
		"    match: {macaddress: '52:54:00:AA:bb:cc'}\n"
		"    set-name: lan0\n"
		"    addresses: [10.0.0.5/24, 'fd00::5/64']\n"
		"    gateway4: 10.0.0.1\n"
		"    mtu: 9000\n"
		"    nameservers: {addresses: [10.0.0.2, 'fd00::2'], search: [example.com]}\n"
		"    routes:\n"
		"      - {to: 192.168.0.0/16, via: 10.0.0.3, metric: 50}\n"
		"      - {to: default, via: 'fd00::1', on-link: true}\n"
		"  eth1: {dhcp4: true, dhcp6: yes, optional: true}\n"
		"  all: {match: {name: 'ens*', driver: virtio_net}, dhcp4: true, accept-ra: false}\n",
		"== all.network\n"
		"[Match]\nDriver=virtio_net\nName=ens*\n"
		"\n[Link]\nRequiredForOnline=routable\n"
		"\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n"
		"\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\n"
		"== eth1.network\n"
		"[Match]\nName=eth1\n"
		"\n[Link]\nRequiredForOnline=no\n"
		"\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\n"
		"\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\n"
		"\n[DHCPv6]\nUseDomains=yes\n"
		"== lan.link\n"
		"[Match]\nPermanentMACAddress=52:54:00:aa:bb:cc\nKind=!*\n"
		"\n[Link]\nName=lan0\n"
		"== lan.network\n"
		"[Match]\nPermanentMACAddress=52:54:00:aa:bb:cc\nKind=!*\n"
		"\n[Link]\nRequiredForOnline=routable\nMTUBytes=9000\n"
		"\n[Network]\nDHCP=no\nAddress=10.0.0.5/24\nAddress=fd00::5/64\n"
		"DNS=10.0.0.2\nDNS=fd00::2\nDomains=example.com\n"
		"\n[Route]\nGateway=10.0.0.1\n"
		"\n[Route]\nDestination=192.168.0.0/16\nGateway=10.0.0.3\nMetric=50\n"
		"\n[Route]\nGateway=fd00::1\nGatewayOnLink=yes\n");
}

TEST(bonds_bridges_and_vlans)
{
	check_files(
		"network:\n"
		"  version: 2\n"
		"  bonds:\n"
		"    bond0: {interfaces: [a, b], parameters: {mode: 802.3ad, mii-monitor-interval: 100}, dhcp4: true}\n"
		"  vlans:\n"
		"    v7: {id: 7, link: bond0, addresses: [10.7.0.1/24]}\n"
		"  ethernets:\n"
		"    a: {match: {macaddress: '52:54:00:00:00:01'}}\n"
		"    b: {}\n",
		"== a.network\n"
		"[Match]\nPermanentMACAddress=52:54:00:00:00:01\nKind=!*\n"
		"\n[Link]\nRequiredForOnline=no\n"
		"\n[Network]\nDHCP=no\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nBond=bond0\n"
		"== b.network\n"
		"[Match]\nName=b\n"
		"\n[Link]\nRequiredForOnline=no\n"
		"\n[Network]\nDHCP=no\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nBond=bond0\n"
		"== bond0.netdev\n"
		"[NetDev]\nName=bond0\nKind=bond\n\n[Bond]\nMode=802.3ad\nMIIMonitorSec=100ms\n"
		"== bond0.network\n"
		"[Match]\nName=bond0\n"
		"\n[Link]\nRequiredForOnline=routable\n"
		"\n[Network]\nDHCP=ipv4\nVLAN=v7\n"
		"\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\n"
		"== v7.netdev\n"
		"[NetDev]\nName=v7\nKind=vlan\n\n[VLAN]\nId=7\n"
		"== v7.network\n"
		"[Match]\nName=v7\n"
		"\n[Link]\nRequiredForOnline=routable\n"
		"\n[Network]\nDHCP=no\nAddress=10.7.0.1/24\n");
}

TEST(version_1)
{
	check_files(
		"version: 1\n"
		"config:\n"
		"  - type: physical\n"
		"    name: eth0\n"
		"    mac_address: '52:54:00:00:00:01'\n"
		"    subnets:\n"
		"      - {type: static, address: 10.0.0.5, netmask: 255.255.255.0, gateway: 10.0.0.1,\n"
		"         dns_nameservers: [10.0.0.2], routes: [{network: 10.9.0.0, netmask: 255.255.0.0, gateway: 10.0.0.9}]}\n"
		"      - {type: dhcp6}\n"
		"  - {type: nameserver, address: 10.0.0.3, search: [a.example, b.example]}\n",
		"== eth0.link\n"
		"[Match]\nPermanentMACAddress=52:54:00:00:00:01\nKind=!*\n"
		"\n[Link]\nName=eth0\n"
		"== eth0.network\n"
		"[Match]\nPermanentMACAddress=52:54:00:00:00:01\nKind=!*\n"
		"\n[Link]\nRequiredForOnline=routable\n"
		"\n[Network]\nDHCP=ipv6\nIPv6AcceptRA=yes\nAddress=10.0.0.5/24\n"
		"DNS=10.0.0.2\nDNS=10.0.0.3\nDomains=a.example\nDomains=b.example\n"
		"\n[DHCPv6]\nUseDomains=yes\n"
		"\n[Route]\nGateway=10.0.0.1\n"
		"\n[Route]\nDestination=10.9.0.0/16\nGateway=10.0.0.9\n");
	check_files("network: {config: disabled}\n", "");
	check_files("", "");
}

/* The example of OpenStack's documentation, shortened. */
TEST(network_data_json)
{
	check_files(
		"{\"links\": [{\"id\": \"interface2\", \"type\": \"vif\", \"mtu\": 1400,\n"
		"  \"ethernet_mac_address\": \"a0:36:9f:2c:e8:70\", \"vif_id\": \"e1c90e9f\"}],\n"
		" \"networks\": [{\"id\": \"private-ipv4\", \"type\": \"ipv4\", \"link\": \"interface2\",\n"
		"  \"ip_address\": \"10.184.0.244\", \"netmask\": \"255.255.240.0\",\n"
		"  \"routes\": [{\"network\": \"10.0.0.0\", \"netmask\": \"255.0.0.0\", \"gateway\": \"11.0.0.1\"},\n"
		"   {\"network\": \"0.0.0.0\", \"netmask\": \"0.0.0.0\", \"gateway\": \"23.253.157.1\"}]}],\n"
		" \"services\": [{\"type\": \"dns\", \"address\": \"8.8.8.8\"}]}\n",
		"== link0.network\n"
		"[Match]\nPermanentMACAddress=a0:36:9f:2c:e8:70\nKind=!*\n"
		"\n[Link]\nRequiredForOnline=routable\nMTUBytes=1400\n"
		"\n[Network]\nDHCP=no\nAddress=10.184.0.244/20\nDNS=8.8.8.8\n"
		"\n[Route]\nDestination=10.0.0.0/8\nGateway=11.0.0.1\n"
		"\n[Route]\nGateway=23.253.157.1\n");
}

TEST(wrong_ones)
{
	static const char head[] = "version: 2\nethernets:\n  e0: ";
	static const struct {
		const char *value, *want;
	} bad[] = {
		{"text", "must be a map"},
		{"{addresses: [10.0.0.5]}", "no address with a prefix"},
		{"{addresses: [10.0.0.5/33]}", "no address with a prefix"},
		{"{addresses: [\"10.0.0.5/24\\n[Network]\"]}", "no address with a prefix"},
		{"{gateway4: none}", "is no address"},
		{"{mtu: 1}", "mtu must be a number"},
		{"{routes: [{to: x, via: 10.0.0.1}]}", "is no network"},
		{"{routes: [{}]}", "needs a network or a gateway"},
		{"{match: {macaddress: 'zz:zz:zz:zz:zz:zz'}}", "is no MAC address"},
		{"{match: {name: \"a\\nb\"}}", "cannot be a name"},
		{"{match: {}}", "match needs"},
		{"{set-name: a/b}", "cannot be a name"},
		{"{nameservers: {addresses: [\"1.1.1.1 8.8.8.8\"]}}", "is none"},
		{"{nameservers: {search: [\"a\\nb\"]}}", "is none"},
		{"{dhcp4: perhaps}", "must be true or false"},
		{"{adresses: []}", "did you mean 'addresses'"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP_FREE char *text = mem_printf("%s%s\n", head, bad[i].value);

		check_bad(text, bad[i].want);
	}
	check_bad("[]", "must be a map");
	check_bad("{a: b}", "no version 1 or 2");
	check_bad("version: 2\nwifis: {}\n", "'wifis' is not supported");
	check_bad("version: 2\nethernets: {'a b': {}}\n", "cannot be the name of an interface");
	check_bad("version: 2\nbonds: {bond0: {interfaces: [x]}}\n",
		  "no interface that can be a member");
	check_bad("version: 2\nbonds: {bond0: {parameters: {mode: \"a\\nb\"}}}\n",
		  "cannot be its value");
	check_bad("version: 1\nconfig: [{type: infiniband}]\n", "is not supported");
	check_bad(
		"version: 1\nconfig: [{type: physical, name: e0, subnets: [{type: static, address: 10.0.0.1, netmask: "
		"255.0.255.0}]}]\n",
		"no address with a prefix");
	check_bad("{\"links\": [], \"networks\": [{\"link\": \"x\", \"type\": \"ipv4\"}]}",
		  "known link");
}

/* What is right in a link is used. */
TEST(the_rest_is_used)
{
	struct result result =
		run("version: 2\nethernets: {e0: {addresses: [bad, 10.0.0.5/8]}, 'x y': {}}\n");

	CHECK_U64(result.count, 2);
	CHECK_U64(result.files.count, 1);
	CHECK_CONTAINS(result.files.items[0].text, "Address=10.0.0.5/8\n");
	done(&result);
}
