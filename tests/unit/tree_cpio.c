/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of initrds: GNU cpio reads what is written, what GNU cpio writes is read, and archives that are
 * broken in any field are refused.
 */
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "tap.h"
#include "tree/archive.h"

static struct err err;

static void run(const char *command)
{
	if (system(command) != 0)
		FAIL("failed: %s", command);
}

static struct tree *read_file(const char *path)
{
	struct tree *tree = tree_new();
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t size;

	CHECK(fd >= 0);
	CHECK_OK(fd_size(fd, path, &size, &err), &err);
	CHECK_OK(tree_read_cpio(fd, 0, size, path, tree, &err), &err);
	return tree;
}

static void write_file(const struct tree *tree, int level, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0);
	CHECK_OK(tree_write_cpio(tree, level, fd, path, &err), &err);
	close(fd);
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

static struct tree *sample(void)
{
	struct tree *tree = tree_new();
	struct tree_inode inode = {.type = TREE_CHAR, .mode = 0600, .major = 5, .minor = 1};

	CHECK_OK(tree_put_file(tree, "init", 0755, "#!/bin/sh\n", 10, "t", &err), &err);
	CHECK_OK(tree_put_file(tree, "usr/lib/x.so", 0644, "library", 7, "t", &err), &err);
	CHECK_OK(tree_put_link(tree, "usr/lib/y.so", "usr/lib/x.so", &err), &err);
	CHECK_OK(tree_put_link(tree, "a.so", "usr/lib/x.so", &err), &err);
	CHECK_OK(tree_put_file(tree, "usr/none", 0600, "", 0, "t", &err), &err);
	CHECK_OK(tree_put_symlink(tree, "lib", "usr/lib", "t", &err), &err);
	CHECK_OK_PTR(tree_put(tree, "dev/console", &inode, &err), &err);
	inode.type = TREE_FIFO;
	CHECK_OK_PTR(tree_put(tree, "run/pipe", &inode, &err), &err);
	tree_find(tree, "init")->inode->mtime = 1700000000;
	return tree;
}

TEST(gnu_cpio_reads_ours)
{
	struct tree *tree = sample();

	write_file(tree, 0, "plain");
	run("test $(stat -c %s plain) -eq $(($(stat -c %s plain) / 512 * 512))");
	run("mkdir x && cd x && cpio -idm --no-preserve-owner --quiet <../plain");
	CHECK_FILE("x/init", "#!/bin/sh\n");
	CHECK_FILE("x/usr/lib/x.so", "library");
	CHECK_FILE("x/usr/none", "");
	CHECK_FILE("x/lib/y.so", "library");
	CHECK_FILE("x/a.so", "library");
	run("test $(stat -c %h x/a.so) = 3 && test x/a.so -ef x/usr/lib/x.so && "
	    "test x/a.so -ef x/usr/lib/y.so");
	run("test $(stat -c %a.%Y x/init) = 755.1700000000 && test $(stat -c %a x/usr/none) = 600");
	run("test $(readlink x/lib) = usr/lib && test -p x/run/pipe");
	/* The kernel makes /dev itself, and only root could unpack these. */
	CHECK_MISSING("x/dev/console");
	CHECK_EXISTS("x/dev");
	tree_free(tree);
}

TEST(ours_is_read_back)
{
	struct tree *tree = sample(), *again;
	struct digest d, d2;

	write_file(tree, 0, "plain");
	again = read_file("plain");
	tree_remove(tree, "dev/console");
	CHECK_OK(tree_digest(tree, &d, &err), &err);
	CHECK_OK(tree_digest(again, &d2, &err), &err);
	CHECK_MEM(d.bytes, d2.bytes, DIGEST_SIZE);
	CHECK_INT(tree_find(again, "a.so")->inode->links, 3);
	tree_free(tree);
	tree_free(again);
}

TEST(zstd_holds_the_same_bytes)
{
	struct tree *tree = sample();
	char *big = mem_alloc(3000000);
	unsigned seed = 1;

	/* More than one job of the compressor, half of it noise. */
	for (int i = 0; i < 3000000; i++)
		big[i] = i % 100 < 50 ? (char)rand_r(&seed) : 'x';
	CHECK_OK(tree_put_file(tree, "big", 0644, big, 3000000, "t", &err), &err);
	write_file(tree, 0, "plain");
	write_file(tree, 3, "three");
	write_file(tree, 3, "again");
	write_file(tree, 19, "best");
	run("zstd -qdc three | cmp - plain && zstd -qdc best | cmp - plain && cmp three again");
	run("test $(stat -c %s three) -lt $(stat -c %s plain)");
	free(big);
	tree_free(tree);
}

