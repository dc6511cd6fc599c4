/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry client against a registry with every fault that we could think of (tests/fake/registry).
 */
#include "fake/client.h"
#include "tap.h"

TEST(good)
{
	start();
	gets("good", 0);
	/* One request each: no HEAD before a GET, no second try. */
	CHECK_INT(asked("GET /v2/good/blobs/"), 1);
	oci_client_free(client);
}

TEST(own_digest_needs_nobody)
{
	struct oci_reference ref CLEANUP(oci_reference_free);
	struct oci_descriptor d;
	struct err err = {0};
	const char *text = "registry.invalid/a/b@sha256:"
			   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	char hex[DIGEST_HEX_SIZE];

	client = oci_client_new(NULL, 0);
	CHECK_OK(oci_reference_parse(text, &ref, &err), &err);
	CHECK_OK(oci_client_resolve(client, &ref, &d, &err), &err);
	CHECK_STR(digest_hex(&d.digest, hex), strchr(text, ':') + 1);
	CHECK_STR(d.media_type, "");
	oci_client_free(client);
}

TEST(resolving)
{
	start();
	resolves("fault/no-head", OCI_TYPE_MANIFEST);
	resolves("fault/no-digest", OCI_TYPE_MANIFEST);
	resolves("fault/odd-digest", OCI_TYPE_MANIFEST);
	resolves("fault/parameters", OCI_TYPE_MANIFEST);
	resolves("fault/html", "");
	unresolved("fault/other-digest", ERR_VERIFY, "does not have the digest that it names");
}

TEST(manifests_are_verified_and_bounded)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = {0};
	struct oci_document doc CLEANUP(oci_document_free) = {0};
	struct oci_descriptor d;
	struct err err = {0};

	start();
	CHECK_OK(resolve("good", &d, &err), &err);
	ref = reference("fault/other-manifest");
	CHECK_ERR(oci_client_manifest(client, &ref, &d.digest, &doc, &err), &err, ERR_VERIFY,
		  "was asked for");
	CHECK(!doc.body.data);
	oci_reference_free(&ref);
	ref = reference("fault/huge");
	CHECK_ERR(oci_client_manifest(client, &ref, &d.digest, &doc, &err), &err, ERR_NETWORK,
		  "larger than 4194304 bytes");
	oci_reference_free(&ref);
	ref = reference("fault/endless");
	CHECK_ERR(oci_client_manifest(client, &ref, &d.digest, &doc, &err), &err, ERR_NETWORK,
		  "larger than 4194304 bytes");
	oci_reference_free(&ref);
	ref = reference("fault/html");
	CHECK_OK(oci_client_manifest(client, &ref, &d.digest, &doc, &err), &err);
	CHECK_STR(doc.descriptor.media_type, "");
}

TEST(what_is_not_there_or_not_allowed)
{
	struct err err;

	start();
	err = unresolved("fault/words", ERR_NETWORK, "answers 404: not\xef\xbf\xbd[31m here xxx");
	CHECK(strlen(err.msg) < 400);
	CHECK_CONTAINS(err.hint, "registry, name and tag");
	err = unresolved("fault/forbidden", ERR_NETWORK,
			 "answers 403: requested access to the resource is denied");
	CHECK_CONTAINS(err.hint, "$DOCKER_AUTH_CONFIG");
	err = unresolved("fault/mute", ERR_NETWORK, "answers 401 and does not say what it wants");
	fails("fault/missing-blob", ERR_NETWORK, "answers 404: blob unknown");
}

TEST(nobody_there)
{
	struct err err;

	clean_environment();
	snprintf(host, sizeof(host), "127.0.0.1:%u", fake_closed_port());
	client = oci_client_new(&known, 1);
	client->retries = 0;
	err = unresolved("good", ERR_NETWORK, "connect");
	CHECK_CONTAINS(err.hint, "the network");
}

TEST(interrupted_transfers_go_on)
{
	start();
	gets("fault/cut", 0);
	CHECK_INT(asked("GET /v2/fault/cut/blobs/"), 2);
	CHECK_INT(asked("bytes=1572864-"), 1);
	gets("fault/cut-no-ranges", 0);
	CHECK_INT(asked("GET /v2/fault/cut-no-ranges/blobs/"), 2);
	gets("fault/no-length", 0);
}

TEST(progress_renews_the_tries)
{
	start();
	/* Eleven interruptions with three retries, for each mebibyte counts. */
	client->retries = 5;
	gets("fault/cut-often", 0);
	CHECK_INT(asked("GET /v2/fault/cut-often/blobs/"), 11);
	client->retries = 3;
	fails("fault/cut-at-once", ERR_NETWORK, "cannot fetch 'http://");
	CHECK_INT(asked("GET /v2/fault/cut-at-once/blobs/"), 4);
	CHECK_INT(asked("bytes=30-"), 1);
}

