/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks: what is written is read, what is hostile is refused with the line, and comparing.
 */
#include "tap.h"

#include "attest/lock.h"
#include "base/mem.h"
#include "layers/pins.h"

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Lines are counted below: one package is on line 11. */
static const char good[] =
	"{\n"
	"  \"lock\": 1,\n"
	"  \"profile\": \"web\",\n"
	"  \"base\": {\"distribution\": \"debian\", \"release\": \"trixie\", \"architecture\": \"amd64\", "
	"\"image\": null},\n"
	"  \"repositories\": [\n"
	"    {\"suite\": \"trixie\", \"date\": \"2026-09-12T07:55:41Z\", \"inrelease\": \"" SHA
	"\"}\n"
	"  ],\n"
	"  \"requested\": [\n"
	"    \"a\"\n"
	"  ],\n"
	"  \"packages\": [\n"
	"    {\"name\": \"a\", \"version\": \"1:2.3~x+b1-4\", \"architecture\": \"all\", \"sha256\": \"" SHA
	"\", \"size\": 12, \"origin\": \"Debian\", \"suite\": \"trixie\", \"component\": \"main\", \"path\": "
	"\"pool/a.deb\"},\n"
	"    {\"name\": \"b\", \"version\": \"1\", \"architecture\": \"amd64\", \"sha256\": \"" SHA
	"\", \"size\": 1, \"origin\": null, \"suite\": null, \"component\": null, \"path\": null},\n"
	"    {\"name\": \"c\", \"version\": \"1\", \"architecture\": \"amd64\", \"sha256\": null, \"size\": null, "
	"\"origin\": null, \"suite\": null, \"component\": null, \"path\": null}\n"
	"  ],\n"
	"  \"build_packages\": [],\n"
	"  \"containers\": [\n"
	"    {\"reference\": \"registry.example/x:1\", \"digest\": \"sha256:" SHA "\"}\n"
	"  ]\n"
	"}\n";

static void take(const char *text, struct lock *lock)
{
	struct err err = {0};

	CHECK_OK(lock_parse(text, strlen(text), "x.lock", lock, &err), &err);
}

TEST(reads_what_it_writes)
{
	struct lock lock CLEANUP(lock_free) = {0};
	CLEANUP(str_free) struct str text = {0};

	take(good, &lock);
	CHECK_STR(lock.profile, "web");
	CHECK_STR(lock.distribution, "debian");
	CHECK_STR(lock.release, "trixie");
	CHECK_STR(lock.architecture, "amd64");
	CHECK(lock.image == NULL);
	CHECK_INT(lock.suite_count, 1);
	CHECK_STR(lock.suites[0].name, "trixie");
	CHECK_INT(lock.suites[0].date, 1789199741);
	CHECK_HEX(lock.suites[0].inrelease.bytes[31], 0xaa);
	CHECK_INT(lock.requested.count, 1);
	CHECK_INT(json_array_size(lock.packages), 3);
	CHECK_INT(json_array_size(lock.containers), 1);
	lock_text(&lock, &text);
	CHECK_STR(text.data, good);
}

TEST(order_of_members_and_white_space_do_not_matter)
{
	struct lock lock CLEANUP(lock_free) = {0};
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_JSON json_t *value = json_parse(good, strlen(good), "x", NULL);
	CLEANUP_FREE char *line = json_line(value);

	take(line, &lock);
	lock_text(&lock, &text);
	CHECK_STR(text.data, good);
}