TEST(gnu_cpio_is_read)
{
	struct tree *tree;
	const struct tree_inode *inode;

	run("mkdir -p t/usr/bin && cd t && printf busy >usr/bin/busybox && "
	    "ln usr/bin/busybox usr/bin/sh && ln usr/bin/busybox usr/bin/ls && "
	    "ln -s usr/bin bin && chmod 4711 usr/bin/ls && touch -d @1600000000 usr/bin/ls && "
	    "mkfifo f && find . | cpio -o -H newc --quiet -R 7:8 >../in");
	tree = read_file("in");
	check_content(tree, "usr/bin/busybox", "busy");
	check_content(tree, "usr/bin/sh", "busy");
	check_content(tree, "usr/bin/ls", "busy");
	inode = tree_find(tree, "usr/bin/ls")->inode;
	CHECK_INT(inode->links, 3);
	CHECK_INT(inode->mode, 04711);
	CHECK_INT(inode->uid, 7);
	CHECK_INT(inode->gid, 8);
	CHECK_INT(inode->mtime, 1600000000);
	CHECK_STR(tree_find(tree, "bin")->inode->target, "usr/bin");
	CHECK_INT(tree_find(tree, "f")->inode->type, TREE_FIFO);
	CHECK_INT(tree_count(tree), 8);
	tree_free(tree);
}

/* What dracut makes with early microcode, and what a builder appends. */
TEST(archives_in_a_row_are_one_tree)
{
	struct tree *tree;

	run("mkdir -p a/d b/d c && printf 1 >a/d/x && printf 2 >b/d/y && printf 3 >b/d/x && "
	    "ln a/d/x a/d/link && ln b/d/y b/d/link2 && printf 4 >c/z");
	run("for i in a b c; do (cd $i && find . | sort | cpio -o -H newc --quiet) >$i.cpio; done");
	/* Padding of any length, whole blocks or none. */
	run("(cat a.cpio; head -c 4096 /dev/zero; cat b.cpio; head -c 3 /dev/zero; cat c.cpio; "
	    "head -c 1 /dev/zero) >in");
	tree = read_file("in");
	check_content(tree, "d/x", "3");
	check_content(tree, "d/y", "2");
	check_content(tree, "d/link", "1");
	check_content(tree, "d/link2", "2");
	check_content(tree, "z", "4");
	CHECK_INT(tree_count(tree), 7);
	tree_free(tree);
}

TEST(a_part_of_a_file_is_read)
{
	struct tree *tree = tree_new();
	int fd;
	uint64_t size;

	run("mkdir t && printf 1 >t/x && (cd t && find . | cpio -o -H newc --quiet) >in");
	run("(printf 12345; cat in; printf garbage) >both");
	fd = open("in", O_RDONLY | O_CLOEXEC);
	CHECK_OK(fd_size(fd, "in", &size, &err), &err);
	close(fd);
	fd = open("both", O_RDONLY | O_CLOEXEC);
	CHECK_OK(tree_read_cpio(fd, 5, size, "part", tree, &err), &err);
	check_content(tree, "x", "1");
	CHECK_ERR(tree_read_cpio(fd, 5, size + 7, "part", tree, &err), &err, ERR_VERIFY,
		  "cannot read part: byte ");
	CHECK_ERR(tree_read_cpio(fd, 5, size + 900, "part", tree, &err), &err, ERR_VERIFY, "");
	CHECK_ERR(tree_read_cpio(fd, 5, UINT64_MAX, "part", tree, &err), &err, ERR_VERIFY,
		  "bad size");
	close(fd);
	tree_free(tree);
}

struct entry {
	const char *name, *content;
	unsigned mode, ino, nlink, size, major, name_size;
};

static void add(struct str *cpio, const struct entry *e)
{
	size_t len = e->content ? strlen(e->content) : 0;
	unsigned name_size = e->name_size ? e->name_size : (unsigned)strlen(e->name) + 1;

	str_addf(cpio, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", e->ino,
		 e->mode, 0, 0, e->nlink, 0, e->size ? e->size : (unsigned)len, 0, 0, e->major, 0,
		 name_size, 0);
	str_add_bytes(cpio, e->name, strlen(e->name) + 1);
	str_add_bytes(cpio, "\0\0\0", -cpio->len & 3);
	str_add_bytes(cpio, e->content, len);
	str_add_bytes(cpio, "\0\0\0", -cpio->len & 3);
}

