/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: what Docker takes and how it understands it, and what it refuses.
 */
#include "tap.h"

#include "base/mem.h"
#include "oci/reference.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define AT "@sha256:" HEX
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct good {
	const char *text, *full, *familiar;
};

/* The expectations follow from the tests and the rules of github.com/distribution/reference. */
static const struct good good[] = {
	{"debian", "docker.io/library/debian:latest", "debian:latest"},
	{"debian:12", "docker.io/library/debian:12", "debian:12"},
	{"team/app", "docker.io/team/app:latest", "team/app:latest"},
	{"team/app:1.4", "docker.io/team/app:1.4", "team/app:1.4"},
	{"library/debian:12", "docker.io/library/debian:12", "debian:12"},
	{"docker.io/debian:12", "docker.io/library/debian:12", "debian:12"},
	{"docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"},
	{"index.docker.io/debian", "docker.io/library/debian:latest", "debian:latest"},
	{"index.docker.io/a/b:c", "docker.io/a/b:c", "a/b:c"},
	{"docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
	{"localhost/app", "localhost/app:latest", "localhost/app:latest"},
	{"localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"},
	{"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
	{"registry.example.com/app", "registry.example.com/app:latest",
	 "registry.example.com/app:latest"},
	{"registry.example.com:5000/team/app:1.4", "registry.example.com:5000/team/app:1.4",
	 "registry.example.com:5000/team/app:1.4"},
	{"registry.example.com/library/app", "registry.example.com/library/app:latest",
	 "registry.example.com/library/app:latest"},
	{"Registry.Example.COM/app", "registry.example.com/app:latest",
	 "registry.example.com/app:latest"},
	{"HOST/app", "HOST/app:latest", "HOST/app:latest"},
	{"127.0.0.1:5000/app", "127.0.0.1:5000/app:latest", "127.0.0.1:5000/app:latest"},
	{"[::1]/app", "[::1]/app:latest", "[::1]/app:latest"},
	{"[2001:DB8::1]:5000/a/b:c", "[2001:db8::1]:5000/a/b:c", "[2001:db8::1]:5000/a/b:c"},
	{"xn--n3h.example.com/app:1", "xn--n3h.example.com/app:1", "xn--n3h.example.com/app:1"},
	{"a", "docker.io/library/a:latest", "a:latest"},
	{"0/0:0", "docker.io/0/0:0", "0/0:0"},
	{"a/b/c/d/e", "docker.io/a/b/c/d/e:latest", "a/b/c/d/e:latest"},
	{"a.b/c_d/e__f/g-h/i--j/k---l:m", "a.b/c_d/e__f/g-h/i--j/k---l:m",
	 "a.b/c_d/e__f/g-h/i--j/k---l:m"},
	{"app:_1", "docker.io/library/app:_1", "app:_1"},
	{"app:V1.0-rc_2", "docker.io/library/app:V1.0-rc_2", "app:V1.0-rc_2"},
	{"debian" AT, "docker.io/library/debian" AT, "debian" AT},
	{"debian:12" AT, "docker.io/library/debian:12" AT, "debian:12" AT},
	{"r.example.com:1/a:b" AT, "r.example.com:1/a:b" AT, "r.example.com:1/a:b" AT},
	{HEX "a", "docker.io/library/" HEX "a:latest", HEX "a:latest"},
	{"x/" HEX, "docker.io/x/" HEX ":latest", "x/" HEX ":latest"},
};

static const char *const bad[][2] = {
	{"", "it is empty"},
	{":tag", "a part of the name is empty"},
	{"@sha256:" HEX, "a part of the name is empty"},
	{"/app", "a part of the name is empty"},
	{"app/", "a part of the name is empty"},
	{"a//b", "a part of the name is empty"},
	{"registry.example.com/", "a part of the name is empty"},
	{"App", "lower case"},
	{"team/App", "lower case"},
	{"r.example.com/Team/app", "lower case"},
	{"app:", "the tag is empty"},
	{"app:.1", "begins with"},
	{"app:-1", "begins with"},
	{"app:a b", "not allowed there"},
	{"app:1:2", "not allowed there"},
	{"app:a/b:c/d", "no host name"},
	{"app:" A50 A50 A50, "longer than 128"},
	{"app@sha256:123", "64 hexadecimal digits"},
	{"app@sha256:" HEX "0", "64 hexadecimal digits"},
	{"app@sha512:" HEX HEX, "others are not taken"},
	{"app@SHA256:" HEX, "others are not taken"},
	{"app@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
	 "lower case"},
	{"app@", "others are not taken"},
	{"app" AT AT, "64 hexadecimal digits"},
	{HEX, "the ID of an image"},
	{"https://registry.example.com/app", "without 'https://'"},
	{"docker://debian", "without 'https://'"},
	{"-app", "begins or ends with"},
	{"app-", "begins or ends with"},
	{"app_", "begins or ends with"},
	{"a___b", "begins or ends with"},
	{"a..b", "begins or ends with"},
	{"a._b", "begins or ends with"},
	{".app", "begins or ends with"},
	{"a b", "not allowed there"},
	{" app", "not allowed there"},
	{"app\n", "not allowed there"},
	{"a\\b", "not allowed there"},
	{"caf\xc3\xa9", "not allowed there"},
	{"../app", "no host name"},
	{"a/../b", "begins or ends with"},
	{"r.example.com:/app", "no host name"},
	{"r.example.com:port/app", "no host name"},
	{"r.example.com:65536/app", "no host name"},
	{"r.example.com:123456/app", "no host name"},
	{"-r.example.com/app", "no host name"},
	{"r-.example.com/app", "no host name"},
	{"r..example.com/app", "no host name"},
	{"r.example.com./app", "no host name"},
	{"r_.example.com/app", "no host name"},
	{"user@r.example.com/app", "others are not taken"},
	{"[::1/app", "no host name"},
	{"[]:5000/app", "no host name"},
	{"[::1]5000/app", "no host name"},
	{"[::g]/app", "no host name"},
	{"::1/app", "no host name"},
	{A50 A50 "/" A50 A50 "/" A50, "longer than 255"},
	{"r.example.com/" A50 A50 A50 A50 A50, "longer than 255"},
	{A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50,
	 "too long"},
};

TEST(good_ones)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct oci_reference ref = {0};
		struct err err = {0};
		char *text;

		tap_note("%s", good[i].text);
		CHECK_OK(oci_reference_parse(good[i].text, &ref, &err), &err);
		text = oci_reference_text(&ref);
		CHECK_STR(text, good[i].full);
		free(text);
		text = oci_reference_familiar(&ref);
		CHECK_STR(text, good[i].familiar);
		free(text);
		CHECK(ref.has_digest == (strchr(good[i].text, '@') != NULL));
		CHECK(ref.tag || ref.has_digest);
		oci_reference_free(&ref);
	}
}

