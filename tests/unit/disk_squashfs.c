/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees written as squashfs and read back by unsquashfs and veritysetup, which are not ours.
 */
#include "squashtree.h"

#include "base/proc.h"

#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* Size of the image; the rest of the result is not wanted. */
static uint64_t write_size(const struct tree *tree, const struct squashfs_options *o,
			   const char *path)
{
	struct squashfs_result result = write_to(tree, o, path);

	str_free(&result.hash_area);
	return result.size;
}

static char *run(const char *const *argv)
{
	struct str output = {0};
	struct err err = {0};

	proc_fix_path();
	CHECK_OK(proc_run(&(struct proc){.argv = argv, .output = &output}, &err), &err);
	return str_steal(&output);
}

static void extract(const char *image, const char *to)
{
	free(run((const char *const[]){"unsquashfs", "-q", "-n", "-d", to, image, NULL}));
}

/* Makes one blank of several: columns are as wide as the version of unsquashfs likes. */
static char *squeeze(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++)
		if (*from != ' ' || from[1] != ' ')
			*to++ = *from;
	*to = 0;
	return text;
}

/* The line of "unsquashfs -lln" that ends in the path, or NULL. Time zone is UTC. */
static char *list_line(const char *image, const char *path)
{
	CLEANUP_FREE char *list =
		run((const char *const[]){"unsquashfs", "-UTC", "-llnumeric", image, NULL});
	CLEANUP_FREE char *end = mem_printf(" squashfs-root%s", path);

	for (char *line = strtok(list, "\n"); line; line = strtok(NULL, "\n")) {
		char *arrow = strstr(line, " -> ");
		size_t len = arrow ? (size_t)(arrow - line) : strlen(line);

		if (len >= strlen(end) && strncmp(line + len - strlen(end), end, strlen(end)) == 0)
			return squeeze(mem_strdup(line));
	}
	return NULL;
}

static void check_line(const char *image, const char *path, const char *want)
{
	CLEANUP_FREE char *line = list_line(image, path);

	CHECK(line);
	CHECK_STR(line, want);
}

static const size_t edges[] = {0, 1, 4095, 4096, 4097, 3 * 4096, 3 * 4096 + 17, 70000};

/* Files of all edge sizes: noise, text that compresses, zeros. */
static struct tree *edge_tree(void)
{
	struct tree *tree = tree_new();

	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		CLEANUP_FREE char *n = mem_printf("/n%zu", edges[i]);
		CLEANUP_FREE char *t = mem_printf("/t%zu", edges[i]);
		CLEANUP_FREE char *z = mem_printf("/z%zu", edges[i]);
		CLEANUP_FREE char *text = mem_alloc(edges[i] + 1);

		for (size_t k = 0; k < edges[i]; k++)
			text[k] = (char)('a' + k * k / 100 % 26);
		put_noise(tree, n, edges[i], (uint32_t)i + 1);
		put(tree, t, text, edges[i]);
		put_noise(tree, z, edges[i], 0);
	}
	return tree;
}

static void check_content(const struct tree *tree, const char *folder)
{
	struct tree_node *root = tree_root(tree);

	for (size_t i = 0; i < root->child_count; i++) {
		const struct tree_node *node = root->children[i];
		CLEANUP_FREE char *path = mem_printf("%s/%s", folder, node->name);

		CHECK_FILE_MEM(path, node->inode->data.bytes, (size_t)node->inode->data.size);
	}
}

static void round_trip(const char *compression, uint32_t level, uint32_t block)
{
	CLEANUP(tree_cleanup) struct tree *tree = edge_tree();
	struct squashfs_options o = options();

	o.compression = compression;
	o.level = level;
	o.block = block;
	write_size(tree, &o, "image");
	extract("image", "out");
	check_content(tree, "out");
}

TEST(zstd)
{
	round_trip("zstd", 1, 4096);
}