TEST(broken_archives_are_refused)
{
	static const struct {
		struct entry e;
		const char *want;
	} cases[] = {
		{{.name = "../x", .mode = S_IFREG}, "not a path below the root"},
		{{.name = "/x", .mode = S_IFREG}, "not a path below the root"},
		{{.name = "a/../x", .mode = S_IFREG}, "not a path below the root"},
		{{.name = "a\nb", .mode = S_IFREG}, "not a path below the root"},
		{{.name = "", .mode = S_IFREG}, "bad length of a name"},
		{{.name = "x", .mode = S_IFREG, .name_size = 3}, "bad name"},
		{{.name = "xyz", .mode = S_IFREG, .name_size = 3}, "bad name"},
		{{.name = "x", .mode = S_IFREG, .name_size = 4097}, "bad length of a name"},
		{{.name = "x", .mode = S_IFREG, .name_size = 4000}, "bad length of a name"},
		{{.name = "x", .mode = S_IFREG, .size = 5000}, "truncated"},
		{{.name = "x", .mode = S_IFREG, .size = UINT32_MAX}, "truncated"},
		{{.name = "x", .mode = S_IFSOCK}, "type of entry not supported"},
		{{.name = "x", .mode = 0644}, "type of entry not supported"},
		{{.name = "x", .mode = S_IFDIR, .content = "x"}, "content where none can be"},
		{{.name = "x", .mode = S_IFIFO, .content = "x"}, "content where none can be"},
		{{.name = "x", .mode = S_IFLNK}, "bad target"},
		{{.name = "x", .mode = S_IFLNK, .content = "a\nb"}, "bad target"},
		{{.name = "x", .mode = S_IFCHR, .major = 4096}, "bad device number"},
		{{.name = ".", .mode = S_IFREG}, "the root must be a folder"},
		{{.name = "file/x", .mode = S_IFREG}, "'/file' is no folder"},
		{{.name = "x", .mode = S_IFLNK, .content = "y", .ino = 7, .nlink = 2},
		 "hard link between different types"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tree *tree = tree_new();
		struct str cpio = {0};
		int fd;

		add(&cpio,
		    &(struct entry){.name = "file", .mode = S_IFREG | 0644, .content = "abc"});
		add(&cpio, &(struct entry){.name = "many", .mode = S_IFREG, .ino = 7, .nlink = 2});
		add(&cpio, &cases[i].e);
		add(&cpio, &(struct entry){.name = "TRAILER!!!"});
		tap_spew("in", cpio.data, cpio.len);
		fd = open("in", O_RDONLY | O_CLOEXEC);
		CHECK_ERR(tree_read_cpio(fd, 0, cpio.len, "x", tree, &err), &err, ERR_VERIFY,
			  cases[i].want);
		CHECK_CONTAINS(err.msg, "cannot read x: ");
		close(fd);
		str_free(&cpio);
		tree_free(tree);
	}
}

TEST(what_is_no_cpio_is_refused)
{
	static const char *const texts[] = {"", "070701", "0707070000000000", "\x28\xb5\x2f\xfd"};
	char zeros[600] = {0};

	for (size_t i = 0; i <= ARRAY_SIZE(texts); i++) {
		struct tree *tree = tree_new();
		size_t len = sizeof(zeros);
		int fd;

		if (i < ARRAY_SIZE(texts)) {
			len = strlen(texts[i]);
			tap_spew("in", texts[i], len);
		} else {
			tap_spew("in", zeros, len);
		}
		fd = open("in", O_RDONLY | O_CLOEXEC);
		CHECK_ERR(tree_read_cpio(fd, 0, len, "x", tree, &err), &err, ERR_VERIFY,
			  "cannot read x");
		close(fd);
		tree_free(tree);
	}
}

TEST(a_truncated_archive_is_refused)
{
	struct tree *tree = sample();
	char *text;
	size_t len;

	write_file(tree, 0, "plain");
	text = tap_slurp("plain", &len);
	/* The end marker is what makes an archive whole; padding may be missing. */
	for (size_t n = 0; n < len - 512; n += 7) {
		struct tree *again = tree_new();
		int fd = open("plain", O_RDONLY | O_CLOEXEC);

		CHECK_ERR(tree_read_cpio(fd, 0, n, "x", again, &err), &err, ERR_VERIFY, "");
		close(fd);
		tree_free(again);
	}
	free(text);
	tree_free(tree);
}

TEST(a_full_disk_is_said)
{
	struct tree *tree = sample();
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	CHECK(full >= 0);
	CHECK_ERR(tree_write_cpio(tree, 0, full, "initrd", &err), &err, ERR_SPACE,
		  "cannot write 'initrd'");
	CHECK_ERR(tree_write_cpio(tree, 3, full, "initrd", &err), &err, ERR_SPACE,
		  "cannot write 'initrd'");
	close(full);
	tree_free(tree);
}