TEST(what_is_written_is_read_again)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct oci_reference ref = {0}, again = {0};
		struct err err = {0};
		char *full, *familiar, *text;

		CHECK_OK(oci_reference_parse(good[i].text, &ref, &err), &err);
		full = oci_reference_text(&ref);
		familiar = oci_reference_familiar(&ref);
		CHECK_OK(oci_reference_parse(full, &again, &err), &err);
		text = oci_reference_text(&again);
		CHECK_STR(text, full);
		free(text);
		oci_reference_free(&again);
		CHECK_OK(oci_reference_parse(familiar, &again, &err), &err);
		text = oci_reference_text(&again);
		CHECK_STR(text, full);
		free(text);
		free(full);
		free(familiar);
		oci_reference_free(&again);
		oci_reference_free(&ref);
	}
}

TEST(parts)
{
	struct oci_reference ref CLEANUP(oci_reference_free);
	struct err err = {0};
	char hex[DIGEST_HEX_SIZE];
	char *name;

	CHECK_OK(oci_reference_parse("r.example.com:5000/team/app:1.4" AT, &ref, &err), &err);
	CHECK_STR(ref.registry, "r.example.com:5000");
	CHECK_STR(ref.repository, "team/app");
	CHECK_STR(ref.tag, "1.4");
	CHECK(ref.has_digest);
	CHECK_STR(digest_hex(&ref.digest, hex), HEX);
	name = oci_reference_name(&ref);
	CHECK_STR(name, "r.example.com:5000/team/app");
	free(name);
	oci_reference_free(&ref);
	CHECK(!ref.registry && !ref.tag);
	CHECK_OK(oci_reference_parse("debian" AT, &ref, &err), &err);
	CHECK_STR(ref.registry, "docker.io");
	CHECK_STR(ref.repository, "library/debian");
	CHECK_STR(ref.tag, NULL);
}

TEST(bad_ones)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct oci_reference ref = {.tag = (char *)1};
		struct err err = {0};

		tap_note("%s", bad[i][0]);
		CHECK_ERR(oci_reference_parse(bad[i][0], &ref, &err), &err, ERR_PROFILE, bad[i][1]);
		CHECK_CONTAINS(err.msg, "cannot read image reference '");
		CHECK(!ref.registry && !ref.repository && !ref.tag && !ref.has_digest);
		oci_reference_free(&ref);
	}
}

TEST(messages_are_clean_and_short)
{
	struct oci_reference ref;
	struct err err = {0};
	char text[2000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "\x1b[31m\xff", 6);
	CHECK_ERR(oci_reference_parse(text, &ref, &err), &err, ERR_PROFILE, "...'");
	CHECK(strlen(err.msg) < 400);
	CHECK(!strchr(err.msg, '\x1b') && !strchr(err.msg, '\xff'));
}
