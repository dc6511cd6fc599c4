/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of reading layers of container images: every fixture of tests/layers gives its tree or its refusal, and
 * what came is assembled again by a reader of its own.
 */
#include "base/fd.h"
#include "base/path.h"
#include "tap.h"
#include "tree/archive.h"
#include "tree/crc64.h"
#include "tree/layer.h"

#include <libgen.h>

#define TAR_MAX ((uint64_t)64 << 20)
#define ENTRIES_MAX 20000

static struct err err;

static void run(const char *command)
{
	if (system(command) != 0)
		FAIL("failed: %s", command);
}

/* The folder of the source tree: above the program, in build/ or build/VARIANT/. */
static const char *top(void)
{
	static char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	CHECK(n > 0);
	path[n] = '\0';
	while (strlen(path) > 1) {
		CLEANUP_FREE char *script = mem_printf("%s/tests/layers/fixtures", path);

		if (access(script, X_OK) == 0)
			return path;
		dirname(path);
	}
	FAIL("no tests/layers/fixtures above the program");
}

/* ---- reading ---- */

/* What is read, in pieces of at most so many bytes. */
struct source {
	const char *bytes;
	size_t len, at, piece;
	size_t fail_at; /* reading fails there, when it is not 0 */
};

static ssize_t read_source(void *context, void *bytes, size_t len, struct err *e)
{
	struct source *s = context;
	size_t n = s->len - s->at;

	if (s->fail_at && s->at >= s->fail_at)
		return err_set(e, ERR_NETWORK, "the connection broke");
	n = n < len ? n : len;
	n = n < s->piece ? n : s->piece;
	memcpy(bytes, s->bytes + s->at, n);
	s->at += n;
	return (ssize_t)n;
}

static int open_new(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0);
	return fd;
}

/* What a layer became; the files "tar" and "split" are its data. */
struct result {
	struct tree *tree;
	struct tree_layer layer;
	int tar, split;
};

static int import(struct source *source, struct result *ret)
{
	const struct tree_layer_input in = {.read = read_source,
					    .context = source,
					    .origin = "layer 1 of 'x'",
					    .tar_max = TAR_MAX,
					    .entries_max = ENTRIES_MAX};

	err_clear(&err);
	*ret = (struct result){
		.tree = tree_new(), .tar = open_new("tar"), .split = open_new("split")};
	return tree_import_layer(&in, ret->tar, ret->split, ret->tree, &ret->layer, NULL, NULL,
				 &err);
}

static void release(struct result *r)
{
	tree_free(r->tree);
	fd_close(&r->tar);
	fd_close(&r->split);
}

/* ---- comparing ---- */

static const char *const types[] = {
	[TREE_DIR] = "dir",   [TREE_FILE] = "file",   [TREE_SYMLINK] = "symlink",
	[TREE_CHAR] = "char", [TREE_BLOCK] = "block", [TREE_FIFO] = "fifo"};

static void add_xattr(struct str *text, const struct tree_xattr *x)
{
	const unsigned char *p = x->value;

	str_addf(text, " %s=", x->name);
	if (x->len == 1 && *p == 'y') {
		str_add(text, "y");
		return;
	}
	str_add(text, "0x");
	for (size_t i = 0; i < x->len; i++)
		str_addf(text, "%02x", p[i]);
}

/* A line for the expected tree; bytes that are no UTF-8 as Python shows them. */
static int add_line(const struct tree_node *node, const char *path, void *context, struct err *e)
{
	const struct tree_inode *inode = node->inode;
	struct str *text = context;

	(void)e;
	if (!node->parent && !inode->xattr_count)
		return 0;
	for (const char *p = path; *p; p++)
		str_addf(text, (unsigned char)*p == 0xe9 ? "\\xe9" : "%c", *p);
	str_addf(text, " %s %o %u:%u", types[inode->type], inode->mode, inode->uid, inode->gid);
	if (inode->type == TREE_FILE)
		str_addf(text, " %" PRIu64, inode->data.size);
	if (inode->type == TREE_SYMLINK)
		str_addf(text, " %s", inode->target);
	if (inode->type == TREE_CHAR || inode->type == TREE_BLOCK)
		str_addf(text, " %u:%u", inode->major, inode->minor);
	for (size_t i = 0; i < inode->xattr_count; i++)
		add_xattr(text, &inode->xattrs[i]);
	str_add(text, "\n");
	return 0;
}

