/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed VHD: each field of the footer as Microsoft's specification has it, read here by other code than
 * the program's; QEMU and libvhdi agree; whatever is damaged is refused.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "memimage.h"
#include "output/image.h"
#include "output/output.h"
#include "readback.h"

#define DISK_SIZE (3 * MIB)
#define FOOTER 512

static uint8_t want[DISK_SIZE];

static void write_vhd(const char *path, uint64_t size, struct output_result *result)
{
	struct region regions[] = {
		{.offset = 0, .length = MIB, .bytes = want, .fd = -1},
		{.offset = 2 * MIB, .length = MIB, .bytes = want + 2 * MIB, .fd = -1},
	};
	struct region_list disk = {.items = regions, .count = 2, .size = size};
	struct output_target target = {
		.format = output_format_find("vhd"), .path = path, .options = {.no_sync = true}};
	struct err err = {0};

	CHECK_OK_PTR(target.format, &err);
	CHECK_OK(output_write_all(&disk, &target, 1, 2, NULL, result, &err), &err);
}

static void fill_disk(void)
{
	fill_random(want + 5000, 200000, 4);
	fill_random(want + 2 * MIB + 70000, 70000, 5);
	want[DISK_SIZE - 1] = 0xaa;
}

/* A big-endian number, by arithmetic of its own. */
static uint64_t number(const uint8_t *p, size_t len)
{
	uint64_t value = 0;

	while (len-- > 0)
		value = value * 256 + *p++;
	return value;
}

TEST(each_field_of_the_footer_is_right)
{
	struct output_result result;
	uint8_t *file, *f;
	uint32_t sum = 0;
	size_t len;

	fill_disk();
	write_vhd("disk.vhd", DISK_SIZE, &result);
	file = (uint8_t *)tap_slurp("disk.vhd", &len);
	CHECK_U64(len, DISK_SIZE + FOOTER);
	CHECK_U64(result.size, len);
	CHECK_MEM(file, want, DISK_SIZE);
	f = file + DISK_SIZE;
	CHECK_MEM(f, "conectix", 8);
	CHECK_HEX(number(f + 8, 4), 2);              /* features */
	CHECK_HEX(number(f + 12, 4), 0x00010000);    /* version */
	CHECK_HEX(number(f + 16, 8), UINT64_MAX);    /* data offset */
	CHECK_HEX(number(f + 24, 4), 0);             /* time */
	CHECK_MEM(f + 28, "win ", 4);                /* creator */
	CHECK_HEX(number(f + 32, 4), 0x000a0000);    /* its version */
	CHECK_MEM(f + 36, "Wi2k", 4);                /* its system */
	CHECK_U64(number(f + 40, 8), DISK_SIZE);     /* original size */
	CHECK_U64(number(f + 48, 8), DISK_SIZE);     /* current size */
	CHECK_U64(number(f + 56, 2), 6144 / 17 / 4); /* cylinders */
	CHECK_U64(number(f + 58, 1), 4);             /* heads */
	CHECK_U64(number(f + 59, 1), 17);            /* sectors per track */
	CHECK_U64(number(f + 60, 4), 2);             /* fixed */
	for (size_t i = 0; i < FOOTER; i++)
		sum += i >= 64 && i < 68 ? 0 : f[i];
	CHECK_HEX(number(f + 64, 4), 0xffffffff - sum); /* checksum */
	CHECK_HEX(f[68 + 6] & 0xf0, 0x80);              /* UUID: version 8 of RFC 9562 */
	CHECK_HEX(f[68 + 8] & 0xc0, 0x80);
	for (size_t i = 84; i < FOOTER; i++) /* saved state and the rest */
		CHECK_INT(f[i], 0);
	free(file);
}

