/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repositories: learned from (a fake) mmdebstrap once, watched by HTTP, remembered for --offline.
 */
#include "fake/http.h"
#include "tap.h"

#include "base/mem.h"
#include "layers/packages.h"

static unsigned int port;

/* The state of the fake mirror is a file: the version of its suites. */
static void mirror(struct fake_request *r)
{
	char body[512], version[16] = "1", head[128], etag[32];
	const char *match = fake_header(r, "If-None-Match");
	FILE *f = fopen("version", "re");

	if (f && !fgets(version, sizeof(version), f))
		version[0] = '\0';
	if (f)
		fclose(f);
	snprintf(etag, sizeof(etag), "\"%s\"", version);
	if (strcmp(version, "down") == 0) {
		fake_reply(r, "404 Not Found\r\n", "");
	} else if (match && strcmp(match, etag) == 0) {
		f = fopen("unchanged", "ae");
		if (f) {
			fputc('x', f);
			fclose(f);
		}
		fake_reply(r, "304 Not Modified\r\n", "");
	} else {
		snprintf(body, sizeof(body),
			 "%sOrigin: Test\n%s: Sat, 15 Nov 2025 10:12:4%c UTC\nPath: %s\n",
			 strcmp(version, "plain") == 0 ? ""
						       : "-----BEGIN PGP SIGNED MESSAGE-----\n",
			 strcmp(version, "undated") == 0 ? "Day" : "Date",
			 version[0] >= '0' && version[0] <= '9' ? version[0] : '0', r->path);
		snprintf(head, sizeof(head), "200 OK\r\nETag: %s\r\n", etag);
		fake_reply(r, head, body);
	}
}

static void set_version(const char *version)
{
	tap_spew("version", version, strlen(version));
}

/* Puts a mmdebstrap into PATH that runs its setup hook over a sources.list with these lines. */
static void fake_mmdebstrap(const char *lines)
{
	CLEANUP_FREE char *here = realpath(".", NULL);
	CLEANUP_FREE char *path = mem_printf("%s/bin:%s", here, getenv("PATH"));
	CLEANUP_FREE char *script =
		mem_printf("#!/bin/sh\nset -e\necho \"$@\" >>%s/runs\nmkdir -p %s/root/etc/apt\n"
			   "cat >%s/root/etc/apt/sources.list <<END\n%sEND\n"
			   "for a; do case $a in --setup-hook=*) sh -c \"${a#*=}\" exec %s/root;; "
			   "esac; done\n",
			   here, here, here, lines, here);

	CHECK(mkdir("bin", 0755) == 0 || errno == EEXIST);
	tap_spew("bin/mmdebstrap", script, strlen(script));
	CHECK(chmod("bin/mmdebstrap", 0755) == 0);
	setenv("PATH", path, 1);
}

static const char *components[] = {"main", "contrib"};
static struct profile profile = {
	.base = {.distribution = "debian",
		 .release = "trixie",
		 .architecture = "amd64",
		 .components = {components, 2}},
};
static struct cache *cache;

static void setup(void)
{
	struct err err = {0};
	CLEANUP_FREE char *lines = NULL;

	port = fake_http(mirror);
	lines = mem_printf("deb [signed-by=\"/k\"] http://127.0.0.1:%u/d trixie main contrib\n"
			   "deb http://127.0.0.1:%u/d/ trixie-updates main\n"
			   "deb http://127.0.0.1:%u/s trixie-security main\n",
			   port, port, port);
	fake_mmdebstrap(lines);
	set_version("1");
	cache = cache_open("cache", &err);
	CHECK_OK_PTR(cache, &err);
}

static void check_failure(bool offline, int code, const char *part)
{
	struct repositories r CLEANUP(packages_repositories_free) = {0};
	struct err err = {0};

	CHECK_ERR(packages_repositories(cache, &profile, offline, &r, &err), &err, code, part);
	CHECK_INT(r.count, 0);
}

static void get(bool offline, struct repositories *r)
{
	struct err err = {0};

	CHECK_OK(packages_repositories(cache, &profile, offline, r, &err), &err);
}

TEST(learns_and_asks)
{
	struct repositories r CLEANUP(packages_repositories_free) = {0};
	char text[128];

	setup();
	get(false, &r);
	CHECK_INT(r.count, 3);
	snprintf(text, sizeof(text),
		 "deb [signed-by=\"/k\"] http://127.0.0.1:%u/d trixie main contrib", port);
	CHECK_STR(r.items[0].line, text);
	CHECK_STR(r.items[2].suite, "trixie-security");
	/* date -d '2025-11-15 10:12:41 UTC' +%s */
	CHECK_INT(r.epoch, 1763201561);
	CHECK(memcmp(&r.items[0].digest, &r.items[1].digest, sizeof(r.items[0].digest)) != 0);
	snprintf(text, sizeof(text), "--components=main,contrib");
	char *runs = tap_slurp("runs", NULL);
	CHECK_CONTAINS(runs, text);
	CHECK_CONTAINS(runs, "--architectures=amd64");
	free(runs);
	cache_close(cache);
}

