/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WWW-Authenticate in all its forms, and credentials where docker and podman keep them.
 */
#include "tap.h"

#include "base/json.h"
#include "base/mem.h"
#include "oci/challenge.h"
#include "oci/credentials.h"

#define JOE "\"am9lOnMzY3JldDp4\"" /* joe:s3cret:x */

static struct oci_challenge read_one(const char *header)
{
	struct oci_challenge c = {0};

	oci_challenge_read(header, &c);
	return c;
}

static void bearer(const char *header, const char *realm, const char *service, const char *scope)
{
	struct oci_challenge c = read_one(header);

	tap_note("%s", header);
	CHECK(c.bearer);
	CHECK_STR(c.realm, realm);
	CHECK_STR(c.service, service);
	CHECK_STR(c.scope, scope);
}

TEST(bearer_challenges)
{
	bearer("Bearer realm=\"https://a/token\",service=\"b\",scope=\"repository:x/y:pull\"",
	       "https://a/token", "b", "repository:x/y:pull");
	bearer("bearer REALM=\"https://a/token\"", "https://a/token", "", "");
	bearer("Bearer  realm = \"https://a/token\" ,\t service = b ", "https://a/token", "b", "");
	bearer("Bearer realm=\"https://a/\\\"q\\\\\",service=\"a, b=c\"", "https://a/\"q\\",
	       "a, b=c", "");
	bearer("Bearer ,, realm=\"https://a\",,service=\"\",", "https://a", "", "");
	bearer("Bearer realm=\"https://a\",error=\"invalid_token\",unknown=\"z\"", "https://a", "",
	       "");
	bearer("Basic realm=\"x\", Bearer realm=\"https://a\",service=\"b\"", "https://a", "b", "");
	bearer("Bearer realm=\"https://a\",service=\"b\", Basic realm=\"x\"", "https://a", "b", "");
	bearer("Negotiate abc/def==, Bearer realm=\"https://a\"", "https://a", "", "");
	bearer("Negotiate, Basic, Bearer realm=\"https://a\"", "https://a", "", "");
	bearer("Negotiate, Bearer realm=\"https://a\"", "https://a", "", "");
	bearer("Digest realm=\"d\",nonce=\"n\", Bearer realm=\"https://a\", Bearer realm=\"https://b\"",
	       "https://a", "", "");
}

TEST(what_a_challenge_has)
{
	struct oci_challenge c = read_one("Basic realm=\"Registry\"");

	CHECK(c.basic && !c.bearer);
	CHECK_STR(c.realm, "");
	c = read_one("Basic");
	CHECK(c.basic && !c.bearer);
	c = read_one("BASIC realm=x, Bearer realm=\"https://a\",error=\"insufficient_scope\"");
	CHECK(c.basic && c.bearer);
	CHECK_STR(c.error, "insufficient_scope");
	/* In two header lines. */
	c = read_one("Bearer realm=\"https://a\"");
	oci_challenge_read("Basic realm=\"x\"", &c);
	CHECK(c.basic && c.bearer);
	CHECK_STR(c.realm, "https://a");
}

TEST(what_is_no_challenge)
{
	static const char *const texts[] = {
		"",
		" ,, ",
		"=",
		"\"Bearer realm=\"",
		"Bearer",
		"Bearer realm",
		"Bearer realm=",
		"Bearer realm=\"",
		"Bearer realm=\"https://a",
		"Bearer realm=\"https://a\\",
		"Bearer realm=\"https://a\001\"",
		"Bearer realm=\"https://\xc3\xa9\"",
		"Bearer realm=\"https://a\" service=\"b\"",
		"Bearer service=\"b\"",
		"Bearer/realm=\"https://a\"",
		"Unknown realm=\"https://a\"",
		"Unknown x=\"Bearer realm=\\\"https://a\\\"\"",
	};
	char *long_one = mem_alloc(4000);

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct oci_challenge c = read_one(texts[i]);

		tap_note("%s", texts[i]);
		CHECK(!c.bearer);
		CHECK_STR(c.realm, "");
	}
	memset(long_one, 'x', 3999);
	memcpy(long_one, "Bearer realm=\"", 14);
	long_one[3998] = '"';
	CHECK(!read_one(long_one).bearer);
	free(long_one);
}