/* The good text with its first from replaced by to. */
static char *with(const char *from, const char *to)
{
	const char *at = strstr(good, from);

	CHECK(at != NULL);
	return mem_printf("%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
}

static void refuse(const char *from, const char *to, const char *message)
{
	CLEANUP_FREE char *text = with(from, to);
	struct lock lock = {0};
	struct err err = {0};

	CHECK_ERR(lock_parse(text, strlen(text), "x.lock", &lock, &err), &err, ERR_VERIFY, message);
	CHECK(lock.profile == NULL && lock.packages == NULL);
}

TEST(refuses_what_is_not_as_written)
{
	refuse("\"lock\": 1", "\"lock\": 2",
	       "x.lock:2: 'lock' must be 1, the version of the format");
	refuse("\"lock\": 1", "\"lock\": \"1\"", "x.lock:2: 'lock' must be 1");
	refuse("  \"profile\"", "  \"new\": 1,\n  \"profile\"", "unknown member 'new'");
	refuse("  \"profile\"", "  \"\\u001b[2J\": 1,\n  \"profile\"",
	       "a member with a strange name");
	refuse("  \"profile\": \"web\",\n", "", "member 'profile' is missing");
	refuse("\"web\"", "\"../web\"", "x.lock:3: 'profile' is no name of a profile");
	refuse("\"web\"", "\"w\\u0000b\"", "x.lock:3:");
	refuse("\"web\"", "3", "x.lock:3: 'profile' is no name of a profile");
	refuse("\"trixie\", \"arch", "\"tri xie\", \"arch",
	       "x.lock:4: 'release' of the base is wrong");
	refuse("\"image\": null", "\"image\": \"x\"", "x.lock:4: 'image' of the base is no digest");
	refuse(", \"image\": null", "", "x.lock:4: member 'image' is missing");
	refuse("2026-09-12", "2026-02-30", "x.lock:6: 'suite', 'date' or 'inrelease' is wrong");
	refuse("2026-09-12T", "2026-09-12 ", "x.lock:6: ");
	refuse("\"inrelease\": \"aa", "\"inrelease\": \"aA", "x.lock:6: ");
	refuse("    {\"suite\": \"trixie\", \"date\": \"2026-09-12T07:55:41Z\", \"inrelease\": \"" SHA
	       "\"}\n",
	       "", "x.lock:5: 'repositories' is empty");
	refuse("    \"a\"\n", "    \"a\",\n    \"a\"\n",
	       "x.lock:10: 'a' is not in order, or twice there");
	refuse("    \"a\"\n", "    \"a b\"\n", "x.lock:9: no name of a package");
	refuse("    \"a\"\n", "    {}\n", "x.lock:9: no name of a package");
}

TEST(refuses_bad_rows)
{
	refuse("{\"name\": \"a\"", "{\"name\": \"a\\nPin: x\"", "x.lock:12: 'name' is no name");
	refuse("{\"name\": \"b\"", "{\"name\": \"B\"", "x.lock:13: 'name' is no name of a package");
	refuse("1:2.3~x+b1-4", "1;rm", "x.lock:12: 'version' is no version of a package");
	refuse("\"all\"", "\"../all\"", "x.lock:12: 'architecture' is none");
	refuse("\"sha256\": \"aa", "\"sha256\": \"a", "x.lock:12: 'sha256' is no digest");
	refuse("\"size\": 12", "\"size\": -1", "x.lock:12: 'size' is no size of a package");
	refuse("\"size\": 12", "\"size\": 1e3", "x.lock:12: 'size' is no size of a package");
	refuse("\"size\": 1,", "\"size\": null,", "x.lock:13: 'size' is no size of a package");
	refuse("pool/a.deb", "/pool/a.deb", "x.lock:12: 'origin', 'suite', 'component' or 'path'");
	refuse("pool/a.deb", "../a.deb", "x.lock:12: ");
	refuse("pool/a.deb", "http://host/a.deb", "x.lock:12: ");
	refuse("\"origin\": \"Debian\"", "\"origin\": null", "x.lock:12: ");
	refuse("\"origin\": \"Debian\"", "\"origin\": \"a\\u0007\"", "x.lock:12: ");
	refuse("\"path\": \"pool/a.deb\"", "\"path\": \"pool/a.deb\", \"by\": 1",
	       "x.lock:12: unknown member 'by'");
	refuse("    {\"name\": \"b\"", "    7,\n    {\"name\": \"b\"",
	       "x.lock:13: expected an object");
	refuse("{\"name\": \"c\"", "{\"name\": \"aa\"", "x.lock:14: package 'aa' is not in order");
	refuse("\"build_packages\": []", "\"build_packages\": 1",
	       "'build_packages' must be an array");
	refuse("\"build_packages\": []",
	       "\"build_packages\": [\n{\"name\": \"b\", \"version\": \"2\", \"architecture\": "
	       "\"amd64\", \"sha256\": null, \"size\": null, \"origin\": null, \"suite\": null, "
	       "\"component\": null, \"path\": null}]",
	       "x.lock:17: package 'b' is in 'packages' too");
	refuse("sha256:aa", "md5:aa", "x.lock:18: 'reference' or 'digest' is wrong");
	refuse("registry.example/x:1", "a b", "x.lock:18: 'reference' or 'digest' is wrong");
}

TEST(refuses_what_is_no_json)
{
	static const char *const texts[] = {"",
					    "[]",
					    "{",
					    "{}",
					    "null",
					    "\"lock\"",
					    "<<<<<<< ours\n{}",
					    "{\"lock\": 1}",
					    "{\"lock\": 1, \"lock\": 1}"};
	struct lock lock;
	struct err err = {0};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CHECK_ERR(lock_parse(texts[i], strlen(texts[i]), "x.lock", &lock, &err), &err,
			  ERR_VERIFY, "x.lock:");
		lock_free(&lock);
	}
	refuse("  \"profile\"", "  \x1b[31m \"profile\"", "x.lock:3:");
	CHECK_ERR(lock_parse("\x1b[2J", 4, "x.lock", &lock, &err), &err, ERR_VERIFY, "x.lock:1:");
	CHECK(!strchr(err.msg, '\x1b'));
}

