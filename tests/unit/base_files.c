/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that appear only when complete, whole reads, digests, JSON and child processes.
 */
#include "tap.h"

#include "base/digest.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "base/proc.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static size_t entries(void)
{
	DIR *dir = opendir(".");
	size_t count = 0;

	for (struct dirent *e; (e = readdir(dir));)
		count += e->d_name[0] != '.';
	closedir(dir);
	return count;
}

TEST(outfile_appears_when_finished)
{
	struct outfile out;
	struct str text = {0};
	struct err err = {0};

	CHECK_OK(outfile_open(&out, "x", &err), &err);
	CHECK_OK(fd_write(out.fd, "hello", 5, "x", &err), &err);
	CHECK(access("x", F_OK) != 0);
	CHECK_OK(outfile_finish(&out, true, &err), &err);
	CHECK_OK(fd_read_file("x", 100, &text, &err), &err);
	CHECK_STR(text.data, "hello");
	CHECK_U64(entries(), 1);
	str_free(&text);
}

TEST(outfile_names_can_be_told)
{
	struct outfile out;
	struct err err = {0};

	CHECK_OK(outfile_open(&out, "x.raw", &err), &err);
	CHECK(outfile_is_temp(out.temp));
	outfile_abandon(&out);
	CHECK(outfile_is_temp("a.1.2.tmp"));
	CHECK(!outfile_is_temp(".1.2.tmp"));
	CHECK(!outfile_is_temp("a.1.tmp"));
	CHECK(!outfile_is_temp("a.b.1.tmp"));
	CHECK(!outfile_is_temp("a.1.b.tmp"));
	CHECK(!outfile_is_temp("a.1..tmp"));
	CHECK(!outfile_is_temp("12.tmp"));
	CHECK(!outfile_is_temp("a.1.2.tmp.raw"));
	CHECK(!outfile_is_temp("tmp"));
	CHECK(!outfile_is_temp(""));
}

TEST(outfile_leaves_nothing_behind)
{
	struct outfile out, other;
	struct err err = {0};

	CHECK_OK(outfile_open(&out, "x", &err), &err);
	outfile_abandon(&out);
	CHECK_U64(entries(), 0);
	CHECK_OK(outfile_open(&out, "y", &err), &err);
	CHECK_OK(outfile_open(&other, "z", &err), &err);
	outfile_unlink_all();
	CHECK_U64(entries(), 0);
	CHECK(outfile_finish(&out, false, &err) < 0);
	outfile_abandon(&other);
	CHECK_ERR(outfile_open(&out, "no/such/folder/x", &err), &err, ERR_OTHER,
		  "no/such/folder/x");
}

TEST(a_new_file_replaces_nothing)
{
	CLEANUP(outfile_abandon) struct outfile out = OUTFILE_NONE;
	struct err err = {0};

	CHECK_OK(outfile_open(&out, "x", &err), &err);
	CHECK_OK(fd_write(out.fd, "1", 1, "x", &err), &err);
	CHECK_OK(outfile_finish_new(&out, &err), &err);
	CHECK_FILE("x", "1");
	CHECK_OK(outfile_open(&out, "x", &err), &err);
	CHECK_OK(fd_write(out.fd, "2", 1, "x", &err), &err);
	CHECK_ERR(outfile_finish_new(&out, &err), &err, ERR_OTHER,
		  "cannot create 'x': File exists");
	CHECK_FILE("x", "1");
	CHECK_INT(symlink("nowhere", "link"), 0);
	CHECK_OK(outfile_open(&out, "link", &err), &err);
	CHECK_ERR(outfile_finish_new(&out, &err), &err, ERR_OTHER, "File exists");
	CHECK_INT(entries(), 2);
}

TEST(reads_are_bounded)
{
	struct str text = {0};
	struct err err = {0};
	char bytes[4];
	int fd;

	CHECK_OK(outfile_write("x", "12345", 5, false, &err), &err);
	CHECK_ERR(fd_read_file("x", 4, &text, &err), &err, ERR_OTHER, "larger than 4 bytes");
	str_free(&text);
	fd = open("x", O_RDONLY);
	CHECK_OK(fd_pread(fd, bytes, 4, 1, "x", &err), &err);
	CHECK_MEM(bytes, "2345", 4);
	CHECK_ERR(fd_pread(fd, bytes, 4, 2, "x", &err), &err, ERR_VERIFY, "truncated");
	fd_close(&fd);
	CHECK_INT(fd, -1);
}

TEST(copy_copies)
{
	struct err err = {0};
	struct str text = {0};
	int from, to;

	CHECK_OK(outfile_write("x", "0123456789", 10, false, &err), &err);
	from = open("x", O_RDONLY);
	to = open("y", O_RDWR | O_CREAT, 0600);
	CHECK_OK(fd_copy(from, 2, to, 1, 5, "y", &err), &err);
	CHECK_OK(fd_read_file("y", 100, &text, &err), &err);
	CHECK_U64(text.len, 6);
	CHECK_MEM(text.data,
		  "\0"
		  "23456",
		  6);
	CHECK_ERR(fd_copy(from, 8, to, 0, 5, "y", &err), &err, ERR_VERIFY, "short");
	str_free(&text);
}

