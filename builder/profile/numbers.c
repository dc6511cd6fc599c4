/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types whose values are numbers, or switches: bool, integer, size, mode, ports, networks.
 */
#include "base/size.h"
#include "profile/schema.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Digits only: 010 would be octal to YAML 1.1 and decimal to people, so no leading zero. */
static bool parse_digits(const char *text, int64_t *ret)
{
	int64_t value = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return false;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
		    __builtin_add_overflow(value, (int64_t)(*text - '0'), &value))
			return false;
	*ret = value;
	return !*text;
}

/* Writes sizes as people do: whole units when that is exact. */
static void show_number(int64_t value, bool size, char text[32])
{
	static const char units[] = "KMGT";
	int unit = -1;

	while (size && unit < 3 && value && value % 1024 == 0) {
		value /= 1024;
		unit++;
	}
	snprintf(text, 32, "%lld%.1s", (long long)value, unit >= 0 ? units + unit : "");
}

static bool in_range(const struct schema_row *row, bool size, const char *text,
		     struct schema_value *ret)
{
	char min[32], max[32];

	if (ret->number >= row->min && ret->number <= row->max)
		return true;
	show_number(row->min, size, min);
	show_number(row->max, size, max);
	snprintf(ret->problem, sizeof(ret->problem), "'%.60s' is out of range", text);
	snprintf(ret->note, sizeof(ret->note), "expected %s to %s", min, max);
	return false;
}

static bool read_bool(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	static const char *const others[] = {"yes", "no", "on", "off", "y", "n", "1", "0"};

	(void)row;
	ret->number = strcmp(text, "true") == 0;
	if (ret->number || strcmp(text, "false") == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strcasecmp(text, others[i]) == 0)
			snprintf(ret->note, sizeof(ret->note), "write %s",
				 i % 2 ? "false" : "true");
	return false;
}

static bool read_integer(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	if (!parse_digits(text, &ret->number)) {
		snprintf(ret->note, sizeof(ret->note), "expected a whole number from %lld to %lld",
			 (long long)row->min, (long long)row->max);
		return false;
	}
	return in_range(row, false, text, ret);
}

/* All sizes are of things on disk; partitions start at whole MiB. */
static bool read_size(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	uint64_t bytes;

	if (size_parse(text, &bytes, NULL) < 0)
		return false;
	ret->number = (int64_t)bytes;
	if (!in_range(row, true, text, ret))
		return false;
	if (bytes % MIB == 0)
		return true;
	snprintf(ret->problem, sizeof(ret->problem), "'%.60s' is not a whole number of MiB", text);
	snprintf(ret->note, sizeof(ret->note), "did you mean '%lluM'?",
		 (unsigned long long)(size_align(bytes, MIB) / MIB));
	return false;
}

static bool read_block(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	uint64_t bytes;

	if (size_parse(text, &bytes, NULL) < 0)
		return false;
	ret->number = (int64_t)bytes;
	if (!in_range(row, true, text, ret))
		return false;
	if ((bytes & (bytes - 1)) == 0)
		return true;
	snprintf(ret->problem, sizeof(ret->problem), "'%.60s' is not a power of two", text);
	return false;
}

static bool read_mode(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	(void)row;
	/* At most four digits when the pattern fits. */
	for (ret->number = 0; *text >= '0' && *text <= '7' && ret->number < 07777; text++)
		ret->number = ret->number * 8 + (*text - '0');
	return true;
}

static bool read_ports(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	const char *dash = strchr(text, '-');
	char first[8];

	(void)row;
	if (dash && (size_t)(dash - text) < sizeof(first)) {
		snprintf(first, sizeof(first), "%.*s", (int)(dash - text), text);
		if (!parse_digits(first, &ret->number) || !parse_digits(dash + 1, &ret->last))
			return false;
	} else {
		if (!parse_digits(text, &ret->number))
			return false;
		ret->last = ret->number;
	}
	if (ret->number < 1 || ret->last > UINT16_MAX || ret->number > UINT16_MAX) {
		snprintf(ret->problem, sizeof(ret->problem), "port '%.60s' is out of range", text);
		snprintf(ret->note, sizeof(ret->note), "expected 1 to 65535");
		return false;
	}
	if (ret->last >= ret->number)
		return true;
	snprintf(ret->problem, sizeof(ret->problem), "range of ports '%.60s' runs backwards", text);
	snprintf(ret->note, sizeof(ret->note), "did you mean '%lld-%lld'?", (long long)ret->last,
		 (long long)ret->number);
	return false;
}

