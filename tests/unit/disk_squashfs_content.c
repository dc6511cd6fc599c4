/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A squashfs that takes its compressed content from an earlier one must have the bytes of one that does
 * not.
 */
#include "squashtree.h"

/* A tree whose files f0, f1, ... are in an archive (fd), with some copies and zeros among them. */
static struct tree *archived_tree(int fd, size_t count)
{
	struct tree *tree = tree_new();
	struct err err = {0};

	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *path = mem_printf("/usr/%zu/f%zu", i % 5, i);
		struct tree_inode inode = {.type = TREE_FILE, .mode = 0644, .mtime = 1000};

		inode.data.fd = fd;
		inode.data.offset = i % 11 ? i * 5000 : 0;
		inode.data.size = (i * 997) % 30000 + 1;
		CHECK_OK_PTR(tree_put(tree, path, &inode, &err), &err);
	}
	return tree;
}

static int make_archive(void)
{
	CLEANUP_FREE char *bytes = noise(1 << 20, 77);

	memset(bytes + 200000, 0, 100000);
	tap_spew("layer", bytes, 1 << 20);
	return open("layer", O_RDONLY | O_CLOEXEC);
}

static struct squashfs_result write_checked(const struct tree *tree,
					    const struct squashfs_options *o, const char *path,
					    bool reused)
{
	struct squashfs_result result = write_to(tree, o, path);

	CHECK_INT(result.reused, reused);
	str_free(&result.hash_area);
	return result;
}

TEST(earlier_content_gives_the_same_bytes)
{
	CLEANUP_FD int archive = make_archive();
	CLEANUP(tree_cleanup) struct tree *tree = archived_tree(archive, 150);
	const struct digest layer = {.bytes = {1, 2, 3}}, other_layer = {.bytes = {4}};
	struct squashfs_options o = options();
	struct squashfs_result first, plain, again;
	struct squashfs_earlier earlier;
	struct digest key, same_key;
	struct err err = {0};

	put_noise(tree, "/etc/config", 5000, 1);
	first = write_checked(tree, &o, "first", false);
	CHECK_U64(first.content.len, 0); /* not asked for */
	o.archives = &layer;
	CHECK_OK(squashfs_content_key(tree, &o, &key, &err), &err);
	first = write_checked(tree, &o, "first", false);
	earlier = (struct squashfs_earlier){.fd = open("first", O_RDONLY | O_CLOEXEC),
					    .content = first.content.data,
					    .content_len = first.content.len};

	/* Other files change and come, one of them with the content of an archived one. */
	put_noise(tree, "/etc/config", 7000, 2);
	put_noise(tree, "/a/first", 70000, 3);
	put(tree, "/zero", "", 0);
	CHECK_OK(squashfs_content_key(tree, &o, &same_key, &err), &err);
	CHECK_MEM(key.bytes, same_key.bytes, DIGEST_SIZE);
	plain = write_checked(tree, &o, "plain", false);
	o.earlier = &earlier;
	o.jobs = 3;
	again = write_checked(tree, &o, "again", true);
	CHECK_MEM(again.digest.bytes, plain.digest.bytes, DIGEST_SIZE);
	CHECK_MEM(again.root_hash.bytes, plain.root_hash.bytes, DIGEST_SIZE);
	CHECK_U64(again.content.len, plain.content.len);
	CHECK_MEM(again.content.data, plain.content.data, plain.content.len);
	str_free(&plain.content);
	str_free(&again.content);

	/* What must not be taken over: other archives, other files in them, other compression. */
	o.archives = &other_layer;
	again = write_checked(tree, &o, "again", false);
	str_free(&again.content);
	o.archives = &layer;
	o.level = 4;
	again = write_checked(tree, &o, "again", false);
	str_free(&again.content);
	o.level = 3;
	tree_remove(tree, "/usr/3/f3");
	CHECK_OK(squashfs_content_key(tree, &o, &same_key, &err), &err);
	CHECK(memcmp(key.bytes, same_key.bytes, DIGEST_SIZE) != 0);
	again = write_checked(tree, &o, "again", false);
	str_free(&again.content);
	close(earlier.fd);
	str_free(&first.content);
}

TEST(earlier_content_that_is_damaged)
{
	CLEANUP_FD int archive = make_archive();
	CLEANUP_FD int empty = open("empty", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	CLEANUP(tree_cleanup) struct tree *tree = archived_tree(archive, 20);
	const struct digest layer = {.bytes = {1, 2, 3}};
	struct squashfs_options o = options();
	struct squashfs_result first, again;
	struct squashfs_earlier earlier;

	o.archives = &layer;
	first = write_checked(tree, &o, "first", false);
	o.earlier = &earlier;
	for (size_t len = 0; len < first.content.len; len += 7) {
		earlier = (struct squashfs_earlier){.fd = open("first", O_RDONLY | O_CLOEXEC),
						    .content = first.content.data,
						    .content_len = len};
		again = write_checked(tree, &o, "again", false);
		CHECK_MEM(again.digest.bytes, first.digest.bytes, DIGEST_SIZE);
		str_free(&again.content);
		close(earlier.fd);
	}
	earlier = (struct squashfs_earlier){empty, first.content.data, first.content.len};
	again = write_checked(tree, &o, "again", false);
	CHECK_MEM(again.digest.bytes, first.digest.bytes, DIGEST_SIZE);
	str_free(&again.content);
	str_free(&first.content);
}