TEST(remove_does_not_follow_links)
{
	struct err err = {0};

	CHECK_OK(path_make_dirs("a/b/c", &err), &err);
	CHECK_OK(path_make_dirs("keep", &err), &err);
	CHECK_OK(outfile_write("keep/file", "x", 1, false, &err), &err);
	CHECK_INT(symlink("../../keep", "a/b/link"), 0);
	CHECK_OK(path_remove_all("a", &err), &err);
	CHECK(access("a", F_OK) != 0);
	CHECK_INT(access("keep/file", F_OK), 0);
	CHECK_OK(path_remove_all("a", &err), &err);
	CHECK_ERR(path_make_dirs("keep/file/x", &err), &err, ERR_OTHER, "keep/file");
}

TEST(digest_of_known_text)
{
	static const char want[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	struct digest d, parsed, salted, again;
	struct digest_ctx *base = digest_start(), *ctx = digest_start();
	struct err err = {0};
	char hex[DIGEST_HEX_SIZE];

	digest_bytes("abc", 3, &d);
	CHECK_STR(digest_hex(&d, hex), want);
	CHECK_OK(digest_parse(want, &parsed, &err), &err);
	CHECK_MEM(parsed.bytes, d.bytes, DIGEST_SIZE);
	CHECK_ERR(digest_parse("abc", &parsed, &err), &err, ERR_VERIFY, "64 hex digits");
	CHECK_OK(outfile_write("x", "abc", 3, false, &err), &err);
	CHECK_OK(digest_file("x", &parsed, &err), &err);
	CHECK_MEM(parsed.bytes, d.bytes, DIGEST_SIZE);
	digest_add(base, "a", 1);
	for (int i = 0; i < 2; i++) {
		digest_restart_from(ctx, base);
		digest_add(ctx, "bc", 2);
		digest_peek(ctx, i ? &again : &salted);
	}
	CHECK_MEM(salted.bytes, d.bytes, DIGEST_SIZE);
	CHECK_MEM(again.bytes, d.bytes, DIGEST_SIZE);
	digest_ctx_free(base);
	digest_ctx_free(ctx);
}

TEST(sha1_of_known_text)
{
	char hex[DIGEST_SHA1_HEX_SIZE];
	struct digest_ctx *ctx = digest_start_sha1();

	digest_add(ctx, "a", 1);
	digest_add(ctx, "bc", 2);
	CHECK_STR(digest_finish_sha1(ctx, hex), "a9993e364706816aba3e25717850c26c9cd0d89d");
	CHECK_STR(digest_finish_sha1(digest_start_sha1(), hex),
		  "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

TEST(json_is_deterministic_and_strict)
{
	struct err err = {0};
	json_t *a = json_parse("{\"b\":1,\"a\":[true]}", 18, "x", &err);
	char *line;

	CHECK(a != NULL);
	line = json_line(a);
	CHECK_STR(line, "{\"a\":[true],\"b\":1}");
	free(line);
	json_decref(a);
	CHECK(json_parse("{\"a\":1,\"a\":2}", 13, "x", &err) == NULL);
	CHECK(strstr(err.msg, "x:1:") != NULL);
	CHECK(json_parse("{", 1, "x", &err) == NULL);
}

static void collect(const char *text, void *context)
{
	str_addf(context, "[%s]", text);
}

TEST(child_output_and_errors)
{
	static const char *const ok[] = {"sh", "-c", "echo out; echo one >&2; printf two >&2",
					 NULL};
	static const char *const bad[] = {"sh", "-c", "echo because >&2; exit 3", NULL};
	static const char *const killed[] = {"sh", "-c", "kill -9 $$", NULL};
	static const char *const missing[] = {"ingot-no-such-program", NULL};
	static const char *const noisy[] = {"sh", "-c", "yes | head -c 100000", NULL};
	struct str output = {0}, lines = {0};
	struct err err = {0};
	struct proc p = {.argv = ok, .output = &output, .line = collect, .context = &lines};

	CHECK_OK(proc_run(&p, &err), &err);
	CHECK_STR(output.data, "out\n");
	CHECK_STR(lines.data, "[one][two]");
	CHECK_ERR(proc_run(&(struct proc){.argv = bad}, &err), &err, ERR_OTHER, "because");
	CHECK(strstr(err.msg, "exit code 3") != NULL);
	CHECK_ERR(proc_run(&(struct proc){.argv = killed}, &err), &err, ERR_OTHER, "signal 9");
	CHECK_ERR(proc_run(&(struct proc){.argv = missing}, &err), &err, ERR_TOOL, "No such file");
	str_free(&output);
	CHECK_ERR(proc_run(&(struct proc){.argv = noisy, .output = &output, .output_max = 1000},
			   &err),
		  &err, ERR_OTHER, "printed more");
	str_free(&output);
	str_free(&lines);
}

TEST(child_environment_and_folder)
{
	static const char *const argv[] = {"sh", "-c", "echo \"$INGOT_T $HOME\"; pwd", NULL};
	static const char *const env[] = {"INGOT_T=yes", "HOME=/changed", NULL};
	struct str output = {0};
	struct err err = {0};

	CHECK_OK(proc_run(&(struct proc){.argv = argv, .env = env, .cwd = "/", .output = &output},
			  &err),
		 &err);
	CHECK_STR(output.data, "yes /changed\n/\n");
	str_free(&output);
}

TEST(room_for_open_files)
{
	struct rlimit limit = {.rlim_cur = 20, .rlim_max = 400};
	struct err err = {0};

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK_OK(fd_make_room(200, &err), &err);
	for (int i = 0; i < 200; i++)
		CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK(limit.rlim_cur < limit.rlim_max);
	CHECK_ERR(fd_make_room(200, &err), &err, ERR_OTHER, "the limit is 400");
}
