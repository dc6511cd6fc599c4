/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed content of archives that is taken over from earlier file systems, archive by archive: the bytes must
 * be those of a squashfs that takes nothing over, and what is kept must not be trusted blindly.
 */
#include "squashtree.h"

#include "base/proc.h"

#define ARCHIVES 5
#define ARCHIVE_SIZE ((size_t)400000)

/* A store in memory and in files of the test's folder. */
struct kept {
	struct squashfs_segment items[64];
	size_t count, found, discarded;
	bool deaf;    /* finds nothing */
	bool staying; /* discards nothing */
};

static bool find(void *context, struct squashfs_segment *segment)
{
	struct kept *kept = context;

	for (size_t i = 0; i < kept->count && !kept->deaf; i++) {
		const struct squashfs_segment *item = &kept->items[i];

		if (memcmp(item->key.bytes, segment->key.bytes, DIGEST_SIZE) != 0)
			continue;
		kept->found++;
		segment->fd = dup(item->fd);
		segment->offset = item->offset;
		segment->length = item->length;
		str_add_bytes(&segment->record, item->record.data, item->record.len);
		return true;
	}
	return false;
}

/* Keeps the segments of one call in one file, as they are in the file system. */
static void keep(void *context, const struct squashfs_segment *segments, size_t count,
		 uint64_t size)
{
	CLEANUP_FREE char *name = mem_printf("kept%zu", ((struct kept *)context)->count);
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct kept *kept = context;
	struct err err = {0};

	CHECK_OK(fd_copy(segments[0].fd, 0, fd, 0, size, name, &err), &err);
	for (size_t i = 0; i < count; i++) {
		struct squashfs_segment *item = &kept->items[kept->count++];

		CHECK(kept->count <= ARRAY_SIZE(kept->items));
		CHECK(segments[i].offset % 4096 == 0 && segments[i].length % 4096 == 0);
		*item = segments[i];
		item->fd = dup(fd);
		item->record = (struct str){0};
		str_add_bytes(&item->record, segments[i].record.data, segments[i].record.len);
	}
	close(fd);
}

/* Drops all but the first ones. */
static void forget(struct kept *kept, size_t count)
{
	for (; kept->count > count; kept->count--) {
		close(kept->items[kept->count - 1].fd);
		str_free(&kept->items[kept->count - 1].record);
	}
}

static void discard(void *context, const struct digest *key)
{
	struct kept *kept = context;

	kept->discarded++;
	for (size_t i = 0; i < kept->count && !kept->staying; i++)
		if (memcmp(kept->items[i].key.bytes, key->bytes, DIGEST_SIZE) == 0)
			kept->items[i].key = (struct digest){{0}};
}

/* Archives with noise, text and zeros, and a tree with files of all of them. */
struct fixture {
	char *bytes[ARCHIVES];
	struct squashfs_archive archives[ARCHIVES];
	struct tree *tree;
	struct kept kept;
	struct squashfs_store store;
	struct squashfs_options options;
};

/* Files of 1 to 30000 bytes; some overlap, are twice or have no bytes at all. */
static void put_archive(struct tree *tree, const char *folder, int fd, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *path = mem_printf("%s/%zu/f%zu", folder, i % 5, i);
		struct tree_inode inode = {.type = TREE_FILE, .mode = 0644, .mtime = 1000};
		struct err err = {0};

		inode.data.fd = fd;
		inode.data.offset = i % 11 ? i * 5000 : 0;
		inode.data.size = i % 13 ? (i * 997) % 30000 + 1 : 0;
		CHECK_OK_PTR(tree_put(tree, path, &inode, &err), &err);
		if (i % 17 == 3) {
			CLEANUP_FREE char *link = mem_printf("%s/link%zu", folder, i);

			CHECK_OK(tree_put_link(tree, link, path, &err), &err);
		}
	}
}

