/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries appear whole or not at all, whoever is killed or waits; gc takes the oldest and leaves what
 * is in use.
 */
#include "tap.h"

#include "base/mem.h"
#include "cache/cache.h"

#include <sys/resource.h>

static struct cache *open_here(void)
{
	struct err err = {0};
	struct cache *cache = cache_open("cache", &err);

	CHECK_OK_PTR(cache, &err);
	return cache;
}

static struct digest key_of(const char *text)
{
	struct digest d;

	digest_bytes(text, strlen(text), &d);
	return d;
}

/* Makes an entry with one file. */
static void put(struct cache *cache, const char *name, const void *bytes, size_t len)
{
	struct cache_entry entry CLEANUP(cache_abandon) = {0};
	struct digest key = key_of(name);
	struct err err = {0};

	CHECK_OK(cache_begin(cache, "kind", &key, &entry, &err), &err);
	CHECK(entry.dir != NULL);
	char *path = mem_printf("%s/data", entry.dir);
	tap_spew(path, bytes, len);
	free(path);
	CHECK_OK(cache_commit(&entry, &err), &err);
}

static char *find(struct cache *cache, const char *name)
{
	struct digest key = key_of(name);

	return cache_find(cache, "kind", &key);
}

static bool is_there(struct cache *cache, const char *name)
{
	CLEANUP_FREE char *path = find(cache, name);

	return path != NULL;
}

