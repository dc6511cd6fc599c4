/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of reading foreign tar streams: what GNU tar packs comes out again, to the byte and at the
 * offset that the tree says; what would leave the tree is refused.
 */
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "tap.h"
#include "tree/archive.h"

static struct err err;

/* ---- tar streams by hand, for what no tar program writes ---- */

struct spec {
	const char *name;
	char type;
	const char *link, *content, *records; /* "key=value|...": an extended header */
	uint32_t mode;
	const char *uid, *major; /* octal */
};

static void add_block(struct str *tar, const struct spec *s, char type, const char *content,
		      size_t len)
{
	unsigned char h[512] = {0};
	char *c = (char *)h;
	unsigned sum = 0;

	strncpy(c, s->name, 100);
	snprintf(c + 100, 8, "%07o", s->mode);
	snprintf(c + 108, 8, "%s", s->uid ? s->uid : "0000000");
	snprintf(c + 116, 8, "0000000");
	snprintf(c + 124, 12, "%011zo", len);
	snprintf(c + 136, 12, "%011o", 1234567u);
	c[156] = type;
	if (s->link)
		strncpy(c + 157, s->link, 100);
	memcpy(c + 257, "ustar\00000", 8);
	snprintf(c + 329, 8, "%s", s->major ? s->major : "0000000");
	snprintf(c + 337, 8, "0000003");
	memset(c + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += h[i];
	snprintf(c + 148, 8, "%06o", sum);
	str_add_bytes(tar, h, sizeof(h));
	str_add_bytes(tar, content, len);
	memset(h, 0, sizeof(h));
	str_add_bytes(tar, h, -len & 511);
}

static void add_records(struct str *tar, const struct spec *s)
{
	struct str records = {0};

	for (const char *p = s->records; *p; p += *p == '|') {
		size_t len = strcspn(p, "|"), total = len + 4;

		/* The digits of the length count too: two of them, or three. */
		total += total > 99;
		str_addf(&records, "%zu %.*s\n", total, (int)len, p);
		p += len;
	}
	add_block(tar, s, 'x', records.data, records.len);
	str_free(&records);
}

static void add_spec(struct str *tar, const struct spec *s)
{
	if (s->records)
		add_records(tar, s);
	add_block(tar, s, s->type, s->content ? s->content : "",
		  s->content ? strlen(s->content) : 0);
}

static void end_tar(struct str *tar)
{
	static const char zeros[1024];

	str_add_bytes(tar, zeros, sizeof(zeros));
}

/* Imports the file "in" to the file "out". */
static int import(struct tree *tree, struct digest *ret)
{
	int in = open("in", O_RDONLY | O_CLOEXEC);
	/* Stays open, for the tree refers to it. */
	int out = open("out", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r;

	CHECK(in >= 0 && out >= 0);
	r = tree_import_tar(in, out, tree, "stream", ret, NULL, NULL, &err);
	close(in);
	return r;
}

static void check_content(const struct tree *tree, const char *path, const char *want)
{
	const struct tree_node *node = tree_find(tree, path);
	char *bytes;
	size_t len;

	if (!node)
		FAIL("no '%s'", path);
	CHECK_OK(tree_read(node, 1 << 20, &bytes, &len, &err), &err);
	CHECK_STR(bytes, want);
	free(bytes);
}

static void run(const char *command)
{
	if (system(command) != 0)
		FAIL("failed: %s", command);
}

#define LONG                                                                                        \
	"a-name-that-is-longer-than-what-fits-into-the-hundred-bytes-of-a-ustar-header-so-that-it-" \
	"needs-an-extended-header"

/* Names that a locale could spoil: decomposed, not UTF-8, with a blank. */
static const char make_folder[] =
	"mkdir -p t/d t/empty-dir && cd t && printf hello >d/file && ln d/file d/again && "
	"ln d/file zz && chmod 4755 d/file && printf 1 >'" LONG "' && ln -s '" LONG "' link && "
	"ln -s ../../" LONG " '" LONG ".link' && ln '" LONG "' hard && mkfifo pipe && "
	"printf 2 >\"$(printf 'e\\314\\201')\" && printf 3 >\"$(printf 'bad\\377 name')\" && "
	"printf 4 >\"$(printf '\\303\\251')\" && : >none && "
	"printf 5 >\"" LONG "$(printf 'e\\314\\201')\" && "
	"truncate -s 3M sparse && printf end | dd of=sparse bs=1 seek=2000000 conv=notrunc "
	"status=none && find . -exec touch -h -d @1600000000.5 {} +";

static void check_folder(const struct tree *tree)
{
	const struct tree_inode *inode;
	char *bytes;
	size_t len;

	check_content(tree, "d/file", "hello");
	check_content(tree, "zz", "hello");
	CHECK(tree_find(tree, "d/file")->inode == tree_find(tree, "zz")->inode);
	inode = tree_find(tree, "d/again")->inode;
	CHECK_INT(inode->links, 3);
	CHECK_INT(inode->mode, 04755);
	CHECK_INT(inode->mtime, 1600000000);
	CHECK_INT(tree_find(tree, "empty-dir")->inode->type, TREE_DIR);
	CHECK_INT(tree_find(tree, "pipe")->inode->type, TREE_FIFO);
	CHECK_STR(tree_find(tree, "link")->inode->target, LONG);
	CHECK_STR(tree_find(tree, LONG ".link")->inode->target, "../../" LONG);
	check_content(tree, "hard", "1");
	check_content(tree, "e\xcc\x81", "2");
	check_content(tree, "bad\xff name", "3");
	check_content(tree, "\xc3\xa9", "4");
	check_content(tree, LONG "e\xcc\x81", "5");
	check_content(tree, "none", "");
	CHECK_OK(tree_read(tree_find(tree, "sparse"), 4 << 20, &bytes, &len, &err), &err);
	CHECK_INT(len, 3 << 20);
	CHECK_MEM(bytes + 2000000, "end", 4);
	for (size_t i = 0; i < len; i++)
		CHECK(bytes[i] == 0 || (i >= 2000000 && i < 2000003));
	free(bytes);
	CHECK_INT(tree_count(tree), 17);
}

TEST(what_gnu_tar_packs_comes_out_again)
{
	static const char *const formats[] = {
		"tar --format=pax --sort=name -C t -cf in .",
		"tar --format=gnu --sort=name -C t -cf in .",
		"tar --format=pax -S --sort=name -C t -cf in .",
		"tar --format=gnu -S --sort=name -C t -cf in .",
		"tar --format=pax --sort=name -C t -czf in .",
		"tar --format=pax --sort=name -C t --zstd -cf in .",
		"tar --format=pax --sort=name -C t -cJf in .",
	};
	struct digest first;

	run(make_folder);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tree *tree = tree_new();
		struct digest d, whole;

		run(formats[i]);
		CHECK_OK(import(tree, &d), &err);
		check_folder(tree);
		CHECK_OK(digest_file("out", &whole, &err), &err);
		CHECK_MEM(d.bytes, whole.bytes, DIGEST_SIZE);
		/* However it was packed, ours is the same. */
		if (i == 0)
			first = d;
		CHECK_MEM(d.bytes, first.bytes, DIGEST_SIZE);
		tree_free(tree);
	}
	/* GNU tar reads ours and finds no difference to the folder, but for parts of seconds. */
	run("find t -exec touch -h -d @1600000000 {} +");
	run("tar --compare -f out -C t");
	run("test $(tar -tf out | wc -l) = 17");
}

TEST(our_own_tar_is_imported_unchanged)
{
	struct tree *tree = tree_new(), *again = tree_new();
	struct digest d, d2;

	run(make_folder);
	run("tar --format=pax --sort=name --owner=70000 --group=3000000 -C t -cf in .");
	CHECK_OK(import(tree, &d), &err);
	run("mv out in");
	CHECK_OK(import(again, &d2), &err);
	CHECK_MEM(d.bytes, d2.bytes, DIGEST_SIZE);
	CHECK_INT(tree_find(again, "d/file")->inode->uid, 70000);
	/* More than seven octal digits. */
	CHECK_INT(tree_find(again, "d/file")->inode->gid, 3000000);
	check_folder(again);
	tree_free(tree);
	tree_free(again);
}

TEST(attributes_are_kept)
{
	static const struct spec specs[] = {
		{.name = "./", .type = '5', .mode = 0711},
		{.name = "./cap",
		 .type = '0',
		 .mode = 0755,
		 .content = "x",
		 .records = "SCHILY.xattr.security.capability=\1\2\3\4|SCHILY.xattr.user.a=b|"
			    "mtime=1700000000.9"},
		{.name = "dev/tty", .type = '3', .mode = 0620, .major = "0000005"},
		{.name = "dev/sda", .type = '4', .mode = 0660, .major = "0000010"},
	};
	struct tree *tree = tree_new(), *again = tree_new();
	const struct tree_inode *inode;
	struct str tar = {0};
	struct digest d;

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		add_spec(&tar, &specs[i]);
	end_tar(&tar);
	tap_spew("in", tar.data, tar.len);
	str_free(&tar);
	CHECK_OK(import(tree, &d), &err);
	run("mv out in");
	CHECK_OK(import(again, &d), &err);
	CHECK_INT(tree_root(again)->inode->mode, 0711);
	inode = tree_find(again, "cap")->inode;
	CHECK_INT(inode->xattr_count, 2);
	CHECK_STR(inode->xattrs[0].name, "security.capability");
	CHECK_INT(inode->xattrs[0].len, 4);
	CHECK_MEM(inode->xattrs[0].value, "\1\2\3\4", 4);
	CHECK_STR(inode->xattrs[1].name, "user.a");
	CHECK_MEM(inode->xattrs[1].value, "b", 1);
	CHECK_INT(inode->mtime, 1700000000);
	inode = tree_find(again, "dev/tty")->inode;
	CHECK_INT(inode->type, TREE_CHAR);
	CHECK_INT(inode->major, 5);
	CHECK_INT(inode->minor, 3);
	inode = tree_find(again, "dev/sda")->inode;
	CHECK_INT(inode->type, TREE_BLOCK);
	CHECK_INT(inode->major, 8);
	/* The parent that the stream does not name. */
	CHECK_INT(tree_find(again, "dev")->inode->mode, 0755);
	tree_free(tree);
	tree_free(again);
}

TEST(hostile_entries_are_refused)
{
	static const struct {
		struct spec spec;
		const char *want;
	} cases[] = {
		{{.name = "../x", .type = '0'}, "'../x': not a path below the root"},
		{{.name = "a/../../x", .type = '0'}, "not a path below the root"},
		{{.name = "a/..", .type = '5'}, "not a path below the root"},
		{{.name = "/etc/passwd", .type = '0'}, "not a path below the root"},
		{{.name = "./"
			  "/etc/../x",
		  .type = '0'},
		 "not a path below the root"},
		{{.name = "..", .type = '5'}, "not a path below the root"},
		{{.name = "/", .type = '5'}, "not a path below the root"},
		{{.name = "a\nb", .type = '0'}, "not a path below the root"},
		{{.name = "a//b", .type = '0'}, "not a path below the root"},
		{{.name = ".", .type = '0'}, "the root must be a folder"},
		{{.name = "./", .type = '1', .link = "file"}, "root must be a folder"},
		{{.name = "h", .type = '1', .link = "../file"}, "not a path below the root"},
		{{.name = "h", .type = '1', .link = "/file"}, "not a path below the root"},
		{{.name = "h", .type = '1', .link = "gone"}, "something that is not there"},
		{{.name = "h", .type = '1', .link = "dir"}, "something that is not there"},
		{{.name = "h", .type = '1', .link = "file/x"}, "something that is not there"},
		{{.name = "s", .type = '2', .link = ""}, "bad target of a symbolic link"},
		{{.name = "s", .type = '2', .link = "a\nb"}, "bad target of a symbolic link"},
		{{.name = "file/x", .type = '0'}, "'/file' is no folder"},
		{{.name = "lnk/x", .type = '0'}, "'/lnk' is a symbolic link to '/etc'"},
		{{.name = "c", .type = '3', .major = "7777777"}, "bad device number"},
		{{.name = "x", .type = '0', .records = "path=../../etc/x"},
		 "not a path below the root"},
		{{.name = "x", .type = '0', .records = "uid=4294967296"}, "bad owner"},
		{{.name = "x", .type = '0', .records = "mtime=-10000"}, "bad time"},
		{{.name = "x", .type = '0', .records = "SCHILY.xattr.a\nb=c"},
		 "bad name of an extended attribute"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tree *tree = tree_new();
		struct str tar = {0};
		struct digest d;

		add_spec(&tar, &(struct spec){.name = "file", .type = '0', .content = "x"});
		add_spec(&tar, &(struct spec){.name = "dir/", .type = '5', .mode = 0755});
		add_spec(&tar, &(struct spec){.name = "lnk", .type = '2', .link = "/etc"});
		add_spec(&tar, &cases[i].spec);
		end_tar(&tar);
		tap_spew("in", tar.data, tar.len);
		CHECK_ERR(import(tree, &d), &err, ERR_VERIFY, cases[i].want);
		CHECK_CONTAINS(err.msg, "cannot read stream: ");
		str_free(&tar);
		tree_free(tree);
	}
}

TEST(too_many_attributes_are_refused)
{
	struct tree *tree = tree_new();
	struct str tar = {0}, records = {0};
	struct digest d;

	for (int i = 10; i < 75; i++)
		str_addf(&records, "SCHILY.xattr.user.%d=ab|", i);
	add_spec(&tar, &(struct spec){.name = "x", .type = '0', .records = records.data});
	end_tar(&tar);
	tap_spew("in", tar.data, tar.len);
	CHECK_ERR(import(tree, &d), &err, ERR_VERIFY, "too many or too large extended attributes");
	str_free(&tar);
	str_free(&records);
	tree_free(tree);
}

TEST(later_entries_replace_earlier_ones)
{
	struct tree *tree = tree_new();
	struct str tar = {0};
	struct digest d;

	add_spec(&tar, &(struct spec){.name = "a", .type = '0', .content = "old"});
	add_spec(&tar, &(struct spec){.name = "h", .type = '1', .link = "a"});
	add_spec(&tar, &(struct spec){.name = "a", .type = '0', .content = "new"});
	end_tar(&tar);
	tap_spew("in", tar.data, tar.len);
	CHECK_OK(import(tree, &d), &err);
	check_content(tree, "a", "new");
	check_content(tree, "h", "old");
	str_free(&tar);
	tree_free(tree);
}

TEST(what_is_no_whole_tar_is_refused)
{
	struct tree *tree = tree_new();
	struct str tar = {0};
	struct digest d;

	tap_spew("in", "", 0);
	CHECK_ERR(import(tree, &d), &err, ERR_VERIFY, "cannot read stream");
	tap_spew("in", "this is not a tar archive, only text", 36);
	CHECK_ERR(import(tree, &d), &err, ERR_VERIFY, "cannot read stream");
	add_spec(&tar, &(struct spec){.name = "a", .type = '0', .content = "content"});
	end_tar(&tar);
	tap_spew("in", tar.data, 700);
	CHECK_ERR(import(tree, &d), &err, ERR_VERIFY, "cannot read stream");
	tap_spew("in", tar.data, 300);
	CHECK_ERR(import(tree, &d), &err, ERR_VERIFY, "cannot read stream");
	tar.data[200] ^= 1;
	tap_spew("in", tar.data, tar.len);
	CHECK_ERR(import(tree, &d), &err, ERR_VERIFY, "cannot read stream");
	run("printf garbage | gzip >in && truncate -s 12 in");
	CHECK_ERR(import(tree, &d), &err, ERR_VERIFY, "cannot read stream");
	str_free(&tar);
	tree_free(tree);
}

static void count_progress(uint64_t bytes, void *context)
{
	uint64_t *last = context;

	CHECK(bytes >= *last);
	*last = bytes;
}

/* As from a child: the pipe gives the bytes in any pieces. */
TEST(a_pipe_is_read_with_progress)
{
	struct tree *tree = tree_new();
	struct digest d;
	uint64_t seen = 0;
	FILE *child;
	int out = open("out", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	run(make_folder);
	child = popen("tar -C t --sort=name -cf - .", "r");
	CHECK(child && out >= 0);
	CHECK_OK(tree_import_tar(fileno(child), out, tree, "stream", &d, count_progress, &seen,
				 &err),
		 &err);
	CHECK_INT(pclose(child), 0);
	check_folder(tree);
	CHECK_INT(seen, lseek(out, 0, SEEK_END));
	close(out);
	tree_free(tree);
}

TEST(a_full_disk_is_said)
{
	struct tree *tree = tree_new();
	struct digest d;
	int in, full = open("/dev/full", O_RDWR | O_CLOEXEC);

	run(make_folder);
	run("tar -C t -cf in .");
	in = open("in", O_RDONLY | O_CLOEXEC);
	CHECK(in >= 0 && full >= 0);
	CHECK_ERR(tree_import_tar(in, full, tree, "stream", &d, NULL, NULL, &err), &err, ERR_SPACE,
		  "cannot write 'stream'");
	close(in);
	close(full);
	tree_free(tree);
}

/* ---- pipes ---- */

/* Writes an archive and its padding later, in pieces, as mmdebstrap does. Ends with 0 when all was read. */
static pid_t write_slowly(int fd[2], size_t padding)
{
	struct str tar = {0};
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid > 0)
		return pid;
	close(fd[0]);
	signal(SIGPIPE, SIG_DFL);
	add_spec(&tar,
		 &(struct spec){.name = "file", .type = '0', .content = "hello", .mode = 0644});
	end_tar(&tar);
	CHECK_OK(fd_write(fd[1], tar.data, tar.len, "pipe", &err), &err);
	for (size_t i = 0; i < padding; i++) {
		static const char zeros[1024];

		if (i < 10)
			usleep(30000);
		if (fd_write(fd[1], zeros, sizeof(zeros), "pipe", &err) < 0)
			_exit(1);
	}
	_exit(0);
}

TEST(who_writes_the_padding_finds_a_reader)
{
	static const struct {
		size_t padding; /* KiB */
		bool right;
	} rows[] = {{0, true}, {10, true}, {1024, true}, {1026, false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CLEANUP(tree_cleanup) struct tree *tree = tree_new();
		int out = open("out", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), fd[2], status;
		struct digest ignored;
		pid_t pid;

		CHECK(out >= 0 && pipe(fd) == 0);
		pid = write_slowly(fd, rows[i].padding);
		close(fd[1]);
		if (rows[i].right)
			CHECK_OK(tree_import_tar(fd[0], out, tree, "stream", &ignored, NULL, NULL,
						 &err),
				 &err);
		else
			CHECK_ERR(tree_import_tar(fd[0], out, tree, "stream", &ignored, NULL, NULL,
						  &err),
				  &err, ERR_VERIFY, "data behind the end of the archive");
		close(fd[0]);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (rows[i].right) {
			CHECK_INT(status, 0);
			check_content(tree, "file", "hello");
		}
		close(out);
	}
}
