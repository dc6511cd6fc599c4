/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of the tree as a value: what is put is found, in order, with correct counts, whatever replaces,
 * links, moves or merges it.
 */
#include "base/mem.h"
#include "base/str.h"
#include "tap.h"
#include "tree/tree.h"

static struct err err;

/* Every invariant that the header promises, checked below dir. Returns the number of nodes. */
static size_t check_below(const struct tree_node *dir)
{
	size_t count = 1;

	for (size_t i = 0; i < dir->child_count; i++) {
		const struct tree_node *node = dir->children[i];

		CHECK(node->parent == dir);
		CHECK(dir->inode->type == TREE_DIR);
		CHECK(node->inode->links >= 1);
		CHECK(node->inode->type != TREE_DIR || node->inode->links == 1);
		if (i)
			CHECK(strcmp(dir->children[i - 1]->name, node->name) < 0);
		count += check_below(node);
	}
	return count;
}

static void count_links(const struct tree_node *node)
{
	node->inode->mark++;
	for (size_t i = 0; i < node->child_count; i++)
		count_links(node->children[i]);
}

static void check_links(const struct tree_node *node)
{
	CHECK_INT(node->inode->mark, node->inode->links);
	for (size_t i = 0; i < node->child_count; i++)
		check_links(node->children[i]);
}

static void clear_marks(const struct tree_node *node)
{
	node->inode->mark = 0;
	for (size_t i = 0; i < node->child_count; i++)
		clear_marks(node->children[i]);
}

static void check_tree(const struct tree *tree)
{
	CHECK_INT(check_below(tree_root(tree)), tree_count(tree));
	clear_marks(tree_root(tree));
	count_links(tree_root(tree));
	check_links(tree_root(tree));
	clear_marks(tree_root(tree));
}

static int list_one(const struct tree_node *node, const char *path, void *context, struct err *e)
{
	static const char letters[] = "dflcbp";

	(void)e;
	str_addf(context, "%c %s", letters[node->inode->type], path);
	if (node->inode->links > 1)
		str_addf(context, " x%u", node->inode->links);
	str_add(context, "\n");
	return 0;
}

static char *list(const struct tree *tree)
{
	struct str text = {0};

	CHECK_OK(tree_walk(tree, list_one, &text, &err), &err);
	check_tree(tree);
	return str_steal(&text);
}

#define CHECK_LIST(tree, want)            \
	do {                              \
		char *list_ = list(tree); \
		CHECK_STR(list_, want);   \
		free(list_);              \
	} while (0)

static void file(struct tree *tree, const char *path, const char *content)
{
	CHECK_OK(tree_put_file(tree, path, 0644, content, strlen(content), "test", &err), &err);
}

static void check_content(const struct tree *tree, const char *path, const char *want)
{
	const struct tree_node *node = tree_find(tree, path);
	char *bytes;
	size_t len;

	if (!node)
		FAIL("no '%s'", path);
	CHECK_OK(tree_read(node, 1000, &bytes, &len, &err), &err);
	CHECK_STR(bytes, want);
	CHECK_INT(len, strlen(want));
	free(bytes);
}

TEST(new_tree_has_a_root)
{
	struct tree *tree = tree_new();
	const struct tree_node *root = tree_root(tree);

	CHECK_STR(root->name, "");
	CHECK(!root->parent);
	CHECK_INT(root->inode->mode, 0755);
	CHECK_INT(tree_count(tree), 1);
	CHECK(tree_find(tree, "/") == root && tree_find(tree, "") == root);
	CHECK(!tree_find(tree, "/a"));
	tree_free(tree);
	tree_free(NULL);
}

TEST(put_makes_parents_and_sorts)
{
	struct tree *tree = tree_new();
	struct tree_inode inode = {.type = TREE_FIFO, .mode = 0170600, .mtime = 77, .origin = "o"};

	file(tree, "b", "1");
	file(tree, "/a", "2");
	file(tree, "a.b", "3");
	CHECK_OK_PTR(tree_put(tree, "/x/y/z", &inode, &err), &err);
	CHECK_LIST(tree, "d /\nf /a\nf /a.b\nf /b\nd /x\nd /x/y\np /x/y/z\n");
	CHECK_INT(tree_find(tree, "/x/y")->inode->mtime, 77);
	CHECK_INT(tree_find(tree, "x/y")->inode->mode, 0755);
	CHECK_STR(tree_find(tree, "x/y")->inode->origin, "o");
	CHECK_INT(tree_find(tree, "x/y/z")->inode->mode, 0600);
	CHECK(!tree_find(tree, "/x/y/z/w"));
	CHECK(!tree_find(tree, "/x/y/zz"));
	tree_free(tree);
}