static size_t count_files(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	if (!d)
		FAIL("cannot open '%s'", dir);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

TEST(entry_appears_on_commit)
{
	struct cache *cache = open_here();
	struct cache_entry entry CLEANUP(cache_abandon) = {0};
	struct digest key = key_of("a");
	struct err err = {0};

	CHECK(!is_there(cache, "a"));
	CHECK_OK(cache_begin(cache, "kind", &key, &entry, &err), &err);
	CHECK(!is_there(cache, "a"));
	char *path = mem_printf("%s/data", entry.dir);
	tap_spew(path, "hello", 5);
	free(path);
	CHECK(!is_there(cache, "a"));
	CHECK_OK(cache_commit(&entry, &err), &err);
	CHECK_INT(entry.lock_fd, -1);
	path = find(cache, "a");
	CHECK_STR(path, entry.final);
	char *file = mem_printf("%s/data", path);
	CHECK_FILE(file, "hello");
	free(file);
	free(path);
	CHECK_INT(count_files("cache/tmp"), 0);
	CHECK_INT(count_files("cache/lock"), 0);
	cache_close(cache);
}

TEST(abandon_leaves_nothing)
{
	struct cache *cache = open_here();
	struct cache_entry entry = {0};
	struct digest key = key_of("a");
	struct err err = {0};

	cache_abandon(&entry);
	CHECK_OK(cache_begin(cache, "kind", &key, &entry, &err), &err);
	CHECK_INT(count_files("cache/tmp"), 1);
	cache_abandon(&entry);
	CHECK_INT(count_files("cache/tmp"), 0);
	CHECK_INT(count_files("cache/lock"), 0);
	CHECK(!is_there(cache, "a"));
	cache_close(cache);
}

TEST(begin_of_existing_entry_finds_it)
{
	struct cache *cache = open_here();
	struct cache_entry entry CLEANUP(cache_abandon) = {0};
	struct digest key = key_of("a");
	struct err err = {0};

	put(cache, "a", "1", 1);
	CHECK_OK(cache_begin(cache, "kind", &key, &entry, &err), &err);
	CHECK(entry.dir == NULL);
	CHECK(entry.final != NULL);
	CHECK_INT(count_files("cache/lock"), 0);
	cache_close(cache);
}

TEST(shortened_entry_counts_as_absent)
{
	struct cache *cache = open_here();
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *file = NULL;

	put(cache, "a", "hello", 5);
	path = find(cache, "a");
	file = mem_printf("%s/data", path);
	CHECK(truncate(file, 3) == 0);
	CHECK(!is_there(cache, "a"));
	/* It can be made again. */
	put(cache, "a", "again", 5);
	CHECK_FILE(file, "again");
	CHECK(unlink(file) == 0);
	CHECK(!is_there(cache, "a"));
	cache_close(cache);
}

TEST(entry_without_list_counts_as_absent)
{
	struct cache *cache = open_here();
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *list = NULL;

	put(cache, "a", "hello", 5);
	path = find(cache, "a");
	list = mem_printf("%s/complete", path);
	tap_spew(list, "", 0);
	CHECK(!is_there(cache, "a"));
	tap_spew(list, "{\"../../../etc/passwd\": 5}", 26);
	CHECK(!is_there(cache, "a"));
	cache_close(cache);
}

/* A child that holds the lock of "a" until it is killed; returns when it does. */
static pid_t start_holder(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	CHECK(pipe(ready) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct cache_entry entry = {0};
		struct digest key = key_of("a");

		if (cache_begin(open_here(), "kind", &key, &entry, NULL) == 0 &&
		    write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	CHECK(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

TEST(killed_builds_are_swept)
{
	pid_t pid = start_holder();
	struct cache *cache = open_here();

	/* While the maker lives its folder stays. */
	CHECK_INT(count_files("cache/tmp"), 1);
	cache_close(cache);
	end(pid);
	cache = open_here();
	CHECK_INT(count_files("cache/tmp"), 0);
	CHECK_INT(count_files("cache/lock"), 0);
	put(cache, "a", "1", 1);
	CHECK(is_there(cache, "a"));
	cache_close(cache);
}

TEST(second_build_goes_on_when_the_first_is_killed)
{
	pid_t holder = start_holder(), waiter = fork();
	int status;

	CHECK(waiter >= 0);
	if (waiter == 0) {
		put(open_here(), "a", "2", 1);
		_exit(0);
	}
	usleep(100000);
	CHECK(waitpid(waiter, &status, WNOHANG) == 0);
	end(holder);
	CHECK(waitpid(waiter, &status, 0) == waiter);
	CHECK_INT(status, 0);
	struct cache *cache = open_here();
	CHECK(is_there(cache, "a"));
	cache_close(cache);
}

TEST(of_many_builds_one_makes_the_entry)
{
	enum { BUILDS = 8 };
	int made = 0, status;
	pid_t pids[BUILDS];

	for (int i = 0; i < BUILDS; i++) {
		pids[i] = fork();
		CHECK(pids[i] >= 0);
		if (pids[i] == 0) {
			struct cache *cache = open_here();
			struct cache_entry entry = {0};
			struct digest key = key_of("a");
			struct err err = {0};

			if (cache_begin(cache, "kind", &key, &entry, &err) < 0)
				_exit(2);
			if (!entry.dir)
				_exit(is_there(cache, "a") ? 0 : 3);
			char *path = mem_printf("%s/data", entry.dir);
			tap_spew(path, "x", 1);
			usleep(50000);
			_exit(cache_commit(&entry, &err) == 0 ? 1 : 4);
		}
	}
	for (int i = 0; i < BUILDS; i++) {
		CHECK(waitpid(pids[i], &status, 0) == pids[i]);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
		made += WEXITSTATUS(status);
	}
	CHECK_INT(made, 1);
}

static void set_used(const char *name, time_t when)
{
	struct cache *cache = open_here();
	CLEANUP_FREE char *path = find(cache, name);
	struct timespec times[2] = {{when, 0}, {when, 0}};

	cache_close(cache);
	CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
}

static void put_three(void)
{
	struct cache *cache = open_here();
	static char mib[1 << 20];

	memset(mib, 7, sizeof(mib));
	put(cache, "a", mib, sizeof(mib));
	put(cache, "b", mib, sizeof(mib));
	put(cache, "c", mib, sizeof(mib));
	cache_close(cache);
	set_used("a", 3000);
	set_used("b", 1000);
	set_used("c", 2000);
}

TEST(gc_takes_the_least_recently_used)
{
	struct cache *cache;
	struct err err = {0};
	uint64_t freed;

	put_three();
	cache = open_here();
	CHECK_OK(cache_gc(cache, (uint64_t)2500 << 10, &freed, &err), &err);
	CHECK(freed >= 1 << 20 && freed < 2 << 20);
	CHECK(is_there(cache, "a"));
	CHECK(!is_there(cache, "b"));
	CHECK(is_there(cache, "c"));
	cache_close(cache);
	cache = open_here();
	CHECK_OK(cache_gc(cache, 0, &freed, &err), &err);
	CHECK(!is_there(cache, "a"));
	CHECK_INT(count_files("cache/tmp"), 0);
	cache_close(cache);
}

/* Makes an entry whose file is that of another one. */
static void put_link(const char *name, const char *existing)
{
	struct cache_entry entry CLEANUP(cache_abandon) = {0};
	struct cache *cache = open_here();
	CLEANUP_FREE char *dir = find(cache, existing);
	CLEANUP_FREE char *from = mem_printf("%s/data", dir);
	struct digest key = key_of(name);
	struct err err = {0};

	CHECK_OK(cache_begin(cache, "kind", &key, &entry, &err), &err);
	CLEANUP_FREE char *to = mem_printf("%s/data", entry.dir);
	CHECK(link(from, to) == 0);
	CHECK_OK(cache_commit(&entry, &err), &err);
	cache_close(cache);
}

/* To remove one of two links frees nothing. */
TEST(gc_counts_links_once)
{
	struct cache *cache;
	struct err err = {0};
	uint64_t freed;

	put_three();
	put_link("a2", "a");
	put_link("b2", "b");
	put_link("c2", "c");
	cache = open_here();
	CHECK_OK(cache_gc(cache, (uint64_t)3500 << 10, &freed, &err), &err);
	CHECK_U64(freed, 0);
	CHECK_OK(cache_gc(cache, (uint64_t)1700 << 10, &freed, &err), &err);
	CHECK(freed >= 2 << 20 && freed < 3 << 20);
	CHECK(!is_there(cache, "a") && !is_there(cache, "b") && !is_there(cache, "c"));
	CHECK(is_there(cache, "a2") + is_there(cache, "b2") + is_there(cache, "c2") == 1);
	cache_close(cache);
}

TEST(gc_keeps_what_is_in_use)
{
	struct cache *cache, *other;
	struct err err = {0};
	uint64_t freed;

	put_three();
	cache = open_here();
	other = open_here();
	CHECK(is_there(other, "b"));
	CHECK_OK(cache_gc(cache, 0, &freed, &err), &err);
	CHECK(is_there(cache, "b"));
	CHECK(!is_there(cache, "a"));
	cache_close(other);
	cache_close(cache);
}

/* Every entry that is found stays open until the end. */
TEST(many_entries_are_held)
{
	struct rlimit limit = {.rlim_cur = 40, .rlim_max = 1000};
	struct cache *cache = open_here();

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (int i = 0; i < 300; i++) {
		CLEANUP_FREE char *name = mem_printf("%d", i);

		put(cache, name, name, strlen(name));
		CHECK(is_there(cache, name));
	}
	cache_close(cache);
}

TEST(gc_takes_downloads_too)
{
	struct cache *cache = open_here();
	struct err err = {0};
	uint64_t freed;

	CHECK(mkdir("cache/debs", 0755) == 0 && mkdir("cache/debs/x", 0755) == 0);
	tap_spew("cache/debs/x/a.deb", "hello", 5);
	CHECK_OK(cache_gc(cache, 0, &freed, &err), &err);
	CHECK_MISSING("cache/debs/x/a.deb");
	cache_close(cache);
}

TEST(list_has_every_entry)
{
	struct cache *cache;
	struct err err = {0};
	json_t *list;

	put_three();
	cache = open_here();
	list = cache_list(cache, &err);
	CHECK_OK_PTR(list, &err);
	CHECK_INT(json_array_size(list), 3);
	for (size_t i = 0; i < 3; i++) {
		json_t *row = json_array_get(list, i);

		CHECK_STR(json_member_string(row, "kind"), "kind");
		CHECK_INT(strlen(json_member_string(row, "key")), 64);
		CHECK(json_integer_value(json_object_get(row, "bytes")) >= 1 << 20);
		CHECK(json_integer_value(json_object_get(row, "used")) <= 3000);
	}
	json_decref(list);
	cache_close(cache);
}

TEST(folder_from_the_environment)
{
	struct err err = {0};
	struct cache *cache;

	setenv("INGOT_CACHE", "own", 1);
	cache = cache_open(NULL, &err);
	CHECK_OK_PTR(cache, &err);
	CHECK(strcmp(cache_dir(cache) + strlen(cache_dir(cache)) - 4, "/own") == 0);
	cache_close(cache);
	unsetenv("INGOT_CACHE");
	char *here = realpath(".", NULL);
	setenv("XDG_CACHE_HOME", here, 1);
	cache = cache_open(NULL, &err);
	CHECK_OK_PTR(cache, &err);
	CHECK_CONTAINS(cache_dir(cache), here);
	CHECK_EXISTS("ingot/tmp");
	cache_close(cache);
	free(here);
}

TEST(cache_that_cannot_be_made)
{
	struct err err = {0};

	tap_spew("file", "", 0);
	CHECK_ERR_PTR(cache_open("file/cache", &err), &err, ERR_OTHER, "cannot");
}

TEST(discard_removes_what_is_held)
{
	struct cache *cache = open_here();
	struct digest key = key_of("a"), other = key_of("never");
	struct err err = {0};

	put(cache, "a", "x", 1);
	CHECK(is_there(cache, "a"));
	CHECK_OK(cache_discard(cache, "kind", &key, &err), &err);
	CHECK(!is_there(cache, "a"));
	CHECK_INT(count_files("cache/tmp"), 0);
	CHECK_OK(cache_discard(cache, "kind", &other, &err), &err);
	put(cache, "a", "y", 1);
	CHECK(is_there(cache, "a"));
	cache_close(cache);
}

TEST(records_that_a_killed_build_left_go)
{
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

	cache_close(open_here());
	CHECK_INT(mkdir("cache/remember", 0700), 0);
	tap_spew("cache/remember/a.json.12.3.tmp", "x", 1);
	tap_spew("cache/remember/b.json.12.3.tmp", "x", 1);
	tap_spew("cache/remember/c.json", "x", 1);
	CHECK_INT(utimensat(AT_FDCWD, "cache/remember/a.json.12.3.tmp", old, 0), 0);
	CHECK_INT(utimensat(AT_FDCWD, "cache/remember/c.json", old, 0), 0);
	cache_close(open_here());
	CHECK(access("cache/remember/a.json.12.3.tmp", F_OK) < 0);
	CHECK(access("cache/remember/b.json.12.3.tmp", F_OK) == 0); /* may be being written */
	CHECK(access("cache/remember/c.json", F_OK) == 0);
}