TEST(asks_mmdebstrap_once_and_mirrors_conditionally)
{
	struct repositories a CLEANUP(packages_repositories_free) = {0};
	struct repositories b CLEANUP(packages_repositories_free) = {0};
	size_t len;

	setup();
	get(false, &a);
	get(false, &b);
	CHECK_MEM(&a.items[0].digest, &b.items[0].digest, sizeof(a.items[0].digest));
	CHECK_INT(a.epoch, b.epoch);
	CHECK_FILE("unchanged", "xxx");
	char *runs = tap_slurp("runs", &len);
	/* One line per run. */
	CHECK(strchr(runs, '\n') == runs + len - 1);
	free(runs);
	cache_close(cache);
}

TEST(sees_a_change)
{
	struct repositories a CLEANUP(packages_repositories_free) = {0};
	struct repositories b CLEANUP(packages_repositories_free) = {0};

	setup();
	get(false, &a);
	set_version("2");
	get(false, &b);
	CHECK(memcmp(&a.items[0].digest, &b.items[0].digest, sizeof(a.items[0].digest)) != 0);
	CHECK_INT(b.epoch, a.epoch + 1);
	cache_close(cache);
}

TEST(offline_uses_what_was_seen)
{
	struct repositories a CLEANUP(packages_repositories_free) = {0};
	struct repositories b CLEANUP(packages_repositories_free) = {0};

	setup();
	check_failure(true, ERR_NETWORK, "were never asked");
	get(false, &a);
	set_version("2");
	get(true, &b);
	CHECK_MEM(&a.items[0].digest, &b.items[0].digest, sizeof(a.items[0].digest));
	CHECK_INT(a.epoch, b.epoch);
	CHECK_INT(a.checked, b.checked);
	cache_close(cache);
}

TEST(mirror_replaces_all_but_security)
{
	struct repositories r CLEANUP(packages_repositories_free) = {0};
	CLEANUP_FREE char *own = NULL;
	CLEANUP_FREE char *security = NULL;

	setup();
	own = mem_printf("http://127.0.0.1:%u/own", port);
	security = mem_printf("http://127.0.0.1:%u/s", port);
	profile.base.mirror = own;
	get(false, &r);
	CHECK_STR(r.items[0].uri, own);
	CHECK_STR(r.items[1].uri, own);
	CHECK_STR(r.items[2].uri, security);
	CHECK_CONTAINS(r.items[0].line, "deb [signed-by=\"/k\"] ");
	cache_close(cache);
}

TEST(file_mirrors)
{
	struct repositories r CLEANUP(packages_repositories_free) = {0};
	CLEANUP_FREE char *here = realpath(".", NULL);
	CLEANUP_FREE char *lines = mem_printf("deb file://%s/repo trixie main\n", here);
	static const char text[] = "-----BEGIN PGP SIGNED MESSAGE-----\n"
				   "Date: Thu, 1 Jan 1998 0:00:00 UTC\n";

	setup();
	fake_mmdebstrap(lines);
	check_failure(false, ERR_OTHER, "dists/trixie/InRelease");
	CHECK(mkdir("repo", 0755) == 0 && mkdir("repo/dists", 0755) == 0 &&
	      mkdir("repo/dists/trixie", 0755) == 0);
	tap_spew("repo/dists/trixie/InRelease", text, strlen(text));
	get(false, &r);
	CHECK_INT(r.epoch, 883612800);
	cache_close(cache);
}

TEST(bad_answers)
{
	setup();
	set_version("down");
	check_failure(false, ERR_NETWORK, "cannot read suite 'trixie': the server says 404");
	set_version("plain");
	check_failure(false, ERR_VERIFY, "is not signed");
	set_version("undated");
	check_failure(false, ERR_VERIFY, "has no date");
	cache_close(cache);
}

TEST(no_network)
{
	CLEANUP_FREE char *lines = NULL;

	setup();
	lines = mem_printf("deb http://127.0.0.1:%u/ trixie main\n", fake_closed_port());
	fake_mmdebstrap(lines);
	check_failure(false, ERR_NETWORK, "cannot fetch");
	cache_close(cache);
}

TEST(bad_sources)
{
	static const char *const lines[] = {"dub http://x/ trixie main\n", "deb http://x/\n",
					    "deb [a=b http://x/ trixie main\n",
					    "deb x trixie main\n"};

	setup();
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		fake_mmdebstrap(lines[i]);
		check_failure(false, ERR_OTHER, "cannot read repository");
	}
	fake_mmdebstrap("");
	check_failure(false, ERR_PROFILE, "knows no repositories");
	fake_mmdebstrap("deb gopher://x/ trixie main\n");
	check_failure(false, ERR_PROFILE, "only http, https, file and copy");
	cache_close(cache);
}