TEST(zstd_22_block_1M)
{
	round_trip("zstd", 22, 1 << 20);
}

TEST(lz4)
{
	round_trip("lz4", 1, 4096);
}

TEST(xz)
{
	round_trip("xz", 0, 4096);
}

TEST(xz_9_block_128K)
{
	round_trip("xz", 9, 131072);
}

TEST(gzip)
{
	round_trip("gzip", 9, 8192);
}

/* Content that is not in memory but in the middle of a file. */
TEST(content_from_a_file)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	CLEANUP_FREE char *bytes = noise(3 << 20, 5);
	const struct squashfs_options o = options();
	struct tree_inode inode = {.type = TREE_FILE, .mode = 0600};
	struct err err = {0};

	tap_spew("layer", bytes, 3 << 20);
	inode.data.fd = open("layer", O_RDONLY | O_CLOEXEC);
	inode.data.offset = 1000;
	inode.data.size = (3 << 20) - 1500;
	CHECK_OK_PTR(tree_put(tree, "/dir/big", &inode, &err), &err);
	write_size(tree, &o, "image");
	extract("image", "out");
	CHECK_FILE_MEM("out/dir/big", bytes + 1000, (3 << 20) - 1500);
	close(inode.data.fd);
}

TEST(content_that_ends_early)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	CLEANUP_FD int fd = open("image", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	const struct squashfs_options o = options();
	struct tree_inode inode = {.type = TREE_FILE, .mode = 0600};
	struct squashfs_result result;
	struct err err = {0};

	tap_spew("layer", "0123456789", 10);
	inode.data = (struct tree_data){.size = 8, .fd = open("layer", O_RDONLY | O_CLOEXEC)};
	inode.data.offset = 3;
	CHECK_OK_PTR(tree_put(tree, "/usr/short", &inode, &err), &err);
	CHECK_ERR(squashfs_write(tree, &o, fd, "image", NULL, NULL, &result, &err), &err,
		  ERR_VERIFY, "/usr/short");
	close(inode.data.fd);
}

static void put_special(struct tree *tree, const char *path, struct tree_inode inode)
{
	struct err err = {0};

	CHECK_OK_PTR(tree_put(tree, path, &inode, &err), &err);
}

/* As a user cannot make devices or owners, the list of another program must do. */
TEST(metadata)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	const struct squashfs_options o = options();

	put_special(tree, "/dev/null",
		    (struct tree_inode){
			    .type = TREE_CHAR, .mode = 0666, .major = 1, .minor = 3, .mtime = 1});
	put_special(tree, "/dev/sda",
		    (struct tree_inode){.type = TREE_BLOCK,
					.mode = 0660,
					.gid = 6,
					.major = 259,
					.minor = 5,
					.mtime = 86400});
	put_special(tree, "/fifo", (struct tree_inode){.type = TREE_FIFO, .mode = 0600});
	put_special(
		tree, "/link",
		(struct tree_inode){
			.type = TREE_SYMLINK, .mode = 0777, .uid = 5, .target = "../some/where"});
	put_special(tree, "/su",
		    (struct tree_inode){.type = TREE_FILE,
					.mode = 04755,
					.uid = 70000,
					.gid = 4000000000u,
					.mtime = 1234567890,
					.data = {.size = 3, .bytes = "abc"}});
	put_special(tree, "/tmp", (struct tree_inode){.type = TREE_DIR, .mode = 01777});
	put_special(tree, "/old", (struct tree_inode){.type = TREE_DIR, .mode = 0700, .mtime = -5});
	put_special(tree, "/new",
		    (struct tree_inode){.type = TREE_DIR, .mode = 0700, .mtime = 1ll << 40});
	write_size(tree, &o, "image");
	check_line("image", "/dev/null",
		   "crw-rw-rw- 0/0 1, 3 1970-01-01 00:00 squashfs-root/dev/null");
	check_line("image", "/dev/sda",
		   "brw-rw---- 0/6 259, 5 1970-01-02 00:00 squashfs-root/dev/sda");
	check_line("image", "/fifo", "prw------- 0/0 0 1970-01-01 00:00 squashfs-root/fifo");
	check_line("image", "/link",
		   "lrwxrwxrwx 5/0 13 1970-01-01 00:00 squashfs-root/link -> "
		   "../some/where");
	check_line("image", "/su",
		   "-rwsr-xr-x 70000/4000000000 3 2009-02-13 23:31 squashfs-root/su");
	check_line("image", "/tmp", "drwxrwxrwt 0/0 3 1970-01-01 00:00 squashfs-root/tmp");
	check_line("image", "/old", "drwx------ 0/0 3 1970-01-01 00:00 squashfs-root/old");
	check_line("image", "/new", "drwx------ 0/0 3 2106-02-07 06:28 squashfs-root/new");
}

