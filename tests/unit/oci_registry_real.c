/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry client against Debian's docker-registry, filled by skopeo: open, with passwords by plain HTTP, and
 * with passwords and TLS by an authority of its own; by each way that docker and podman keep credentials.
 */
#include "fake/registry.h"
#include "tap.h"

#include "base/mem.h"
#include "oci/registry.h"

static char host[64];
static struct oci_registry known = {.name = host};

static void put(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(const char *path, const char *format, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	tap_spew(path, text, strlen(text));
}

static bool is_listening(unsigned int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;

	close(fd);
	return is;
}

static void run_registry(unsigned int port)
{
	static const char *const argv[] = {"docker-registry", "serve", "config.yml", NULL};

	start_server(argv);
	for (int i = 0; !is_listening(port); i++) {
		if (i == 200)
			FAIL("docker-registry does not answer");
		usleep(50000);
	}
}

static unsigned int port;

/* Starts docker-registry with what stands behind the address in "http:" and with further sections. */
static void start_registry(const char *http, const char *sections)
{
	char here[PATH_MAX];

	CHECK(getcwd(here, sizeof(here)));
	port = fake_closed_port();
	snprintf(host, sizeof(host), "localhost:%u", port);
	put("config.yml",
	    "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
	    "storage: {filesystem: {rootdirectory: %s/store}}\n"
	    "http: {addr: '127.0.0.1:%u'%s}\n%s",
	    here, port, http, sections);
	run_registry(port);
}

/* Pushes the image of tests/fake/registry by skopeo. */
static void fill(const char *option, const char *value, const char *mib)
{
	const char *const layout[] = {
		"python3", source_file("tests/fake/registry"), "--layout", "layout", mib, NULL};
	char target[128];
	const char *const push[] = {
		"skopeo", "--insecure-policy", "copy", "-q", "--dest-creds", "joe:s3cret:x", option,
		value,    "oci:layout:1",      target, NULL};

	snprintf(target, sizeof(target), "docker://%s/team/app:1.4", host);
	run_program(layout);
	run_program(push);
}

static uint64_t
	restart_at; /* bytes after which the registry is killed and started again; 0: never */

struct taken {
	uint64_t len;
	struct digest_ctx *digest;
};

static int take(void *context, const void *bytes, size_t len, struct err *err)
{
	struct taken *t = context;

	(void)err;
	digest_add(t->digest, bytes, len);
	t->len += len;
	if (restart_at && t->len >= restart_at) {
		restart_at = 0;
		kill(server_pid, SIGKILL);
		run_registry(port);
	}
	return 0;
}

static int forget(void *context, struct err *err)
{
	(void)context;
	return err_set(err, ERR_OTHER, "a good registry needs no restart");
}

static void fetch_layer(struct oci_client *client, const struct oci_reference *ref,
			const struct oci_document *document)
{
	struct err err = {0};
	json_t *manifest = json_parse(document->body.data, document->body.len, "manifest", &err);
	const json_t *layer = json_array_get(json_object_get(manifest, "layers"), 0);
	struct oci_descriptor blob = {
		.size = (uint64_t)json_integer_value(json_object_get(layer, "size"))};
	struct taken taken = {0};
	const struct oci_sink sink = {take, forget, &taken};
	struct digest got;

	CHECK_OK(digest_parse(json_member_string(layer, "digest") + 7, &blob.digest, &err), &err);
	CHECK(blob.size > 3000000);
	taken.digest = digest_start();
	CHECK_OK(oci_client_blob(client, ref, &blob, &sink, &err), &err);
	digest_finish(taken.digest, &got);
	CHECK_U64(taken.len, blob.size);
	CHECK_MEM(&got, &blob.digest, sizeof(got));
	json_decref(manifest);
}

/* Resolve, manifest, layer: all of it, or the error of the first. */
static int pull(const char *repository, struct err *err)
{
	struct oci_client *client = oci_client_new(&known, 1);
	struct oci_reference ref CLEANUP(oci_reference_free) = {0};
	struct oci_document document CLEANUP(oci_document_free) = {0};
	struct oci_descriptor target;
	char text[128];
	int r;

	snprintf(text, sizeof(text), "%s/%s:1.4", host, repository);
	CHECK_OK(oci_reference_parse(text, &ref, err), err);
	r = oci_client_resolve(client, &ref, &target, err);
	if (r == 0) {
		CHECK_STR(target.media_type, OCI_TYPE_MANIFEST);
		CHECK_OK(oci_client_manifest(client, &ref, &target.digest, &document, err), err);
		CHECK_U64(document.body.len, target.size);
		fetch_layer(client, &ref, &document);
	}
	oci_client_free(client);
	return r;
}

static void pulls(const char *how)
{
	struct err err = {0};

	tap_note("%s", how);
	CHECK_OK(pull("team/app", &err), &err);
}

static struct err refused(const char *repository, const char *part)
{
	struct err err = {0};

	CHECK_ERR(pull(repository, &err), &err, ERR_NETWORK, part);
	return err;
}

TEST(open)
{
	struct err err;

	known.insecure = true;
	start_registry("", "");
	fill("--dest-tls-verify=false", "-q", "3");
	pulls("without credentials");
	err = refused("team/other", "answers 404: manifest unknown");
	CHECK_CONTAINS(err.hint, "name and tag");
}

/* 64 MiB are more than what the kernel holds on the way. */
TEST(killed_in_the_middle)
{
	known.insecure = true;
	start_registry("", "");
	fill("--dest-tls-verify=false", "-q", "64");
	restart_at = 1 << 20;
	pulls("while the registry is killed and comes back");
	CHECK_U64(restart_at, 0);
}

#define AUTH "auth: {htpasswd: {realm: test, path: htpasswd}}\n"

static void make_passwords(void)
{
	/* htpasswd of apache2-utils; -C 4: the least work that bcrypt allows. */
	static const char *const argv[] = {"htpasswd", "-cbB", "-C",       "4",
					   "htpasswd", "joe",  "s3cret:x", NULL};

	run_program(argv);
}

TEST(passwords)
{
	static const char entry[] = "{\"auths\": {\"%s\": {\"auth\": \"am9lOnMzY3JldDp4\"}}}";
	struct err err;
	char text[256], path[PATH_MAX], here[PATH_MAX];

	known.insecure = true;
	make_passwords();
	start_registry("", AUTH);
	fill("--dest-tls-verify=false", "-q", "3");

	err = refused("team/app", "it wants credentials for 'team/app'");
	CHECK_CONTAINS(err.hint, "~/.docker/config.json");
	snprintf(text, sizeof(text), entry, host);
	setenv("DOCKER_AUTH_CONFIG", text, 1);
	pulls("from the environment");
	snprintf(text, sizeof(text),
		 "{\"auths\": {\"%s\": {\"username\": \"joe\", \"password\": \"planted\"}}}", host);
	setenv("DOCKER_AUTH_CONFIG", text, 1);
	err = refused("team/app", "it refuses the credentials");
	CHECK(!strstr(err.msg, "planted") && !strstr(err.hint, "planted"));
	unsetenv("DOCKER_AUTH_CONFIG");

	CHECK_INT(mkdir(".docker", 0700), 0);
	put(".docker/config.json", entry, host);
	pulls("from ~/.docker/config.json");

	put(".docker/config.json", "{\"credHelpers\": {\"%s\": \"test\"}}", host);
	put("docker-credential-test",
	    "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get %s' ] && echo "
	    "'{\"Username\": \"joe\", \"Secret\": \"s3cret:x\"}'\n",
	    host);
	CHECK_INT(chmod("docker-credential-test", 0755), 0);
	CHECK(getcwd(here, sizeof(here)));
	snprintf(path, sizeof(path), "%.2000s:%.2000s", here, getenv("PATH"));
	setenv("PATH", path, 1);
	pulls("from a helper");
}

/* What skopeo's login writes, is read. */
TEST(login_of_others)
{
	const char *const login[] = {
		"skopeo", "login", "--tls-verify=false", "-u", "joe", "-p", "s3cret:x", host, NULL};

	known.insecure = true;
	make_passwords();
	start_registry("", AUTH);
	fill("--dest-tls-verify=false", "-q", "3");
	setenv("REGISTRY_AUTH_FILE", "auth.json", 1);
	refused("team/app", "it wants credentials");
	run_program(login);
	pulls("from skopeo's file");
}

TEST(tls)
{
	char text[256];
	struct err err;

	make_certificates();
	make_passwords();
	start_registry(", tls: {certificate: server.pem, key: server.key}", AUTH);
	CHECK_INT(mkdir("certs", 0700), 0);
	CHECK_INT(link("ca.pem", "certs/ca.crt"), 0);
	fill("--dest-cert-dir", "certs", "3");
	snprintf(text, sizeof(text), "{\"auths\": {\"%s\": {\"auth\": \"am9lOnMzY3JldDp4\"}}}",
		 host);
	setenv("DOCKER_AUTH_CONFIG", text, 1);

	err = refused("team/app", "certificate");
	CHECK_CONTAINS(err.hint, "`ca:` under containers.registries");
	known.ca = "ca.pem";
	pulls("with the authority's certificate");
	known.ca = "missing.pem";
	refused("team/app", "cannot fetch 'https://localhost:");
	known.ca = NULL;
	known.insecure = true;
	err = refused("team/app", "answers 400");
	CHECK_CONTAINS(err.hint, "remove `insecure: true`");
}
