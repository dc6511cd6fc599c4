/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash trees, checked by veritysetup, and what a flipped bit does.
 */
#include "tap.h"

#include "base/fd.h"
#include "base/proc.h"
#include "disk/verity.h"

static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void make(size_t blocks, size_t step, struct str *data, struct str *area,
		 struct digest *root)
{
	struct verity *v = verity_new((const uint8_t *)"salt", 4, uuid);
	struct err err = {0};
	uint64_t count;

	for (size_t i = 0; i < blocks * VERITY_BLOCK; i++) {
		char byte = (char)(i * 7 + i / 4096);

		str_add_bytes(data, &byte, 1);
	}
	for (size_t at = 0; at < data->len; at += step)
		verity_add(v, data->data + at, data->len - at < step ? data->len - at : step);
	CHECK_OK(verity_finish(v, root, area, &count, &err), &err);
	CHECK_U64(count, blocks);
	verity_free(v);
}

/* Our own tree must be what veritysetup computes, byte for byte. */
static void compare_with_veritysetup(size_t blocks)
{
	CLEANUP(str_free) struct str data = {0};
	CLEANUP(str_free) struct str area = {0};
	CLEANUP(str_free) struct str output = {0};
	static const char *const argv[] = {"veritysetup",
					   "format",
					   "--salt=73616c74",
					   "--uuid=01020304-0506-0708-090a-0b0c0d0e0f10",
					   "data",
					   "want",
					   NULL};
	struct digest root;
	struct err err = {0};
	char hex[DIGEST_HEX_SIZE];

	proc_fix_path();
	make(blocks, 10000, &data, &area, &root);
	CHECK_OK(outfile_write("data", data.data, data.len, false, &err), &err);
	CHECK_OK(proc_run(&(struct proc){.argv = argv, .output = &output}, &err), &err);
	CHECK_CONTAINS(output.data, digest_hex(&root, hex));
	CHECK_FILE_MEM("want", area.data, area.len);
}

TEST(one_level)
{
	compare_with_veritysetup(3);
}

TEST(exactly_one_block_of_digests)
{
	compare_with_veritysetup(128);
}

TEST(three_levels)
{
	compare_with_veritysetup(128 * 128 + 1);
}

TEST(pieces_do_not_matter)
{
	struct str data = {0}, area[3] = {{0}};
	static const size_t steps[] = {1, 4097, 1 << 20};
	struct digest roots[3];

	for (size_t i = 0; i < 3; i++) {
		str_free(&data);
		make(5, steps[i], &data, &area[i], &roots[i]);
		CHECK_MEM(roots[i].bytes, roots[0].bytes, DIGEST_SIZE);
		CHECK_U64(area[i].len, area[0].len);
		CHECK_MEM(area[i].data, area[0].data, area[0].len);
	}
	str_free(&data);
	for (size_t i = 0; i < 3; i++)
		str_free(&area[i]);
}

/* Several threads hash one file: parts that are joined are one tree. */
TEST(parts_are_joined)
{
	CLEANUP(str_free) struct str data = {0};
	CLEANUP(str_free) struct str whole = {0};
	CLEANUP(str_free) struct str area = {0};
	struct digest want, root;
	struct verity *parts[3];
	struct err err = {0};
	uint64_t count;

	make(300, 4096, &data, &whole, &want);
	for (size_t i = 0; i < 3; i++) {
		parts[i] = verity_new((const uint8_t *)"salt", 4, uuid);
		verity_add(parts[i], data.data + i * 120 * VERITY_BLOCK,
			   (i < 2 ? 120 : 60) * VERITY_BLOCK);
	}
	verity_join(parts[0], parts[1]);
	verity_join(parts[0], parts[2]);
	CHECK_OK(verity_finish(parts[0], &root, &area, &count, &err), &err);
	CHECK_U64(count, 300);
	CHECK_MEM(root.bytes, want.bytes, DIGEST_SIZE);
	CHECK_MEM(area.data, whole.data, whole.len);
	for (size_t i = 0; i < 3; i++)
		verity_free(parts[i]);
}

TEST(only_whole_blocks)
{
	struct verity *v = verity_new(uuid, 0, uuid);
	struct str area = {0};
	struct err err = {0};
	struct digest root;
	uint64_t count;

	CHECK_ERR(verity_finish(v, &root, &area, &count, &err), &err, ERR_OTHER, "no whole blocks");
	verity_add(v, "x", 1);
	CHECK_ERR(verity_finish(v, &root, &area, &count, &err), &err, ERR_OTHER, "no whole blocks");
	verity_free(v);
}

/* An image in memory: data, then the hash area. */
struct memory {
	struct image image;
	struct str bytes;
};

static int read_memory(struct image *image, void *bytes, size_t len, uint64_t offset,
		       struct err *err)
{
	struct memory *m = (struct memory *)image;

	if (offset > m->bytes.len || len > m->bytes.len - offset)
		return err_set(err, ERR_VERIFY, "beyond the end");
	memcpy(bytes, m->bytes.data + offset, len);
	return 0;
}

TEST(check_finds_flipped_bits)
{
	enum { BLOCKS = 300 };
	struct memory m = {.image = {.name = "disk", .pread = read_memory}};
	struct str area = {0};
	struct digest root, other = {{0}};
	struct err err = {0};
	size_t data = BLOCKS * VERITY_BLOCK;

	make(BLOCKS, 4096, &m.bytes, &area, &root);
	str_add_bytes(&m.bytes, area.data, area.len);
	CHECK_OK(verity_check(&m.image, 0, data, data, area.len, &root, &err), &err);
	m.bytes.data[200 * VERITY_BLOCK + 17] ^= 1;
	CHECK_ERR(verity_check(&m.image, 0, data, data, area.len, &root, &err), &err, ERR_VERIFY,
		  "data block 200 does not match");
	m.bytes.data[200 * VERITY_BLOCK + 17] ^= 1;
	CHECK_ERR(verity_check(&m.image, 0, data, data, area.len, &other, &err), &err, ERR_VERIFY,
		  "does not lead to the root hash");
	CHECK_ERR(verity_check(&m.image, 0, data - VERITY_BLOCK, data, area.len, &root, &err), &err,
		  ERR_VERIFY, "covers 300 blocks, the data have 299");
	m.bytes.data[data] = 'x';
	CHECK_ERR(verity_check(&m.image, 0, data, data, area.len, &root, &err), &err, ERR_VERIFY,
		  "no verity superblock");
	str_free(&area);
	str_free(&m.bytes);
}
