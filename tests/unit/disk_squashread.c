/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The squashfs reader on images of our writer, of mksquashfs and on damaged ones.
 */
#include "tap.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/proc.h"
#include "disk/squashfs.h"
#include "disk/squashread.h"

#define OFFSET 5000 /* where the file system begins in the image */

/* An image in memory. */
struct memory {
	struct image base;
	char *bytes;
};

static int memory_pread(struct image *image, void *bytes, size_t len, uint64_t offset,
			struct err *err)
{
	if (offset > image->size || len > image->size - offset)
		return err_set(err, ERR_VERIFY, "cannot read '%s': truncated", image->name);
	memcpy(bytes, ((struct memory *)image)->bytes + offset, len);
	return 0;
}

/* The file behind OFFSET other bytes. */
static struct memory load(const char *path)
{
	struct memory m = {.base = {.format = "raw", .name = "disk", .pread = memory_pread}};
	CLEANUP_FREE char *content = NULL;
	size_t len;

	content = tap_slurp(path, &len);
	m.base.size = OFFSET + len;
	m.bytes = mem_alloc(OFFSET + len);
	memset(m.bytes, 0x5a, OFFSET);
	memcpy(m.bytes + OFFSET, content, len);
	return m;
}

static struct squashread *open_it(struct memory *m)
{
	struct err err = {0};
	struct squashread *r = squashread_open(&m->base, OFFSET, m->base.size - OFFSET, &err);

	CHECK_OK_PTR(r, &err);
	return r;
}

static void write_tree(const struct tree *tree, const char *compression, const char *path)
{
	static const uint8_t none[16];
	const struct squashfs_options o = {.compression = compression,
					   .level = 1,
					   .block = 8192,
					   .time = 1700000000,
					   .jobs = 2,
					   .salt = none,
					   .salt_len = 16,
					   .uuid = none};
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct squashfs_result result;
	struct err err = {0};

	CHECK_OK(squashfs_write(tree, &o, fd, path, NULL, NULL, &result, &err), &err);
	str_free(&result.hash_area);
}

static void put(struct tree *tree, const char *path, struct tree_inode inode)
{
	struct err err = {0};

	CHECK_OK_PTR(tree_put(tree, path, &inode, &err), &err);
}

static void put_link(struct tree *tree, const char *path, const char *target)
{
	struct err err = {0};

	CHECK_OK(tree_put_symlink(tree, path, target, "test", &err), &err);
}

static char large[50000];
static const char zeros[40000];

static struct tree *make_tree(void)
{
	struct tree *tree = tree_new();
	struct err err = {0};

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (char)(i * i / 37);
	put(tree, "/usr/lib/os-release",
	    (struct tree_inode){.type = TREE_FILE,
				.mode = 0644,
				.uid = 7,
				.gid = 70000,
				.mtime = 1234,
				.data = {.size = 7, .bytes = "ID=test"}});
	put(tree, "/usr/large",
	    (struct tree_inode){.type = TREE_FILE,
				.mode = 04755,
				.data = {.size = sizeof(large), .bytes = large}});
	put(tree, "/usr/sparse",
	    (struct tree_inode){.type = TREE_FILE, .data = {.size = 40000, .bytes = zeros}});
	put(tree, "/empty", (struct tree_inode){.type = TREE_FILE});
	put(tree, "/dev/null", (struct tree_inode){.type = TREE_CHAR, .mode = 0666, .major = 1});
	put(tree, "/dev/fifo", (struct tree_inode){.type = TREE_FIFO, .mode = 0600});
	put(tree, "/dev/disk", (struct tree_inode){.type = TREE_BLOCK, .mode = 0660, .gid = 6});
	put(tree, "/a/b/c/d", (struct tree_inode){.type = TREE_DIR, .mode = 01777, .mtime = 9});
	CHECK_OK(tree_put_link(tree, "/a/large", "/usr/large", &err), &err);
	put_link(tree, "/etc/os-release", "../usr/lib/os-release");
	put_link(tree, "/etc/absolute", "/usr/lib/../lib/./os-release");
	put_link(tree, "/outside", "../../../../usr/lib/os-release");
	put_link(tree, "/lib", "usr/lib");
	put_link(tree, "/loop1", "loop2");
	put_link(tree, "/loop2", "/loop1");
	put_link(tree, "/dangling", "nowhere/else");
	return tree;
}