/* The footer alone, for disks whose zeros would take too long to digest. */
static void make_footer(uint64_t size, uint8_t f[FOOTER])
{
	const struct output_format *format = output_format_find("vhd");
	const struct output_options options = {.no_sync = true};
	const struct region_list disk = {.size = size};
	struct digest_ctx *running = digest_start();
	const struct output_content content = {.running = running};
	int fd = open("footer", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct output_sink *sink;
	struct digest digest;
	struct err err = {0};

	sink = format->open(fd, "footer", &disk, &options, &err);
	CHECK_OK_PTR(sink, &err);
	CHECK_OK(format->finish(sink, &content, &digest, &err), &err);
	format->close(sink);
	CHECK_INT(pread(fd, f, FOOTER, (off_t)size), FOOTER);
	digest_ctx_free(running);
	close(fd);
}

TEST(the_geometry_is_that_of_the_specification)
{
	/* Its algorithm in another language, for sizes on both sides of each of its borders. */
	static const struct {
		uint64_t size;
		unsigned cylinders, heads, sectors;
	} rows[] = {
		{MIB, 30, 4, 17},
		{48 * MIB, 963, 6, 17},
		{136 * MIB, 561, 16, 31},
		{247 * MIB, 1019, 16, 31},
		{248 * MIB, 503, 16, 63},
		{GIB, 2080, 16, 63},
		{31 * GIB, 64495, 16, 63},
		{32 * GIB, 16448, 16, 255},
		{127 * GIB, 65278, 16, 255},
		{2040 * GIB, 65535, 16, 255},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t f[FOOTER];

		make_footer(rows[i].size, f);
		CHECK_U64(number(f + 48, 8), rows[i].size);
		CHECK_U64(number(f + 56, 2), rows[i].cylinders);
		CHECK_U64(number(f + 58, 1), rows[i].heads);
		CHECK_U64(number(f + 59, 1), rows[i].sectors);
	}
}

TEST(the_uuid_comes_from_the_content)
{
	struct output_result one, again, other;
	uint8_t *first, *second, *third;
	size_t len;

	fill_disk();
	write_vhd("one", DISK_SIZE, &one);
	write_vhd("again", DISK_SIZE, &again);
	want[DISK_SIZE - 1]++;
	write_vhd("other", DISK_SIZE, &other);
	CHECK_MEM(one.digest.bytes, again.digest.bytes, DIGEST_SIZE);
	first = (uint8_t *)tap_slurp("one", &len);
	second = (uint8_t *)tap_slurp("again", &len);
	third = (uint8_t *)tap_slurp("other", &len);
	CHECK_MEM(second, first, len);
	CHECK(memcmp(first + DISK_SIZE + 68, third + DISK_SIZE + 68, 16) != 0);
	free(first);
	free(second);
	free(third);
}

TEST(qemu_and_libvhdi_agree)
{
	/* One that cylinders and heads cannot make: QEMU must not round it. */
	const uint64_t size = 49 * MIB;
	CLEANUP(str_free) struct str out = {0};
	struct output_result result;
	struct err err = {0};

	fill_disk();
	tap_spew("disk.raw", want, DISK_SIZE);
	CHECK_INT(truncate("disk.raw", (off_t)size), 0);
	write_vhd("disk.vhd", size, &result);
	CHECK_OK(RUN(&out, &err, "qemu-img", "info", "-f", "vpc", "disk.vhd"), &err);
	CHECK_CONTAINS(out.data, "virtual size: 49 MiB (51380224 bytes)");
	str_free(&out);
	CHECK_OK(RUN(&out, &err, "qemu-img", "info", "disk.vhd"), &err);
	CHECK_CONTAINS(out.data, "file format: raw"); /* QEMU probes the start only */
	str_free(&out);
	CHECK_OK(RUN(&out, &err, "qemu-img", "compare", "-f", "raw", "-F", "vpc", "disk.raw",
		     "disk.vhd"),
		 &err);
	CHECK_CONTAINS(out.data, "Images are identical.");
	str_free(&out);
	CHECK_OK(RUN(&out, &err, "vhdiinfo", "disk.vhd"), &err);
	CHECK_CONTAINS(out.data, "Format version\t\t: 1.0\n");
	CHECK_CONTAINS(out.data, "Disk type\t\t: Fixed\n");
	CHECK_CONTAINS(out.data, "Media size\t\t: 49 MiB (51380224 bytes)");
}

static void check_same(const char *path)
{
	check_readback(path, "vhd", want, DISK_SIZE, DISK_SIZE);
}

static void check_refused(const char *path, const char *message)
{
	struct err err = {0};

	CHECK_ERR_PTR(image_open(path, &err), &err, ERR_VERIFY, message);
	CHECK_CONTAINS(err.msg, path);
}

TEST(what_qemu_makes_is_read_or_refused)
{
	struct err err = {0};

	fill_disk();
	tap_spew("raw", want, DISK_SIZE);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-O", "vpc", "-o",
		     "subformat=fixed,force_size", "raw", "fixed.vhd"),
		 &err);
	check_same("fixed.vhd");
	CHECK_OK(RUN(NULL, &err, "qemu-img", "convert", "-O", "vpc", "-o", "subformat=dynamic",
		     "raw", "dynamic.vhd"),
		 &err);
	check_refused("dynamic.vhd", "a dynamic VHD image; only fixed ones are read");
	CHECK_ERR_PTR(image_open("dynamic.vhd", &err), &err, ERR_VERIFY, "dynamic");
	CHECK_CONTAINS(err.hint, "qemu-img convert -O vpc -o subformat=fixed,force_size");
}

