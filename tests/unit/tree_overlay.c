/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of overlay folders: what owns and permits what comes from the manifest and the image, never from
 * the machine; mistakes are shown where they are.
 */
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

static void manifest(const char *text)
{
	tap_spew("o/.ingot-manifest", text, strlen(text));
}

static struct tree *scan(const struct tree *base)
{
	struct tree *tree = tree_new();

	CHECK_OK(tree_scan_overlay("o", base, tree, &err), &err);
	return tree;
}

static void check_mode(const struct tree *tree, const char *path, unsigned mode, unsigned uid,
		       unsigned gid)
{
	const struct tree_node *node = tree_find(tree, path);

	if (!node)
		FAIL("no '%s'", path);
	CHECK_INT(node->inode->mode, mode);
	CHECK_INT(node->inode->uid, uid);
	CHECK_INT(node->inode->gid, gid);
}

static struct tree *image(void)
{
	static const char passwd[] = "root:x:0:0::/root:/bin/sh\ndb:x:104:110::/:/bin/false\n"
				     "dbx:x:105:111::/:/bin/false\nbroken:x\n"
				     "huge:x:4294967295:0::/:/bin/false\n";
	static const char group[] = "root:x:0:\ndb:x:110:\nadm:x:4:db\n";
	struct tree *tree = tree_new();
	struct tree_xattr xattr = {"user.a", "b", 1};
	struct tree_inode inode = {
		.type = TREE_DIR, .mode = 01777, .uid = 3, .gid = 4, .mtime = 99};

	inode.xattrs = &xattr;
	inode.xattr_count = 1;
	CHECK_OK_PTR(tree_put(tree, "tmp", &inode, &err), &err);
	CHECK_OK(tree_put_file(tree, "etc/passwd", 0644, passwd, strlen(passwd), "t", &err), &err);
	CHECK_OK(tree_put_file(tree, "etc/group", 0644, group, strlen(group), "t", &err), &err);
	return tree;
}

TEST(defaults)
{
	struct tree *tree;

	run("umask 077 && mkdir -p o/etc o/usr/bin && printf 1 >o/etc/conf && chmod 666 o/etc/conf && "
	    "printf 2 >o/usr/bin/tool && chmod 4751 o/usr/bin/tool && ln -s ../etc o/usr/etc && "
	    "chmod 2770 o/etc && ln o/etc/conf o/etc/again && touch -d @5 o/etc");
	tree = scan(NULL);
	check_mode(tree, "/", 0755, 0, 0);
	check_mode(tree, "etc", 0755, 0, 0);
	check_mode(tree, "etc/conf", 0644, 0, 0);
	check_mode(tree, "usr/bin/tool", 0755, 0, 0);
	check_mode(tree, "usr/etc", 0777, 0, 0);
	CHECK_STR(tree_find(tree, "usr/etc")->inode->target, "../etc");
	CHECK_INT(tree_find(tree, "etc")->inode->mtime, 0);
	/* Links on this machine are chance, not intention. */
	CHECK_INT(tree_find(tree, "etc/conf")->inode->links, 1);
	CHECK_INT(tree_count(tree), 8);
	tree_free(tree);
}

TEST(manifest_rules)
{
	struct tree *tree, *base = image();

	run("mkdir -p o/etc/db o/var && printf 1 >o/etc/db/key && printf 2 >'o/etc/a b' && "
	    "ln -s x o/etc/link && printf 3 >o/etc/plain && printf 4 >o/etc/high");
	manifest("# owners of the database\n\n"
		 "/etc/db        2750 db db\n"
		 "etc/db/key\t0600\tdb   db\n"
		 "  etc/a b 640 root adm  \n"
		 "etc/link - 7 8\n"
		 "etc/high - 4294967294 db\r\n"
		 "var/lib/db/ 0700 dbx db\n"
		 "var/empty/ - root root");
	tree = scan(base);
	check_mode(tree, "etc/db", 02750, 104, 110);
	check_mode(tree, "etc/db/key", 0600, 104, 110);
	check_mode(tree, "etc/a b", 0640, 0, 4);
	check_mode(tree, "etc/link", 0777, 7, 8);
	check_mode(tree, "etc/high", 0644, 4294967294u, 110);
	check_mode(tree, "etc/plain", 0644, 0, 0);
	check_mode(tree, "var/lib/db", 0700, 105, 110);
	check_mode(tree, "var/lib", 0755, 0, 0);
	check_mode(tree, "var/empty", 0755, 0, 0);
	CHECK(!tree_find(tree, ".ingot-manifest"));
	tree_free(tree);
	/* Without an image names cannot be known. */
	tree = scan(NULL);
	check_mode(tree, "etc/db/key", 0600, 0, 0);
	check_mode(tree, "etc/link", 0777, 7, 8);
	tree_free(tree);
	tree_free(base);
}