/* Every byte taken away or changed: refused, or a lock that is written and read again. */
TEST_TIMEOUT(damage, 120)
{
	size_t len = strlen(good);
	char *text = malloc(len + 1);

	for (size_t i = 0; i < 2 * len; i++) {
		struct lock lock CLEANUP(lock_free) = {0}, again CLEANUP(lock_free) = {0};
		CLEANUP(str_free) struct str out = {0};
		struct err err = {0};
		size_t n = i < len ? i : len;

		memcpy(text, good, len + 1);
		if (i >= len)
			text[i - len] ^= (char)(1 + i % 127);
		if (lock_parse(text, n, "x.lock", &lock, &err) < 0) {
			CHECK_INT(err.code, ERR_VERIFY);
			CHECK(strncmp(err.msg, "x.lock:", 7) == 0);
			continue;
		}
		lock_text(&lock, &out);
		CHECK_OK(lock_parse(out.data, out.len, "again", &again, &err), &err);
	}
	free(text);
}

TEST(compares)
{
	struct lock before CLEANUP(lock_free) = {0}, now CLEANUP(lock_free) = {0};
	CLEANUP_FREE char *text = with("\"version\": \"1:2.3~x+b1-4\"", "\"version\": \"9\"");
	CLEANUP_FREE char *text2 = NULL;
	CLEANUP_JSON json_t *changes = NULL;
	CLEANUP(str_free) struct str said = {0};
	char *at;

	take(good, &before);
	changes = lock_compare(&before, &before);
	CHECK_INT(json_array_size(changes), 0);
	json_decref(changes);
	/* b has other bytes, c is gone, d is there. */
	at = strstr(text, "\"name\": \"b\"");
	at = strstr(at, "\"sha256\": \"a");
	at[11] = 'b';
	at = strstr(text, "\"name\": \"c\"");
	at[9] = 'd';
	at = strstr(text, "\"suite\": \"trixie\", \"component\"");
	text2 = mem_printf("%.*s\"suite\": \"trixie-security\"%s", (int)(at - text), text,
			   at + strlen("\"suite\": \"trixie\""));
	take(text2, &now);
	changes = lock_compare(&before, &now);
	CHECK_INT(json_array_size(changes), 4);
	pins_describe_all(changes, 10, &said);
	CHECK_STR(said.data,
		  "\n    ~ a 1:2.3~x+b1-4 -> 9 (trixie-security)\n    ~ b 1 with other bytes\n"
		  "    - c 1\n    + d 1");
	CHECK(json_is_true(json_object_get(json_array_get(changes, 0), "security")));
	CHECK(json_is_false(json_object_get(json_array_get(changes, 1), "security")));
	CHECK(json_is_null(json_object_get(json_array_get(changes, 3), "was")));
	str_free(&said);
	pins_describe_all(changes, 1, &said);
	CHECK_CONTAINS(said.data, "\n    and 3 more");
}

#define ROW(reference, digit) "{\"reference\": \"" reference "\", \"digest\": \"sha256:" digit "\"}"
#define SHB "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* The good lock with these rows of containers. */
static void take_containers(const char *rows, struct lock *lock)
{
	CLEANUP_FREE char *text = with("    " ROW("registry.example/x:1", SHA), rows);

	take(text, lock);
}

