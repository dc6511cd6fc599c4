/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry client and who may ask: tokens, passwords, refresh tokens, TLS (tests/fake/registry).
 */
#include "fake/client.h"
#include "tap.h"

static unsigned int other_port;

TEST(anonymous_tokens)
{
	start();
	gets("fault/anonymous", 0);
	resolves("fault/anonymous", OCI_TYPE_MANIFEST);
	gets("fault/anonymous", 0);
	CHECK_INT(asked("GET /token/anonymous"), 1);
}

static void set_auth(const char *entry)
{
	char text[512];

	snprintf(text, sizeof(text), "{\"auths\": {\"%s\": {%s}}}", host, entry);
	setenv("DOCKER_AUTH_CONFIG", text, 1);
}

TEST(passwords_and_identities)
{
	struct err err;

	start();
	err = unresolved("fault/private", ERR_NETWORK, "wants credentials for 'fault/private'");
	CHECK_CONTAINS(err.hint, "$REGISTRY_AUTH_FILE");
	set_auth("\"auth\": \"am9lOnMzY3JldDp4\""); /* joe:s3cret:x */
	gets("fault/private", 0);
	CHECK_INT(asked("account=joe"), 1);
	gets("fault/basic", 0);
	set_auth("\"username\": \"joe\", \"password\": \"hidden\"");
	oci_client_free(client);
	client = oci_client_new(&known, 1);
	err = unresolved("fault/private", ERR_NETWORK, "refuses the credentials");
	CHECK(!strstr(err.msg, "hidden"));
	set_auth("\"identitytoken\": \"re/fresh+token\"");
	gets("fault/identity", 0);
	CHECK_INT(asked("refresh_token=re%2Ffresh%2Btoken"), 1);
	set_auth("\"identitytoken\": \"stale\"");
	err = unresolved("fault/private", ERR_NETWORK, "refuses the credentials");
	oci_client_free(client);
}

TEST(loops_of_401_end)
{
	start();
	unresolved("fault/loop", ERR_NETWORK, "refuses the credentials");
	/* Two tokens for HEAD at most; GET is not tried. */
	CHECK_INT(asked("/token/loop"), 2);
	CHECK_INT(asked("/v2/fault/loop/"), 3);
	set_auth("\"auth\": \"am9lOnMzY3JldDp4\"");
	unresolved("fault/loop-basic", ERR_NETWORK, "refuses the credentials");
	CHECK_INT(asked("/v2/fault/loop-basic/"), 2);
}

TEST(an_expired_token_in_the_middle)
{
	start();
	gets("fault/expire", 0);
	CHECK_INT(asked("/token/expire"), 2);
	CHECK_INT(asked("bytes=524288- Bearer expire-1"), 1);
}

TEST(bad_token_services)
{
	struct err err;

	start();
	err = unresolved("fault/garbage", ERR_NETWORK,
			 "cannot use the answer of the token service");
	CHECK(!strstr(err.msg, "planted"));
	unresolved("fault/newline", ERR_NETWORK, "cannot use the answer of the token service");
	unresolved("fault/down", ERR_NETWORK, "answers 404");
}

TEST(realms_with_a_query)
{
	start();
	gets("fault/bare", 0);
	CHECK_INT(asked("GET /token/bare?tenant=7&scope="), 1);
}

/* A form with a refresh token in it goes to nobody but who the registry named. */
TEST(refresh_tokens_are_not_sent_on)
{
	char other[16];
	const char *arguments[] = {"--other", other, NULL};

	other_port = fake_registry(NULL);
	snprintf(other, sizeof(other), "%u", other_port);
	port = fake_registry(arguments);
	snprintf(host, sizeof(host), "127.0.0.1:%u", port);
	client = oci_client_new(&known, 1);
	set_auth("\"identitytoken\": \"re/fresh+token\"");
	unresolved("fault/sent-on", ERR_NETWORK, "answers 307");
	CHECK_INT(asked("POST /token/sent-on"), 1);
	CHECK_INT(asked_at(other_port, "http", "/"), 0);
	oci_client_free(client);
}

/* A TLS server whose other half, for redirects, is a plain one. */
static void start_tls(void)
{
	char other[16];
	const char *arguments[] = {"--tls", "server.pem", "server.key", "--other", other, NULL};

	make_certificates();
	other_port = fake_registry(NULL);
	snprintf(other, sizeof(other), "%u", other_port);
	port = fake_registry(arguments);
	snprintf(host, sizeof(host), "127.0.0.1:%u", port);
	known.insecure = false;
	known.ca = "ca.pem";
	client = oci_client_new(&known, 1);
	client->retries = 1;
}

TEST(tls)
{
	struct err err;

	start_tls();
	gets("good", 0);
	gets("fault/anonymous", 0);
	known.ca = NULL;
	oci_client_free(client);
	client = oci_client_new(&known, 1);
	client->retries = 1;
	err = unresolved("good", ERR_NETWORK, "certificate");
	CHECK_CONTAINS(err.hint, "`ca:` under containers.registries");
	known.insecure = true;
	oci_client_free(client);
	client = oci_client_new(&known, 1);
	client->retries = 0;
	unresolved("good", ERR_NETWORK, "cannot fetch 'http://");
}

TEST(nothing_leaves_tls)
{
	start_tls();
	fails("fault/downgrade", ERR_NETWORK, "another protocol");
	unresolved("fault/plain-realm", ERR_NETWORK, "not https");
	set_auth("\"auth\": \"am9lOnMzY3JldDp4\"");
	unresolved("fault/plain-realm", ERR_NETWORK, "not https");
	CHECK_INT(asked_at(other_port, "http", "/"), 0);
}

TEST(plain_http_where_tls_is_expected)
{
	struct err err;

	port = fake_registry(NULL);
	snprintf(host, sizeof(host), "127.0.0.1:%u", port);
	known.insecure = false;
	client = oci_client_new(&known, 1);
	err = unresolved("good", ERR_NETWORK, "cannot fetch 'https://");
	CHECK_CONTAINS(err.hint, "`insecure: true` under containers.registries");
}