static void check_tree(const struct tree *tree, const char *name)
{
	CLEANUP_FREE char *path = mem_printf("fixtures/%s.tree", name);
	struct str text = {0};

	if (access(path, R_OK) != 0)
		return;
	str_add(&text, "");
	tree_walk(tree, add_line, &text, NULL);
	CHECK_FILE(path, text.data);
	str_free(&text);
}

/* Writes what tar-split's reader may open, and links that it must not follow. */
static int write_node(const struct tree_node *node, const char *path, void *context, struct err *e)
{
	CLEANUP_FREE char *at = mem_printf("files%s", path);
	const struct tree_inode *inode = node->inode;
	char *bytes;
	size_t len;

	(void)context;
	if (inode->type == TREE_DIR)
		return mkdir(at, 0755) == 0 ? 0 : err_sys(e, errno, "mkdir '%s'", at);
	if (inode->type == TREE_SYMLINK)
		return symlink(inode->target, at) == 0 ? 0 : err_sys(e, errno, "link '%s'", at);
	if (inode->type != TREE_FILE)
		return 0;
	if (tree_read(node, TAR_MAX, &bytes, &len, e) < 0)
		return -1;
	tap_spew(at, bytes, len);
	free(bytes);
	return 0;
}

/* The stream comes out of its parts: by a reader of ours, and by that of tar-split itself. */
static void check_assembled(const struct result *r)
{
	CLEANUP_FREE char *assemble =
		mem_printf("exec %s/tests/layers/assemble split files >digest", top());
	char want[DIGEST_HEX_SIZE + 1];
	struct digest digest;

	run("rm -rf files");
	CHECK_OK(tree_walk(r->tree, write_node, NULL, &err), &err);
	run(assemble);
	digest_hex(&r->layer.diff_id, want);
	strcat(want, "\n");
	CHECK_FILE("digest", want);
	run("tar-split asm --input split --path files --output assembled 2>assembled.log || "
	    "{ cat assembled.log >&2; exit 1; }");
	CHECK_OK(digest_file("assembled", &digest, &err), &err);
	CHECK_MEM(&digest, &r->layer.diff_id, sizeof(digest));
}

/* Our own tar has the digest that was said, and says the same as the tree. */
static void check_own_tar(const struct result *r, bool all)
{
	CLEANUP(tree_cleanup) struct tree *again = tree_new();
	struct str index = {0}, index2 = {0};
	struct digest digest;
	int out = open_new("again");

	CHECK_OK(digest_file("tar", &digest, &err), &err);
	CHECK_MEM(&digest, &r->layer.digest, sizeof(digest));
	CHECK(lseek(r->tar, 0, SEEK_SET) == 0);
	CHECK_OK(tree_import_tar(r->tar, out, again, "layer 1 of 'x'", &digest, NULL, NULL, &err),
		 &err);
	CHECK_OK(tree_write_index(r->tree, &index, &err), &err);
	CHECK_OK(tree_write_index(again, &index2, &err), &err);
	if (all) {
		CHECK_MEM(&digest, &r->layer.digest, sizeof(digest));
		CHECK_STR(index2.data, index.data);
	}
	str_free(&index);
	str_free(&index2);
	close(out);
}