TEST(put_copies_its_template)
{
	struct tree *tree = tree_new();
	char target[] = "there", name[] = "user.b", value[] = "v\0w";
	struct tree_xattr xattrs[] = {{name, value, 3}, {"user.a", "", 0}};
	struct tree_inode inode = {.type = TREE_SYMLINK, .target = target, .mode = 0777};
	const struct tree_node *node;

	inode.xattrs = xattrs;
	inode.xattr_count = 2;
	node = tree_put(tree, "link", &inode, &err);
	CHECK_OK_PTR(node, &err);
	target[0] = name[0] = value[0] = 'X';
	CHECK_STR(node->inode->target, "there");
	CHECK_STR(node->inode->xattrs[0].name, "user.a");
	CHECK_STR(node->inode->xattrs[1].name, "user.b");
	CHECK_MEM(node->inode->xattrs[1].value, "v\0w", 3);
	tree_free(tree);
}

TEST(unclean_paths_are_refused)
{
	static const char *const bad[] = {"..",  "a/../b", "a//b",  "a/",   ".",
					  "./a", "//a",    "a/./b", "a\nb", "\177"};
	struct tree *tree = tree_new();
	char longest[5000];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_ERR(tree_put_dir(tree, bad[i], 0755, "t", &err), &err, ERR_PROFILE,
			  "not a clean path");
	memset(longest, 'a', sizeof(longest));
	longest[300] = '\0';
	CHECK_ERR(tree_put_dir(tree, longest, 0755, "t", &err), &err, ERR_PROFILE, "");
	CHECK_ERR(tree_put_file(tree, "/", 0644, "", 0, "t", &err), &err, ERR_PROFILE, "root");
	CHECK_INT(tree_count(tree), 1);
	CHECK_OK(tree_put_dir(tree, "/", 0700, "t", &err), &err);
	CHECK_INT(tree_root(tree)->inode->mode, 0700);
	check_tree(tree);
	tree_free(tree);
}

TEST(what_is_there_is_replaced)
{
	struct tree *tree = tree_new();

	file(tree, "d/e/f", "1");
	file(tree, "d/g", "2");
	CHECK_OK(tree_put_dir(tree, "d", 0700, "t", &err), &err);
	CHECK_LIST(tree, "d /\nd /d\nd /d/e\nf /d/e/f\nf /d/g\n");
	CHECK_INT(tree_find(tree, "d")->inode->mode, 0700);
	file(tree, "d", "3");
	CHECK_LIST(tree, "d /\nf /d\n");
	CHECK_ERR(tree_put_file(tree, "d/x", 0644, "", 0, "t", &err), &err, ERR_PROFILE,
		  "'/d' is no folder");
	CHECK_OK(tree_put_dir(tree, "d", 0755, "t", &err), &err);
	CHECK_LIST(tree, "d /\nd /d\n");
	tree_free(tree);
}

TEST(a_path_through_a_link_is_refused)
{
	struct tree *tree = tree_new();

	CHECK_OK(tree_put_symlink(tree, "lib", "usr/lib", "t", &err), &err);
	CHECK_ERR(tree_put_file(tree, "/lib/x", 0644, "", 0, "t", &err), &err, ERR_PROFILE,
		  "cannot put '/lib/x': '/lib' is a symbolic link to 'usr/lib'");
	CHECK_CONTAINS(err.hint, "below the folder");
	tree_free(tree);
}

