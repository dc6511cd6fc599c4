/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of tests/tap.h itself: failing checks, crashes, hangs and skips must be reported as such.
 * A test frame that cannot fail would make every other test worthless.
 */
#include "tap.h"

struct err {
	int code;
	char msg[64];
};

static struct err failure = {7, "cannot read 'x': No such file"};
static int fails(void)
{
	return -1;
}

static void nothing(void)
{
}

static void check_false(void)
{
	CHECK(1 == 2);
	puts("reached");
}

static void check_int(void)
{
	CHECK_INT(3 + 4, 8);
}

static void check_u64(void)
{
	CHECK_U64(UINT64_MAX, 0);
}

static void check_str(void)
{
	CHECK_STR("one", "two");
}

static void check_null(void)
{
	CHECK_STR(NULL, "");
}

static void check_mem(void)
{
	CHECK_MEM("0123456789abcdefXY", "0123456789abcdefXZ", 18);
}

static void check_contains(void)
{
	CHECK_CONTAINS("a needle", "hay");
}

static void check_file_longer(void)
{
	tap_spew("f", "content!", 8);
	CHECK_FILE("f", "content");
}

static void check_file_gone(void)
{
	CHECK_FILE("nothing-here", "");
}

static void check_ok(void)
{
	CHECK_OK(fails(), &failure);
}

static void check_err_code(void)
{
	CHECK_ERR(fails(), &failure, 8, "");
}

static void check_err_text(void)
{
	CHECK_ERR(fails(), &failure, 7, "Permission denied");
}

static void check_err_succeeds(void)
{
	CHECK_ERR(0, &failure, 7, "");
}

static void check_missing(void)
{
	CHECK_MISSING(".");
}

static void fail_text(void)
{
	FAIL("because of %d", 42);
}

static void skips(void)
{
	SKIP("no such machine");
}

static void crashes(void)
{
	raise(SIGSEGV);
}

static void exits(void)
{
	exit(3);
}

static void hangs(void)
{
	for (;;)
		pause();
}

/* A hanging child must not outlive its test, nor hold it up. */
static void leaves_a_child(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		hangs();
	printf("child %d\n", (int)pid);
}

static void dirty_directory(void)
{
	CHECK(mkdir("sub", 0700) == 0);
	tap_spew("sub/file", "x", 1);
	CHECK(symlink("/", "root") == 0);
	CHECK(system("pwd >&2") == 0);
}