static void check_good(const char *name, struct source *source, char *fields)
{
	char *save, hex[DIGEST_HEX_SIZE], *digest, *size;
	struct result r;

	CHECK_OK(import(source, &r), &err);
	digest = strtok_r(fields, "\t", &save);
	size = strtok_r(NULL, "\t", &save);
	CHECK_STR(digest_hex(&r.layer.diff_id, hex), digest);
	if (strcmp(size, "-") != 0)
		CHECK_U64(r.layer.size, strtoull(size, NULL, 10));
	check_tree(r.tree, name);
	/* A link's header changes what it leads to, which our tar has written by then. */
	check_own_tar(&r, strcmp(name, "hard-attributes") != 0);
	if (source->piece == SIZE_MAX)
		check_assembled(&r);
	release(&r);
}

static void check_fixture(const char *fixture, size_t piece)
{
	CLEANUP_FREE char *line = mem_strdup(fixture);
	char *save, *name = strtok_r(line, "\t", &save), *want = strtok_r(NULL, "\t", &save);
	CLEANUP_FREE char *path = mem_printf("fixtures/%s", name);
	struct source source = {.piece = piece};
	char *bytes = tap_slurp(path, &source.len);
	struct result r;

	tap_note("%s, by %zu", name, piece);
	source.bytes = bytes;
	if (strcmp(want, "ok") == 0) {
		check_good(name, &source, strtok_r(NULL, "", &save));
	} else {
		CHECK_ERR(import(&source, &r), &err, ERR_VERIFY, want);
		CHECK_CONTAINS(err.msg, "cannot read layer 1 of 'x'");
		release(&r);
	}
	free(bytes);
}

/* Each fixture whose name starts with prefix, and whose bytes come in pieces of this size. Returns their number. */
static size_t check_fixtures(const char *prefix, size_t piece)
{
	CLEANUP_FREE char *make = mem_printf("exec %s/tests/layers/fixtures fixtures", top());
	char *expected, *save;
	size_t count = 0;

	if (access("fixtures/expected", R_OK) != 0)
		run(make);
	expected = tap_slurp("fixtures/expected", NULL);
	for (char *line = strtok_r(expected, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (!str_has_prefix(line, prefix))
			continue;
		check_fixture(line, piece);
		count++;
	}
	free(expected);
	return count;
}

TEST_TIMEOUT(every_fixture_gives_its_tree_or_its_refusal, 600)
{
	CHECK(check_fixtures("", SIZE_MAX) > 110);
}

TEST_TIMEOUT(pieces_of_any_size_make_no_difference, 300)
{
	static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 64};

	CHECK(check_fixtures("", 4093) > 110);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CHECK(check_fixtures("gzip", sizes[i]) > 10);
		CHECK(check_fixtures("zstd", sizes[i]) > 5);
	}
}

/* ---- what fixtures cannot say ---- */

/* A tar with one file, which is written by GNU tar. */
static char *make_layer(const char *command, size_t *ret_len)
{
	CLEANUP_FREE char *all =
		mem_printf("mkdir t && cd t && %s && tar --sort=name -cf ../layer .", command);

	run(all);
	return tap_slurp("layer", ret_len);
}

TEST(a_failure_to_read_stays_what_it_is)
{
	struct source source = {.piece = 1000, .fail_at = 3000};
	char *bytes = make_layer("head -c 9000 /dev/zero >f", &source.len);
	struct result r;

	source.bytes = bytes;
	CHECK_ERR(import(&source, &r), &err, ERR_NETWORK, "the connection broke");
	release(&r);
	free(bytes);
}

TEST(every_end_that_comes_early_is_noticed)
{
	struct source source = {.piece = SIZE_MAX};
	struct result r;
	size_t len;
	char *bytes;

	free(make_layer("head -c 900 /dev/urandom >f", &len));
	run("gzip -n layer");
	bytes = tap_slurp("layer.gz", &len);
	for (size_t i = 1; i < len; i++) {
		source = (struct source){.bytes = bytes, .len = i, .piece = SIZE_MAX};
		CHECK_ERR(import(&source, &r), &err, ERR_VERIFY, "cannot read layer 1");
		release(&r);
	}
	free(bytes);
}