/* The last archive has no file in the tree. */
static void setup(struct fixture *f)
{
	*f = (struct fixture){.tree = tree_new(), .options = options()};
	for (size_t i = 0; i < ARCHIVES; i++) {
		CLEANUP_FREE char *name = mem_printf("archive%zu", i);
		CLEANUP_FREE char *folder = mem_printf("/layers/%zu", i);

		f->bytes[i] = noise(ARCHIVE_SIZE, 70 + (uint32_t)i / 2); /* some are alike */
		memset(f->bytes[i] + 150000, 0, 50000);
		memset(f->bytes[i] + 250000, 'a' + (int)i, 90000);
		tap_spew(name, f->bytes[i], ARCHIVE_SIZE);
		f->archives[i].fd = open(name, O_RDONLY | O_CLOEXEC);
		f->archives[i].digest.bytes[0] = (uint8_t)i;
		if (i + 1 < ARCHIVES)
			put_archive(f->tree, i ? folder : "/usr", f->archives[i].fd, 70 - i);
	}
	put_noise(f->tree, "/etc/config", 5000, 1);
	f->store = (struct squashfs_store){find, keep, discard, &f->kept};
	f->options.archives = f->archives;
	f->options.archive_count = ARCHIVES;
}

static void finish(struct fixture *f)
{
	for (size_t i = 0; i < ARCHIVES; i++) {
		close(f->archives[i].fd);
		free(f->bytes[i]);
	}
	forget(&f->kept, 0);
	tree_free(f->tree);
}

/* Writes it with the store, which must give this many segments, and without: the bytes must be the same. */
static void check_write(struct fixture *f, size_t segments, size_t reused)
{
	struct squashfs_options plain = f->options, with = f->options;
	struct squashfs_result a, b;

	with.store = &f->store;
	with.jobs = 3;
	a = write_to(f->tree, &with, "with");
	b = write_to(f->tree, &plain, "plain");
	CHECK_U64(a.segments, segments);
	CHECK_U64(a.reused, reused);
	CHECK_U64(b.segments, segments);
	CHECK_U64(b.reused, 0);
	CHECK_U64(a.size, b.size);
	CHECK_MEM(a.root_hash.bytes, b.root_hash.bytes, DIGEST_SIZE);
	str_free(&a.hash_area);
	str_free(&b.hash_area);
}

TEST(each_archive_by_itself)
{
	struct fixture f;

	setup(&f);
	check_write(&f, 4, 0);
	CHECK_U64(f.kept.count, 4);
	check_write(&f, 4, 4);
	for (size_t i = 0; i < 4; i++) {
		struct digest *key = &f.kept.items[i].key;

		key->bytes[0] ^= 1;
		check_write(&f, 4, 3);
		CHECK_U64(f.kept.count, 5 + i);
		key->bytes[0] ^= 1;
		f.kept.items[4 + i].key = (struct digest){{0}};
	}
	CHECK_U64(f.kept.discarded, 0);
	finish(&f);
}

TEST(other_files_do_not_matter)
{
	struct fixture f;
	struct err err = {0};

	setup(&f);
	check_write(&f, 4, 0);
	put_noise(f.tree, "/etc/config", 7000, 2);
	put_noise(f.tree, "/a/first", 70000, 3);
	put(f.tree, "/zero", "", 0);
	put(f.tree, "/usr/0/copy", f.bytes[0] + 5000, 20000);
	check_write(&f, 4, 4);
	/* Names are no content. */
	CHECK_OK(tree_move(f.tree, "/layers/2", "/elsewhere", &err), &err);
	CHECK_OK(tree_put_link(f.tree, "/usr/more", "/usr/1/f1", &err), &err);
	check_write(&f, 4, 4);
	finish(&f);
}

TEST(archives_come_go_and_move)
{
	struct squashfs_archive first;
	struct fixture f;

	setup(&f);
	f.options.archive_count = 3;
	tree_remove(f.tree, "/layers/3");
	check_write(&f, 3, 0);
	/* One more at the end, one more in the middle, one less at the start, another order. */
	put_archive(f.tree, "/layers/3", f.archives[3].fd, 67);
	f.options.archive_count = 4;
	check_write(&f, 4, 3);
	put_archive(f.tree, "/layers/new", f.archives[4].fd, 20);
	first = f.archives[1];
	f.archives[1] = f.archives[4];
	f.archives[4] = first;
	f.options.archive_count = 5;
	check_write(&f, 5, 4);
	tree_remove(f.tree, "/usr");
	check_write(&f, 4, 4);
	first = f.archives[0];
	f.archives[0] = f.archives[2];
	f.archives[2] = first;
	check_write(&f, 4, 4);
	first = f.archives[1];
	f.archives[1] = f.archives[3];
	f.archives[3] = first;
	check_write(&f, 4, 4);
	finish(&f);
}