TEST(resolve_follows_links_inside_the_tree)
{
	static const struct {
		const char *path, *want;
	} cases[] = {
		{"/lib/a", "/usr/lib/a"},
		{"lib", "/usr/lib"},
		{"abs/a", "/usr/lib/a"},
		{"/up/a", "/usr/lib/a"},
		{"/usr/../lib/./a", "/usr/lib/a"},
		{"chain", "/usr/lib/a"},
		{"/usr/lib/a/", "/usr/lib/a"},
		{"/../..", "/"},
		{"", "/"},
		{"/gone", NULL},
		{"/loop", NULL},
		{"/dangling", NULL},
		{"/usr/lib/a/b", NULL},
	};
	struct tree *tree = tree_new();

	file(tree, "usr/lib/a", "1");
	CHECK_OK(tree_put_symlink(tree, "lib", "usr/lib", "t", &err), &err);
	CHECK_OK(tree_put_symlink(tree, "abs", "/usr/lib", "t", &err), &err);
	CHECK_OK(tree_put_symlink(tree, "up", "../../../usr/lib", "t", &err), &err);
	CHECK_OK(tree_put_symlink(tree, "chain", "usr/chain", "t", &err), &err);
	CHECK_OK(tree_put_symlink(tree, "usr/chain", "../abs/a", "t", &err), &err);
	CHECK_OK(tree_put_symlink(tree, "loop", "loop/x", "t", &err), &err);
	CHECK_OK(tree_put_symlink(tree, "dangling", "nothing", "t", &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct tree_node *node = tree_resolve(tree, cases[i].path);
		char *path = node ? tree_path(node) : NULL;

		CHECK_STR(path, cases[i].want);
		free(path);
	}
	tree_free(tree);
}

TEST(hard_links_share_an_inode)
{
	struct tree *tree = tree_new();

	file(tree, "a", "1");
	CHECK_OK(tree_put_link(tree, "/d/b", "a", &err), &err);
	CHECK_OK(tree_put_link(tree, "c", "/d/b", &err), &err);
	CHECK_OK(tree_put_link(tree, "c", "c", &err), &err);
	CHECK(tree_find(tree, "a")->inode == tree_find(tree, "d/b")->inode);
	CHECK_LIST(tree, "d /\nf /a x3\nf /c x3\nd /d\nf /d/b x3\n");
	/* Replacing one of them leaves the others alone. */
	file(tree, "a", "2");
	check_content(tree, "c", "1");
	CHECK_LIST(tree, "d /\nf /a\nf /c x2\nd /d\nf /d/b x2\n");
	tree_remove(tree, "d");
	CHECK_LIST(tree, "d /\nf /a\nf /c\n");
	CHECK_ERR(tree_put_link(tree, "e", "gone", &err), &err, ERR_PROFILE, "does not exist");
	CHECK_ERR(tree_put_link(tree, "e", "/", &err), &err, ERR_PROFILE, "is a folder");
	/* The folder that goes away holds the file that stays. */
	file(tree, "x/y", "3");
	CHECK_OK(tree_put_link(tree, "x", "x/y", &err), &err);
	CHECK_LIST(tree, "d /\nf /a\nf /c\nf /x\n");
	check_content(tree, "x", "3");
	tree_free(tree);
}

TEST(remove_and_clear)
{
	struct tree *tree = tree_new();

	file(tree, "a/b/c", "1");
	file(tree, "a/d", "2");
	file(tree, "e", "3");
	tree_clear(tree, "a/b");
	CHECK_LIST(tree, "d /\nd /a\nd /a/b\nf /a/d\nf /e\n");
	tree_clear(tree, "e");
	tree_clear(tree, "gone");
	tree_remove(tree, "gone/x");
	tree_remove(tree, "/");
	CHECK_INT(tree_count(tree), 5);
	tree_remove(tree, "/a");
	CHECK_LIST(tree, "d /\nf /e\n");
	tree_clear(tree, "/");
	CHECK_LIST(tree, "d /\n");
	file(tree, "f", "4");
	CHECK_LIST(tree, "d /\nf /f\n");
	tree_free(tree);
}

TEST(move_takes_all_along)
{
	struct tree *tree = tree_new();

	file(tree, "var/lib/dpkg/status", "1");
	file(tree, "var/lib/dpkg/info/x", "2");
	CHECK_OK(tree_move(tree, "/var/lib/dpkg", "/usr/lib/sysimage/dpkg", &err), &err);
	CHECK_LIST(tree, "d /\nd /usr\nd /usr/lib\nd /usr/lib/sysimage\nd /usr/lib/sysimage/dpkg\n"
			 "d /usr/lib/sysimage/dpkg/info\nf /usr/lib/sysimage/dpkg/info/x\n"
			 "f /usr/lib/sysimage/dpkg/status\nd /var\nd /var/lib\n");
	CHECK_ERR(tree_move(tree, "usr", "usr/lib/x", &err), &err, ERR_PROFILE, "into itself");
	CHECK_ERR(tree_move(tree, "gone", "x", &err), &err, ERR_PROFILE, "does not exist");
	CHECK_ERR(tree_move(tree, "usr", "../x", &err), &err, ERR_PROFILE, "clean");
	/* Over a file, over a folder, within one folder, and over a folder above itself. */
	file(tree, "a", "3");
	CHECK_OK(tree_move(tree, "usr/lib/sysimage/dpkg/status", "a", &err), &err);
	check_content(tree, "a", "1");
	CHECK_OK(tree_move(tree, "a", "var", &err), &err);
	check_content(tree, "var", "1");
	CHECK_OK(tree_move(tree, "var", "abc", &err), &err);
	CHECK_OK(tree_move(tree, "abc", "abc", &err), &err);
	CHECK_OK(tree_move(tree, "usr/lib/sysimage", "usr", &err), &err);
	CHECK_LIST(tree,
		   "d /\nf /abc\nd /usr\nd /usr/dpkg\nd /usr/dpkg/info\nf /usr/dpkg/info/x\n");
	tree_free(tree);
}

TEST(merge_lays_one_over_the_other)
{
	struct tree *tree = tree_new(), *over = tree_new();
	char *before;

	file(tree, "etc/a", "1");
	file(tree, "etc/b", "2");
	CHECK_OK(tree_put_link(tree, "etc/b2", "etc/b", &err), &err);
	file(tree, "dir/x", "3");
	CHECK_OK(tree_put_dir(over, "/", 0711, "o", &err), &err);
	CHECK_OK(tree_put_dir(over, "etc", 0700, "o", &err), &err);
	file(over, "etc/b", "4");
	file(over, "etc/c", "5");
	CHECK_OK(tree_put_link(over, "z", "etc/c", &err), &err);
	file(over, "dir", "6");
	before = list(over);
	CHECK_OK(tree_merge(tree, over, &err), &err);
	CHECK_LIST(tree,
		   "d /\nf /dir\nd /etc\nf /etc/a\nf /etc/b\nf /etc/b2\nf /etc/c x2\nf /z x2\n");
	CHECK_LIST(over, before);
	tree_free(over);
	check_content(tree, "etc/b2", "2");
	CHECK_INT(tree_find(tree, "etc")->inode->mode, 0700);
	CHECK_INT(tree_root(tree)->inode->mode, 0711);
	free(before);
	tree_free(tree);
}

TEST(merge_refuses_a_folder_over_a_link)
{
	struct tree *tree = tree_new(), *over = tree_new();

	CHECK_OK(tree_put_symlink(tree, "bin", "usr/bin", "t", &err), &err);
	CHECK_OK(tree_put_symlink(tree, "opt", "nothing", "t", &err), &err);
	file(tree, "usr/bin/sh", "1");
	file(over, "opt/x", "2");
	CHECK_OK(tree_merge(tree, over, &err), &err);
	file(over, "bin/x", "2");
	CHECK_ERR(tree_merge(tree, over, &err), &err, ERR_PROFILE,
		  "cannot lay folder '/bin' (from test) over the symbolic link to 'usr/bin'");
	tree_free(over);
	tree_free(tree);
}

TEST(merge_keeps_many_links)
{
	struct tree *tree = tree_new(), *over = tree_new();
	char name[32], other[32];

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "a/%d", i);
		snprintf(other, sizeof(other), "b/%d", i);
		file(over, name, name);
		CHECK_OK(tree_put_link(over, other, name, &err), &err);
	}
	CHECK_OK(tree_merge(tree, over, &err), &err);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "a/%d", i);
		snprintf(other, sizeof(other), "b/%d", i);
		CHECK(tree_find(tree, name)->inode == tree_find(tree, other)->inode);
	}
	check_content(tree, "b/2999", "a/2999");
	check_tree(tree);
	tree_free(over);
	tree_free(tree);
}