/* What only root may extract: owners and devices as the kernel shows them. */
TEST(metadata_extracted)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	const struct squashfs_options o = options();
	struct stat st;

	if (geteuid() != 0)
		SKIP("needs root; the test 'metadata' checks the same by a list");
	put_special(tree, "/dev/x",
		    (struct tree_inode){.type = TREE_CHAR,
					.mode = 0620,
					.uid = 3,
					.major = 300,
					.minor = 77777,
					.mtime = 99});
	put_special(tree, "/f",
		    (struct tree_inode){.type = TREE_FILE,
					.mode = 06711,
					.uid = 1234567,
					.gid = 7654321,
					.mtime = 1000});
	write_size(tree, &o, "image");
	extract("image", "out");
	CHECK(stat("out/dev/x", &st) == 0);
	CHECK_HEX(st.st_mode, S_IFCHR | 0620);
	CHECK_U64(major(st.st_rdev), 300);
	CHECK_U64(minor(st.st_rdev), 77777);
	CHECK_INT(st.st_mtime, 99);
	CHECK(stat("out/f", &st) == 0);
	CHECK_HEX(st.st_mode, S_IFREG | 06711);
	CHECK_U64(st.st_uid, 1234567);
	CHECK_U64(st.st_gid, 7654321);
	CHECK_INT(st.st_size, 0);
}

TEST(hard_links)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	const struct squashfs_options o = options();
	struct squashfs_result result;
	struct err err = {0};
	struct stat a, b, c;

	put_noise(tree, "/b/one", 9000, 3);
	CHECK_OK(tree_put_link(tree, "/a/two", "/b/one", &err), &err);
	CHECK_OK(tree_put_link(tree, "/three", "/b/one", &err), &err);
	put_noise(tree, "/single", 9000, 4);
	result = write_to(tree, &o, "image");
	CHECK_U64(result.inodes, 5); /* three folders, two files */
	str_free(&result.hash_area);
	extract("image", "out");
	CHECK(stat("out/b/one", &a) == 0 && stat("out/a/two", &b) == 0 &&
	      stat("out/three", &c) == 0);
	CHECK(a.st_ino == b.st_ino && b.st_ino == c.st_ino);
	CHECK_INT(a.st_nlink, 3);
	CHECK(stat("out/single", &a) == 0);
	CHECK_INT(a.st_nlink, 1);
}

TEST(superblock)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	struct squashfs_options o = options();
	struct err err = {0};

	CHECK_OK(tree_put_dir(tree, "/a/b", 0755, "test", &err), &err);
	CHECK_OK(tree_put_dir(tree, "/a/c", 0755, "test", &err), &err);
	put(tree, "/a/file", "x", 1);
	write_size(tree, &o, "image");
	CLEANUP_FREE char *dump = run((const char *const[]){"unsquashfs", "-s", "image", NULL});
	CHECK_CONTAINS(dump, "Number of inodes 5\n");
	CHECK_CONTAINS(dump, "Compression zstd\n");
	CHECK_CONTAINS(dump, "Block size 4096\n");
	CHECK_CONTAINS(dump, "Filesystem is not exportable");
	CHECK_CONTAINS(dump, "Duplicates are removed");
}

