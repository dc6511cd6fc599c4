/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests in C: TEST(name) { ... CHECK(...) } is all that a test program contains; main() and
 * the list of tests come from here. Include it in exactly one .c file per program.
 *
 * Each test runs in a process of its own, in an empty directory of its own, with a time limit, so
 * that a crash or a hang is one "not ok" line. The first check that fails ends its test. TAP goes
 * to stdout; what went wrong goes to stderr as '#' lines, which prove shows.
 *
 *     ./x.t            run all tests          TAP_TIMEOUT=n  seconds per test (default 60)
 *     ./x.t -l         list their names       TAP_KEEP=1     keep the directories
 *     ./x.t NAME...    run only these         TAP_NOFORK=1   run in this process (for a debugger)
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct tap_test {
	const char *name;
	void (*run)(void);
	struct tap_test *next;
	unsigned int timeout; /* seconds, 0: the default */
};

/* Exit statuses of the child; far from what a sanitizer or the code under test would use. */
enum { TAP_FAILED = 113, TAP_SKIPPED = 114 };

static struct tap_test *tap_tests;
static struct tap_test **tap_tail = &tap_tests;
static int tap_skip_fd = -1;

/* Define a test. It runs in the order of the file. */
#define TEST(id) TEST_TIMEOUT(id, 0)

