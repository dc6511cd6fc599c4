/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types of the values of our own settings: what fits, and how a message says what would. None of them lets a
 * control character in: values go into engine labels, HTTP requests and lines of other programs.
 */
#include "agent/userdata/settings_parts.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define CREDENTIAL "credential:"
#define TOKEN "SWMTKN-1-"
#define CERTIFICATES_MAX ((size_t)65536)

static bool is_made_of(const char *text, const char *allowed, size_t min, size_t max)
{
	size_t len = strnlen(text, max + 1);

	return len >= min && len <= max && strspn(text, allowed) == len;
}

static bool is_printable(const char *text, size_t min, size_t max)
{
	size_t len = strnlen(text, max + 1);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return len >= min && len <= max;
}

static bool is_number(const char *text, unsigned min, unsigned max)
{
	unsigned long value;

	if (!is_made_of(text, DIGITS, 1, 9) || (text[0] == '0' && text[1]))
		return false;
	value = strtoul(text, NULL, 10);
	return value >= min && value <= max;
}

static bool is_name(const char *text)
{
	return is_made_of(text, LOWER DIGITS "-", 1, 63) && text[0] != '-' &&
	       text[strlen(text) - 1] != '-';
}

static bool is_word(const char *text)
{
	return is_printable(text, 1, 255) && !strchr(text, ' ');
}

static bool is_choice(const char *text)
{
	return text[0] != '\0';
}

/* ---- secrets --------------------------------------------------------------------------------- */

/* "credential:NAME"; *ret_named is true when it wants to be one. */
static bool is_credential(const char *text, bool *ret_named)
{
	*ret_named = str_has_prefix(text, CREDENTIAL);
	if (!*ret_named)
		return false;
	text += strlen(CREDENTIAL);
	return is_made_of(text, LOWER UPPER DIGITS "._-@", 1, 255) && text[0] != '.';
}

static bool is_cluster_secret(const char *text)
{
	bool named, good = is_credential(text, &named);

	return named ? good : is_printable(text, 32, SETTINGS_SECRET_MAX);
}

static bool is_password(const char *text)
{
	bool named, good = is_credential(text, &named);

	return named ? good : is_printable(text, 1, SETTINGS_SECRET_MAX);
}