static void check_file(struct squashread *r, const char *path, const char *want, size_t len)
{
	CLEANUP_FREE char *bytes = NULL;
	struct err err = {0};
	size_t got;

	CHECK_OK(squashread_file(r, path, 1 << 20, &bytes, &got, &err), &err);
	if (!want) {
		CHECK(!bytes);
		return;
	}
	CHECK(bytes);
	CHECK_U64(got, len);
	CHECK_MEM(bytes, want, len);
}

static void read_files(const char *compression)
{
	CLEANUP(tree_cleanup) struct tree *tree = make_tree();
	CLEANUP(squashread_cleanup) struct squashread *r = NULL;
	struct memory m;
	struct squashread_info info;

	write_tree(tree, compression, "image");
	m = load("image");
	r = open_it(&m);
	squashread_get_info(r, &info);
	CHECK_STR(info.compression, compression);
	CHECK_U64(info.block, 8192);
	CHECK_INT(info.time, 1700000000);
	CHECK(info.bytes <= m.base.size - OFFSET && info.bytes > m.base.size - OFFSET - 4096);
	check_file(r, "/usr/lib/os-release", "ID=test", 7);
	check_file(r, "usr/lib/os-release", "ID=test", 7);
	check_file(r, "//usr//lib/./os-release", "ID=test", 7);
	check_file(r, "/etc/os-release", "ID=test", 7);
	check_file(r, "/etc/absolute", "ID=test", 7);
	check_file(r, "/outside", "ID=test", 7);
	check_file(r, "/lib/os-release", "ID=test", 7);
	check_file(r, "/lib/../large", large, sizeof(large));
	check_file(r, "/a/large", large, sizeof(large));
	check_file(r, "/usr/sparse", zeros, 40000);
	check_file(r, "/empty", "", 0);
	check_file(r, "/loop1", NULL, 0);
	check_file(r, "/dangling", NULL, 0);
	check_file(r, "/usr/lib/os-release/x", NULL, 0);
	check_file(r, "/usr/li", NULL, 0);
	check_file(r, "/usr/library", NULL, 0);
	free(m.bytes);
}

TEST(files_zstd)
{
	read_files("zstd");
}

TEST(files_lz4)
{
	read_files("lz4");
}

TEST(files_xz)
{
	read_files("xz");
}

TEST(files_gzip)
{
	read_files("gzip");
}

TEST(files_that_are_refused)
{
	CLEANUP(tree_cleanup) struct tree *tree = make_tree();
	CLEANUP(squashread_cleanup) struct squashread *r = NULL;
	struct memory m;
	struct err err = {0};
	char *bytes, long_path[9000];
	size_t len;

	write_tree(tree, "zstd", "image");
	m = load("image");
	r = open_it(&m);
	CHECK_ERR(squashread_file(r, "/usr/large", 49999, &bytes, &len, &err), &err, ERR_OTHER,
		  "cannot read '/usr/large' in 'disk': it is larger than 49999 bytes");
	CHECK_ERR(squashread_file(r, "/usr", 100, &bytes, &len, &err), &err, ERR_OTHER,
		  "not a regular file");
	CHECK_ERR(squashread_file(r, "/dev/fifo", 100, &bytes, &len, &err), &err, ERR_OTHER,
		  "not a regular file");
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = 0;
	check_file(r, long_path, NULL, 0);
	long_path[300] = 0;
	check_file(r, long_path, NULL, 0);
	free(m.bytes);
}

/* One line for each entry, from the tree and from the file system. */
static void add_line(struct str *to, const char *path, mode_t mode, uint32_t uid, uint32_t gid,
		     int64_t mtime, uint64_t size, uint32_t links, const char *target)
{
	str_addf(to, "%s %o %u %u %lld %llu %u %s\n", path, (unsigned)mode, uid, gid,
		 (long long)mtime, (unsigned long long)size, links, target ? target : "-");
}

static int from_image(const char *path, const struct squashread_stat *st, void *context,
		      struct err *err)
{
	(void)err;
	add_line(context, path, st->mode, st->uid, st->gid, st->mtime, st->size, st->links,
		 st->target);
	return 0;
}