TEST(folders_of_the_image_keep_what_they_are)
{
	struct tree *base = image(), *tree;
	const struct tree_inode *inode;

	run("mkdir -p o/tmp/sub && printf 1 >o/tmp/x");
	tree = scan(base);
	inode = tree_find(tree, "tmp")->inode;
	check_mode(tree, "tmp", 01777, 3, 4);
	CHECK_INT(inode->mtime, 99);
	CHECK_INT(inode->xattr_count, 1);
	check_mode(tree, "tmp/sub", 0755, 0, 0);
	check_mode(tree, "tmp/x", 0644, 0, 0);
	CHECK_OK(tree_merge(base, tree, &err), &err);
	check_mode(base, "tmp", 01777, 3, 4);
	tree_free(tree);
	/* Unless the manifest says otherwise. */
	manifest("tmp 700 1 1\n");
	tree = scan(base);
	check_mode(tree, "tmp", 0700, 1, 1);
	tree_free(tree);
	manifest("tmp - 1 1\n");
	tree = scan(base);
	check_mode(tree, "tmp", 01777, 1, 1);
	tree_free(tree);
	tree_free(base);
}

TEST(mistakes_are_shown_where_they_are)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"etc",
		 "o/.ingot-manifest:1:1: error: expected 'PATH MODE OWNER GROUP', found too few"},
		{"etc 755 root",
		 ":1:1: error: expected 'PATH MODE OWNER GROUP', found too few words"},
		{"\n# x\n  755 0 0\n",
		 ":3:1: error: expected 'PATH MODE OWNER GROUP', found too few"},
		{"etc 799 0 0",
		 ":1:5: error: expected 'PATH MODE OWNER GROUP', MODE is 3 or 4 octal"},
		{"etc 75 0 0", ":1:5: error: "},
		{"etc 00755 0 0", ":1:5: error: "},
		{"etc u+x 0 0", ":1:5: error: "},
		{"etc 755 nobody 0", ":1:9: error: no user 'nobody' in /etc/passwd of the image"},
		{"etc 755 broken 0", ":1:9: error: no user 'broken' in /etc/passwd of the image"},
		{"etc 755 huge 0", ":1:9: error: no user 'huge' in /etc/passwd of the image"},
		{"etc 755 d 0", ":1:9: error: no user 'd' in /etc/passwd of the image"},
		{"etc 755 0 dbx", ":1:11: error: no group 'dbx' in /etc/group of the image"},
		{"etc 755 4294967295 0", ":1:9: error: the number of an owner is less than"},
		{"etc 755 99999999999999999999999 0", ":1:9: error: the number of an owner"},
		{"gone 755 0 0",
		 ":1:1: error: the overlay has no 'gone'; expected a path in it, or 'gone/'"},
		{"../x 755 0 0", ":1:1: error: expected a path without '.', '..' or '//'"},
		{"./etc 755 0 0", ":1:1: error: expected a path without"},
		{"etc//file 755 0 0", ":1:1: error: expected a path without"},
		{"etc/file/ 755 0 0", ":1:1: error: this is no folder"},
		{"etc/file/x/ 755 0 0", "'/etc/file' is no folder"},
		{"etc 755 0 0\n/etc/ 700 0 0", ":2:1: error: this path has a line already"},
		{"etc/link 755 0 0", ":1:10: error: a symbolic link has no mode; expected '-'"},
	};
	struct tree *base = image();

	run("mkdir -p o/etc && printf 1 >o/etc/file && ln -s x o/etc/link");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tree *tree = tree_new();

		manifest(cases[i].text);
		CHECK_ERR(tree_scan_overlay("o", base, tree, &err), &err, ERR_PROFILE,
			  cases[i].want);
		tree_free(tree);
	}
	run("printf 'etc 755 0 0\\n\\0x' >o/.ingot-manifest");
	CHECK_ERR(tree_scan_overlay("o", base, base, &err), &err, ERR_PROFILE, "NUL bytes");
	tree_free(base);
}