TEST(what_a_segment_depends_on)
{
	struct fixture f;

	setup(&f);
	check_write(&f, 4, 0);
	tree_remove(f.tree, "/usr/3/f3"); /* has another name */
	check_write(&f, 4, 4);
	tree_remove(f.tree, "/usr/3/f8");
	check_write(&f, 4, 3);
	put(f.tree, "/layers/1/4/f9", "overridden", 10);
	check_write(&f, 4, 3);
	check_write(&f, 4, 4);
	f.archives[2].digest.bytes[5] = 1;
	check_write(&f, 4, 3);
	f.options.level = 4;
	check_write(&f, 4, 0);
	f.options.block = 8192;
	check_write(&f, 4, 0);
	f.options.compression = "gzip";
	check_write(&f, 4, 0);
	finish(&f);
}

TEST(jobs_do_not_show)
{
	static const unsigned jobs[] = {4, 2, 13};
	struct squashfs_result first, again;
	struct fixture f;

	setup(&f);
	f.options.jobs = 1;
	first = write_to(f.tree, &f.options, "first");
	f.options.store = &f.store;
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		f.options.jobs = jobs[i];
		f.kept.deaf = i == 1;
		again = write_to(f.tree, &f.options, "again");
		CHECK_U64(again.reused, i == 2 ? 4 : 0);
		CHECK_MEM(again.root_hash.bytes, first.root_hash.bytes, DIGEST_SIZE);
		str_free(&again.hash_area);
	}
	str_free(&first.hash_area);
	finish(&f);
}

/* Content by the eyes of unsquashfs. */
static void check_files(const struct fixture *f, const char *folder, size_t archive, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *path = mem_printf("out%s/%zu/f%zu", folder, i % 5, i);

		CHECK_FILE_MEM(path, f->bytes[archive] + (i % 11 ? i * 5000 : 0),
			       i % 13 ? (i * 997) % 30000 + 1 : 0);
	}
}

TEST(others_read_what_was_taken_over)
{
	static const char *const argv[] = {"unsquashfs", "-q", "-n", "-d", "out", "with", NULL};
	struct squashfs_archive first;
	struct fixture f;
	struct err err = {0};

	setup(&f);
	check_write(&f, 4, 0);
	put_noise(f.tree, "/a/first", 70000, 3);
	put_archive(f.tree, "/layers/new", f.archives[4].fd, 40);
	first = f.archives[0];
	memmove(f.archives, f.archives + 1, 4 * sizeof(first));
	f.archives[4] = first;
	check_write(&f, 5, 4);
	proc_fix_path();
	CHECK_OK(proc_run(&(struct proc){.argv = argv}, &err), &err);
	check_files(&f, "/usr", 0, 70);
	check_files(&f, "/layers/1", 1, 69);
	check_files(&f, "/layers/2", 2, 68);
	check_files(&f, "/layers/3", 3, 67);
	check_files(&f, "/layers/new", 4, 40);
	CHECK_FILE_MEM("out/layers/1/link20", f.bytes[1] + 20 * 5000, 20 * 997 + 1);
	finish(&f);
}

TEST(holes_and_nothing)
{
	struct fixture f;
	struct tree_inode inode = {.type = TREE_FILE, .mode = 0644};
	struct err err = {0};

	/* An archive of which only zeros and a file without bytes are there has a segment without bytes. */
	setup(&f);
	tree_clear(f.tree, "/layers/1");
	inode.data = (struct tree_data){.fd = f.archives[1].fd, .offset = 150000, .size = 40000};
	CHECK_OK_PTR(tree_put(f.tree, "/layers/1/zeros", &inode, &err), &err);
	inode.data.size = 0;
	CHECK_OK_PTR(tree_put(f.tree, "/layers/1/empty", &inode, &err), &err);
	check_write(&f, 4, 0);
	CHECK_U64(f.kept.items[1].length, 0);
	check_write(&f, 4, 4);
	f.options.archive_count = 0;
	check_write(&f, 0, 0);
	finish(&f);
}

