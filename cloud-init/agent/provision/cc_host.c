/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this host is and what time it has: hostname, /etc/hosts, time zone, time servers.
 */
#include "agent/provision/cloudconfig.h"
#include "agent/provision/place.h"

#include "base/mem.h"
#include "base/path.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_NAME "/var/lib/ingot/hostname"
#define HOST_MAX 64 /* bytes that sethostname(2) takes */
#define NAME_MAX_BYTES 253
#define HOSTS_MAX ((size_t)1 << 20)
#define SERVERS_MAX 32

/* Letters, digits and hyphens in labels of at most 63 bytes (RFC 1123, 2.1). */
static bool name_valid(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > NAME_MAX_BYTES)
		return false;
	for (const char *label = name; label;) {
		size_t n = strcspn(label, ".");

		if (!n || n > 63 || label[0] == '-' || label[n - 1] == '-' ||
		    strspn(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				  "0123456789-") < n)
			return false;
		label = label[n] ? label + n + 1 : NULL;
	}
	return true;
}

static const char *wanted(struct cc *cc, const char *key)
{
	const struct doc_node *node = doc_node_get(cc->config, key);
	const char *text = node ? cc_text(cc, node, key) : NULL;

	if (!text || name_valid(text))
		return text;
	cc_problem(cc, node, "'%s' is no name for a host", cc_show(cc, text));
	return NULL;
}

/* The part in front of the first dot, if the whole is longer than the kernel takes or a domain was meant. */
static const char *short_name(struct cc *cc, const char *name)
{
	return mem_arena_strndup(cc->arena, name, strcspn(name, "."));
}

const char *cc_hostname_wanted(struct cc *cc, const char **ret_fqdn)
{
	const char *host = wanted(cc, "hostname"), *fqdn = wanted(cc, "fqdn");

	if (!host && !fqdn) {
		const char *given = cc->instance->hostname;

		if (given && !name_valid(given))
			cc_remark(cc, "the metadata's hostname '%s' is no name for a host",
				  cc_show(cc, given));
		if (!given || !name_valid(given))
			return NULL;
		host = given;
	}
	/* As in cloud-init: a hostname with dots is a name with its domain. */
	if (host && !fqdn && strchr(host, '.'))
		fqdn = host;
	if (!host || strchr(host, '.'))
		host = short_name(cc, host ? host : fqdn);
	if (cc_flag(cc, cc->config, "prefer_fqdn_over_hostname", false) && fqdn &&
	    strlen(fqdn) <= HOST_MAX)
		host = fqdn;
	*ret_fqdn = fqdn;
	return host;
}

