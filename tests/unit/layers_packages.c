/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making the package layer with a fake mmdebstrap in the real sandbox: what is kept, what is refused,
 * and that a kill leaves neither processes nor half an entry. tests/build/packages.t has the real one.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/proc.h"
#include "layers/packages.h"
#include "layers/sandbox.h"

/* SHA-256 of "deb\n", and another one. */
#define DEB "dae45e9c4c5641b0e8a58b6c3f0de0dd946b9ac47502cc45ef451f3119ebacd7"
#define OTHER "00000000000000000000000000000000000000000000000000000000000000aa"

static const char status_ok[] = "Package: a\nStatus: install ok installed\nVersion: 1\n"
				"Architecture: all\n";

static struct cache *cache;
static char *here;
static struct repository suites[1] = {{.line = (char *)"deb http://x/ trixie main",
				       .uri = (char *)"http://x/",
				       .suite = (char *)"trixie"}};
static struct repositories repositories = {.items = suites, .count = 1, .epoch = 1000000000};
static const char *names[] = {"a"};
static struct profile profile = {
	.name = "test",
	.base = {.distribution = "debian", .release = "trixie", .architecture = "amd64"},
	.packages = {names, 1},
	.disk = {.var = {.filesystem = "ext4"}},
};
static struct digest key;
static const struct packages_pins *pins;

/* What apt knows: two suites have the file that is installed, one has another under its name. */
static const char index_text[] = "#\tother\tmain\t\n"
				 "a\tall\t1\t" OTHER "\t4\tx/a_1.deb\n"
				 "#\ttrixie-security\tmain\tDebian-Security\n"
				 "a\tall\t1\t" DEB "\t4\tpool/s/a_1_all.deb\n"
				 "#\ttrixie\tmain\tDebian\n"
				 "a\tall\t1\t" DEB "\t4\t./pool/main/a/a_1_all.deb\n"
				 "a\tall\t2\t" OTHER "\t4\tpool/main/a/a_2_all.deb\n"
				 "b\tamd64\t1:2\t" OTHER "\t4\tpool/main/b/b_2_amd64.deb\n";

/* The shell text is what mmdebstrap does after it has noted its arguments and environment; it runs in a
 * folder with the tree to be packed. */
static void fake(const char *text)
{
	CLEANUP_FREE char *path = mem_printf("%s/bin:%s", here, getenv("PATH"));
	CLEANUP_FREE char *script = mem_printf(
		"#!/bin/sh\nset -e\ncd %s\nprintf '%%s\\n' \"$@\" >arguments\nenv >environment\n"
		"echo 'ingot-inrelease: "
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' >&2\n"
		"pack() { tar -C tree --owner=0 --group=0 -c .; }\n"
		"for a; do case $a in --customize-hook=sync-out*) debs=${a##* };; esac; done\n"
		"cp debs/* $debs/; cp index tree/var/lib/dpkg/status $INGOT_RECORDS/\n%s\n",
		here, text);

	CHECK(mkdir("bin", 0755) == 0 || errno == EEXIST);
	tap_spew("bin/mmdebstrap", script, strlen(script));
	CHECK(chmod("bin/mmdebstrap", 0755) == 0);
	if (!strstr(getenv("PATH"), here))
		setenv("PATH", path, 1);
}

static void setup(const char *text)
{
	static const char *const folders[] = {
		"firmware",     "firmware/packages", "tree",     "tree/var",
		"tree/var/lib", "tree/var/lib/dpkg", "tree/etc", "debs"};
	CLEANUP(strv_free) struct strv probe = {0};
	struct err err = {0};

	sandbox_command(NULL, &probe);
	strv_add(&probe, "true");
	here = realpath(".", NULL);
	fake("true");
	if (sandbox_check(&err) < 0 ||
	    proc_run(&(struct proc){.argv = (const char *const *)probe.items}, &err) < 0) {
		tap_note("%s", err.msg);
		SKIP("this user may make no sandbox");
	}
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		CHECK(mkdir(folders[i], 0755) == 0);
	tap_spew("firmware/packages/setup", "true", 4);
	tap_spew("firmware/packages/essential", "true", 4);
	tap_spew("firmware/packages/records", "true", 4);
	tap_spew("debs/a_1_all.deb", "deb\n", 4);
	tap_spew("index", index_text, strlen(index_text));
	tap_spew("firmware/packages/customize", "true", 4);
	tap_spew("firmware/packages/path-exclude", "# no\n/usr/a/*\n+/usr/a/b\n", 24);
	tap_spew("tree/etc/hello", "world", 5);
	tap_spew("tree/var/lib/dpkg/status", status_ok, strlen(status_ok));
	digest_bytes("", 0, &suites[0].digest);
	fake(text);
	cache = cache_open("cache", &err);
	CHECK_OK_PTR(cache, &err);
}