static int from_tree(const struct tree_node *node, const char *path, void *context, struct err *err)
{
	static const mode_t types[] = {
		[TREE_DIR] = S_IFDIR,  [TREE_FILE] = S_IFREG,  [TREE_SYMLINK] = S_IFLNK,
		[TREE_CHAR] = S_IFCHR, [TREE_BLOCK] = S_IFBLK, [TREE_FIFO] = S_IFIFO,
	};
	const struct tree_inode *i = node->inode;
	uint32_t links = i->links;

	(void)err;
	if (i->type == TREE_DIR) {
		links = 2;
		for (size_t k = 0; k < node->child_count; k++)
			links += node->children[k]->inode->type == TREE_DIR;
	}
	add_line(context, path, types[i->type] | i->mode, i->uid, i->gid, i->mtime,
		 i->type == TREE_FILE ? i->data.size : 0, links, i->target);
	return 0;
}

TEST(walk_finds_what_was_written)
{
	CLEANUP(tree_cleanup) struct tree *tree = make_tree();
	CLEANUP(squashread_cleanup) struct squashread *r = NULL;
	CLEANUP(str_free) struct str want = {0};
	CLEANUP(str_free) struct str got = {0};
	struct memory m;
	struct err err = {0};

	write_tree(tree, "zstd", "image");
	m = load("image");
	r = open_it(&m);
	CHECK_OK(tree_walk(tree, from_tree, &want, &err), &err);
	CHECK_OK(squashread_walk(r, from_image, &got, &err), &err);
	CHECK_CONTAINS(want.data, "/a/large 104755 0 0 0 50000 2 -\n");
	CHECK_STR(got.data, want.data);
	free(m.bytes);
}

static int stop_at_usr(const char *path, const struct squashread_stat *st, void *context,
		       struct err *err)
{
	(void)st, (void)context;
	return strcmp(path, "/usr") == 0 ? err_set(err, ERR_LINT, "enough") : 0;
}

TEST(walk_stops_when_told)
{
	CLEANUP(tree_cleanup) struct tree *tree = make_tree();
	CLEANUP(squashread_cleanup) struct squashread *r = NULL;
	struct memory m;
	struct err err = {0};

	write_tree(tree, "zstd", "image");
	m = load("image");
	r = open_it(&m);
	CHECK_ERR(squashread_walk(r, stop_at_usr, NULL, &err), &err, ERR_LINT, "enough");
	free(m.bytes);
}

TEST(find_in_a_large_folder)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	CLEANUP(squashread_cleanup) struct squashread *r = NULL;
	struct squashread_stat st;
	struct memory m;
	struct err err = {0};

	for (uint32_t i = 0; i < 12000; i++) {
		CLEANUP_FREE char *path = mem_printf("/dir/entry-with-a-long-name-%05u", i);

		put(tree, path, (struct tree_inode){.type = TREE_FILE, .uid = i % 1000});
	}
	write_tree(tree, "zstd", "image");
	m = load("image");
	r = open_it(&m);
	for (uint32_t i = 0; i < 12000; i += 37) {
		CLEANUP_FREE char *path = mem_printf("/dir/entry-with-a-long-name-%05u", i);

		CHECK_INT(squashread_find(r, path, &st, &err), 1);
		CHECK_U64(st.uid, i % 1000);
		CHECK_HEX(st.mode, S_IFREG);
	}
	CHECK_INT(squashread_find(r, "/dir/entry-with-a-long-name-12000", &st, &err), 0);
	CHECK_INT(squashread_find(r, "/", &st, &err), 1);
	CHECK_HEX(st.mode, S_IFDIR | 0755);
	CHECK_U64(st.links, 3);
	free(m.bytes);
}