TEST(truncated)
{
	start();
	fails("fault/truncated", ERR_NETWORK, "cannot fetch 'http://");
	CHECK_INT(asked("GET /v2/fault/truncated/blobs/"), 4);
}

TEST(wrong_bytes)
{
	start();
	fails("fault/short", ERR_VERIFY, "sends 3145727 bytes, 3145728 were expected");
	fails("fault/long", ERR_VERIFY, "more than its 3145728 bytes came");
	fails("fault/flipped", ERR_VERIFY, "sends bytes with the digest sha256:");
	fails("fault/other-range", ERR_NETWORK, "another range");
}

TEST(limits_come_before_requests)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = {0};
	struct oci_descriptor d = {.size = OCI_BLOB_MAX + 1};
	const struct oci_sink sink = {take, forget, NULL};
	struct err err = {0};

	start();
	ref = reference("good");
	CHECK_ERR(oci_client_blob(client, &ref, &d, &sink, &err), &err, ERR_VERIFY, "more than");
	CHECK_INT(asked("good"), 0);
}

TEST(the_sinks_error_is_the_answer)
{
	struct taken taken = {.fail_at = 1 << 20};
	struct err err = {0};

	start();
	CHECK_ERR(fetch("good", &taken, &err), &err, ERR_SPACE, "the sink is full");
	CHECK_STR(err.msg, "the sink is full");
	str_free(&taken.bytes);
	CHECK_INT(asked("GET /v2/good/blobs/"), 1);
}

TEST(redirects)
{
	start();
	fails("fault/redirect-loop", ERR_NETWORK, "redirects");
	CHECK_INT(asked("/v2/fault/redirect-loop/blobs/"), 6);
	fails("fault/upgrade-file", ERR_NETWORK, "another protocol");
}

TEST(tokens_stay_at_their_host)
{
	start();
	gets("fault/redirect", 0);
	CHECK_INT(asked("GET /v2/elsewhere/blobs/"), 1);
	CHECK_INT(asked("Bearer redirect-0"), 1);
	/* "method path range authorization" */
	CHECK_INT(asked(" - - -"), asked("GET /v2/good/") + asked("HEAD /v2/good/") +
					   asked("/v2/elsewhere/") + asked("/token/") + 1);
}

TEST(patience)
{
	double start_at;

	start();
	start_at = clock_monotonic();
	gets("fault/busy", 0);
	CHECK(clock_monotonic() - start_at > 0.9);
	start_at = clock_monotonic();
	gets("fault/busy-date", 0);
	CHECK(clock_monotonic() - start_at > 0.9);
	gets("fault/flaky", 0);
	fails("fault/broken", ERR_NETWORK, "answers 500");
	CHECK_INT(asked("/v2/fault/broken/"), 4);
}

TEST(patience_ends)
{
	struct taken taken = {0};
	struct err err = {0};

	start();
	CHECK_ERR(fetch("fault/busy-always", &taken, &err), &err, ERR_NETWORK,
		  "asked to wait 1 s: '127.0.0.1");
	CHECK_CONTAINS(err.msg, "answers 429: pull rate limit");
	CHECK_CONTAINS(err.hint, "name a mirror");
}

TEST(slow_drip)
{
	start();
	client->retries = 1;
	fails("fault/drip", ERR_NETWORK, "too slow");
	CHECK_INT(asked("GET /v2/fault/drip/blobs/"), 2);
	gets("fault/drip-once", 0);
}

/* A client whose registry is one server and whose mirrors are the others. */
static void with_mirrors(const char *const *mirrors, size_t count)
{
	known.mirrors = mirrors;
	known.mirror_count = count;
	oci_client_free(client);
	client = oci_client_new(&known, 1);
	client->retries = 1;
}

TEST(mirrors_first)
{
	char mirror[64];
	const char *mirrors[] = {mirror};
	unsigned int mirror_port;

	start();
	mirror_port = fake_registry(NULL);
	snprintf(mirror, sizeof(mirror), "127.0.0.1:%u", mirror_port);
	with_mirrors(mirrors, 1);
	gets("good", 0);
	CHECK_INT(asked("good"), 0);
	CHECK_INT(asked_at(mirror_port, "http", "GET /v2/good/blobs/"), 1);
}

/* A mirror that has something else under the name: a proxy that sends the path on with another repository. */
static unsigned int behind;
static const char *mirror_fault;