TEST(containers_have_their_names)
{
	struct lock lock CLEANUP(lock_free) = {0};
	CLEANUP(str_free) struct str text = {0};
	struct lock again CLEANUP(lock_free) = {0};

	take_containers(
		ROW("docker.io/a", SHA) "," ROW("docker.io/a", SHB) "," ROW(
			"oci:./my layouts/\\\"ä\\\".tar", SHA) "," ROW("oci:docker.io/x:1", SHA),
		&lock);
	CHECK_INT(json_array_size(lock.containers), 4);
	lock_text(&lock, &text);
	take(text.data, &again);
	CHECK(json_equal(lock.containers, again.containers));
	refuse("\"registry.example/x:1\"", "\"oci:\"", "x.lock:18: 'reference' or 'digest'");
	refuse("\"registry.example/x:1\"", "\"oci:a\\n\"", "x.lock:18: 'reference' or 'digest'");
	refuse("\"registry.example/x:1\"", "\"oci:\\u009b2J\"",
	       "x.lock:18: 'reference' or 'digest'");
	refuse("\"registry.example/x:1\"", "\"file a\"", "x.lock:18: 'reference' or 'digest'");
	refuse("\"digest\": \"sha256:", "\"digest\": \"sha512:", "x.lock:18:");
	refuse("    " ROW("registry.example/x:1", SHA), ROW("a:1", SHA) ",\n" ROW("a:1", SHA),
	       "not in order, or twice there");
	refuse("    " ROW("registry.example/x:1", SHA), ROW("b:1", SHA) ",\n" ROW("a:1", SHB),
	       "not in order, or twice there");
}

static void check_containers(const char *before, const char *now, const char *want)
{
	struct lock a CLEANUP(lock_free) = {0}, b CLEANUP(lock_free) = {0};
	CLEANUP_JSON json_t *changes = NULL;
	CLEANUP(str_free) struct str text = {0};

	take_containers(before, &a);
	take_containers(now, &b);
	changes = lock_compare_containers(&a, &b);
	str_add(&text, "");
	lock_describe_containers(changes, 3, &text);
	CHECK_STR(text.data, want);
}

#define CUT_A "sha256:aaaaaaaaaaaa"
#define CUT_B "sha256:bbbbbbbbbbbb"

TEST(compares_containers)
{
	check_containers("", "", "");
	check_containers(ROW("a:1", SHA), ROW("a:1", SHA), "");
	check_containers(ROW("a:1", SHA), ROW("a:1", SHB), "\n    ~ a:1 " CUT_A " -> " CUT_B);
	check_containers("", ROW("a:1", SHA), "\n    + a:1 " CUT_A);
	check_containers(ROW("a:1", SHA) "," ROW("c:1", SHA), ROW("b:1", SHA) "," ROW("c:1", SHA),
			 "\n    - a:1 " CUT_A "\n    + b:1 " CUT_A);
	/* Without tags: each digest is one of several. */
	check_containers(ROW("a", SHA), ROW("a", SHA) "," ROW("a", SHB), "\n    + a " CUT_B);
	check_containers(ROW("a", SHA) "," ROW("a", SHB), ROW("a", SHB), "\n    - a " CUT_A);
	check_containers(
		ROW("a:1", SHA) "," ROW("b:1", SHA) "," ROW("c:1", SHA) "," ROW("d:1", SHA), "",
		"\n    - a:1 " CUT_A "\n    - b:1 " CUT_A "\n    - c:1 " CUT_A
		"\n    and 1 more container images");
}

TEST(files)
{
	struct lock lock CLEANUP(lock_free) = {0};
	struct digest digest, want;
	struct err err = {0};
	char *path;

	CHECK_ERR(lock_read("x.lock", &lock, &digest, &err), &err, ERR_VERIFY,
		  "there is no lock 'x.lock'");
	CHECK_STR(err.hint, "'ingot lock' makes it");
	tap_spew("x.lock", good, strlen(good));
	CHECK_OK(lock_read("x.lock", &lock, &digest, &err), &err);
	digest_bytes(good, strlen(good), &want);
	CHECK_MEM(&digest, &want, sizeof(want));
	path = lock_path("a/web.yaml");
	CHECK_STR(path, "a/web.lock");
	free(path);
	path = lock_path("web.yml");
	CHECK_STR(path, "web.lock");
	free(path);
	path = lock_path("web");
	CHECK_STR(path, "web.lock");
	free(path);
}

TEST(takes_only_what_a_lock_has)
{
	CLEANUP_JSON json_t *layer =
		json_pack("[{s:s, s:s, s:s, s:s, s:s}]", "name", "a", "version", "1",
			  "architecture", "all", "source", "a", "origin", "X");
	CLEANUP_JSON json_t *rows = lock_rows(layer);
	const json_t *row = json_array_get(rows, 0);

	CHECK_INT(json_object_size(row), 9);
	CHECK_STR(json_member_string(row, "origin"), "X");
	CHECK(json_is_null(json_object_get(row, "sha256")));
	CHECK(json_object_get(row, "source") == NULL);
}