/* The same with a time limit of its own, in seconds. */
#define TEST_TIMEOUT(id, seconds)                                              \
	static void tap_run_##id(void);                                        \
	__attribute__((constructor)) static void tap_add_##id(void)            \
	{                                                                      \
		static struct tap_test t = {#id, tap_run_##id, NULL, seconds}; \
		*tap_tail = &t;                                                \
		tap_tail = &t.next;                                            \
	}                                                                      \
	static void tap_run_##id(void)

/* Print a '#' line to stderr. */
__attribute__((format(printf, 1, 2), unused)) static void tap_note(const char *format, ...)
{
	char line[4096];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	fputs("# ", stderr);
	for (const char *p = line; *p; p++) {
		fputc(*p, stderr);
		if (*p == '\n' && p[1])
			fputs("# ", stderr);
	}
	fputc('\n', stderr);
}

/* End this test as failed. */
__attribute__((noreturn, unused)) static void tap_fail(void)
{
	fflush(NULL);
	_exit(TAP_FAILED);
}

/* End this test as skipped; the reason is printed. */
__attribute__((noreturn, unused)) static void tap_skip(const char *reason)
{
	if (tap_skip_fd >= 0 && write(tap_skip_fd, reason, strlen(reason)) < 0)
		tap_note("cannot report the reason of a skip: %s", strerror(errno));
	fflush(NULL);
	_exit(TAP_SKIPPED);
}

#define SKIP(reason) tap_skip(reason)

/* printf-like: say why and end the test as failed. */
#define FAIL(...)                                              \
	do {                                                   \
		tap_note("%s:%d: failed", __FILE__, __LINE__); \
		tap_note("  " __VA_ARGS__);                    \
		tap_fail();                                    \
	} while (0)

#define CHECK(x)                                                                     \
	do {                                                                         \
		if (!(x)) {                                                          \
			tap_note("%s:%d: CHECK(%s) failed", __FILE__, __LINE__, #x); \
			tap_fail();                                                  \
		}                                                                    \
	} while (0)

#define TAP_CHECK_NUMBER(type, fmt, got, want)                           \
	do {                                                             \
		type tap_got = (got), tap_want = (want);                 \
		if (tap_got != tap_want) {                               \
			tap_note("%s:%d: %s", __FILE__, __LINE__, #got); \
			tap_note("   got: %" fmt, tap_got);              \
			tap_note("  want: %" fmt, tap_want);             \
			tap_fail();                                      \
		}                                                        \
	} while (0)

#define CHECK_INT(got, want) TAP_CHECK_NUMBER(intmax_t, PRIdMAX, got, want)
#define CHECK_U64(got, want) TAP_CHECK_NUMBER(uint64_t, PRIu64, got, want)
#define CHECK_HEX(got, want) TAP_CHECK_NUMBER(uint64_t, "#" PRIx64, got, want)

/* NULL is a value of its own: it equals NULL only. */
#define CHECK_STR(got, want) tap_check_str(__FILE__, __LINE__, #got, got, want)
#define CHECK_MEM(got, want, len) tap_check_mem(__FILE__, __LINE__, #got, got, want, len)

/* The string "text" must contain "part". */
#define CHECK_CONTAINS(text, part) tap_check_contains(__FILE__, __LINE__, #text, text, part)

/* The file must exist with just this content (a string). */
#define CHECK_FILE(path, want) tap_check_file(__FILE__, __LINE__, path, want, strlen(want))
#define CHECK_FILE_MEM(path, want, len) tap_check_file(__FILE__, __LINE__, path, want, len)
#define CHECK_EXISTS(path) CHECK(access(path, F_OK) == 0)
#define CHECK_MISSING(path) CHECK(access(path, F_OK) != 0 && errno == ENOENT)

/* A call that returns an int < 0 on failure must succeed; "err" is its struct err *. */
#define CHECK_OK(call, err)                                                      \
	do {                                                                     \
		if ((call) < 0) {                                                \
			tap_note("%s:%d: %s failed", __FILE__, __LINE__, #call); \
			tap_note("  %s", (err)->msg);                            \
			tap_fail();                                              \
		}                                                                \
	} while (0)

/* The same for a call that returns a pointer. */
#define CHECK_OK_PTR(call, err) CHECK_OK((call) ? 0 : -1, err)

/* The call must fail with this err code and a message that contains "part" ("" for any). */
#define CHECK_ERR(call, err, want_code, part)                                            \
	do {                                                                             \
		if ((call) >= 0) {                                                       \
			tap_note("%s:%d: %s succeeded", __FILE__, __LINE__, #call);      \
			tap_note("  want error %d: ...%s...", (int)(want_code), part);   \
			tap_fail();                                                      \
		}                                                                        \
		if ((int)(err)->code != (int)(want_code) || !strstr((err)->msg, part)) { \
			tap_note("%s:%d: %s", __FILE__, __LINE__, #call);                \
			tap_note("   got error %d: %s", (int)(err)->code, (err)->msg);   \
			tap_note("  want error %d: ...%s...", (int)(want_code), part);   \
			tap_fail();                                                      \
		}                                                                        \
	} while (0)

#define CHECK_ERR_PTR(call, err, code, part) CHECK_ERR((call) ? 0 : -1, err, code, part)

__attribute__((unused)) static void tap_check_str(const char *file, int line, const char *expr,
						  const char *got, const char *want)
{
	if (got == want || (got && want && strcmp(got, want) == 0))
		return;
	tap_note("%s:%d: %s", file, line, expr);
	tap_note("   got: %s%s%s", got ? "'" : "", got ? got : "NULL", got ? "'" : "");
	tap_note("  want: %s%s%s", want ? "'" : "", want ? want : "NULL", want ? "'" : "");
	tap_fail();
}

__attribute__((unused)) static void tap_check_contains(const char *file, int line, const char *expr,
						       const char *text, const char *part)
{
	if (text && strstr(text, part))
		return;
	tap_note("%s:%d: %s", file, line, expr);
	tap_note("         got: %s", text ? text : "NULL");
	tap_note("  must contain: %s", part);
	tap_fail();
}

/* Sixteen bytes of p around the offset "at", of which len bytes exist. */
__attribute__((unused)) static void tap_hexdump(const char *label, const unsigned char *p,
						size_t len, size_t at)
{
	size_t start = at & ~(size_t)15, n = 0;
	char hex[16 * 3 + 1] = "", text[17] = "";

	for (; n < 16 && start + n < len; n++) {
		snprintf(hex + 3 * n, 4, "%02x ", p[start + n]);
		text[n] = p[start + n] >= 32 && p[start + n] < 127 ? (char)p[start + n] : '.';
	}
	text[n] = 0;
	tap_note("  %s %08zx  %-48s |%s|", label, start, hex, text);
}

__attribute__((unused)) static void tap_check_mem(const char *file, int line, const char *expr,
						  const void *got, const void *want, size_t len)
{
	const unsigned char *g = got, *w = want;
	size_t at = 0;

	while (at < len && g[at] == w[at])
		at++;
	if (at == len)
		return;
	tap_note("%s:%d: %s: byte %zu of %zu differs", file, line, expr, at, len);
	tap_hexdump(" got:", g, len, at);
	tap_hexdump("want:", w, len, at);
	tap_fail();
}

/* The whole file, with a NUL behind it; the test fails if it cannot be read. Caller frees. */
__attribute__((unused)) static char *tap_slurp(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "re");
	char *data = NULL;
	size_t len = 0, n;

	if (!f)
		FAIL("cannot open '%s': %s", path, strerror(errno));
	do {
		data = realloc(data, len + 65536 + 1);
		if (!data)
			FAIL("out of memory");
		n = fread(data + len, 1, 65536, f);
		len += n;
	} while (n > 0);
	if (ferror(f))
		FAIL("cannot read '%s': %s", path, strerror(errno));
	fclose(f);
	data[len] = 0;
	if (ret_len)
		*ret_len = len;
	return data;
}

/* Write a file, for tests that need one as input. */
__attribute__((unused)) static void tap_spew(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "we");

	if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0)
		FAIL("cannot write '%s': %s", path, strerror(errno));
}

__attribute__((unused)) static void tap_check_file(const char *file, int line, const char *path,
						   const void *want, size_t want_len)
{
	size_t len, at = 0;
	char *got;
	const char *w = want;

	if (access(path, R_OK) != 0) {
		tap_note("%s:%d: cannot read '%s': %s", file, line, path, strerror(errno));
		tap_fail();
	}
	got = tap_slurp(path, &len);
	while (at < len && at < want_len && got[at] == w[at])
		at++;
	if (at < len || at < want_len) {
		tap_note("%s:%d: file '%s': %zu bytes, want %zu; byte %zu differs", file, line,
			 path, len, want_len, at);
		tap_hexdump(" got:", (unsigned char *)got, len, at);
		tap_hexdump("want:", want, want_len, at);
		tap_fail();
	}
	free(got);
}

static int tap_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)ftw;
	if (flag == FTW_DNR)
		return 0;
	return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

/* Run the test in dir, in this (the child's) process; never returns. */
__attribute__((noreturn)) static void tap_child(const struct tap_test *t, const char *dir)
{
	if (chdir(dir) != 0) {
		tap_note("cannot enter '%s': %s", dir, strerror(errno));
		tap_fail();
	}
	umask(022);
	t->run();
	/* exit(), so that the leak checker of a sanitizer build gets its turn. */
	exit(0);
}

/* Wait for the child; kills its process group at the time limit. Returns false if it had to. */
static bool tap_wait(pid_t pid, unsigned int seconds, int *ret_status)
{
	struct timespec timeout = {.tv_sec = seconds};
	sigset_t chld;
	bool in_time = true;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	/* SIGCHLD is blocked since before the fork, so none is lost. */
	while (waitpid(pid, ret_status, WNOHANG) == 0) {
		if (sigtimedwait(&chld, NULL, &timeout) < 0 && errno == EAGAIN) {
			in_time = false;
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			waitpid(pid, ret_status, 0);
			break;
		}
	}
	/* What the test left running must not outlive it. */
	kill(-pid, SIGKILL);
	return in_time;
}

static bool tap_run_one(const struct tap_test *t, unsigned int number, unsigned int seconds)
{
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_MAX], reason[256] = "";
	int skip[2], status = 0;
	bool in_time, ok;
	ssize_t n;
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s/tap.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(dir) || pipe2(skip, O_CLOEXEC) < 0) {
		printf("Bail out! cannot make '%s': %s\n", dir, strerror(errno));
		exit(1);
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		printf("Bail out! cannot fork: %s\n", strerror(errno));
		exit(1);
	}
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setpgid(0, 0);
		tap_skip_fd = skip[1];
		/* What the code under test prints must not be taken for TAP. */
		dup2(STDERR_FILENO, STDOUT_FILENO);
		tap_child(t, dir);
	}
	setpgid(pid, pid);
	close(skip[1]);
	in_time = tap_wait(pid, t->timeout ? t->timeout : seconds, &status);
	n = read(skip[0], reason, sizeof(reason) - 1);
	reason[n > 0 ? n : 0] = 0;
	close(skip[0]);
	if (!getenv("TAP_KEEP"))
		nftw(dir, tap_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	else
		tap_note("%s: kept %s", t->name, dir);

	ok = in_time && WIFEXITED(status) &&
	     (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == TAP_SKIPPED);
	printf("%s %u - %s", ok ? "ok" : "not ok", number, t->name);
	if (ok && WEXITSTATUS(status) == TAP_SKIPPED)
		printf(" # SKIP %s", reason);
	else if (!in_time)
		printf(" # timeout after %u s", t->timeout ? t->timeout : seconds);
	else if (WIFSIGNALED(status))
		printf(" # signal %d", WTERMSIG(status));
	else if (!ok && WEXITSTATUS(status) != TAP_FAILED)
		printf(" # exit status %d", WEXITSTATUS(status));
	putchar('\n');
	return ok;
}

static bool tap_selected(const struct tap_test *t, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (strcmp(*names, t->name) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	const char *limit = getenv("TAP_TIMEOUT");
	unsigned int seconds = limit && atoi(limit) > 0 ? (unsigned int)atoi(limit) : 60;
	unsigned int count = 0, failed = 0;
	sigset_t chld;

	if (argc == 2 && strcmp(argv[1], "-l") == 0) {
		for (struct tap_test *t = tap_tests; t; t = t->next)
			puts(t->name);
		return 0;
	}
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	for (struct tap_test *t = tap_tests; t; t = t->next) {
		if (!tap_selected(t, argv + 1))
			continue;
		if (getenv("TAP_NOFORK")) {
			t->run();
			printf("ok %u - %s\n", ++count, t->name);
		} else if (!tap_run_one(t, ++count, seconds)) {
			failed++;
		}
	}
	if (argc > 1 && count < (unsigned int)argc - 1) {
		printf("Bail out! no such test, see %s -l\n", argv[0]);
		return 1;
	}
	printf("1..%u\n", count);
	return failed ? 1 : 0;
}

#endif