TEST(attributes)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	CLEANUP_FREE char *large = noise(3000, 9);
	struct tree_xattr xattrs[] = {
		{"user.large", large, 3000},
		{"user.none", "", 0},
		{"system.posix_acl_access", "\2\0\0\0", 4}, /* left out */
		{"security.capability", "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20},
	};
	const size_t count = geteuid() == 0 ? 4 : 3; /* a user may not set capabilities */
	const struct squashfs_options o = options();
	char value[4000];

	for (int i = 0; i < 2; i++)
		put_special(tree, i ? "/b" : "/a",
			    (struct tree_inode){.type = TREE_FILE,
						.mode = 0644,
						.uid = getuid(),
						.gid = getgid(),
						.xattrs = xattrs,
						.xattr_count = count});
	put_special(tree, "/d",
		    (struct tree_inode){.type = TREE_DIR,
					.mode = 0755,
					.uid = getuid(),
					.gid = getgid(),
					.xattrs = xattrs + 1,
					.xattr_count = 1});
	write_size(tree, &o, "image");
	extract("image", "out");
	CHECK_INT(lgetxattr("out/a", "user.large", value, sizeof(value)), 3000);
	CHECK_MEM(value, large, 3000);
	CHECK_INT(lgetxattr("out/b", "user.none", value, sizeof(value)), 0);
	CHECK_INT(lgetxattr("out/d", "user.none", value, sizeof(value)), 0);
	CHECK(lgetxattr("out/d", "user.large", value, sizeof(value)) < 0);
	CHECK(lgetxattr("out/a", "system.posix_acl_access", value, sizeof(value)) < 0);
	if (count == 4) {
		CHECK_INT(lgetxattr("out/b", "security.capability", value, sizeof(value)), 20);
		CHECK_MEM(value, xattrs[3].value, 20);
	}
}

TEST(what_is_twice_is_stored_once)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	const struct squashfs_options o = options();
	uint64_t once, twice;

	put_noise(tree, "/a", 100000, 1);
	put_noise(tree, "/b", 100001, 2);
	put_noise(tree, "/c", 3000, 3);
	once = write_size(tree, &o, "once");
	for (int i = 0; i < 20; i++) {
		CLEANUP_FREE char *a = mem_printf("/more/a%d", i);
		CLEANUP_FREE char *b = mem_printf("/more/b%d", i);
		CLEANUP_FREE char *c = mem_printf("/more/c%d", i);

		put_noise(tree, a, 100000, 1);
		put_noise(tree, b, 100001, 2);
		put_noise(tree, c, 3000, 3);
	}
	twice = write_size(tree, &o, "twice");
	CHECK(twice >= once && twice - once <= 8192); /* metadata only */
	extract("twice", "out");
	for (int i = 0; i < 20; i++) {
		CLEANUP_FREE char *a = mem_printf("out/more/a%d", i);
		CLEANUP_FREE char *c = mem_printf("out/more/c%d", i);

		CHECK_FILE_MEM(a, tree_find(tree, "/a")->inode->data.bytes, 100000);
		CHECK_FILE_MEM(c, tree_find(tree, "/c")->inode->data.bytes, 3000);
	}
}

/* A fragment block that is full to the last byte and does not compress must still be found when one of
 * its parts comes again much later. */
TEST(full_fragment_block_is_read_back)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	const struct squashfs_options o = options();

	put_noise(tree, "/a1", 2048, 1);
	put_noise(tree, "/a2", 2048, 2);
	for (uint32_t i = 0; i < 300; i++) {
		CLEANUP_FREE char *path = mem_printf("/b%u", i);

		put_noise(tree, path, 1500 + i, 10 + i);
	}
	put_noise(tree, "/c1", 2048, 1);
	put_noise(tree, "/c2", 2048, 2);
	write_size(tree, &o, "image");
	extract("image", "out");
	check_content(tree, "out");
}

