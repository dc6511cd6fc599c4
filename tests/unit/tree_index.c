/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of the index of a cached layer: it gives back what was written, and refuses anything else.
 */
#include "base/mem.h"
#include "base/str.h"
#include "tap.h"
#include "tree/archive.h"

static struct err err;

#define TAR_SIZE 1000
#define TAR_FD 77 /* never read here */

/* One of everything. */
static struct tree *sample(void)
{
	struct tree *tree = tree_new();
	struct tree_xattr xattrs[] = {{"security.capability", "\1\0\0\2", 4}, {"user.e", "", 0}};
	struct tree_inode inode = {
		.mode = 04755, .uid = 70000, .gid = 4294967294, .mtime = 1u << 31};

	inode.type = TREE_FILE;
	inode.xattrs = xattrs;
	inode.xattr_count = 2;
	inode.data = (struct tree_data){.size = 10, .offset = 990, .fd = TAR_FD};
	CHECK_OK_PTR(tree_put(tree, "bin/su do%\xff\xc3\xa9", &inode, &err), &err);
	CHECK_OK(tree_put_link(tree, "bin/z", "bin/su do%\xff\xc3\xa9", &err), &err);
	CHECK_OK(tree_put_link(tree, "a", "bin/z", &err), &err);
	inode.xattr_count = 0;
	inode.data = (struct tree_data){.size = 0, .fd = -1};
	CHECK_OK_PTR(tree_put(tree, "empty", &inode, &err), &err);
	inode.type = TREE_CHAR;
	inode.major = 5;
	inode.minor = 1048575;
	CHECK_OK_PTR(tree_put(tree, "dev/console", &inode, &err), &err);
	inode.type = TREE_BLOCK;
	CHECK_OK_PTR(tree_put(tree, "dev/sda", &inode, &err), &err);
	inode.type = TREE_FIFO;
	CHECK_OK_PTR(tree_put(tree, "run/pipe", &inode, &err), &err);
	CHECK_OK(tree_put_symlink(tree, "etc/x", "../a b", "t", &err), &err);
	CHECK_OK(tree_put_dir(tree, "/", 0711, "t", &err), &err);
	return tree;
}

TEST(round_trip)
{
	struct tree *tree = sample(), *again = tree_new();
	struct str text = {0}, text2 = {0};
	const struct tree_inode *inode;

	CHECK_OK(tree_write_index(tree, &text, &err), &err);
	CHECK_CONTAINS(text.data,
		       "ingot-index 1 13\nd 0 711 0 0 0 /\nf 1 4755 70000 4294967294 "
		       "2147483648 a 10 990\nx security.capability 01000002\nx user.e \n");
	CHECK_CONTAINS(text.data, "\nh 2 su%20do%25\xff\xc3\xa9 1\n");
	CHECK_CONTAINS(text.data, " x ../a%20b\n");
	CHECK_OK(tree_read_index(text.data, text.len, TAR_FD, TAR_SIZE, "layer", again, &err),
		 &err);
	CHECK_OK(tree_write_index(again, &text2, &err), &err);
	CHECK_STR(text2.data, text.data);
	inode = tree_find(again, "/bin/su do%\xff\xc3\xa9")->inode;
	CHECK(inode == tree_find(again, "a")->inode);
	CHECK_INT(inode->links, 3);
	CHECK_INT(inode->data.fd, TAR_FD);
	CHECK_INT(inode->xattr_count, 2);
	CHECK_STR(inode->origin, "layer");
	CHECK_INT(tree_count(again), tree_count(tree));
	str_free(&text);
	str_free(&text2);
	tree_free(tree);
	tree_free(again);
}

TEST(data_in_memory_or_in_two_files_are_refused)
{
	struct tree *tree = tree_new();
	struct tree_inode inode = {.type = TREE_FILE, .data = {.size = 1, .fd = 3}};
	struct str text = {0};

	CHECK_OK_PTR(tree_put(tree, "a", &inode, &err), &err);
	inode.data.fd = 4;
	CHECK_OK_PTR(tree_put(tree, "b", &inode, &err), &err);
	CHECK_ERR(tree_write_index(tree, &text, &err), &err, ERR_OTHER, "not in one file");
	tree_remove(tree, "b");
	CHECK_OK(tree_write_index(tree, &text, &err), &err);
	CHECK_OK(tree_put_file(tree, "b", 0644, "x", 1, "t", &err), &err);
	CHECK_ERR(tree_write_index(tree, &text, &err), &err, ERR_OTHER, "not in one file");
	str_free(&text);
	tree_free(tree);
}

#define H(n) "ingot-index 1 " n "\n"
#define ROOT "d 0 755 0 0 0 /\n"