/* Another program's file system, with its own idea of the order of things. */
TEST(image_of_mksquashfs)
{
	static const char *const argv[] = {"mksquashfs",   "in",        "image",     "-comp",
					   "xz",           "-quiet",    "-b",        "64K",
					   "-no-progress", "-noappend", "-all-root", NULL};
	CLEANUP(squashread_cleanup) struct squashread *r = NULL;
	CLEANUP(str_free) struct str output = {0};
	CLEANUP(str_free) struct str got = {0};
	struct memory m;
	struct err err = {0};

	proc_fix_path();
	CHECK(mkdir("in", 0755) == 0 && mkdir("in/etc", 0755) == 0);
	CHECK(chmod("in", 0755) == 0);
	tap_spew("in/etc/issue", "hello\n", 6);
	CHECK(symlink("../etc/issue", "in/etc/link") == 0);
	CHECK(link("in/etc/issue", "in/second") == 0);
	CHECK_OK(proc_run(&(struct proc){.argv = argv, .output = &output}, &err), &err);
	m = load("image");
	r = open_it(&m);
	check_file(r, "/etc/link", "hello\n", 6);
	check_file(r, "/second", "hello\n", 6);
	CHECK_OK(squashread_walk(r, from_image, &got, &err), &err);
	CHECK_CONTAINS(got.data, "/second 100644 0 0 ");
	CHECK_CONTAINS(got.data, " 6 2 -\n");
	free(m.bytes);
}

TEST(what_is_no_squashfs)
{
	CLEANUP(tree_cleanup) struct tree *tree = make_tree();
	struct memory m;
	struct err err = {0};
	uint64_t size;

	write_tree(tree, "zstd", "image");
	m = load("image");
	size = m.base.size - OFFSET;
	CHECK_ERR_PTR(squashread_open(&m.base, 0, size, &err), &err, ERR_VERIFY,
		      "cannot read the squashfs in 'disk': this is no squashfs");
	CHECK_ERR_PTR(squashread_open(&m.base, OFFSET, size - 4096, &err), &err, ERR_VERIFY,
		      "truncated");
	CHECK_ERR_PTR(squashread_open(&m.base, OFFSET, size + 1, &err), &err, ERR_VERIFY,
		      "truncated");
	CHECK_ERR_PTR(squashread_open(&m.base, OFFSET, 50, &err), &err, ERR_VERIFY, "");
	CHECK_ERR_PTR(squashread_open(&m.base, m.base.size + 1, 50, &err), &err, ERR_VERIFY,
		      "truncated");
	memset(m.bytes + OFFSET + 16, 0xff, 4); /* fragments */
	CHECK_ERR_PTR(squashread_open(&m.base, OFFSET, size, &err), &err, ERR_VERIFY,
		      "impossible numbers");
	free(m.bytes);
}

static void use_all(struct memory *m)
{
	struct err err = {0};
	CLEANUP(squashread_cleanup)
	struct squashread *r = squashread_open(&m->base, OFFSET, m->base.size - OFFSET, &err);
	CLEANUP(str_free) struct str list = {0};
	CLEANUP_FREE char *bytes = NULL;
	struct squashread_stat st;
	size_t len;

	if (!r) {
		CHECK(err.code == ERR_VERIFY || err.code == ERR_TOOL);
		return;
	}
	if (squashread_walk(r, from_image, &list, &err) < 0)
		CHECK(err.code == ERR_VERIFY);
	if (squashread_find(r, "/lib/../a/b", &st, &err) < 0)
		CHECK(err.code == ERR_VERIFY);
	if (squashread_file(r, "/usr/large", 1 << 20, &bytes, &len, &err) < 0)
		CHECK(err.code == ERR_VERIFY || err.code == ERR_OTHER);
}

/* Each byte of the superblock and of the metadata is damaged in turn: every answer is an answer, and no
 * sanitizer has anything to say. */
TEST(damage)
{
	CLEANUP(tree_cleanup) struct tree *tree = make_tree();
	struct memory m;
	uint64_t start;

	write_tree(tree, "zstd", "image");
	m = load("image");
	memcpy(&start, m.bytes + OFFSET + 64, 8); /* of the inode table */
	CHECK(start > 96 && start < m.base.size - OFFSET);
	for (uint64_t at = 0; at < m.base.size - OFFSET; at++) {
		if (at == 96)
			at = start;
		for (int bit = 0; bit < 8; bit += 3) {
			m.bytes[OFFSET + at] ^= (char)(1 << bit);
			use_all(&m);
			m.bytes[OFFSET + at] ^= (char)(1 << bit);
		}
		m.bytes[OFFSET + at] ^= (char)0xff;
		use_all(&m);
		m.bytes[OFFSET + at] ^= (char)0xff;
	}
	free(m.bytes);
}