TEST(zeros_take_no_space)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	struct squashfs_options o = options();
	struct stat st;

	o.block = 131072;
	put_noise(tree, "/zeros", 40 << 20, 0);
	CHECK(write_size(tree, &o, "image") <= 8192);
	extract("image", "out");
	CHECK(stat("out/zeros", &st) == 0);
	CHECK_INT(st.st_size, 40 << 20);
}

TEST(many_entries)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	struct squashfs_options o = options();
	size_t lines = 0;

	for (int i = 0; i < 12000; i++) {
		CLEANUP_FREE char *path =
			mem_printf("/dir/an-entry-with-a-rather-long-name-%05d", i);

		put(tree, path, path, i % 3 ? 0 : strlen(path));
	}
	write_size(tree, &o, "image");
	CLEANUP_FREE char *list = run((const char *const[]){"unsquashfs", "-l", "image", NULL});
	for (const char *p = list; *p; p++)
		lines += *p == '\n';
	CHECK_U64(lines, 12000 + 2);
	CLEANUP_FREE char *last = run((const char *const[]){
		"unsquashfs", "-cat", "image", "dir/an-entry-with-a-rather-long-name-11997", NULL});
	CHECK_STR(last, "/dir/an-entry-with-a-rather-long-name-11997");
}

/* Enough of everything that threads have something to mix up. */
static struct tree *mixed_tree(void)
{
	struct tree *tree = edge_tree();

	for (uint32_t i = 0; i < 400; i++) {
		CLEANUP_FREE char *path = mem_printf("/%u/%u/file%u", i % 7, i % 3, i);

		put_noise(tree, path, (i * 7919u) % 40000, i % 90 + 1);
	}
	return tree;
}

TEST(jobs_do_not_show)
{
	CLEANUP(tree_cleanup) struct tree *tree = mixed_tree();
	struct squashfs_options o = options();
	struct digest first = {0};
	static const unsigned jobs[] = {1, 4, 2, 13, 1};

	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		struct squashfs_result result;

		o.jobs = jobs[i];
		result = write_to(tree, &o, "image");
		if (i == 0)
			first = result.root_hash;
		CHECK_MEM(result.root_hash.bytes, first.bytes, DIGEST_SIZE);
		str_free(&result.hash_area);
	}
}

TEST(hash_tree)
{
	CLEANUP(tree_cleanup) struct tree *tree = mixed_tree();
	const struct squashfs_options o = options();
	struct squashfs_result result = write_to(tree, &o, "image");
	char hex[DIGEST_HEX_SIZE];
	struct stat st;

	CHECK(stat("image", &st) == 0);
	CHECK_U64(st.st_size, result.size);
	CHECK_U64(result.size % 4096, 0);
	CHECK_U64(result.data_blocks, result.size / 4096);
	tap_spew("hashes", result.hash_area.data, result.hash_area.len);
	free(run((const char *const[]){"veritysetup", "verify", "image", "hashes",
				       digest_hex(&result.root_hash, hex), NULL}));
	str_free(&result.hash_area);
}

static void check_refused(const struct tree *tree, const struct squashfs_options *o, int code,
			  const char *part)
{
	CLEANUP_FD int fd = open("refused", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct squashfs_result result;
	struct err err = {0};

	CHECK_ERR(squashfs_write(tree, o, fd, "refused", NULL, NULL, &result, &err), &err, code,
		  part);
}

TEST(options_out_of_range)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	struct squashfs_options o = options();

	o.level = 23;
	check_refused(tree, &o, ERR_PROFILE, "zstd has levels 1 to 22, not 23");
	o = options();
	o.compression = "lzo";
	check_refused(tree, &o, ERR_PROFILE, "no compression 'lzo'");
	o = options();
	o.compression = "gzip";
	o.level = 0;
	check_refused(tree, &o, ERR_PROFILE, "gzip has levels 1 to 9, not 0");
	o = options();
	o.block = 5000;
	check_refused(tree, &o, ERR_PROFILE, "not 5000 bytes");
	o.block = 2 << 20;
	check_refused(tree, &o, ERR_PROFILE, "not 2097152 bytes");
	o = options();
	o.jobs = 0;
	check_refused(tree, &o, ERR_PROFILE, "0 jobs");
}