TEST(times_are_clamped)
{
	struct tree *tree = tree_new();
	struct tree_inode inode = {.type = TREE_FILE, .mtime = 1000, .data.bytes = ""};

	CHECK_OK_PTR(tree_put(tree, "a/b", &inode, &err), &err);
	inode.mtime = 100;
	CHECK_OK_PTR(tree_put(tree, "a/c", &inode, &err), &err);
	tree_clamp_times(tree, 500);
	CHECK_INT(tree_find(tree, "a")->inode->mtime, 500);
	CHECK_INT(tree_find(tree, "a/b")->inode->mtime, 500);
	CHECK_INT(tree_find(tree, "a/c")->inode->mtime, 100);
	tree_free(tree);
}

static int stop_at_b(const struct tree_node *node, const char *path, void *context, struct err *e)
{
	(void)node;
	(*(int *)context)++;
	return strcmp(path, "/b") == 0 ? err_set(e, ERR_LINT, "stopped") : 0;
}

TEST(walk_stops_on_error)
{
	struct tree *tree = tree_new();
	int visits = 0;

	file(tree, "a/x", "");
	file(tree, "b", "");
	file(tree, "c", "");
	CHECK_ERR(tree_walk(tree, stop_at_b, &visits, &err), &err, ERR_LINT, "stopped");
	CHECK_INT(visits, 4);
	tree_free(tree);
}