static void rename_repository(struct fake_request *r)
{
	const char *rest = strstr(r->path, "/good/");

	if (rest)
		dprintf(r->fd,
			"HTTP/1.1 307 Go on\r\nLocation: http://127.0.0.1:%u/v2/%s%s\r\n"
			"Content-Length: 0\r\nConnection: close\r\n\r\n",
			behind, mirror_fault, rest + 5);
}

static void mirrored(const char *fault, int restarts)
{
	char mirror[64];
	const char *mirrors[] = {mirror};
	struct oci_reference ref CLEANUP(oci_reference_free) = {0};
	struct oci_descriptor d;
	struct taken taken = {0};
	const struct oci_sink sink = {take, forget, &taken};
	struct err err = {0};

	ref = reference("good");
	d = layer();
	mirror_fault = fault;
	snprintf(mirror, sizeof(mirror), "127.0.0.1:%u", fake_http(rename_repository));
	with_mirrors(mirrors, 1);
	CHECK_OK(oci_client_blob(client, &ref, &d, &sink, &err), &err);
	with_mirrors(NULL, 0);
	check_layer(&taken);
	CHECK_INT(taken.restarts, restarts);
	str_free(&taken.bytes);
}

TEST(mirrors_that_are_wrong)
{
	start();
	behind = fake_registry(NULL);
	mirrored("fault/flipped", 1);
	mirrored("fault/short", 1);
	mirrored("fault/long", 1);
	mirrored("fault/missing-blob", 0);
	mirrored("fault/broken", 0);
	CHECK_INT(asked("bytes="), 0);
	/* What a mirror brought before it broke is kept... */
	mirrored("fault/truncated", 0);
	CHECK_INT(asked("bytes=1000-"), 1);
	/* ...and when that was wrong all is fetched again from the one that is right. */
	mirrored("fault/half-wrong", 1);
	CHECK_INT(asked("bytes=1048576-"), 1);
	CHECK_INT(asked("GET /v2/good/blobs/"), 8);
}

TEST(dead_mirrors_are_asked_once)
{
	char mirror[64];
	const char *mirrors[] = {mirror};
	double start_at;
	struct err err;

	start();
	snprintf(mirror, sizeof(mirror), "127.0.0.1:%u", fake_closed_port());
	with_mirrors(mirrors, 1);
	gets("good", 0);
	start_at = clock_monotonic();
	for (int i = 0; i < 20; i++)
		gets("good", 0);
	CHECK(clock_monotonic() - start_at < 10);
	err = unresolved("fault/words", ERR_NETWORK, "mirror '127.0.0.1:");
	CHECK_CONTAINS(err.msg, "could not be reached before");
}

static void *fetch_in_thread(void *context)
{
	(void)context;
	gets("fault/anonymous", 0);
	gets("fault/cut", 0);
	return NULL;
}

TEST(many_threads_and_one_token)
{
	pthread_t threads[8];

	start();
	for (size_t i = 0; i < 8; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, fetch_in_thread, NULL), 0);
	for (size_t i = 0; i < 8; i++)
		CHECK_INT(pthread_join(threads[i], NULL), 0);
	CHECK_INT(asked("/token/anonymous"), 1);
	oci_client_free(client);
}

static void play_hub(struct fake_request *r)
{
	if (strcmp(r->path, "http://registry-1.docker.io/v2/library/debian/manifests/12") == 0)
		fake_reply(r, "200 OK\r\nContent-Type: " OCI_TYPE_MANIFEST "\r\n", "{}");
	else
		fake_reply(r, "404 Not Found\r\n", "");
}

/* By way of a proxy, which sees what host is asked. */
TEST(the_hub_has_its_api_elsewhere)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = {0};
	struct oci_descriptor d;
	struct err err = {0};
	char proxy[64], hex[DIGEST_HEX_SIZE];

	clean_environment();
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", fake_http(play_hub));
	setenv("http_proxy", proxy, 1);
	known.name = "docker.io";
	client = oci_client_new(&known, 1);
	CHECK_OK(oci_reference_parse("debian:12", &ref, &err), &err);
	CHECK_OK(oci_client_resolve(client, &ref, &d, &err), &err);
	/* sha256 of "{}". */
	CHECK_STR(digest_hex(&d.digest, hex),
		  "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
	CHECK_U64(d.size, 2);
	oci_client_free(client);
}

TEST(a_registry_that_is_broken_is_not_asked_twice_as_often)
{
	start();
	unresolved("fault/broken", ERR_NETWORK, "answers 500");
	CHECK_INT(asked("HEAD /v2/fault/broken/"), 4);
	CHECK_INT(asked("GET /v2/fault/broken/"), 1);
}

TEST(connections_are_kept)
{
	start();
	for (int i = 0; i < 5; i++)
		gets("good", 0);
	CHECK_INT(client->session_count, 1);
	oci_client_free(client);
}