/* Run the function as a test with a time limit of 1 s; returns what it printed. Leaks on purpose. */
static char *report(void (*run)(void), bool *ret_ok)
{
	struct tap_test t = {"inner", run, NULL, 1};
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
	int fd = open("report", O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	sigset_t chld;

	CHECK(out >= 0 && err >= 0 && fd >= 0);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	fflush(NULL);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	*ret_ok = tap_run_one(&t, 1, 60);
	fflush(NULL);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	close(fd);
	return tap_slurp("report", NULL);
}

TEST(passing_test_is_ok)
{
	bool ok;
	char *text = report(nothing, &ok);

	CHECK_STR(text, "ok 1 - inner\n");
	CHECK(ok);
	free(text);
}

TEST(failing_checks_are_reported)
{
	static const struct {
		void (*run)(void);
		const char *want;
	} cases[] = {
		{check_false, "CHECK(1 == 2) failed"},
		{check_int, "3 + 4\n#    got: 7\n#   want: 8"},
		{check_u64, "got: 18446744073709551615\n#   want: 0"},
		{check_str, "got: 'one'\n#   want: 'two'"},
		{check_null, "got: NULL\n#   want: ''"},
		{check_mem, "byte 17 of 18 differs"},
		{check_mem, "00000010  58 59 "},
		{check_contains, "must contain: hay"},
		{check_file_longer, "file 'f': 8 bytes, want 7; byte 7 differs"},
		{check_file_gone, "cannot read 'nothing-here': No such file"},
		{check_ok, "cannot read 'x': No such file"},
		{check_err_code, "want error 8"},
		{check_err_text, "want error 7: ...Permission denied..."},
		{check_err_succeeds, "succeeded"},
		{check_missing, "CHECK("},
		{fail_text, "because of 42"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok;
		char *text = report(cases[i].run, &ok);

		CHECK_CONTAINS(text, cases[i].want);
		CHECK_CONTAINS(text, "not ok 1 - inner\n");
		CHECK_CONTAINS(text, "tap_self.c:");
		CHECK(!ok);
		CHECK(!strstr(text, "reached"));
		free(text);
	}
}

TEST(crash_is_reported)
{
	bool ok;
	char *text = report(crashes, &ok);

	/* A sanitizer catches the signal and exits by itself. */
	CHECK(strstr(text, "not ok 1 - inner # signal 11\n") ||
	      (strstr(text, "Sanitizer") && strstr(text, "not ok 1 - inner # exit status")));
	CHECK(!ok);
	free(text);
}

TEST(exit_status_is_reported)
{
	bool ok;
	char *text = report(exits, &ok);

	CHECK_CONTAINS(text, "not ok 1 - inner # exit status 3\n");
	CHECK(!ok);
	free(text);
}

TEST(hang_is_reported)
{
	bool ok;
	char *text = report(hangs, &ok);

	CHECK_CONTAINS(text, "not ok 1 - inner # timeout after 1 s\n");
	CHECK(!ok);
	free(text);
}

TEST(skip_keeps_its_reason)
{
	bool ok;
	char *text = report(skips, &ok);

	CHECK_STR(text, "ok 1 - inner # SKIP no such machine\n");
	CHECK(ok);
	free(text);
}

TEST(leftover_child_is_killed)
{
	bool ok;
	char *text = report(leaves_a_child, &ok), *at = strstr(text, "child ");
	int pid, tries = 0;

	CHECK(ok);
	CHECK(at && sscanf(at, "child %d", &pid) == 1);
	/* It is a zombie until init, or whoever stands in for it, takes notice. */
	for (; kill(pid, 0) == 0 && tries < 500; tries++) {
		char path[64], state = 0;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		f = fopen(path, "re");
		if (!f || (fscanf(f, "%*d %*s %c", &state) == 1 && state == 'Z'))
			tries = 1000;
		if (f)
			fclose(f);
		usleep(10000);
	}
	CHECK(tries != 500);
	free(text);
}

TEST(directory_is_fresh_and_removed)
{
	char before[PATH_MAX], dir[PATH_MAX];
	bool ok;
	char *text;
	DIR *d = opendir(".");
	int entries = 0;

	CHECK(d);
	while (readdir(d))
		entries++;
	closedir(d);
	CHECK_INT(entries, 2);
	CHECK(getcwd(before, sizeof(before)));
	text = report(dirty_directory, &ok);
	CHECK(ok);
	CHECK(sscanf(text, "%4095s", dir) == 1);
	CHECK(strcmp(before, dir) != 0);
	CHECK_MISSING(dir);
	CHECK_EXISTS("/etc");
	free(text);
}

TEST(names_select_tests)
{
	char *text;

	/* $PPID would be the shell's parent: this very program. */
	CHECK(system("exe=$(readlink /proc/$PPID/exe)\n"
		     "$exe -l >list && $exe skip_keeps_its_reason >one || exit 1\n"
		     "$exe no_such_test >none && exit 1\n"
		     "exit 0") == 0);
	text = tap_slurp("list", NULL);
	CHECK_CONTAINS(text, "\nskip_keeps_its_reason\nleftover_child_is_killed\n");
	free(text);
	CHECK_FILE("one", "ok 1 - skip_keeps_its_reason\n1..1\n");
	text = tap_slurp("none", NULL);
	CHECK_CONTAINS(text, "Bail out!");
	free(text);
}