TEST(read_is_bounded)
{
	struct tree *tree = tree_new();
	struct tree_inode inode = {.type = TREE_FILE, .data = {.size = 3, .offset = 2}};
	char *bytes;
	size_t len;

	tap_spew("data", "0123456", 7);
	inode.data.fd = open("data", O_RDONLY | O_CLOEXEC);
	CHECK(inode.data.fd >= 0);
	CHECK_OK_PTR(tree_put(tree, "f", &inode, &err), &err);
	check_content(tree, "f", "234");
	CHECK_ERR(tree_read(tree_find(tree, "f"), 2, &bytes, &len, &err), &err, ERR_OTHER,
		  "cannot read '/f': larger than 2 bytes");
	CHECK_ERR(tree_read(tree_root(tree), 2, &bytes, &len, &err), &err, ERR_OTHER,
		  "not a regular file");
	inode.data.offset = 5;
	CHECK_OK_PTR(tree_put(tree, "g", &inode, &err), &err);
	CHECK_ERR(tree_read(tree_find(tree, "g"), 9, &bytes, &len, &err), &err, ERR_VERIFY,
		  "cannot read '/g': truncated");
	close(inode.data.fd);
	tree_free(tree);
}

/* Random operations; after each hundred every count and order must hold. */
TEST(invariants_survive_random_edits)
{
	struct tree *tree = tree_new(), *over = tree_new();
	unsigned seed = 42;
	char path[64], other[64];
	size_t most = 0;

	for (int i = 0; i < 20000; i++) {
		int depth = rand_r(&seed) % 4 + 1;
		struct tree *t = rand_r(&seed) % 8 ? tree : over;
		struct err e;
		char *p = path;

		for (int k = 0; k < depth; k++)
			p += sprintf(p, "/%c", 'a' + rand_r(&seed) % 6);
		snprintf(other, sizeof(other), "/%c/%c", 'a' + rand_r(&seed) % 6,
			 'a' + rand_r(&seed) % 6);
		/* Some of these fail, for a parent is a file or the source is absent: fine. */
		switch (rand_r(&seed) % 10) {
		case 0:
		case 1:
			tree_put_dir(t, path, 0755, "t", &e);
			break;
		case 2:
			tree_remove(t, path);
			break;
		case 3:
			tree_move(t, path, other, &e);
			break;
		case 4:
			tree_put_link(t, path, other, &e);
			break;
		case 5:
			if (i % 50 == 0)
				tree_merge(tree, over, &e);
			break;
		case 6:
			if (i % 20 == 0)
				tree_clear(t, path);
			break;
		default:
			tree_put_file(t, path, 0644, "x", 1, "t", &e);
		}
		if (i % 100 == 0) {
			check_tree(tree);
			check_tree(over);
			most = tree_count(tree) > most ? tree_count(tree) : most;
		}
	}
	/* Or the operations were not much of a test. */
	CHECK(most > 50);
	tree_free(over);
	tree_free(tree);
}