TEST(what_the_format_cannot_hold)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	const struct squashfs_options o = options();
	struct tree_xattr odd = {"btrfs.compression", "zstd", 4};
	char target[4097];

	put_special(tree, "/etc/odd",
		    (struct tree_inode){.type = TREE_FILE, .xattrs = &odd, .xattr_count = 1});
	check_refused(tree, &o, ERR_PROFILE, "cannot put '/etc/odd' into a squashfs");
	tree_remove(tree, "/etc");
	memset(target, 'x', sizeof(target) - 1);
	target[4096] = 0;
	put_special(tree, "/long", (struct tree_inode){.type = TREE_SYMLINK, .target = target});
	check_refused(tree, &o, ERR_PROFILE, "cannot put '/long'");
	tree_remove(tree, "/long");
	put_special(tree, "/device", (struct tree_inode){.type = TREE_CHAR, .major = 5000});
	check_refused(tree, &o, ERR_PROFILE, "device number");
}

TEST(full_disk)
{
	CLEANUP(tree_cleanup) struct tree *tree = mixed_tree();
	CLEANUP_FD int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	const struct squashfs_options o = options();
	struct squashfs_result result;
	struct err err = {0};

	CHECK(fd >= 0);
	CHECK_ERR(squashfs_write(tree, &o, fd, "root.squashfs", NULL, NULL, &result, &err), &err,
		  ERR_SPACE, "'root.squashfs'");
}

/* The disk is full somewhere in the middle: while threads compress, and while metadata are written. */
TEST(full_disk_later)
{
	CLEANUP(tree_cleanup) struct tree *tree = mixed_tree();
	struct squashfs_options o = options();
	uint64_t size = write_size(tree, &o, "whole");

	signal(SIGXFSZ, SIG_IGN);
	for (uint64_t limit = 100; limit < size; limit += size / 13) {
		struct rlimit r = {limit, RLIM_INFINITY};

		CHECK(setrlimit(RLIMIT_FSIZE, &r) == 0);
		o.jobs = limit % 2 ? 1 : 4;
		check_refused(tree, &o, ERR_OTHER, "'refused': File too large");
	}
}

static void note_progress(uint64_t done, uint64_t total, void *context)
{
	uint64_t *last = context;

	CHECK(done > *last && done <= total);
	*last = done;
}

TEST(progress_reaches_the_end)
{
	CLEANUP(tree_cleanup) struct tree *tree = mixed_tree();
	CLEANUP_FD int fd = open("image", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	const struct squashfs_options o = options();
	struct squashfs_result result;
	struct err err = {0};
	uint64_t last = 0, want = 0;

	for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
		want += 3 * edges[i];
	for (uint32_t i = 0; i < 400; i++)
		want += (i * 7919u) % 40000;
	CHECK_OK(squashfs_write(tree, &o, fd, "image", note_progress, &last, &result, &err), &err);
	CHECK_U64(last, want);
	str_free(&result.hash_area);
}

TEST(version_names_the_libraries)
{
	const char *version = squashfs_version();
	const char *id = strstr(version, "libsquashfs.so.1:");

	CHECK(id);
	CHECK(strspn(id + strlen("libsquashfs.so.1:"), "0123456789abcdef") == 16);
	CHECK_CONTAINS(version, "libzstd.so");
	CHECK_STR(squashfs_version(), version);
}