TEST(times_and_origin_are_kept)
{
	struct source source = {.piece = SIZE_MAX};
	char *bytes = make_layer("touch -d @1234567890.5 f", &source.len);
	const struct tree_node *node;
	struct result r;

	source.bytes = bytes;
	CHECK_OK(import(&source, &r), &err);
	node = tree_find(r.tree, "f");
	CHECK_INT(node->inode->mtime, 1234567890);
	CHECK_STR(node->inode->origin, "layer 1 of 'x'");
	CHECK_U64(r.layer.entries, 2);
	CHECK_U64(r.layer.tar, 10240);
	release(&r);
	free(bytes);
}

TEST(equal_layers_give_equal_files)
{
	struct source source = {.piece = SIZE_MAX};
	char *bytes = make_layer("for i in $(seq 200); do seq $i >f$i; done", &source.len);
	char *first, *second;
	size_t len, len2;
	struct result r;

	source.bytes = bytes;
	CHECK_OK(import(&source, &r), &err);
	first = tap_slurp("split", &len);
	release(&r);
	source.at = 0;
	source.piece = 777;
	CHECK_OK(import(&source, &r), &err);
	second = tap_slurp("split", &len2);
	CHECK_U64(len2, len);
	CHECK_MEM(second, first, len);
	release(&r);
	free(first);
	free(second);
	free(bytes);
}

static void count_progress(uint64_t bytes, void *context)
{
	uint64_t *last = context;

	CHECK(bytes >= *last);
	*last = bytes;
}

TEST(progress_ends_at_the_size_of_the_tar)
{
	struct source source = {.piece = SIZE_MAX};
	char *bytes = make_layer("head -c 9000000 /dev/zero >f && head -c 4000000 /dev/zero >g",
				 &source.len);
	const struct tree_layer_input in = {.read = read_source,
					    .context = &source,
					    .origin = "x",
					    .tar_max = TAR_MAX,
					    .entries_max = ENTRIES_MAX};
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	struct tree_layer layer;
	uint64_t last = 0;
	int tar = open_new("tar"), split = open_new("split");

	source.bytes = bytes;
	CHECK_OK(tree_import_layer(&in, tar, split, tree, &layer, count_progress, &last, &err),
		 &err);
	CHECK_U64(last, layer.tar);
	CHECK_U64(layer.tar, source.len);
	close(tar);
	close(split);
	free(bytes);
}

TEST(a_full_disk_is_said)
{
	struct source source = {.piece = SIZE_MAX};
	char *bytes = make_layer("head -c 9000000 /dev/zero >f", &source.len);
	const struct tree_layer_input in = {.read = read_source,
					    .context = &source,
					    .origin = "x",
					    .tar_max = TAR_MAX,
					    .entries_max = ENTRIES_MAX};
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	struct tree_layer layer;
	int full = open("/dev/full", O_RDWR | O_CLOEXEC), split = open_new("split");

	CHECK(full >= 0);
	source.bytes = bytes;
	CHECK_ERR(tree_import_layer(&in, full, split, tree, &layer, NULL, NULL, &err), &err,
		  ERR_SPACE, "");
	close(full);
	close(split);
	free(bytes);
}

/* Bit by bit, as ISO 3309 says it. */
static uint64_t slow_crc64(const unsigned char *p, size_t len)
{
	uint64_t crc = ~(uint64_t)0;

	for (; len; len--, p++) {
		crc ^= *p;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xd800000000000000u : 0);
	}
	return ~crc;
}

TEST(crc64_is_that_of_iso_3309)
{
	unsigned char bytes[300];

	CHECK_HEX(crc64_add(0, "123456789", 9), 0xb90956c775a41001u);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7 + i / 3);
	for (size_t i = 0; i <= sizeof(bytes); i++) {
		CHECK_HEX(crc64_add(0, bytes, i), slow_crc64(bytes, i));
		CHECK_HEX(crc64_add(crc64_add(0, bytes, i), bytes + i, sizeof(bytes) - i),
			  slow_crc64(bytes, sizeof(bytes)));
	}
}