TEST(what_no_overlay_may_hold)
{
	static const struct {
		const char *make, *want;
	} cases[] = {
		{"mkfifo o/p", "cannot use 'o/p': expected a file, a folder or a symbolic link"},
		{"mkdir o/d && mkfifo o/d/p", "cannot use 'o/d/p': expected"},
		{"printf x >\"$(printf 'o/a\\nb')\"", "control characters in its name"},
		{"ln -s \"$(printf 'a\\nb')\" o/l",
		 "cannot use 'o/l': control characters in its target"},
		{"truncate -s 257M o/big",
		 "cannot use 'o/big': files of an overlay are at most 256 MiB"},
		{"mkdir -p o/$(printf 'a/%.0s' $(seq 70))", "folders deep"},
	};

	struct tree *tree = tree_new();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		run("rm -rf o && mkdir o");
		run(cases[i].make);
		CHECK_ERR(tree_scan_overlay("o", NULL, tree, &err), &err, ERR_PROFILE,
			  cases[i].want);
	}
	run("rm -rf o");
	CHECK_ERR(tree_scan_overlay("o", NULL, tree, &err), &err, ERR_OTHER,
		  "cannot read overlay 'o'");
	tree_free(tree);
}

static void digest(struct tree *tree, char hex[DIGEST_HEX_SIZE])
{
	struct digest d;

	CHECK_OK(tree_digest(tree, &d, &err), &err);
	digest_hex(&d, hex);
	tree_free(tree);
}

TEST(digest_sees_every_change)
{
	static const char *const changes[] = {
		"printf 2 >o/f",
		"chmod +x o/f",
		"mv o/f o/g",
		"mkdir o/d",
		"ln -sf y o/l",
		"printf 11 >o/f",
		"printf '' >o/f",
		"rm o/f",
		"rm o/l && printf x >o/l",
		"printf 'f 600 0 0\n' >o/.ingot-manifest",
		"printf 'f - 5 0\n' >o/.ingot-manifest",
		"printf 'f - 0 5\n' >o/.ingot-manifest",
		"printf 'e/ - 0 0\n' >o/.ingot-manifest",
	};
	char first[DIGEST_HEX_SIZE], hex[DIGEST_HEX_SIZE];

	run("mkdir o && printf 1 >o/f && ln -s x o/l && printf 1 >o/n");
	digest(scan(NULL), first);
	/* Neither times nor owners nor the order on disk are a change. */
	run("cp -r o o2 && touch -h -d @7 o2/f o2/l && chmod 600 o2/f && rm -rf o && mv o2 o");
	digest(scan(NULL), hex);
	CHECK_STR(hex, first);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		run("rm -rf o && mkdir o && printf 1 >o/f && ln -s x o/l && printf 1 >o/n");
		run(changes[i]);
		digest(scan(NULL), hex);
		if (strcmp(hex, first) == 0)
			FAIL("the digest did not see: %s", changes[i]);
	}
}

TEST(digest_sees_links_times_and_where_names_end)
{
	char a[DIGEST_HEX_SIZE], b[DIGEST_HEX_SIZE];
	struct tree *one = tree_new(), *two = tree_new();
	struct tree_inode inode = {.type = TREE_FIFO, .mtime = 1};

	CHECK_OK(tree_put_file(one, "a", 0644, "x", 1, "t", &err), &err);
	CHECK_OK(tree_put_file(two, "a", 0644, "x", 1, "t", &err), &err);
	CHECK_OK(tree_put_link(one, "b", "a", &err), &err);
	CHECK_OK(tree_put_file(two, "b", 0644, "x", 1, "t", &err), &err);
	digest(one, a);
	digest(two, b);
	CHECK(strcmp(a, b) != 0);
	one = tree_new();
	two = tree_new();
	CHECK_OK_PTR(tree_put(one, "a", &inode, &err), &err);
	inode.mtime = 2;
	CHECK_OK_PTR(tree_put(two, "a", &inode, &err), &err);
	digest(one, a);
	digest(two, b);
	CHECK(strcmp(a, b) != 0);
	one = tree_new();
	two = tree_new();
	CHECK_OK(tree_put_symlink(one, "a", "bc", "t", &err), &err);
	CHECK_OK(tree_put_symlink(two, "ab", "c", "t", &err), &err);
	digest(one, a);
	digest(two, b);
	CHECK(strcmp(a, b) != 0);
}
