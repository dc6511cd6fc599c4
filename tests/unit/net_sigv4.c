/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of net/sigv4.c: AWS's published test suite (aws-sig-v4-test-suite) and the examples of the S3 API
 * reference, with the signatures that AWS gives.
 */
#include "tap.h"

#include "base/mem.h"
#include "net/sigv4.h"

#define SUITE_TIME 1440938160 /* 2015-08-30T12:36:00Z */
#define S3_TIME 1369353600    /* 2013-05-24T00:00:00Z */

static const struct sigv4_keys suite_keys = {"AKIDEXAMPLE",
					     "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL};
static const struct sigv4_keys s3_keys = {"AKIAIOSFODNN7EXAMPLE",
					  "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL};

struct row {
	const char *name, *method, *url;
	const char *headers[4];
	const char *body, *signed_headers, *signature;
};

static void check_rows(const struct row *rows, size_t count, const struct sigv4_keys *keys,
		       int64_t time, const char *service, const char *scope)
{
	for (size_t i = 0; i < count; i++) {
		CLEANUP(strv_free) struct strv got = {0};
		CLEANUP_FREE char *want = mem_printf(
			"Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, "
			"SignedHeaders=%s, Signature=%s",
			keys->access_key, scope, rows[i].signed_headers, rows[i].signature);
		struct digest payload;
		struct sigv4_request request = {.method = rows[i].method,
						.url = rows[i].url,
						.headers = rows[i].headers,
						.payload = rows[i].body ? &payload : NULL,
						.time = time,
						.region = "us-east-1",
						.service = service};
		struct err err = {0};

		if (rows[i].body)
			digest_bytes(rows[i].body, strlen(rows[i].body), &payload);
		CHECK_OK(sigv4_sign(&request, keys, &got, &err), &err);
		CHECK_STR(got.items[got.count - 1], want);
		for (size_t k = 0; k < got.count; k++)
			CHECK(!strstr(got.items[k], keys->secret_key));
	}
}

TEST(suite_of_aws)
{
#define SITE "https://example.amazonaws.com/"
	static const struct row rows[] = {
		{"get-vanilla",
		 "GET",
		 SITE,
		 {0},
		 NULL,
		 "host;x-amz-date",
		 "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-query-order-key-case",
		 "GET",
		 SITE "?Param2=value2&Param1=value1",
		 {0},
		 NULL,
		 "host;x-amz-date",
		 "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-header-key-duplicate",
		 "GET",
		 SITE,
		 {"My-Header1:value2", "My-Header1:value2", "My-Header1:value1"},
		 NULL,
		 "host;my-header1;x-amz-date",
		 "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
		{"get-header-value-trim",
		 "GET",
		 SITE,
		 {"My-Header1: value1", "My-Header2: \"a   b   c\" "},
		 NULL,
		 "host;my-header1;my-header2;x-amz-date",
		 "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"post-vanilla",
		 "POST",
		 SITE,
		 {0},
		 NULL,
		 "host;x-amz-date",
		 "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-x-www-form-urlencoded",
		 "POST",
		 SITE,
		 {"Content-Type: application/x-www-form-urlencoded"},
		 "Param1=value1",
		 "content-type;host;x-amz-date",
		 "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	};

	check_rows(rows, ARRAY_SIZE(rows), &suite_keys, SUITE_TIME, "service",
		   "20150830/us-east-1/service/aws4_request");
}

TEST(examples_of_s3)
{
#define BUCKET "https://examplebucket.s3.amazonaws.com/"
#define COMMON "x-amz-content-sha256;x-amz-date"
	static const struct row rows[] = {
		{"GET Object",
		 "GET",
		 BUCKET "test.txt",
		 {"Range: bytes=0-9"},
		 NULL,
		 "host;range;" COMMON,
		 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"PUT Object",
		 "PUT",
		 BUCKET "test%24file.text",
		 {"Date: Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class: REDUCED_REDUNDANCY"},
		 "Welcome to Amazon S3.",
		 "date;host;" COMMON ";x-amz-storage-class",
		 "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{"GET Bucket Lifecycle",
		 "GET",
		 BUCKET "?lifecycle",
		 {0},
		 NULL,
		 "host;" COMMON,
		 "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"GET Bucket (List Objects)",
		 "GET",
		 BUCKET "?prefix=J&max-keys=2",
		 {0},
		 NULL,
		 "host;" COMMON,
		 "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	};

	check_rows(rows, ARRAY_SIZE(rows), &s3_keys, S3_TIME, "s3",
		   "20130524/us-east-1/s3/aws4_request");
}

TEST(temporary_keys_send_their_token)
{
	/* Of the suite: post-sts-header-before. */
	static const char token[] =
		"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfp"
		"SPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQ"
		"DYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+s"
		"cqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
	struct sigv4_keys keys = suite_keys;
	CLEANUP(strv_free) struct strv got = {0};
	struct sigv4_request request = {.method = "POST",
					.url = SITE,
					.time = SUITE_TIME,
					.region = "us-east-1",
					.service = "service"};
	struct err err = {0};

	keys.session_token = token;
	CHECK_OK(sigv4_sign(&request, &keys, &got, &err), &err);
	CHECK_U64(got.count, 3);
	CHECK_STR(got.items[0], "X-Amz-Date: 20150830T123600Z");
	CHECK_CONTAINS(got.items[1], "X-Amz-Security-Token: AQoDYXdz");
	CHECK_CONTAINS(
		got.items[2],
		"Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead");
}

TEST(ports_queries_and_paths)
{
	static const char *const same[][2] = {
		{"http://h:80/a", "http://h/a"},
		{"https://h:443/a?", "https://h/a"},
		{"http://h:9000/a?x&y=2&&", "http://h:9000/a?y=2&x="},
		{"http://h/a?b=1&b-c=2", "http://h/a?b-c=2&b=1"},
	};
	struct sigv4_request request = {
		.method = "GET", .time = S3_TIME, .region = "r", .service = "s3"};
	CLEANUP(str_free) struct str text = {0};
	CLEANUP(strv_free) struct strv none = {0};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		CLEANUP(strv_free) struct strv a = {0}, b = {0};

		request.url = same[i][0];
		CHECK_OK(sigv4_sign(&request, &s3_keys, &a, &err), &err);
		request.url = same[i][1];
		CHECK_OK(sigv4_sign(&request, &s3_keys, &b, &err), &err);
		CHECK_STR(a.items[2], b.items[2]);
	}
	request.url = "ht tp:/";
	CHECK_ERR(sigv4_sign(&request, &s3_keys, &none, &err), &err, ERR_OTHER, "URL");
	sigv4_encode("a b/c~\xc3\xa4+", true, &text);
	CHECK_STR(text.data, "a%20b/c~%C3%A4%2B");
}