/* The fields of the credentials of this text as "user/secret/identity/bearer", or "helper server". */
static char *parsed_for(const char *text, const char *registry, const char *repository)
{
	struct oci_credentials c CLEANUP(oci_credentials_free) = {0};
	struct oci_helper helper CLEANUP(oci_helper_free) = {0};
	struct err err = {0};
	int r = oci_credentials_parse(text, strlen(text), "the file", registry, repository, &c,
				      &helper, &err);

	CHECK_OK(r, &err);
	if (r == 2)
		return mem_printf("%s %s", helper.name, helper.server);
	if (r == 0)
		return mem_strdup("nothing");
	return mem_printf("%s/%s/%s/%s", c.user ? c.user : "-", c.secret ? c.secret : "-",
			  c.identity ? c.identity : "-", c.bearer ? c.bearer : "-");
}

static void parses(const char *text, const char *registry, const char *repository, const char *want)
{
	char *got = parsed_for(text, registry, repository);

	tap_note("%s", text);
	CHECK_STR(got, want);
	free(got);
}

TEST(entries)
{
	const char *host = "r.example.com";

	parses("{}", host, "a", "nothing");
	parses("{\"auths\": {}}", host, "a", "nothing");
	parses("{\"auths\": {\"r.example.com\": {}}}", host, "a", "nothing");
	parses("{\"auths\": {\"r.example.com\": {\"auth\": \"\"}}}", host, "a", "nothing");
	parses("{\"auths\": {\"other.example.com\": {\"auth\": " JOE "}}}", host, "a", "nothing");
	parses("{\"auths\": {\"r.example.com\": {\"auth\": " JOE "}}}", host, "a",
	       "joe/s3cret:x/-/-");
	parses("{\"auths\": {\"r.example.com\": {\"username\": \"j\", \"password\": \"\"}}}", host,
	       "a", "j//-/-");
	parses("{\"auths\": {\"r.example.com\": {\"auth\": " JOE ", \"identitytoken\": \"t\"}}}",
	       host, "a", "-/-/t/-");
	parses("{\"auths\": {\"r.example.com\": {\"registrytoken\": \"t\"}}}", host, "a",
	       "-/-/-/t");
	/* base64 of "joe:s3cret\0\0", as old versions of docker write it. */
	parses("{\"auths\": {\"r.example.com\": {\"auth\": \"am9lOnMzY3JldAAA\"}}}", host, "a",
	       "joe/s3cret/-/-");
}

TEST(keys)
{
	parses("{\"auths\": {\"https://r.example.com/v1/\": {\"auth\": " JOE "}}}", "r.example.com",
	       "a", "joe/s3cret:x/-/-");
	parses("{\"auths\": {\"http://R.Example.com\": {\"auth\": " JOE "}}}", "r.example.com", "a",
	       "joe/s3cret:x/-/-");
	parses("{\"auths\": {\"r.example.com/v2/\": {\"auth\": " JOE "}}}", "r.example.com", "a",
	       "joe/s3cret:x/-/-");
	parses("{\"auths\": {\"r.example.com:5000\": {\"auth\": " JOE "}}}", "r.example.com", "a",
	       "nothing");
	parses("{\"auths\": {\"r.example.com\": {\"auth\": " JOE "}}}", "r.example.com:5000", "a",
	       "nothing");
	parses("{\"auths\": {\"r.example.com\": {\"auth\": " JOE "}, \"r.example.com/a/b\": "
	       "{\"registrytoken\": \"special\"}}}",
	       "r.example.com", "a/b", "-/-/-/special");
	parses("{\"auths\": {\"r.example.com/a\": {\"registrytoken\": \"parent\"}}}",
	       "r.example.com", "a/b/c", "-/-/-/parent");
	parses("{\"auths\": {\"r.example.com/a\": {\"registrytoken\": \"parent\"}}}",
	       "r.example.com", "ab/c", "nothing");
	parses("{\"auths\": {\"https://index.docker.io/v1/\": {\"auth\": " JOE "}}}", "docker.io",
	       "library/debian", "joe/s3cret:x/-/-");
	parses("{\"auths\": {\"docker.io\": {\"auth\": " JOE "}}}", "docker.io", "a/b",
	       "joe/s3cret:x/-/-");
	parses("{\"auths\": {\"https://index.docker.io/v1/\": {\"auth\": " JOE "}}}",
	       "r.example.com", "a", "nothing");
}