/* The image's /etc/hosts with our line, which an earlier stage of this boot may have written. */
static int write_hosts(struct cc *cc, const char *host, const char *fqdn, struct err *err)
{
	static const char marker[] = " # ingot: this machine";
	CLEANUP(str_free) struct str old = {0}, text = {0};
	struct err none = {0};

	if (agent_read(cc->agent, "/etc/hosts", HOSTS_MAX, &old, &none) < 0)
		str_add(&old, "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
	for (const char *line = old.data; *line;) {
		size_t len = strcspn(line, "\n");
		CLEANUP_FREE char *copy = mem_strndup(line, len);

		if (!str_has_suffix(copy, marker))
			str_addf(&text, "%s\n", copy);
		line += len + (line[len] == '\n');
	}
	str_addf(&text, "127.0.1.1 %s%s%s%s\n", fqdn ? fqdn : "", fqdn ? " " : "", host, marker);
	return place_text(cc->agent, "/etc/hosts", text.data, 0644, err);
}

/* For the initrd: from the next boot on the machine has its name before its first message. */
static int keep_name(struct cc *cc, const char *name, struct err *err)
{
	CLEANUP(str_free) struct str old = {0};

	if (agent_read(cc->agent, KEPT_NAME, HOSTS_MAX, &old, NULL) == 0 &&
	    strcmp(old.data, name) == 0)
		return 0;
	return place_text(cc->agent, KEPT_NAME, name, 0644, err);
}

int cc_hostname(struct cc *cc, const struct doc_node *value, struct err *err)
{
	const char *fqdn = NULL, *host;
	CLEANUP_FREE char *line = NULL;

	(void)value; /* one of several keys */
	if (cc_flag(cc, cc->config, "preserve_hostname", false))
		return 0;
	host = cc_hostname_wanted(cc, &fqdn);
	if (!host)
		return 0;
	if (cc->live && sethostname(host, strlen(host)) < 0)
		return err_sys(err, errno, "cannot set the hostname");
	line = mem_printf("%s\n", host);
	if (place_text(cc->agent, "/etc/hostname", line, 0644, err) < 0 ||
	    keep_name(cc, line, err) < 0)
		return -1;
	/* "localhost" and "template" are values, too: both mean yes. */
	if (doc_node_get(cc->config, "manage_etc_hosts")) {
		const char *text = doc_node_string(cc->config, "manage_etc_hosts");

		if (text && (strcmp(text, "localhost") == 0 || strcmp(text, "template") == 0))
			return write_hosts(cc, host, fqdn, err);
		if (!cc_flag(cc, cc->config, "manage_etc_hosts", true))
			return 0;
	}
	return write_hosts(cc, host, fqdn, err);
}

int cc_timezone(struct cc *cc, const struct doc_node *value, struct err *err)
{
	const char *zone = cc_text(cc, value, "timezone");
	CLEANUP_FREE char *target = NULL, *full = NULL, *line = NULL;
	struct stat st;

	if (!zone)
		return 0;
	target = mem_printf("/usr/share/zoneinfo/%s", zone);
	full = agent_path(cc->agent, target);
	if (*zone == '/' || !path_is_clean(target) || stat(full, &st) < 0 || !S_ISREG(st.st_mode)) {
		cc_problem(cc, value, "the image has no time zone '%s'", cc_show(cc, zone));
		return 0;
	}
	line = mem_printf("%s\n", zone);
	if (place_link(cc->agent, "/etc/localtime", target, err) < 0)
		return -1;
	return place_text(cc->agent, "/etc/timezone", line, 0644, err);
}

static bool server_valid(const char *name)
{
	unsigned char address[sizeof(struct in6_addr)];

	return name_valid(name) || inet_pton(AF_INET6, name, address) == 1;
}

static void add_servers(struct cc *cc, const struct doc_node *map, const char *key,
			struct str *text)
{
	const struct doc_node *node = doc_node_get(map, key);
	CLEANUP(strv_free) struct strv names = {0};

	if (!node || doc_node_is_null(node))
		return;
	cc_texts(cc, node, key, 0, &names);
	for (size_t i = 0; i < names.count; i++)
		if (i >= SERVERS_MAX || !server_valid(names.items[i]))
			cc_problem(cc, node, "'%s' cannot be a time server",
				   cc_show(cc, names.items[i]));
		else
			str_addf(text, " %s", names.items[i]);
}

int cc_ntp(struct cc *cc, const struct doc_node *value, struct err *err)
{
	static const char *const known[] = {"enabled", "servers", "pools", "ntp_client"};
	CLEANUP(str_free) struct str servers = {0};
	CLEANUP_FREE char *text = NULL;
	const char *client;

	if (doc_node_is_null(value))
		return 0;
	if (!cc_is(cc, value, DOC_MAP, "ntp"))
		return 0;
	cc_check_keys(cc, value, "ntp", known, ARRAY_SIZE(known));
	client = doc_node_string(value, "ntp_client");
	if (client && strcmp(client, "auto") != 0 && strcmp(client, "systemd-timesyncd") != 0)
		cc_problem(cc, doc_node_get(value, "ntp_client"),
			   "ntp: this image has systemd-timesyncd, not '%s'", cc_show(cc, client));
	if (!cc_flag(cc, value, "enabled", true)) {
		cc_problem(cc, doc_node_get(value, "enabled"),
			   "ntp: the clock cannot be left alone: clusters need it");
		return 0;
	}
	add_servers(cc, value, "servers", &servers);
	add_servers(cc, value, "pools", &servers);
	if (!servers.len)
		return 0;
	/* An empty assignment forgets the profile's servers (timesyncd.conf(5)). */
	text = mem_printf("# Made by ingot-agent from user-data.\n[Time]\nNTP=\nNTP=%s\n",
			  servers.data + 1);
	if (place_text(cc->agent, "/etc/systemd/timesyncd.conf.d/90-user-data.conf", text, 0644,
		       err) < 0)
		return -1;
	cc_restart(cc, "systemd-timesyncd.service");
	return 0;
}