TEST(an_archive_twice)
{
	CLEANUP_FD int fd = open("image", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	struct squashfs_result result;
	struct fixture f;
	struct err err = {0};

	setup(&f);
	f.archives[3].fd = f.archives[0].fd;
	CHECK_ERR(squashfs_write(f.tree, &f.options, fd, "image", NULL, NULL, &result, &err), &err,
		  ERR_OTHER, "twice");
	finish(&f);
}

/* Writes with what is kept now and returns what was reused; the bytes must be right. */
static size_t write_again(struct fixture *f, const struct digest *want)
{
	struct squashfs_options with = f->options;
	struct squashfs_result result;

	with.store = &f->store;
	result = write_to(f->tree, &with, "again");
	CHECK_MEM(result.root_hash.bytes, want->bytes, DIGEST_SIZE);
	str_free(&result.hash_area);
	return result.reused;
}

/* A small one, for trying many damages. */
static struct digest setup_small(struct fixture *f)
{
	struct squashfs_result result;

	setup(f);
	tree_clear(f->tree, "/layers");
	tree_clear(f->tree, "/usr");
	put_archive(f->tree, "/usr", f->archives[0].fd, 15);
	put_archive(f->tree, "/layers", f->archives[1].fd, 6);
	f->options.store = &f->store;
	result = write_to(f->tree, &f->options, "first");
	CHECK_U64(f->kept.count, 2);
	str_free(&result.hash_area);
	return result.root_hash;
}

TEST(records_that_are_damaged)
{
	struct fixture f;
	struct digest want = setup_small(&f);
	struct squashfs_segment *item = &f.kept.items[0];
	size_t len = item->record.len;

	CHECK_U64(write_again(&f, &want), 2);
	f.kept.staying = true;
	for (size_t i = 0; i < len; i += 3) {
		item->record.data[i] ^= 1;
		CHECK_U64(write_again(&f, &want), 1);
		CHECK_U64(f.kept.count, 3); /* made again, and offered */
		item->record.data[i] ^= 1;
		forget(&f.kept, 2);
	}
	for (size_t cut = 0; cut < len; cut += 7) {
		item->record.len = cut;
		CHECK_U64(write_again(&f, &want), 1);
		forget(&f.kept, 2);
	}
	CHECK(f.kept.discarded >= len / 3);
	/* What is thrown away makes room for a good one. */
	f.kept.staying = false;
	CHECK_U64(write_again(&f, &want), 1);
	CHECK_U64(write_again(&f, &want), 2);
	item->record.len = len;
	finish(&f);
}

/* Numbers out of range behind a digest that fits: what comes out may be anything, but nothing may break. */
TEST(records_that_lie)
{
	struct fixture f;
	struct squashfs_segment *item = &f.kept.items[0];
	CLEANUP_FREE uint8_t *first = NULL;
	size_t len;

	setup_small(&f);
	f.kept.staying = true;
	len = item->record.len - DIGEST_SIZE;
	first = mem_alloc(len);
	memcpy(first, item->record.data, len);
	for (size_t i = 0; i < len; i++) {
		struct squashfs_result result;
		struct digest d;

		memset(item->record.data + i, 0xff, len - i < 3 ? len - i : 3);
		digest_bytes(item->record.data, len, &d);
		memcpy(item->record.data + len, d.bytes, DIGEST_SIZE);
		result = write_to(f.tree, &f.options, "again");
		str_free(&result.hash_area);
		memcpy(item->record.data, first, len);
		forget(&f.kept, 2);
	}
	finish(&f);
}

TEST(bytes_that_are_damaged)
{
	struct fixture f;
	struct digest want = setup_small(&f);
	struct squashfs_segment *item = &f.kept.items[0];
	struct squashfs_segment whole = *item;
	uint64_t places[] = {0, 1000, item->length - 1};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint64_t at = item->offset + places[i];
		char byte;

		CHECK_OK(fd_pread(whole.fd, &byte, 1, at, "kept", &err), &err);
		byte ^= 1;
		CHECK_OK(fd_pwrite(whole.fd, &byte, 1, at, "kept", &err), &err);
		/* Found out, thrown away, and all made new. */
		CHECK_U64(write_again(&f, &want), 0);
		CHECK_U64(f.kept.discarded, i + 1);
		/* A store that cannot throw anything away. */
		*item = whole;
		f.kept.staying = true;
		CHECK_U64(write_again(&f, &want), 0);
		f.kept.staying = false;
		byte ^= 1;
		CHECK_OK(fd_pwrite(whole.fd, &byte, 1, at, "kept", &err), &err);
		f.kept.discarded = i + 1;
		forget(&f.kept, 2);
		CHECK_U64(write_again(&f, &want), 2);
	}
	f.kept.staying = true;
	item->offset = 1ull << 60;
	CHECK_U64(write_again(&f, &want), 1);
	forget(&f.kept, 2);
	item->offset = whole.offset;
	item->length += 4096;
	CHECK_U64(write_again(&f, &want), 1);
	finish(&f);
}