/* Writes the file with the footer's checksum made right for what it says. */
static void spew_patched(const uint8_t *file, size_t at, size_t len, uint64_t value)
{
	CLEANUP_FREE uint8_t *copy = mem_alloc(DISK_SIZE + FOOTER);
	uint8_t *f = copy + DISK_SIZE;
	uint32_t sum = 0;

	memcpy(copy, file, DISK_SIZE + FOOTER);
	for (size_t i = len; i > 0; i--, value >>= 8)
		f[at + i - 1] = (uint8_t)value;
	memset(f + 64, 0, 4);
	for (size_t i = 0; i < FOOTER; i++)
		sum += f[i];
	for (size_t i = 4; i > 0; i--, sum >>= 8)
		f[64 + i - 1] = (uint8_t)~sum;
	tap_spew("patched", copy, DISK_SIZE + FOOTER);
}

TEST(footers_that_say_something_else_are_refused)
{
	struct output_result result;
	uint8_t *file;
	size_t len;

	fill_disk();
	write_vhd("good", DISK_SIZE, &result);
	file = (uint8_t *)tap_slurp("good", &len);
	spew_patched(file, 12, 4, 0x00020000);
	check_refused("patched", "unknown version");
	spew_patched(file, 48, 8, DISK_SIZE + 512);
	check_refused("patched", "its size is not what the footer says");
	spew_patched(file, 48, 8, DISK_SIZE - 512);
	check_refused("patched", "its size is not what the footer says");
	spew_patched(file, 48, 8, 0);
	check_refused("patched", "its size is not what the footer says");
	spew_patched(file, 48, 8, UINT64_MAX - 511);
	check_refused("patched", "its size is not what the footer says");
	spew_patched(file, 60, 4, 3);
	check_refused("patched", "a dynamic VHD image");
	spew_patched(file, 60, 4, 4);
	check_refused("patched", "a differencing VHD image");
	spew_patched(file, 60, 4, 5);
	check_refused("patched", "unknown type of disk");
	/* What says nothing about the content may be different. */
	memcpy(want, file, DISK_SIZE);
	spew_patched(file, 24, 4, 12345);
	check_same("patched");
	spew_patched(file, 28, 4, 0x71656d32);
	check_same("patched");
	free(file);
}

/* Each bit of the footer, and each length from the disk's to the file's. */
TEST(no_damage_goes_unseen)
{
	struct output_result result;
	uint8_t *file;
	size_t len;
	int fd;

	fill_disk();
	write_vhd("good", DISK_SIZE, &result);
	file = (uint8_t *)tap_slurp("good", &len);
	tap_spew("bad", file, len);
	fd = open("bad", O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	for (size_t bit = 0; bit < (size_t)FOOTER * 8; bit++) {
		off_t at = (off_t)(DISK_SIZE + bit / 8);
		uint8_t byte = (uint8_t)(file[at] ^ 1u << bit % 8);

		CHECK_INT(pwrite(fd, &byte, 1, at), 1);
		check_refused("bad", "damaged VHD image");
		CHECK_INT(pwrite(fd, file + at, 1, at), 1);
	}
	check_same("bad");
	/* With less than 16 bytes of the footer there is no telling that there was one. */
	for (size_t cut = len - 1; cut >= DISK_SIZE + 16; cut--) {
		CHECK_INT(ftruncate(fd, (off_t)cut), 0);
		check_refused("bad", "damaged VHD image: no footer at its end");
	}
	close(fd);
	free(file);
}

TEST(sizes_that_azure_refuses_are_refused)
{
	static const uint64_t sizes[] = {512, MIB - 512, MIB + 512, 2041 * GIB};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct region_list disk = {.size = sizes[i]};
		struct output_target target = {.format = output_format_find("vhd"),
					       .path = "no.vhd",
					       .options = {.no_sync = true}};
		struct output_result result;
		struct err err = {0};

		CHECK_ERR(output_write_all(&disk, &target, 1, 1, NULL, &result, &err), &err,
			  ERR_OTHER, "a disk of format vhd has ");
		CHECK_MISSING("no.vhd");
	}
}

TEST(holes_stay_holes)
{
	struct output_result result;
	struct stat st;

	fill_disk();
	write_vhd("sparse.vhd", 64 * MIB, &result);
	CHECK_INT(stat("sparse.vhd", &st), 0);
	CHECK_U64((uint64_t)st.st_size, 64 * MIB + FOOTER);
	CHECK((uint64_t)st.st_blocks * 512 < MIB);
}