TEST(mmdebstrap_is_missing_or_broken)
{
	static const char broken[] = "#!/bin/sh\necho E: no such release >&2\nexit 1\n";

	setup();
	tap_spew("bin/mmdebstrap", broken, strlen(broken));
	check_failure(false, ERR_OTHER, "E: no such release");
	setenv("PATH", "/nowhere", 1);
	check_failure(false, ERR_TOOL, "'mmdebstrap' is not installed");
	cache_close(cache);
}

/* A lock's state asks nobody, but the profile must use its suites. */
TEST(state_of_a_lock)
{
	struct repositories before CLEANUP(packages_repositories_free) = {0};
	struct repositories r CLEANUP(packages_repositories_free) = {0};
	char *names[] = {(char *)"trixie", (char *)"trixie-updates", (char *)"trixie-security"};
	struct repository items[3] = {0};
	struct repositories locked = {.items = items, .count = 3};
	struct err err = {0};

	setup();
	for (size_t i = 0; i < 3; i++) {
		items[i].suite = names[i];
		items[i].date = 1000 + (int64_t)i;
		memset(&items[i].digest, (int)i + 1, sizeof(items[i].digest));
	}
	set_version("down");
	CHECK_OK(packages_repositories_locked(cache, &profile, &locked, &r, &err), &err);
	CHECK_INT(r.count, 3);
	CHECK_INT(r.epoch, 1002);
	CHECK_MEM(&r.items[1].digest, &items[1].digest, sizeof(struct digest));
	CHECK(r.items[2].line && strstr(r.items[2].line, "trixie-security main"));
	/* It taught nothing about the suites' present state. */
	check_failure(true, ERR_NETWORK, "was never asked");
	names[0] = (char *)"sid";
	items[0].suite = names[0];
	CHECK_ERR(packages_repositories_locked(cache, &profile, &locked, &before, &err), &err,
		  ERR_VERIFY, "uses other suites than the lock");
	items[0].suite = (char *)"trixie";
	locked.count = 2;
	CHECK_ERR(packages_repositories_locked(cache, &profile, &locked, &before, &err), &err,
		  ERR_VERIFY, "uses other suites than the lock");
	CHECK_INT(before.count, 0);
	cache_close(cache);
}

TEST(key_follows_every_input)
{
	struct repositories r CLEANUP(packages_repositories_free) = {0};
	static const char *packages[] = {"b", "a", "b"};
	struct err err = {0};
	struct digest first, second;
	struct cache_key key = {0};

	setup();
	get(false, &r);
	profile.packages = (struct profile_list){packages, 3};
	profile.kernel.package = "linux";
	profile.disk.var.filesystem = "ext4";
	CHECK(mkdir("firmware", 0755) == 0 && mkdir("firmware/packages", 0755) == 0);
	tap_spew("firmware/packages/setup", "1", 1);
	tap_spew("firmware/packages/records", "2", 1);
	tap_spew("firmware/packages/essential", "2", 1);
	tap_spew("firmware/packages/customize", "3", 1);
	CHECK_ERR(packages_key(&profile, &r, ".", &key, &err), &err, ERR_OTHER, "path-exclude");
	cache_key_free(&key);
	tap_spew("firmware/packages/path-exclude", "4", 1);
	CHECK_OK(packages_key(&profile, &r, ".", &key, &err), &err);
	cache_key_digest(&key, "packages", &first);
	cache_key_free(&key);

	/* The order of packages and repetitions do not count, nor does the date of the build. */
	packages[0] = "a";
	packages[1] = "b";
	setenv("SOURCE_DATE_EPOCH", "77", 1);
	CHECK_OK(packages_key(&profile, &r, ".", &key, &err), &err);
	cache_key_digest(&key, "packages", &second);
	CHECK_MEM(&first, &second, sizeof(first));
	cache_key_free(&key);

	for (int i = 0; i < 5; i++) {
		if (i == 0)
			tap_spew("firmware/packages/customize", "5", 1);
		else if (i == 1)
			packages[0] = "c";
		else if (i == 2)
			profile.kernel.package = "linux-rt";
		else if (i == 3)
			r.items[2].digest.bytes[7] ^= 1;
		else
			profile.disk.var.filesystem = "xfs";
		CHECK_OK(packages_key(&profile, &r, ".", &key, &err), &err);
		cache_key_digest(&key, "packages", &second);
		CHECK(memcmp(&first, &second, sizeof(first)) != 0);
		first = second;
		cache_key_free(&key);
	}
	cache_close(cache);
}