TEST(helpers)
{
	parses("{\"credHelpers\": {\"r.example.com\": \"pass\"}, \"credsStore\": \"desktop\"}",
	       "r.example.com", "a", "pass r.example.com");
	parses("{\"credHelpers\": {\"r.example.com\": \"pass\"}, \"auths\": {\"r.example.com\": "
	       "{\"auth\": " JOE "}}}",
	       "r.example.com", "a", "pass r.example.com");
	parses("{\"credsStore\": \"desktop\", \"auths\": {\"r.example.com\": {}}}", "r.example.com",
	       "a", "desktop r.example.com");
	parses("{\"credsStore\": \"desktop\", \"auths\": {\"r.example.com\": {\"auth\": " JOE "}}}",
	       "r.example.com", "a", "joe/s3cret:x/-/-");
	parses("{\"credsStore\": \"desktop\"}", "docker.io", "a",
	       "desktop https://index.docker.io/v1/");
	parses("{\"credHelpers\": {\"https://index.docker.io/v1/\": \"pass\"}}", "docker.io", "a/b",
	       "pass https://index.docker.io/v1/");
}

static void refused(const char *text, const char *part)
{
	struct oci_credentials c CLEANUP(oci_credentials_free) = {0};
	struct oci_helper helper CLEANUP(oci_helper_free) = {0};
	struct err err = {0};

	tap_note("%s", text);
	CHECK_ERR(oci_credentials_parse(text, strlen(text), "the file", "r.example.com", "a", &c,
					&helper, &err),
		  &err, ERR_OTHER, part);
	CHECK_CONTAINS(err.msg, "'the file'");
	CHECK(!strstr(err.msg, "planted") && !strstr(err.hint, "planted"));
	CHECK(!c.user && !c.secret && !c.identity && !c.bearer && !helper.name);
}

TEST(damaged_files)
{
	refused("", "line 1 is not JSON");
	refused("[]", "not JSON");
	refused("{\"auths\":\n{\"planted\" \"planted\"", "line 2 is not JSON");
	refused("{\"auths\": {\"r.example.com\": {\"auth\": \"planted!\"}}}", "is damaged");
	refused("{\"auths\": {\"r.example.com\": {\"auth\": \"cGxhbnRlZA==\"}}}", "is damaged");
	refused("{\"auths\": {\"r.example.com\": {\"username\": \"j\", \"password\": "
		"\"planted\\r\\nX: y\"}}}",
		"is damaged");
	refused("{\"auths\": {\"r.example.com\": {\"identitytoken\": \"planted\\n\"}}}",
		"is damaged");
	refused("{\"credHelpers\": {\"r.example.com\": \"../planted\"}}", "credential helper");
	refused("{\"credsStore\": \"a b\"}", "credential helper");
}

static void put_helper(const char *script)
{
	char path[PATH_MAX + 16], here[PATH_MAX];

	CHECK(getcwd(here, sizeof(here)));
	tap_spew("docker-credential-test", script, strlen(script));
	CHECK_INT(chmod("docker-credential-test", 0755), 0);
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", here);
	setenv("PATH", path, 1);
}

TEST(a_helper_is_asked)
{
	struct oci_helper helper = {(char *)"test", (char *)"r.example.com"};
	struct oci_credentials c = {0};
	struct err err = {0};

	put_helper("#!/bin/sh\n[ \"$1\" = get ] && read -r server || [ -n \"$server\" ] && echo "
		   "\"{\\\"ServerURL\\\":\\\"x\\\",\\\"Username\\\":\\\"for "
		   "$server\\\",\\\"Secret\\\":\\\"pw\\\"}\"\n");
	CHECK_INT(oci_helper_ask(&helper, &c, &err), 1);
	CHECK_STR(c.user, "for r.example.com");
	CHECK_STR(c.secret, "pw");
	oci_credentials_free(&c);
	put_helper("#!/bin/sh\necho '{\"Username\":\"<token>\",\"Secret\":\"refresh\"}'\n");
	CHECK_INT(oci_helper_ask(&helper, &c, &err), 1);
	CHECK_STR(c.identity, "refresh");
	CHECK_STR(c.user, NULL);
	oci_credentials_free(&c);
	put_helper("#!/bin/sh\necho 'credentials not found in native keychain'\nexit 1\n");
	CHECK_INT(oci_helper_ask(&helper, &c, &err), 0);
	CHECK_INT(err.code, 0);
}

