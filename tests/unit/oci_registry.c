/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry client against a registry with every fault that we could think of (tests/fake/registry).
 */
#include "fake/registry.h"
#include "tap.h"

#include "base/clock.h"
#include "base/mem.h"
#include "oci/registry_parts.h"

#define LAYER_SIZE (3 << 20)

static unsigned int port, other_port;
static char host[64];
static struct oci_registry known = {.name = host, .insecure = true};
static struct oci_client *client;

/* Starts the server and a client for it. */
static void start(void)
{
	port = fake_registry(NULL);
	snprintf(host, sizeof(host), "127.0.0.1:%u", port);
	client = oci_client_new(&known, 1);
	client->retries = 3;
	client->stall_s = 1;
}

static struct oci_reference reference(const char *repository)
{
	char text[256];
	struct oci_reference ref;
	struct err err = {0};

	snprintf(text, sizeof(text), "%s/%s:1", host, repository);
	CHECK_OK(oci_reference_parse(text, &ref, &err), &err);
	return ref;
}

/* What arrived. */
struct taken {
	struct str bytes;
	int restarts;
	uint64_t fail_at; /* the sink fails there; 0: never */
};

static int take(void *context, const void *bytes, size_t len, struct err *err)
{
	struct taken *t = context;

	CHECK(len > 0);
	if (t->fail_at && t->bytes.len + len >= t->fail_at)
		return err_set(err, ERR_SPACE, "the sink is full");
	str_add_bytes(&t->bytes, bytes, len);
	return 0;
}

static int forget(void *context, struct err *err)
{
	struct taken *t = context;

	(void)err;
	t->bytes.len = 0;
	t->restarts++;
	return 0;
}

/* The layer's descriptor, which is the same in every repository. */
static struct oci_descriptor layer(void)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = reference("good");
	struct oci_document doc CLEANUP(oci_document_free) = {0};
	struct oci_descriptor d;
	struct err err = {0};
	json_t *manifest, *entry;

	CHECK_OK(oci_client_resolve(client, &ref, &d, &err), &err);
	CHECK_STR(d.media_type, OCI_TYPE_MANIFEST);
	CHECK_OK(oci_client_manifest(client, &ref, &d.digest, &doc, &err), &err);
	CHECK_U64(doc.descriptor.size, d.size);
	CHECK_U64(doc.body.len, d.size);
	CHECK_STR(doc.descriptor.media_type, OCI_TYPE_MANIFEST);
	CHECK_MEM(&doc.descriptor.digest, &d.digest, sizeof(d.digest));
	manifest = json_parse(doc.body.data, doc.body.len, "manifest", &err);
	CHECK_OK_PTR(manifest, &err);
	entry = json_array_get(json_object_get(manifest, "layers"), 0);
	d.size = (uint64_t)json_integer_value(json_object_get(entry, "size"));
	CHECK_U64(d.size, LAYER_SIZE);
	CHECK_OK(digest_parse(json_member_string(entry, "digest") + 7, &d.digest, &err), &err);
	json_decref(manifest);
	return d;
}

static int fetch(const char *repository, struct taken *taken, struct err *err)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = reference(repository);
	struct oci_descriptor d = layer();
	const struct oci_sink sink = {take, forget, taken};

	return oci_client_blob(client, &ref, &d, &sink, err);
}

static void check_layer(const struct taken *taken)
{
	struct oci_descriptor d = layer();
	struct digest got;

	CHECK_U64(taken->bytes.len, d.size);
	digest_bytes(taken->bytes.data, taken->bytes.len, &got);
	CHECK_MEM(&got, &d.digest, sizeof(got));
}

/* The layer comes, after so many restarts. */
static void gets(const char *repository, int restarts)
{
	struct taken taken = {0};
	struct err err = {0};

	CHECK_OK(fetch(repository, &taken, &err), &err);
	check_layer(&taken);
	CHECK_INT(taken.restarts, restarts);
	str_free(&taken.bytes);
}

static void fails(const char *repository, int code, const char *part)
{
	struct taken taken = {0};
	struct err err = {0};

	CHECK_ERR(fetch(repository, &taken, &err), &err, code, part);
	CHECK_CONTAINS(err.msg, "cannot fetch blob sha256:");
	str_free(&taken.bytes);
}

static int resolve(const char *repository, struct oci_descriptor *ret, struct err *err)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = reference(repository);

	return oci_client_resolve(client, &ref, ret, err);
}

static void resolves(const char *repository, const char *media_type)
{
	struct oci_descriptor d, good;
	struct err err = {0};

	CHECK_OK(resolve("good", &good, &err), &err);
	CHECK_OK(resolve(repository, &d, &err), &err);
	CHECK_MEM(&d.digest, &good.digest, sizeof(d.digest));
	CHECK_U64(d.size, good.size);
	CHECK_STR(d.media_type, media_type);
}

static struct err unresolved(const char *repository, int code, const char *part)
{
	struct oci_descriptor d;
	struct err err = {0};

	CHECK_ERR(resolve(repository, &d, &err), &err, code, part);
	CHECK_CONTAINS(err.msg, "cannot resolve '127.0.0.1:");
	for (const char *p = err.msg; *p; p++)
		CHECK((unsigned char)*p >= ' ');
	return err;
}

/* All requests of one server that have this in them. */
static unsigned int asked_at(unsigned int at, const char *scheme, const char *part)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};
	char url[128];
	unsigned int count = 0;

	snprintf(url, sizeof(url), "%s://127.0.0.1:%u/log", scheme, at);
	CHECK_OK(http_do(&(struct http_request){.url = url, .ca = known.ca}, &a, &err), &err);
	for (char *line = a.body.len ? strtok(a.body.data, "\n") : NULL; line;
	     line = strtok(NULL, "\n"))
		count += strstr(line, part) != NULL;
	return count;
}

static unsigned int asked(const char *part)
{
	return asked_at(port, "http", part);
}

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