/* ---- beside another program ---- */

static void import_file(const char *from, const char *tar)
{
	struct source source = {.piece = 65536};
	char *bytes = tap_slurp(from, &source.len);
	struct result r;

	source.bytes = bytes;
	CHECK_OK(import(&source, &r), &err);
	check_own_tar(&r, true);
	check_assembled(&r);
	release(&r);
	CHECK(rename("tar", tar) == 0);
	free(bytes);
}

TEST(overlayfs_shows_what_umoci_unpacks)
{
	CLEANUP_FREE char *make =
		mem_printf("exec %s/tests/layers/umoci make >umoci.log 2>&1", top());
	CLEANUP_FREE char *compare = mem_printf("exec %s/tests/layers/umoci compare", top());

	if (geteuid() != 0)
		SKIP("needs root: device nodes, owners and a mount");
	if (system(make) != 0)
		FAIL("umoci: %s", tap_slurp("umoci.log", NULL));
	import_file("1.layer", "1.tar");
	import_file("2.layer", "2.tar");
	run(compare);
}

/* ---- grafting ---- */

TEST(a_graft_becomes_the_folder)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new(), *over = tree_new();
	struct str text = {0};

	tree_root(over)->inode->mode = 0700;
	CHECK_OK(tree_put_file(over, "a", 0644, "x", 1, "o", &err), &err);
	CHECK_OK(tree_put_file(over, "d/b", 04755, "yy", 2, "o", &err), &err);
	CHECK_OK(tree_put_link(over, "d/c", "a", &err), &err);
	CHECK_OK(tree_put_file(tree, "l/1/old", 0644, "old", 3, "t", &err), &err);
	CHECK_OK(tree_put_file(tree, "l/2", 0644, "a file", 6, "t", &err), &err);
	CHECK_OK(tree_graft(tree, "/l/1", over, &err), &err);
	CHECK_OK(tree_graft(tree, "l/2", over, &err), &err);
	CHECK_OK(tree_graft(tree, "new/folder", over, &err), &err);
	CHECK_OK(tree_walk(tree, add_line, &text, &err), &err);
	CHECK_STR(text.data,
		  "/l dir 755 0:0\n"
		  "/l/1 dir 700 0:0\n/l/1/a file 644 0:0 1\n/l/1/d dir 755 0:0\n"
		  "/l/1/d/b file 4755 0:0 2\n/l/1/d/c file 644 0:0 1\n"
		  "/l/2 dir 700 0:0\n/l/2/a file 644 0:0 1\n/l/2/d dir 755 0:0\n"
		  "/l/2/d/b file 4755 0:0 2\n/l/2/d/c file 644 0:0 1\n"
		  "/new dir 755 0:0\n/new/folder dir 700 0:0\n/new/folder/a file 644 0:0 1\n"
		  "/new/folder/d dir 755 0:0\n/new/folder/d/b file 4755 0:0 2\n"
		  "/new/folder/d/c file 644 0:0 1\n");
	CHECK(tree_find(tree, "l/1/a")->inode == tree_find(tree, "l/1/d/c")->inode);
	CHECK(tree_find(tree, "l/1/a")->inode != tree_find(tree, "l/2/a")->inode);
	CHECK_INT(tree_find(tree, "l/1/a")->inode->links, 2);
	CHECK_U64(tree_count(tree), 1 + 1 + 5 + 5 + 1 + 5);
	CHECK_U64(tree_count(over), 5);
	CHECK_OK(tree_put_symlink(tree, "s", "l", "t", &err), &err);
	CHECK_ERR(tree_graft(tree, "s/x", over, &err), &err, ERR_PROFILE, "symbolic link");
	str_free(&text);
}
