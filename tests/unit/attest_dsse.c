/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of attest/dsse.c: what is signed is the PAE of the specification; an envelope that says anything in
 * two ways is refused.
 */
#include "tap.h"

#include "attest/dsse.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"

/* The example of protocol.md. */
static const char type[] = "http://example.com/HelloWorld", payload[] = "hello world";
static const char pae[] = "DSSEv1 29 http://example.com/HelloWorld 11 hello world";

TEST(the_pae_is_signed)
{
	struct err err = {0};
	CLEANUP(sign_cleanup) struct sign_key *key = sign_generate(SIGN_ED25519, &err);
	CLEANUP(sign_cleanup) struct sign_key *other = sign_generate(SIGN_ED25519, &err);
	CLEANUP(str_free) struct str line = {0};
	CLEANUP(dsse_free) struct dsse e = {0};
	CLEANUP_JSON json_t *value = NULL;

	CHECK(key && other);
	CHECK_OK(dsse_wrap(payload, 11, type, key, &line, &err), &err);
	CHECK_INT(strcspn(line.data, "\n"), line.len - 1);
	value = json_parse(line.data, line.len, "line", &err);
	CHECK_OK_PTR(value, &err);
	CHECK_STR(json_member_string(value, "payload"), "aGVsbG8gd29ybGQ=");
	CHECK_STR(json_member_string(value, "payloadType"), type);
	CHECK_INT(json_object_size(value), 3);
	CHECK_OK(dsse_parse(line.data, line.len, "line", &e, &err), &err);
	CHECK_STR(e.type, type);
	CHECK_STR(e.payload.data, payload);
	CHECK_STR(e.key_id, sign_key_id(key));
	CHECK(sign_verify(key, pae, strlen(pae), e.signature.data, e.signature.len));
	CHECK(dsse_verify(&e, key));
	CHECK(!dsse_verify(&e, other));
	/* The type is signed too. */
	e.type[0] = 'H';
	CHECK(!dsse_verify(&e, key));
	e.type[0] = 'h';
	e.payload.data[0] = 'H';
	CHECK(!dsse_verify(&e, key));
}

TEST(empty_and_binary_payloads)
{
	struct err err = {0};
	CLEANUP(sign_cleanup) struct sign_key *key = sign_generate(SIGN_ED25519, &err);
	char bytes[256];

	CHECK(key);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	for (size_t len = 0; len <= sizeof(bytes); len += 64) {
		CLEANUP(str_free) struct str line = {0};
		CLEANUP(dsse_free) struct dsse e = {0};

		CHECK_OK(dsse_wrap(bytes, len, "x/y", key, &line, &err), &err);
		CHECK_OK(dsse_parse(line.data, line.len, "line", &e, &err), &err);
		CHECK_U64(e.payload.len, len);
		CHECK_MEM(e.payload.data, bytes, len);
		CHECK(dsse_verify(&e, key));
	}
}

TEST(other_writers)
{
	static const char text[] =
		"{\"payload\": \"-_8=\", \"payloadType\": \"t\", \"signatures\": "
		"[{\"sig\": \"AAAA\"}], \"more\": 1}";
	CLEANUP(dsse_free) struct dsse e = {0};
	struct err err = {0};

	CHECK_OK(dsse_parse(text, strlen(text), "x", &e, &err), &err);
	CHECK_U64(e.payload.len, 2);
	CHECK_MEM(e.payload.data, "\xfb\xff", 2);
	CHECK(e.key_id == NULL);
}

TEST(envelopes_that_are_refused)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", "not valid JSON"},
		{"[]", "lacks payload"},
		{"{}", "lacks payload"},
		{"{\"payload\": 1, \"payloadType\": \"t\", \"signatures\": []}", "lacks payload"},
		{"{\"payload\": \"\", \"signatures\": [{\"sig\": \"\"}]}", "lacks payload"},
		{"{\"payload\": \"\", \"payloadType\": \"t\", \"signatures\": {}}",
		 "lacks payload"},
		{"{\"payload\": \"\", \"payloadType\": \"t\", \"signatures\": []}", "0 signatures"},
		{"{\"payload\": \"\", \"payloadType\": \"t\", \"signatures\": [{\"sig\": \"\"}, "
		 "{\"sig\": \"\"}]}",
		 "2 signatures"},
		{"{\"payload\": \"\", \"payloadType\": \"t\", \"signatures\": [{}]}", "no sig"},
		{"{\"payload\": \"\", \"payloadType\": \"t\", \"signatures\": [1]}", "no sig"},
		{"{\"payload\": \"?\", \"payloadType\": \"t\", \"signatures\": [{\"sig\": \"\"}]}",
		 "no base64"},
		{"{\"payload\": \"\", \"payloadType\": \"t\", \"signatures\": [{\"sig\": \"x\"}]}",
		 "no base64"},
		{"{\"payload\": \"\", \"payload\": \"\"}", "not valid JSON"},
		{"{} {}", "not valid JSON"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};
		struct dsse e;

		CHECK_ERR(dsse_parse(rows[i].text, strlen(rows[i].text), "x", &e, &err), &err,
			  ERR_VERIFY, rows[i].why);
		CHECK(!e.type && !e.payload.data);
	}
}

TEST(a_right_envelope_is_kept)
{
	struct err err = {0};
	CLEANUP(sign_cleanup) struct sign_key *key = sign_generate(SIGN_ECDSA, &err);
	CLEANUP_FREE char *first = NULL, *second = NULL, *third = NULL;

	CHECK(key);
	CHECK_ERR(dsse_write("statement", "envelope", key, &err), &err, ERR_OTHER, "No such file");
	tap_spew("statement", "{}\n", 3);
	CHECK_OK(dsse_write("statement", "envelope", key, &err), &err);
	first = tap_slurp("envelope", NULL);
	CHECK_CONTAINS(first, "\"payloadType\":\"application/vnd.in-toto+json\"");
	CHECK_OK(dsse_write("statement", "envelope", key, &err), &err);
	second = tap_slurp("envelope", NULL);
	CHECK_STR(second, first);
	tap_spew("statement", "{ }\n", 4);
	CHECK_OK(dsse_write("statement", "envelope", key, &err), &err);
	third = tap_slurp("envelope", NULL);
	CHECK(strcmp(third, first) != 0);
}