/* Version 1 of Swarm's tokens: the digest of the root certificate and a secret, both in base 36. */
static bool is_join_token(const char *text)
{
	const char *p = text + strlen(TOKEN);
	bool named, good = is_credential(text, &named);

	if (named)
		return good;
	return str_has_prefix(text, TOKEN) && strspn(p, LOWER DIGITS) == 50 && p[50] == '-' &&
	       is_made_of(p + 51, LOWER DIGITS, 25, 25);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool is_ip(const char *text)
{
	struct in6_addr ip;

	return inet_pton(AF_INET, text, &ip) == 1 || inet_pton(AF_INET6, text, &ip) == 1;
}

/* A DNS name (RFC 1123), or an IPv4 address; not four numbers that are none. */
static bool is_host(const char *text)
{
	const char *last = strrchr(text, '.');
	size_t label = 0;

	if (!is_made_of(text, LOWER UPPER DIGITS "-.", 1, 253))
		return false;
	if (strspn(last ? last + 1 : text, DIGITS) == strlen(last ? last + 1 : text))
		return is_ip(text);
	for (const char *p = text;; p++) {
		if (*p && *p != '.') {
			if (++label > 63 || (*p == '-' && (label == 1 || !p[1] || p[1] == '.')))
				return false;
			continue;
		}
		if (label == 0)
			return false;
		if (!*p)
			return true;
		label = 0;
	}
}

/* HOST, HOST:PORT, an IPv6 address, or [IPv6]:PORT. */
static bool is_endpoint(const char *text, size_t len)
{
	char host[300];
	const char *colon;
	struct in6_addr ip;

	if (len == 0 || len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	if (host[0] == '[') {
		char *end = strchr(host, ']');

		if (!end || (end[1] && (end[1] != ':' || !is_number(end + 2, 1, 65535))))
			return false;
		*end = '\0';
		return inet_pton(AF_INET6, host + 1, &ip) == 1;
	}
	if (inet_pton(AF_INET6, host, &ip) == 1)
		return true;
	colon = strchr(host, ':');
	if (!colon)
		return is_host(host);
	if (!is_number(colon + 1, 1, 65535))
		return false;
	host[colon - host] = '\0';
	return is_host(host);
}

static bool is_seed(const char *text)
{
	return is_endpoint(text, strlen(text));
}

/* http or https, a host, perhaps a port and a plain path; no user, query or fragment. */
static bool is_url(const char *text)
{
	size_t len;

	if (str_has_prefix(text, "https://"))
		text += 8;
	else if (str_has_prefix(text, "http://"))
		text += 7;
	else
		return false;
	len = strcspn(text, "/");
	/* A bare IPv6 address has no end in a URL. */
	return is_endpoint(text, len) &&
	       (text[0] == '[' || memchr(text, ':', len) == NULL ||
		strchr(text, ':') == strrchr(text, ':')) &&
	       is_made_of(text + len, LOWER UPPER DIGITS "/._~-", 0, 255);
}

static bool is_address_or_interface(const char *text)
{
	return is_ip(text) || (is_made_of(text, LOWER UPPER DIGITS "._-@", 1, 15) &&
			       strspn(text, DIGITS ".") != strlen(text));
}

static bool is_network(const char *text)
{
	const char *slash = strchr(text, '/');
	char ip[INET_ADDRSTRLEN];
	struct in_addr address;
	uint32_t host;
	unsigned bits;

	if (!slash || (size_t)(slash - text) >= sizeof(ip) || !is_number(slash + 1, 1, 30))
		return false;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	if (inet_pton(AF_INET, ip, &address) != 1)
		return false;
	bits = (unsigned)strtoul(slash + 1, NULL, 10);
	host = ntohl(address.s_addr) & (UINT32_MAX >> bits);
	return host == 0;
}

static bool is_subnet_size(const char *text)
{
	return is_number(text, 8, 30);
}

static bool is_data_path_port(const char *text)
{
	return is_number(text, 1024, 49151);
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* As in profiles (join.labels), and as the engine takes them; what begins with these belongs to Docker. */
static bool is_label(const char *text)
{
	static const char *const reserved[] = {"com.docker.", "io.docker.", "org.dockerproject."};

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (str_has_prefix(text, reserved[i]))
			return false;
	return is_made_of(text, LOWER DIGITS "._-", 2, 63) && strchr(LOWER, text[0]) &&
	       strchr(LOWER DIGITS, text[strlen(text) - 1]);
}

static bool is_label_value(const char *text)
{
	return is_made_of(text, LOWER UPPER DIGITS "._:/-", 1, 63) &&
	       strchr(LOWER UPPER DIGITS, text[0]) &&
	       strchr(LOWER UPPER DIGITS, text[strlen(text) - 1]);
}

static bool is_key_prefix(const char *text)
{
	return is_made_of(text, LOWER UPPER DIGITS "._/-", 1, 255) && !strstr(text, "..") &&
	       !strstr(text, "//");
}

static bool is_bucket(const char *text)
{
	return is_made_of(text, LOWER DIGITS ".-", 3, 63) && !strstr(text, "..") &&
	       strchr(LOWER DIGITS, text[0]) && strchr(LOWER DIGITS, text[strlen(text) - 1]);
}

static bool is_certificates(const char *text)
{
	size_t len = strnlen(text, CERTIFICATES_MAX + 1);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 && !strchr("\t\r\n", text[i]))
			return false;
	return len <= CERTIFICATES_MAX && strstr(text, "-----BEGIN CERTIFICATE-----") &&
	       strstr(text, "-----END CERTIFICATE-----");
}

/* Parts joined by dots, as in profiles; "/" stands for a dot between them where one has a dot in it. */
static bool is_sysctl(const char *text)
{
	size_t parts = 0;

	if (strnlen(text, 201) > 200)
		return false;
	for (;;) {
		size_t len = strspn(text, LOWER UPPER DIGITS "_:@-");

		if (len == 0)
			return false;
		parts++;
		text += len;
		if (!*text)
			return parts > 1;
		if (*text != '.' && *text != '/')
			return false;
		text++;
	}
}

static bool is_sysctl_value(const char *text)
{
	return is_printable(text, 1, 255);
}

static const struct settings_type types[] = {
	{.name = "name",
	 .fits = is_name,
	 .article = "a name",
	 .expected = "1 to 63 of a-z, 0-9 and '-', none in front or behind"},
	{.name = "choice",
	 .fits = is_choice,
	 .article = "one of the choices",
	 .expected = "one of the choices"},
	{.name = "cluster secret",
	 .fits = is_cluster_secret,
	 .article = "a cluster's secret",
	 .expected = "32 characters at least on one line, or credential:NAME",
	 .secret = true},
	{.name = "password",
	 .fits = is_password,
	 .article = "a password",
	 .expected = "text on one line, or credential:NAME",
	 .secret = true},
	{.name = "join token",
	 .fits = is_join_token,
	 .article = "a join token",
	 .expected = "SWMTKN-1-, 50 and after another '-' 25 of a-z and 0-9, or credential:NAME",
	 .secret = true},
	{.name = "seed",
	 .fits = is_seed,
	 .article = "an address",
	 .expected = "an address or a host name, with :PORT or without"},
	{.name = "URL",
	 .fits = is_url,
	 .article = "a URL",
	 .expected = "https:// or http://, a host, perhaps a port and a path; no user and no query",
	 .secret = true},
	{.name = "address or interface",
	 .fits = is_address_or_interface,
	 .article = "an address or an interface",
	 .expected = "10.0.0.5 or eth0"},
	{.name = "network",
	 .fits = is_network,
	 .article = "a network",
	 .expected = "an IPv4 network such as 10.20.0.0/16, with no bits behind its prefix"},
	{.name = "subnet size",
	 .fits = is_subnet_size,
	 .article = "a prefix length",
	 .expected = "a number from 8 to 30",
	 .integer = true},
	{.name = "data path port",
	 .fits = is_data_path_port,
	 .article = "a data path port",
	 .expected = "a number from 1024 to 49151",
	 .integer = true},
	{.name = "word",
	 .fits = is_word,
	 .article = "a word",
	 .expected = "1 to 255 characters without spaces"},
	{.name = "bucket",
	 .fits = is_bucket,
	 .article = "the name of a bucket",
	 .expected = "3 to 63 of a-z, 0-9, '.' and '-'"},
	{.name = "key prefix",
	 .fits = is_key_prefix,
	 .article = "a prefix of keys",
	 .expected = "1 to 255 of letters, digits, '.', '_', '-' and '/', no '..'"},
	{.name = "certificates",
	 .fits = is_certificates,
	 .article = "a certificate",
	 .expected = "PEM text, as '|' and lines that are indented"},
	{.name = "label",
	 .fits = is_label,
	 .article = "the key of a label",
	 .expected = "2 to 63 of a-z, 0-9, '.', '_' and '-', a letter in front"},
	{.name = "label value",
	 .fits = is_label_value,
	 .article = "the value of a label",
	 .expected =
		 "1 to 63 of letters, digits, '.', '_', ':', '/' and '-', a letter or digit at both ends",
	 .key_fits = is_label,
	 .key_article = "the key of a label",
	 .key_expected = "2 to 63 of a-z, 0-9, '.', '_' and '-', a letter in front"},
	{.name = "sysctl value",
	 .fits = is_sysctl_value,
	 .article = "the value of a kernel setting",
	 .expected = "text on one line",
	 .key_fits = is_sysctl,
	 .key_article = "the name of a kernel setting",
	 .key_expected = "a name such as vm.swappiness"},
};

const struct settings_type *settings_type_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	fprintf(stderr, "ingot-agent: no type '%s'\n", name);
	abort();
}