/* Clears what is behind the prefix; returns true when there was something. */
static bool clear_host(unsigned char *address, size_t bytes, int64_t prefix)
{
	bool found = false;

	for (size_t i = 0; i < bytes; i++) {
		int64_t keep = prefix - (int64_t)i * 8;
		unsigned char mask = keep >= 8   ? 0xff
				     : keep <= 0 ? 0
						 : (unsigned char)(0xff00 >> keep);

		found = found || (address[i] & ~mask);
		address[i] &= mask;
	}
	return found;
}

/* RFC 4632 and 4291: an address and the length of its network part. */
static bool read_network(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	int64_t bits = family == AF_INET6 ? 128 : 32, prefix;
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN] = "";
	unsigned char bytes[16];

	(void)row;
	snprintf(address, sizeof(address), "%.*s", slash ? (int)(slash - text) : (int)strlen(text),
		 text);
	if (inet_pton(family, address, bytes) != 1)
		return false;
	if (!slash) {
		snprintf(ret->note, sizeof(ret->note), "for one address write '%s/%lld'", address,
			 (long long)bits);
		return false;
	}
	if (!parse_digits(slash + 1, &prefix) || prefix > bits) {
		snprintf(ret->note, sizeof(ret->note), "expected 0 to %lld behind the slash",
			 (long long)bits);
		return false;
	}
	if (!clear_host(bytes, (size_t)bits / 8, prefix))
		return true;
	snprintf(ret->problem, sizeof(ret->problem), "'%.60s' is an address inside a network",
		 text);
	inet_ntop(family, bytes, address, sizeof(address));
	snprintf(ret->note, sizeof(ret->note), "did you mean '%s/%lld'?", address,
		 (long long)prefix);
	return false;
}

#define TYPE(id) const struct schema_type schema_type_##id

TYPE(bool) = {
	.name = "true or false",
	.article = "true or false",
	.expected = "true or false",
	.max = 5,
	.store = SCHEMA_BOOL,
	.read = read_bool,
};
TYPE(integer) = {
	.name = "integer",
	.article = "a whole number",
	.expected = "digits only",
	.max = 20,
	.store = SCHEMA_U32,
	.read = read_integer,
};
TYPE(id) = {
	.name = "integer",
	.article = "a whole number",
	.expected = "digits only",
	.max = 20,
	.store = SCHEMA_I64,
	.read = read_integer,
};
TYPE(size) = {
	.name = "size",
	.article = "a size",
	.expected = "a number with K, M, G or T, such as 512M",
	.pattern = "^[0-9]+([KMGTkmgt]([iI][bB])?|[bB])?$",
	.max = 24,
	.store = SCHEMA_U64,
	.read = read_size,
};
TYPE(block) = {
	.name = "block size",
	.article = "a size",
	.expected = "a power of two with K or M, such as 128K",
	.pattern = "^[0-9]+([KMGTkmgt]([iI][bB])?|[bB])?$",
	.max = 24,
	.store = SCHEMA_U32,
	.read = read_block,
};
TYPE(mode) = {
	.name = "mode",
	.article = "a file mode",
	.expected = "three or four octal digits, such as \"0644\"",
	.pattern = "^[0-7]?[0-7][0-7][0-7]$",
	.max = 64,
	.store = SCHEMA_U32,
	.read = read_mode,
};
TYPE(ports) = {
	.name = "port or range",
	.article = "a port",
	.expected = "a number or a range, such as 2377 or 30000-32767",
	.pattern = "^[0-9]+(-[0-9]+)?$",
	.max = 64,
	.store = SCHEMA_PORTS,
	.read = read_ports,
};
TYPE(network) = {
	.name = "network",
	.article = "a network",
	.expected = "an address and a length, such as 10.0.0.0/8 or fd00::/8",
	.pattern = "^[0-9A-Fa-f:.]+/[0-9]+$",
	.max = 50,
	.read = read_network,
};