TEST(helpers_that_fail)
{
	struct oci_helper helper = {(char *)"test", (char *)"r.example.com"};
	struct oci_credentials c = {0};
	struct err err = {0};

	put_helper("#!/bin/sh\necho planted\necho 'the store is locked' >&2\nexit 1\n");
	CHECK_ERR(oci_helper_ask(&helper, &c, &err), &err, ERR_OTHER, "the store is locked");
	CHECK_CONTAINS(err.msg, "cannot get credentials for 'r.example.com'");
	CHECK(!strstr(err.msg, "planted"));
	put_helper("#!/bin/sh\necho '{\"Username\":\"planted\"'\n");
	CHECK_ERR(oci_helper_ask(&helper, &c, &err), &err, ERR_OTHER, "cannot use what");
	CHECK(!strstr(err.msg, "planted"));
	helper.name = (char *)"not-installed";
	CHECK_ERR(oci_helper_ask(&helper, &c, &err), &err, ERR_TOOL,
		  "docker-credential-not-installed");
	CHECK(!c.user && !c.secret);
}

static void found(const char *want)
{
	struct oci_credentials c CLEANUP(oci_credentials_free) = {0};
	struct err err = {0};
	int r = oci_credentials_find("r.example.com", "a", &c, &err);

	CHECK_OK(r, &err);
	CHECK_STR(r ? c.bearer : NULL, want);
}

static void spew_token(const char *path, const char *token)
{
	char *text =
		mem_printf("{\"auths\": {\"r.example.com\": {\"registrytoken\": \"%s\"}}}", token);

	tap_spew(path, text, strlen(text));
	free(text);
}

/* From the last place to the first, so that each has to come before those that are there already. */
TEST(places_in_order)
{
	static const char *const variables[] = {"DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE",
						"DOCKER_CONFIG", "HOME", "XDG_RUNTIME_DIR"};

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	found(NULL);
	CHECK_INT(mkdir("run", 0755) | mkdir("run/containers", 0755) | mkdir("home", 0755) |
			  mkdir("home/.docker", 0755) | mkdir("docker", 0755),
		  0);
	setenv("XDG_RUNTIME_DIR", "run", 1);
	found(NULL);
	spew_token("run/containers/auth.json", "5");
	found("5");
	setenv("HOME", "home", 1);
	spew_token("home/.docker/config.json", "4");
	found("4");
	setenv("DOCKER_CONFIG", "docker", 1);
	spew_token("docker/config.json", "3");
	found("3");
	setenv("REGISTRY_AUTH_FILE", "file.json", 1);
	found("3");
	spew_token("file.json", "2");
	found("2");
	setenv("DOCKER_AUTH_CONFIG", "{\"auths\": {\"r.example.com\": {\"registrytoken\": \"1\"}}}",
	       1);
	found("1");
	/* What has nothing for the registry is passed over. */
	setenv("DOCKER_AUTH_CONFIG", "{}", 1);
	found("2");
}

TEST(a_damaged_place_is_told)
{
	struct oci_credentials c = {0};
	struct err err = {0};
	char *big = mem_alloc((1 << 20) + 2);

	unsetenv("DOCKER_AUTH_CONFIG");
	setenv("REGISTRY_AUTH_FILE", "file.json", 1);
	memset(big, ' ', (1 << 20) + 1);
	tap_spew("file.json", big, (1 << 20) + 1);
	free(big);
	CHECK_ERR(oci_credentials_find("r.example.com", "a", &c, &err), &err, ERR_OTHER,
		  "larger than");
	setenv("DOCKER_AUTH_CONFIG", "nonsense", 1);
	CHECK_ERR(oci_credentials_find("r.example.com", "a", &c, &err), &err, ERR_OTHER,
		  "'$DOCKER_AUTH_CONFIG'");
}
