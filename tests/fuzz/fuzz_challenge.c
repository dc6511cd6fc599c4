/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as WWW-Authenticate, and as a file with credentials: no value has what could break out of a header line or
 * an address, and a message has nothing of the file.
 */
#include "demand.h"
#include "base/mem.h"
#include "oci/challenge.h"
#include "oci/credentials.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(const char *text)
{
	for (; *text; text++)
		demand(*text >= ' ' && *text <= '~', "a value is printable");
}

/* UTF-8 may be in passwords; control characters may not. */
static void check_secret(const char *text)
{
	for (; text && *text; text++)
		demand((unsigned char)*text >= ' ' && *text != 0x7f, "a secret fits into a header");
}

static void as_challenge(const char *text)
{
	struct oci_challenge c = {0};

	oci_challenge_read(text, &c);
	oci_challenge_read(text, &c);
	demand(c.bearer == (c.realm[0] != '\0'), "a bearer challenge has a realm");
	demand(c.bearer || (!c.service[0] && !c.scope[0] && !c.error[0]),
	       "values are those of a bearer challenge");
	check_value(c.realm);
	check_value(c.service);
	check_value(c.scope);
	check_value(c.error);
}

static void as_credentials(const char *text, size_t len)
{
	struct oci_credentials c CLEANUP(oci_credentials_free) = {0};
	struct oci_helper helper CLEANUP(oci_helper_free) = {0};
	struct err err = {0};
	int r = oci_credentials_parse(text, len, "x", "r.example.com", "a/b", &c, &helper, &err);

	demand((r == 2) == (helper.name != NULL), "a helper is named when one is to be asked");
	demand((r == 1) == (c.identity || c.bearer || (c.user && c.secret)),
	       "credentials are there when they are said to be");
	demand((r < 0) == (err.code == ERR_OTHER), "an error says so");
	demand(!helper.name || (!strchr(helper.name, '/') && !strchr(helper.name, ' ')),
	       "a helper is no path");
	check_secret(c.user);
	check_secret(c.secret);
	check_secret(c.identity);
	check_secret(c.bearer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = mem_strndup((const char *)data, size);

	as_challenge(text);
	as_credentials((const char *)data, size);
	return 0;
}