TEST(broken_indexes_are_refused)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", "line 1: not an index"},
		{"ingot-index 2 1\n" ROOT, "line 1: not an index"},
		{H("x") ROOT, "line 1: bad number"},
		{H("9999999") ROOT, "line 1: bad number"},
		{H("2"), "line 1: bad number"},
		{H("1"), "fewer entries"},
		{H("0") ROOT, "line 2: more entries"},
		{H("1") ROOT "d 1 755 0 0 0 a\n", "line 3: more entries"},
		{H("2") ROOT, "fewer entries"},
		{H("1") "d 0 755 0 0 0 a\n", "line 2: the first entry must be the root"},
		{H("1") "f 0 755 0 0 0 / 0 0\n", "line 2: the first entry must be the root"},
		{H("1") "d 1 755 0 0 0 /\n", "line 2: depth"},
		{H("1") "h 0 a 0\nxxxxx", "line 2: bad hard link"},
		{H("2") ROOT "d 0 755 0 0 0 /\n", "line 3: depth"},
		{H("2") ROOT "d 2 755 0 0 0 a\n", "line 3: depth"},
		{H("3") ROOT "f 1 755 0 0 0 a 0 0\nd 2 755 0 0 0 a\n", "line 4: entry below"},
		{H("3") ROOT "d 1 755 0 0 0 b\nd 1 755 0 0 0 a\n",
		 "line 4: entries are not sorted"},
		{H("3") ROOT "d 1 755 0 0 0 b\nd 1 755 0 0 0 b\n",
		 "line 4: entries are not sorted"},
		{H("2") ROOT "d 1 755 0 0 0 ..\n", "line 3: bad name"},
		{H("2") ROOT "d 1 755 0 0 0 .\n", "line 3: bad name"},
		{H("2") ROOT "d 1 755 0 0 0 a/b\n", "line 3: bad name"},
		{H("2") ROOT "d 1 755 0 0 0 a%2Fb\n", "line 3: bad name"},
		{H("2") ROOT "d 1 755 0 0 0 a%0Ab\n", "line 3: bad field"},
		{H("2") ROOT "d 1 755 0 0 0 a%00\n", "line 3: bad field"},
		{H("2") ROOT "d 1 755 0 0 0 a%2\n", "line 3: bad field"},
		{H("2") ROOT "d 1 755 0 0 0 \n", "line 3: bad field"},
		{H("2") ROOT "d 1 755 0 0 0 a", "line 3: bad field"},
		{H("2") ROOT "d 1 10000 0 0 0 a\n", "line 3: bad field"},
		{H("2") ROOT "d 1 788 0 0 0 a\n", "line 3: bad field"},
		{H("2") ROOT "d 1 755 4294967296 0 0 a\n", "line 3: bad field"},
		{H("2") ROOT "d 1 755 0 -1 0 a\n", "line 3: bad field"},
		{H("2") ROOT "d 1 755 0 0 9223372036854775808 a\n", "line 3: bad field"},
		{H("2") ROOT "d 1 755 0 0 99999999999999999999999 a\n", "line 3: bad field"},
		{H("2") ROOT "f 1 755 0 0 0 a 1001 0\n", "line 3: bad field"},
		{H("2") ROOT "f 1 755 0 0 0 a 10 991\n", "line 3: bad field"},
		{H("2") ROOT "f 1 755 0 0 0 a 10\n", "line 3: bad field"},
		{H("2") ROOT "l 1 777 0 0 0 a \n", "line 3: bad field"},
		{H("2") ROOT "c 1 666 0 0 0 a 4096 0\n", "line 3: bad field"},
		{H("2") ROOT "s 1 666 0 0 0 a\n", "line 3: unknown type"},
		{H("2") ROOT "\n", "line 3: bad line"},
		{H("2") ROOT "h 1 a 0\n", "line 3: bad hard link"},
		{H("2") ROOT "h 1 a 1\n", "line 3: bad hard link"},
		{H("1") "x a 00\n" ROOT, "line 2: bad extended attribute"},
		{H("1") ROOT "x a 0\n", "line 3: bad value"},
		{H("1") ROOT "x a 0g\n", "line 3: bad value"},
		{H("1") ROOT "x a 00", "line 3: bad value"},
		{H("1") ROOT "x a 00\nx a 01\n", "line 4: extended attribute given twice"},
		{H("3") ROOT "p 1 644 0 0 0 a\nh 1 b 1\nx a 00\n", "line 5: bad extended"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tree *tree = tree_new();

		CHECK_ERR(tree_read_index(cases[i].text, strlen(cases[i].text), TAR_FD, TAR_SIZE,
					  "layer", tree, &err),
			  &err, ERR_VERIFY, cases[i].want);
		tree_free(tree);
	}
}

/* Every prefix of a good index is a broken one. */
TEST(truncated_indexes_are_refused)
{
	struct tree *tree = sample();
	struct str text = {0};

	CHECK_OK(tree_write_index(tree, &text, &err), &err);
	/* The last entry has no attributes, so that none can be missing unseen. */
	for (size_t len = 0; len < text.len; len++) {
		struct tree *again = tree_new();

		CHECK_ERR(tree_read_index(text.data, len, TAR_FD, TAR_SIZE, "layer", again, &err),
			  &err, ERR_VERIFY, "");
		tree_free(again);
	}
	str_free(&text);
	tree_free(tree);
}

TEST(paths_are_bounded)
{
	struct str text = {0};
	struct tree *tree = tree_new();
	char name[202];

	memset(name, 'a', 200);
	name[200] = '\0';
	str_add(&text, H("31") ROOT);
	for (int i = 1; i <= 30; i++)
		str_addf(&text, "d %d 755 0 0 0 %s\n", i, name);
	CHECK_ERR(tree_read_index(text.data, text.len, TAR_FD, TAR_SIZE, "layer", tree, &err), &err,
		  ERR_VERIFY, "path too long");
	str_free(&text);
	tree_free(tree);
}
