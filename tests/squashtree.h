/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the squashfs writer share: trees made in few words, and writing them.
 */
#ifndef TESTS_SQUASHTREE_H
#define TESTS_SQUASHTREE_H

#include "tap.h"

#include "base/digest.h"
#include "base/fd.h"
#include "base/mem.h"
#include "disk/squashfs.h"

static const uint8_t salt[32] = {0xaa, 1, 2, 3};
static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static struct squashfs_options options(void)
{
	return (struct squashfs_options){
		.compression = "zstd",
		.level = 3,
		.block = 4096,
		.time = 1700000000,
		.jobs = 2,
		.salt = salt,
		.salt_len = sizeof(salt),
		.uuid = uuid,
	};
}

/* Bytes that do not compress and differ with the seed, or (seed 0) zeros. */
static char *noise(size_t len, uint32_t seed)
{
	char *bytes = mem_alloc(len + 1);
	uint64_t state = seed * 0x9E3779B97F4A7C15ull;

	for (size_t i = 0; seed && i < len; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		bytes[i] = (char)(state >> 56);
	}
	return bytes;
}

static void put(struct tree *tree, const char *path, const void *bytes, size_t len)
{
	struct err err = {0};

	CHECK_OK(tree_put_file(tree, path, 0644, bytes, len, "test", &err), &err);
}

static void put_noise(struct tree *tree, const char *path, size_t len, uint32_t seed)
{
	CLEANUP_FREE char *bytes = noise(len, seed);

	put(tree, path, bytes, len);
}

static struct squashfs_result write_to(const struct tree *tree, const struct squashfs_options *o,
				       const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct squashfs_result result;
	struct err err = {0};

	CHECK(fd >= 0);
	CHECK_OK(squashfs_write(tree, o, fd, path, NULL, NULL, &result, &err), &err);
	return result;
}

#endif
