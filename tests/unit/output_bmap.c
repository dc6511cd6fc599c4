/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bmap: bmaptool takes it, from raw and from raw.zst, and finds damage; zeros between content are written, as
 * a device may have old content there.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "memimage.h"
#include "output/output.h"

#define DISK_SIZE (40 * MIB + 512)

static uint8_t *want;

/* Content at 1 and 4 MiB (zeros between that matter), and in the last sector. */
static void make(void)
{
	struct region region = {.length = DISK_SIZE, .fd = -1};
	const struct region_list disk = {.items = &region, .count = 1, .size = DISK_SIZE};
	static const char *const formats[] = {"raw", "raw.zst", "bmap"};
	static const char *const files[] = {"d_1.0.raw", "d_1.0.raw.zst", "d_1.0.raw.bmap"};
	struct output_target targets[3];
	struct output_result results[3];
	struct err err = {0};
	struct digest digest;

	want = mem_alloc(DISK_SIZE);
	fill_random(want + MIB, 100000, 1);
	want[4 * MIB] = 1;
	want[DISK_SIZE - 1] = 9;
	region.bytes = want;
	for (size_t i = 0; i < 3; i++)
		targets[i] = (struct output_target){.format = output_format_find(formats[i]),
						    .path = files[i],
						    .options = {.no_sync = true}};
	CHECK_OK(output_write_all(&disk, targets, 3, 2, NULL, results, &err), &err);
	CHECK_OK(digest_file("d_1.0.raw.bmap", &digest, &err), &err);
	CHECK_MEM(digest.bytes, results[2].digest.bytes, DIGEST_SIZE);
}

TEST(ranges_are_as_expected)
{
	CLEANUP(str_free) struct str text = {0}, expect = {0};
	char hex[2][DIGEST_HEX_SIZE];
	struct digest d;
	struct err err = {0};

	make();
	CHECK_OK(fd_read_file("d_1.0.raw.bmap", 10000, &text, &err), &err);
	CHECK_CONTAINS(text.data, "<bmap version=\"2.0\">");
	CHECK_CONTAINS(text.data, "<ImageSize> 41943552 </ImageSize>");
	CHECK_CONTAINS(text.data, "<BlocksCount> 10241 </BlocksCount>");
	/* 256 to 1039, 10240. */
	CHECK_CONTAINS(text.data, "<MappedBlocksCount> 785 </MappedBlocksCount>");
	digest_bytes(want + MIB, 3 * MIB + 65536, &d);
	digest_hex(&d, hex[0]);
	digest_bytes(want + 40 * MIB, 512, &d);
	digest_hex(&d, hex[1]);
	str_addf(&expect,
		 "    <BlockMap>\n"
		 "        <Range chksum=\"%s\"> 256-1039 </Range>\n"
		 "        <Range chksum=\"%s\"> 10240 </Range>\n"
		 "    </BlockMap>\n"
		 "</bmap>\n",
		 hex[0], hex[1]);
	CHECK_CONTAINS(text.data, expect.data);
	free(want);
}

/* Copies by bmaptool, which tells that it found and used the map. */
static void check_copy(const char *image)
{
	CLEANUP_FREE char *command =
		mem_printf("rm -f device; bmaptool copy %s device 2>&1", image);
	CLEANUP(str_free) struct str out = {0};
	struct err err = {0};

	CHECK_OK(RUN(&out, &err, "sh", "-c", command), &err);
	CHECK_CONTAINS(out.data, "discovered bmap file 'd_1.0.raw.bmap'");
	CHECK_CONTAINS(out.data, "mapped 785 blocks");
	CHECK_FILE_MEM("device", (const char *)want, DISK_SIZE);
}

TEST(bmaptool_finds_it_beside_the_image)
{
	make();
	check_copy("d_1.0.raw");
	check_copy("d_1.0.raw.zst");
	free(want);
}

TEST(bmaptool_finds_damage)
{
	struct err err = {0};
	size_t size;
	char *text, *digit;
	int fd;

	make();
	fd = open("d_1.0.raw", O_RDWR | O_CLOEXEC);
	CHECK(pwrite(fd, "X", 1, 3 * MIB) == 1);
	CHECK_ERR(RUN(NULL, &err, "bmaptool", "copy", "d_1.0.raw", "device"), &err, ERR_OTHER,
		  "bmaptool");
	CHECK(pwrite(fd, "\0", 1, 3 * MIB) == 1);
	CHECK_OK(RUN(NULL, &err, "bmaptool", "copy", "d_1.0.raw", "device"), &err);
	close(fd);

	text = tap_slurp("d_1.0.raw.bmap", &size);
	digit = strstr(text, "-1039");
	CHECK(digit != NULL);
	digit[4] = '8';
	tap_spew("d_1.0.raw.bmap", text, size);
	CHECK_ERR(RUN(NULL, &err, "bmaptool", "copy", "d_1.0.raw", "device"), &err, ERR_OTHER,
		  "bmaptool");
	free(text);
	free(want);
}

TEST(an_empty_disk_has_no_ranges)
{
	const struct region_list disk = {.size = 64 * MIB};
	const struct output_target target = {.format = output_format_find("bmap"),
					     .path = "empty.raw.bmap",
					     .options = {.no_sync = true}};
	struct output_result result;
	CLEANUP(str_free) struct str text = {0};
	struct err err = {0};

	CHECK_OK(output_write_all(&disk, &target, 1, 1, NULL, &result, &err), &err);
	CHECK_OK(fd_read_file("empty.raw.bmap", 10000, &text, &err), &err);
	CHECK_CONTAINS(text.data, "<MappedBlocksCount> 0 </MappedBlocksCount>");
	CHECK(!strstr(text.data, "<Range"));
}
