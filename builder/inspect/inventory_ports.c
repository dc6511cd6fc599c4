/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may come in from the network: the rules of the firewall in the form that layers/settings_firewall.c
 * writes (and nftables.conf as far as it has that form), and the sockets that systemd listens on.
 */
#include "inspect/inventory_parts.h"

#include <string.h>

/* Copies the word at text behind the key, e.g. "22" behind "dport ". NULL when the key is not there. */
static char *word_after(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	if (!at)
		return NULL;
	at += strlen(key);
	/* A set "{ a, b }" is taken as a whole. */
	if (*at == '{' && strchr(at, '}'))
		return mem_strndup(at, (size_t)(strchr(at, '}') - at + 1));
	return mem_strndup(at, strcspn(at, " \t;"));
}

/* The protocol is the word before "dport". */
static char *protocol_of(const char *line)
{
	const char *port = strstr(line, " dport "), *from = port;

	if (!port)
		return NULL;
	while (from > line && !strchr(" \t", from[-1]))
		from--;
	return mem_strndup(from, (size_t)(port - from));
}

/* "tcp 22", "udp 60000-61000", "esp"; NULL when the rule lets no port in. */
static char *what_is_let_in(const char *line)
{
	CLEANUP_FREE char *protocol = protocol_of(line);
	CLEANUP_FREE char *port = word_after(line, " dport ");

	if (protocol && port)
		return mem_printf("allow %s %s", protocol, port);
	free(protocol);
	protocol = word_after(line, "meta l4proto ");
	return protocol ? mem_printf("allow %s", protocol) : NULL;
}

static char *comment_of(const char *line)
{
	const char *at = strstr(line, " comment \"");

	return at ? mem_strndup(at + 10, strcspn(at + 10, "\"")) : NULL;
}

/* Puts text into the list "from" or "names" of the row. */
static void append(json_t *row, const char *member, const char *text)
{
	json_t *list = json_object_get(row, member);

	if (!list) {
		list = json_array();
		json_object_set_new(row, member, list);
	}
	json_array_append_new(list, inventory_string(text));
}

/* The row of that name, made when it is not there. */
static json_t *port_row(struct inventory *inv, const char *name, struct err *err)
{
	CLEANUP_JSON json_t *key = inventory_string(name);
	json_t *rows = inventory_category(inv, "ports");

	if (!json_object_get(rows, json_string_value(key)) &&
	    inventory_set(inv, "ports", name, json_object(), err) < 0)
		return NULL;
	return json_object_get(rows, json_string_value(key));
}

static int add_rule(struct inventory *inv, const char *line, struct err *err)
{
	CLEANUP_FREE char *what = what_is_let_in(line), *from = NULL, *comment = NULL;
	json_t *row;

	if (!what || !strstr(line, " accept"))
		return 0;
	row = port_row(inv, what, err);
	if (!row)
		return -1;
	from = word_after(line, " saddr ");
	if (!from && str_has_prefix(line, "ip"))
		from = word_after(line, "saddr ");
	comment = comment_of(line);
	append(row, "from", from ? from : "anywhere");
	if (comment)
		json_object_set_new(row, "name", inventory_string(comment));
	return 0;
}

/* Each policy of an input chain is said, also that there is none. */
static int add_firewall(struct inventory *inv, const struct inventory_text *rules, struct err *err)
{
	const char *at = rules ? rules->text : "", *line;
	bool dropping = false;
	size_t len;

	while ((line = inventory_line(&at, &len))) {
		CLEANUP_FREE char *text = mem_strndup(line, len);
		const char *rule = text + strspn(text, " \t");

		if (*rule == '#')
			continue;
		dropping |= strstr(rule, "hook input") && strstr(rule, "policy drop");
		if (add_rule(inv, rule, err) < 0)
			return -1;
	}
	return inventory_set(inv, "ports", "policy", json_string(dropping ? "drop" : "accept"),
			     err);
}

/* True for addresses of the network, unlike those of files and of the machine itself. */
static bool is_port(const char *address)
{
	return *address && !strchr("/@", *address) && !str_has_prefix(address, "vsock:") &&
	       !str_has_prefix(address, "%t/");
}

/* What a socket listens on, "tcp 22"; an assignment of nothing forgets what was before it. */
static void take_listeners(const struct inventory_text *text, struct strv *list)
{
	static const struct {
		const char *key, *protocol;
	} keys[] = {{"ListenStream=", "tcp"}, {"ListenDatagram=", "udp"}};
	const char *at = text ? text->text : "", *line;
	size_t len;

	while ((line = inventory_line(&at, &len))) {
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			size_t n = strlen(keys[i].key);
			CLEANUP_FREE char *address = NULL;

			if (len < n || memcmp(line, keys[i].key, n) != 0)
				continue;
			address = mem_strndup(line + n, strcspn(line + n, " \t\r\n"));
			if (!*address)
				strv_free(list);
			else if (is_port(address))
				strv_addf(list, "%s %s", keys[i].protocol, address);
		}
	}
}

/* A socket that nothing starts listens to nothing. */
static bool is_started(const json_t *unit)
{
	const char *state = json_member_string(unit, "state");

	return state && strcmp(state, "masked") != 0 && strcmp(state, "alias") != 0 &&
	       (strcmp(state, "enabled") == 0 || json_object_get(unit, "wanted_by") ||
		json_object_get(unit, "required_by") || json_object_get(unit, "upheld_by"));
}

static int add_socket(struct inventory *inv, const char *unit, const json_t *row, struct err *err)
{
	static const char *const folders[] = {"/etc/systemd/system",
					      "/usr/local/lib/systemd/system",
					      "/usr/lib/systemd/system", "/lib/systemd/system"};
	CLEANUP(strv_free) struct strv list = {0};
	const struct inventory_text *text = NULL;
	const char *drop_in;
	json_t *unused;

	for (size_t i = 0; i < ARRAY_SIZE(folders) && !text; i++) {
		CLEANUP_FREE char *path = mem_printf("%s/%s", folders[i], unit);

		text = inventory_text(inv, path);
	}
	take_listeners(text, &list);
	json_object_foreach(json_object_get(row, "drop_ins"), drop_in, unused)
	{
		take_listeners(inventory_text(inv, drop_in), &list);
	}
	for (size_t i = 0; i < list.count; i++) {
		CLEANUP_FREE char *name = mem_printf("socket %s", list.items[i]);
		json_t *port = port_row(inv, name, err);

		if (!port)
			return -1;
		append(port, "units", unit);
	}
	return 0;
}

int inventory_add_ports(struct inventory *inv, struct err *err)
{
	const struct inventory_text *rules = inventory_text(inv, "/usr/lib/ingot/firewall.nft");
	const char *unit;
	json_t *row;

	if (!rules)
		rules = inventory_text(inv, "/etc/nftables.conf");
	if (add_firewall(inv, rules, err) < 0)
		return -1;
	json_object_foreach(inventory_category(inv, "units"), unit, row)
	{
		if (str_has_suffix(unit, ".socket") && is_started(row) &&
		    add_socket(inv, unit, row, err) < 0)
			return -1;
	}
	return 0;
}