static int build(struct err *err)
{
	CLEANUP(cache_abandon) struct cache_entry entry = {.lock_fd = -1};

	if (cache_begin(cache, PACKAGES_KIND, &key, &entry, err) < 0)
		return -1;
	if (!entry.dir)
		return 0;
	if (packages_build(cache, &profile, &repositories, pins, here, entry.dir, NULL, err) < 0)
		return -1;
	return cache_commit(&entry, err);
}

static size_t count_files(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	for (struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

/* Nothing is left but what the cache always has. */
static void check_clean(void)
{
	CHECK_INT(count_files("cache/tmp"), 0);
	CHECK_INT(count_files("cache/lock"), 0);
	CHECK_INT(count_files("cache/sandbox"), 0);
}

static void refuse(int code, const char *part)
{
	struct err err = {0};

	CHECK_ERR(build(&err), &err, code, part);
	CHECK(cache_find(cache, PACKAGES_KIND, &key) == NULL);
	check_clean();
}

TEST(makes_an_entry_that_opens)
{
	struct packages_layer layer CLEANUP(packages_close) = {.tar_fd = -1};
	CLEANUP_FREE char *dir = NULL;
	struct err err = {0};
	char *text = NULL;
	size_t len;

	setup("pack");
	CHECK_OK(build(&err), &err);
	dir = cache_find(cache, PACKAGES_KIND, &key);
	CHECK(dir != NULL);
	CHECK_OK(packages_open(dir, &layer, &err), &err);
	CHECK_OK(tree_read(tree_find(layer.tree, "/etc/hello"), 100, &text, &len, &err), &err);
	CHECK_STR(text, "world");
	free(text);
	CHECK_INT(json_array_size(layer.packages), 1);
	CHECK_STR(json_member_string(json_array_get(layer.packages, 0), "name"), "a");
	CHECK_INT(layer.epoch, 1000000000);
	char *tar = mem_printf("%s/layer.tar", dir);
	struct digest d;
	CHECK_OK(digest_file(tar, &d, &err), &err);
	CHECK_MEM(&d, &layer.digest, sizeof(d));
	free(tar);
	check_clean();
	/* Once more: it is there, so mmdebstrap does not run. */
	CHECK(unlink("arguments") == 0);
	CHECK_OK(build(&err), &err);
	CHECK_MISSING("arguments");
	cache_close(cache);
}

TEST(command_line_and_environment)
{
	struct err err = {0};
	char *text;

	setup("pack");
	setenv("INGOT_TEST_LEAK", "1", 1);
	setenv("SOURCE_DATE_EPOCH", "5", 1);
	CHECK_OK(build(&err), &err);
	text = tap_slurp("arguments", NULL);
	CHECK_CONTAINS(text, "--include=a\n");
	CHECK_CONTAINS(text, "--dpkgopt=path-exclude=/usr/a/*\n--dpkgopt=path-include=/usr/a/b\n");
	CHECK_CONTAINS(text, "\ntrixie\n-\ndeb http://x/ trixie main\n");
	free(text);
	text = tap_slurp("environment", NULL);
	CHECK_CONTAINS(text, "SOURCE_DATE_EPOCH=1000000000\n");
	CHECK_CONTAINS(text, "INGOT_VAR_FILESYSTEM=ext4\n");
	CHECK_CONTAINS(text, "INGOT_PACKAGES=a\n");
	CHECK(!strstr(text, "INGOT_TEST_LEAK"));
	free(text);
	cache_close(cache);
}

TEST(downloads_are_kept)
{
	struct err err = {0};

	setup("echo lock >$debs/lock; pack");
	CHECK_OK(build(&err), &err);
	CHECK_FILE("cache/debs/debian-trixie-amd64/a_1_all.deb", "deb\n");
	CHECK_MISSING("cache/debs/debian-trixie-amd64/lock");
	check_clean();
	cache_close(cache);
}

TEST(failures_name_the_cause)
{
	setup("echo noise >&2; echo 'dpkg: error processing package a' >&2; mkdir $TMPDIR/left; exit 3");
	refuse(ERR_OTHER, "cannot install packages:\n    dpkg: error processing package a");
	fake("echo 'E: Unable to locate package nosuch' >&2; exit 1");
	refuse(ERR_PROFILE, "E: Unable to locate package nosuch");
	fake("echo strange >&2; exit 7");
	refuse(ERR_OTHER, "    strange");
	fake("echo 'E: Failed to fetch x  404' >&2; exit 1");
	refuse(ERR_NETWORK, "E: Failed to fetch x  404");
	fake("echo \"E: The repository 'x' is not signed.\" >&2; exit 1");
	refuse(ERR_VERIFY, "is not signed");
	fake("echo 'tar: ./a: Cannot write: No space left on device' >&2; echo 'E: tar failed' >&2; exit 1");
	refuse(ERR_SPACE,
	       "packages:\n    tar: ./a: Cannot write: No space left on device\n    E: tar failed");
	/* A tar that is complete does not make up for it. */
	fake("pack; exit 1");
	refuse(ERR_OTHER, "exit code 1");
	cache_close(cache);
}

TEST(half_installed_packages)
{
	setup("sed -i s/ok.installed/ok\\ half-configured/ tree/var/lib/dpkg/status; pack");
	refuse(ERR_OTHER, "package 'a' is not installed completely");
	cache_close(cache);
}

TEST(repository_that_changed)
{
	setup("pack");
	suites[0].digest.bytes[0] ^= 1;
	refuse(ERR_NETWORK, "repository suite 'trixie' changed while packages were installed");
	cache_close(cache);
}

TEST(bad_tars)
{
	setup("tar -C tree -P --transform='s,^./etc/hello,../../escape,' -c . ; yes | head -c 10000000");
	refuse(ERR_VERIFY, "cannot make the package layer");
	/* A reader that gave up must not stop the writer for ever. */
	fake("yes");
	refuse(ERR_VERIFY, "cannot make the package layer");
	fake("pack | head -c 2000");
	refuse(ERR_VERIFY, "cannot make the package layer");
	cache_close(cache);
}

TEST(missing_program)
{
	setup("pack");
	setenv("PATH", "/nowhere", 1);
	refuse(ERR_TOOL, "'mmdebstrap' is not installed");
	cache_close(cache);
}

static void wait_for(const char *path)
{
	for (int i = 0; i < 500 && access(path, F_OK) != 0; i++)
		usleep(10000);
	CHECK_EXISTS(path);
}

/* A child that builds and says by its exit status how that ended. */
static pid_t start_build(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		struct err err = {0};

		cache = cache_open("cache", &err);
		_exit(cache && build(&err) == 0 ? 0 : 1);
	}
	return pid;
}

TEST(killed_build_leaves_no_process_and_is_swept)
{
	struct stat before, after;
	struct err err = {0};
	pid_t pid;

	setup("mkdir $TMPDIR/root; (while :; do echo x >>alive; sleep 0.02; done) & pack | head -c 5000; "
	      "touch started; wait");
	pid = start_build();
	wait_for("started");
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	usleep(300000);
	CHECK(stat("alive", &before) == 0);
	usleep(200000);
	CHECK(stat("alive", &after) == 0);
	CHECK_INT(after.st_size, before.st_size);
	CHECK_INT(count_files("cache/sandbox"), 1);
	CHECK(cache_find(cache, PACKAGES_KIND, &key) == NULL);
	/* The next run removes what is left and goes on. */
	cache_close(cache);
	cache = cache_open("cache", &err);
	CHECK_OK_PTR(cache, &err);
	CHECK_INT(count_files("cache/tmp"), 0);
	fake("pack");
	CHECK_OK(build(&err), &err);
	check_clean();
	cache_close(cache);
}

TEST(two_builds_at_once_make_one)
{
	struct err err = {0};
	pid_t first, second;
	int status;

	setup("echo x >>runs; touch started; while [ ! -e go ]; do sleep 0.02; done; pack");
	first = start_build();
	wait_for("started");
	second = start_build();
	usleep(200000);
	tap_spew("go", "", 0);
	CHECK(waitpid(first, &status, 0) == first);
	CHECK_INT(status, 0);
	CHECK(waitpid(second, &status, 0) == second);
	CHECK_INT(status, 0);
	CHECK_FILE("runs", "x\n");
	CHECK_OK(build(&err), &err);
	cache_close(cache);
}

TEST(damaged_entries_do_not_open)
{
	struct packages_layer layer = {.tar_fd = -1};
	struct err err = {0};
	CLEANUP_FREE char *dir = NULL;
	CLEANUP_FREE char *file = NULL;

	setup("pack");
	CHECK_OK(build(&err), &err);
	dir = cache_find(cache, PACKAGES_KIND, &key);
	file = mem_printf("%s/packages.json", dir);
	tap_spew(file, "{}", 2);
	CHECK_ERR(packages_open(dir, &layer, &err), &err, ERR_VERIFY, "it is damaged");
	free(file);
	file = mem_printf("%s/layer.index", dir);
	tap_spew(file, "nonsense\n", 9);
	CHECK_ERR(packages_open(dir, &layer, &err), &err, ERR_VERIFY,
		  "cannot open the package layer");
	CHECK(layer.tree == NULL);
	packages_close(&layer);
	cache_close(cache);
}

/* The origin of package a in the entry, as "suite path". */
static char *origin(void)
{
	struct packages_layer layer CLEANUP(packages_close) = {.tar_fd = -1};
	CLEANUP_FREE char *dir = cache_find(cache, PACKAGES_KIND, &key);
	struct err err = {0};
	const json_t *a;

	CHECK(dir != NULL);
	CHECK_OK(packages_open(dir, &layer, &err), &err);
	a = json_array_get(layer.packages, 0);
	CHECK_STR(json_member_string(a, "sha256"), DEB);
	CHECK_INT(json_integer_value(json_object_get(a, "size")), 4);
	if (json_is_null(json_object_get(a, "origin")))
		return mem_strdup("none");
	return mem_printf("%s %s %s %s", json_member_string(a, "origin"),
			  json_member_string(a, "suite"), json_member_string(a, "component"),
			  json_member_string(a, "path"));
}

TEST(origin_of_packages)
{
	struct err err = {0};
	char *text;

	/* The suite that the profile names comes first; one that it does not name may be right too. */
	setup("pack");
	CHECK_OK(build(&err), &err);
	text = origin();
	CHECK_STR(text, "Debian trixie main pool/main/a/a_1_all.deb");
	free(text);
	key.bytes[0]++;
	fake("sed -i '/^#.trixie.main/,$d' $INGOT_RECORDS/index; pack");
	CHECK_OK(build(&err), &err);
	text = origin();
	CHECK_STR(text, "Debian-Security trixie-security main pool/s/a_1_all.deb");
	free(text);
	/* A package that no repository has in this version. */
	key.bytes[0]++;
	fake("sed -i 's/^a\tall\t1\t/a\tall\t3\t/' $INGOT_RECORDS/index; pack");
	CHECK_OK(build(&err), &err);
	text = origin();
	CHECK_STR(text, "none");
	free(text);
	check_clean();
	cache_close(cache);
}

TEST(what_was_installed_is_accounted_for)
{
	setup("echo x >>runs; echo bad >$debs/a_1_all.deb; pack");
	refuse(ERR_VERIFY, "the .deb of package 'a' is not the one that the repository has");
	CHECK_FILE("runs", "x\nx\n");
	CHECK_MISSING("cache/debs/debian-trixie-amd64/a_1_all.deb");
	fake("rm $debs/*; pack");
	refuse(ERR_OTHER, "cannot find the .deb of package 'a' (a_1_all.deb)");
	fake("rm $INGOT_RECORDS/status; pack");
	refuse(ERR_OTHER, "status': No such file");
	fake("rm $INGOT_RECORDS/index; pack");
	refuse(ERR_OTHER, "index': No such file");
	fake("echo nonsense >>$INGOT_RECORDS/index; pack");
	refuse(ERR_VERIFY, "cannot read apt's index: line 9 is damaged");
	fake("sed -i s,pool/,../pool/, $INGOT_RECORDS/index; pack");
	refuse(ERR_VERIFY, "package 'a' has a bad path");
	fake("sed -i s,pool/,http://host/, $INGOT_RECORDS/index; pack");
	refuse(ERR_VERIFY, "package 'a' has a bad path");
	/* The tree has a package that dpkg did not install. */
	fake("printf '\\nPackage: b\\nStatus: install ok installed\\nVersion: 1:2\\n"
	     "Architecture: amd64\\n' >>tree/var/lib/dpkg/status; pack");
	refuse(ERR_OTHER, "cannot tell where package 'b' 1:2 came from");
	cache_close(cache);
}

/* One that was kept and has lost bits since is fetched again. */
TEST(a_damaged_download_is_fetched_again)
{
	struct err err = {0};

	setup("k=cache/debs/debian-trixie-amd64/a_1_all.deb; [ ! -e $k ] || cp $k $debs/; pack");
	CHECK_OK(build(&err), &err);
	CHECK_FILE("cache/debs/debian-trixie-amd64/a_1_all.deb", "deb\n");
	tap_spew("cache/debs/debian-trixie-amd64/a_1_all.deb", "bad\n", 4);
	key.bytes[0]++;
	CHECK_OK(build(&err), &err);
	CHECK_FILE("cache/debs/debian-trixie-amd64/a_1_all.deb", "deb\n");
	check_clean();
	cache_close(cache);
}

/* Builds with a lock that has package a with this version, digest and suite. */
static void pin(const char *version, const char *sha256, const char *suite)
{
	static struct packages_pins demanded;
	static json_t *list;

	json_decref(list);
	list = json_pack("[{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s}]", "name", "a", "version",
			 version, "architecture", "all", "sha256", sha256, "size", 4, "origin", "X",
			 "suite", suite, "component", "main", "path", "pool/x/a.deb");
	demanded.packages = list;
	pins = &demanded;
}

TEST(pins_are_given_to_apt_and_checked)
{
	struct err err = {0};
	char *text;

	setup("cat $INGOT_RECORDS/preferences $INGOT_RECORDS/expected $INGOT_RECORDS/expected-files "
	      ">told; pack");
	/* Where the lock says it came from stays so: same key, same bytes. Nor need the repositories
	 * be as they were. */
	suites[0].digest.bytes[0] ^= 1;
	pin("1", DEB, "old-suite");
	CHECK_OK(build(&err), &err);
	text = origin();
	CHECK_STR(text, "X old-suite main pool/x/a.deb");
	free(text);
	CHECK_FILE("told",
		   "Package: a\nPin: version 1\nPin-Priority: 1001\n\na\tall\t1\na\tall\t1\t" DEB
		   "\n");
	key.bytes[0]++;
	fake("pack");
	pin("2", DEB, "trixie");
	refuse(ERR_VERIFY,
	       "what was installed is not what the lock says:\n    ~ a 2 -> 1 (trixie)");
	pin("1", OTHER, "trixie");
	refuse(ERR_VERIFY, "~ a 1 with other bytes (trixie)");
	pin("1\nPin: x", DEB, "trixie");
	refuse(ERR_VERIFY, "row 1 of the locked packages is damaged");
	cache_close(cache);
}

TEST(what_the_repositories_do_not_offer)
{
	setup("echo 'E: simulated' >&2; exit 1");
	pin("0.9", DEB, "trixie");
	refuse(ERR_VERIFY,
	       "the repositories do not offer what the lock says:\n    a 0.9: the repositories have 1 "
	       "(other), 1 (trixie-security), 1 (trixie)");
	pin("2", DEB, "trixie");
	refuse(ERR_VERIFY, "a 2: the repositories have other bytes under this version");
	fake("sed -i '/^a/d' $INGOT_RECORDS/index; exit 1");
	refuse(ERR_VERIFY, "a 2: the repositories do not have the package any more");
	/* All is there, but not all that is needed is locked. */
	pin("1", DEB, "trixie");
	fake("printf 'a\\tall\\t1\\nb\\tamd64\\t1:2\\n' >$INGOT_RECORDS/offered; exit 1");
	refuse(ERR_VERIFY, "\n    b 1:2: it is needed, and the lock does not have it");
	/* Another cause: what apt said. */
	fake("echo 'E: simulated' >&2; exit 1");
	refuse(ERR_OTHER, "cannot install packages:\n    E: simulated");
	cache_close(cache);
}
