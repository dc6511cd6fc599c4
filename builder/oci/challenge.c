/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WWW-Authenticate: challenges and their parameters are both separated by commas, so that a name is a parameter
 * only when "=" follows it.
 */
#include "oci/challenge.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* tchar of RFC 9110, 5.6.2. */
static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_spaces(const char *p)
{
	return p + strspn(p, " \t");
}

static size_t token_length(const char *p)
{
	size_t n = 0;

	while (is_token_char(p[n]))
		n++;
	return n;
}

struct parameter {
	const char *name;
	size_t name_len;
	char value[OCI_CHALLENGE_VALUE_MAX];
};

/* Reads a token or a quoted string at p. Returns what is behind it, or NULL when it is neither, too long, or has
 * characters that are not printable. */
static const char *read_value(const char *p, char value[OCI_CHALLENGE_VALUE_MAX])
{
	size_t n = 0;
	bool quoted = *p == '"';

	for (p += quoted; quoted ? *p != '"' : is_token_char(*p); p++) {
		if (quoted && *p == '\\')
			p++;
		if (*p < ' ' || *p > '~' || n + 1 >= OCI_CHALLENGE_VALUE_MAX)
			return NULL;
		value[n++] = *p;
	}
	value[n] = '\0';
	if (quoted)
		return p + 1;
	return n ? p : NULL;
}

/* Reads "name = value" at p. Returns what is behind it, NULL when it is something else. */
static const char *read_parameter(const char *p, struct parameter *ret)
{
	ret->name = p;
	ret->name_len = token_length(p);
	if (!ret->name_len)
		return NULL;
	p = skip_spaces(p + ret->name_len);
	if (*p != '=')
		return NULL;
	return read_value(skip_spaces(p + 1), ret->value);
}

static bool is_named(const char *name, size_t len, const char *want)
{
	return len == strlen(want) && strncasecmp(name, want, len) == 0;
}

static void copy(const char *value, char *ret, size_t room)
{
	size_t len = strlen(value);

	if (len < room)
		memcpy(ret, value, len + 1);
}

static void take_parameter(const struct parameter *p, struct oci_challenge *c)
{
	if (is_named(p->name, p->name_len, "realm"))
		copy(p->value, c->realm, sizeof(c->realm));
	else if (is_named(p->name, p->name_len, "service"))
		copy(p->value, c->service, sizeof(c->service));
	else if (is_named(p->name, p->name_len, "scope"))
		copy(p->value, c->scope, sizeof(c->scope));
	else if (is_named(p->name, p->name_len, "error"))
		copy(p->value, c->error, sizeof(c->error));
}

/* token68 (RFC 9110, 11.2), as schemes that are not ours have it instead of parameters. */
static const char *skip_token68(const char *p)
{
	const char *end = p;

	while (is_token_char(*end) || *end == '/')
		end++;
	while (*end == '=')
		end++;
	if (end == p)
		return NULL;
	return *skip_spaces(end) == ',' || *skip_spaces(end) == '\0' ? end : NULL;
}

/* Reads the parameters of one challenge. Returns what is behind them, NULL when they cannot be read. */
static const char *read_parameters(const char *p, struct oci_challenge *ret)
{
	struct parameter parameter;
	bool first = true;

	for (;;) {
		const char *start = p + strspn(p, " \t,"),
			   *next = read_parameter(start, &parameter);

		if (next) {
			take_parameter(&parameter, ret);
			p = next;
		} else if (first && start == skip_spaces(p) && (next = skip_token68(start))) {
			p = next;
		} else {
			/* The next challenge, the end, or what cannot be read. */
			return *start == '\0' || token_length(start) ? start : NULL;
		}
		first = false;
		p = skip_spaces(p);
		if (*p && *p != ',')
			return NULL;
	}
}

void oci_challenge_read(const char *header, struct oci_challenge *ret)
{
	const char *p = header + strspn(header, " \t,");

	while (p && *p) {
		struct oci_challenge one = {0};
		const char *scheme = p;
		size_t len = token_length(p);

		if (!len || (p[len] && !strchr(" \t,", p[len])))
			return;
		p = skip_spaces(p + len);
		p = read_parameters(p, &one);
		if (!p)
			return;
		if (is_named(scheme, len, "Basic")) {
			ret->basic = true;
		} else if (is_named(scheme, len, "Bearer") && one.realm[0] && !ret->bearer) {
			one.basic = ret->basic;
			one.bearer = true;
			*ret = one;
		}
	}
}
