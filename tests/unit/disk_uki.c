/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unified kernel images: built ones are read by objdump and by ourselves; stubs and files that are
 * wrong are refused.
 */
#include "tap.h"

#include "base/mem.h"
#include "disk/uki.h"
#include "memimage.h"
#include "testpe.h"

static uint8_t stub[TESTPE_SIZE], kernel[TESTPE_SIZE];

static struct uki_input sample(void)
{
	static const struct region initrds[2] = {
		{.bytes = "first", .length = 5, .fd = -1},
		{.bytes = "second!", .length = 7, .fd = -1},
	};

	testpe_stub(stub);
	testpe_kernel(kernel, "6.12.1-test (builder) #1");
	return (struct uki_input){
		.stub = stub,
		.stub_size = sizeof(stub),
		.osrel = "ID=demo\n",
		.cmdline = "roothash=00 ro",
		.uname = "6.12.1-test",
		.kernel = {.bytes = kernel, .length = sizeof(kernel), .fd = -1},
		.initrds = initrds,
		.initrd_count = 2,
	};
}

/* Builds and writes it to "uki"; returns its bytes, caller frees. */
static uint8_t *build(const struct uki_input *input, size_t *ret_size)
{
	CLEANUP(uki_free) struct uki uki = {0};
	CLEANUP_FD int fd = open("uki", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct err err = {0};
	uint8_t *bytes;

	CHECK_OK(uki_plan(input, &uki, &err), &err);
	CHECK_OK(uki_write(&uki, fd, "uki", &err), &err);
	bytes = (uint8_t *)tap_slurp("uki", ret_size);
	CHECK_U64(*ret_size, uki.regions.size);
	return bytes;
}

TEST(sections_lie_as_in_ukify)
{
	struct uki_input input = sample();
	size_t size, count;
	CLEANUP_FREE uint8_t *bytes = build(&input, &size);
	struct memimage image = memimage(bytes, size);
	struct uki_section s[UKI_SECTIONS_MAX];
	struct err err = {0};

	CHECK_OK(uki_sections(&image.image, s, &count, &err), &err);
	CHECK_INT(count, 7);
	CHECK_STR(s[2].name, ".osrel");
	CHECK_HEX(s[2].address, 0x3000);
	CHECK_HEX(s[2].offset, 0x1000);
	CHECK_U64(s[2].size, 8);
	CHECK_STR(s[3].name, ".cmdline");
	CHECK_HEX(s[3].address, 0x4000);
	CHECK_HEX(s[3].offset, 0x1200);
	CHECK_STR(s[4].name, ".uname");
	CHECK_STR(s[5].name, ".linux");
	CHECK_HEX(s[5].address, 0x6000);
	CHECK_HEX(s[5].offset, 0x1600);
	CHECK_U64(s[5].size, TESTPE_SIZE);
	CHECK_STR(s[6].name, ".initrd");
	CHECK_HEX(s[6].address, 0x7000);
	CHECK_HEX(s[6].offset, 0x2600);
	CHECK_U64(s[6].size, 15);
	CHECK_U64(size, 0x2800);
	/* Several archives: each begins at a multiple of 4. */
	CHECK_MEM(bytes + 0x2600, "first\0\0\0second!\0", 16);
	CHECK_MEM(bytes + 0x1600, kernel, TESTPE_SIZE);
	/* The stub's own sections are untouched. */
	CHECK_MEM(bytes + 1536, stub + 1536, TESTPE_SIZE - 1536);
}

TEST(headers_are_adapted)
{
	struct uki_input input = sample();
	size_t size;
	CLEANUP_FREE uint8_t *bytes = build(&input, &size);
	const uint8_t *o = bytes + TESTPE_OPTIONAL;

	CHECK_INT(get_le16(bytes + TESTPE_COFF + 2), 7);
	CHECK_INT(get_le32(bytes + TESTPE_COFF + 4), 1700000000);
	CHECK_HEX(get_le32(o + 8), 0x20 + 8 + 14 + 11 + TESTPE_SIZE + 15);
	CHECK_HEX(get_le32(o + 56), 0x8000);
	CHECK_HEX(get_le32(o + 64), 0);
	CHECK_HEX(get_le16(o + 70), 0x0060 | TESTPE_NX);
}

TEST(nx_needs_a_kernel_that_has_it)
{
	struct uki_input input = sample();
	size_t size;
	CLEANUP_FREE uint8_t *bytes = NULL;

	put_le16(kernel + TESTPE_OPTIONAL + 70, 0x0060);
	bytes = build(&input, &size);
	CHECK_HEX(get_le16(bytes + TESTPE_OPTIONAL + 70), 0x0060);
}

TEST(objdump_agrees)
{
	struct uki_input input = sample();
	size_t size;
	CLEANUP_FREE uint8_t *bytes = build(&input, &size);
	CLEANUP(str_free) struct str out = {0};
	struct err err = {0};

	CHECK(bytes);
	CHECK_OK(RUN(&out, &err, "objdump", "-h", "uki"), &err);
	CHECK_CONTAINS(out.data, ".osrel        00000008  0000000140003000  0000000140003000  "
				 "00001000");
	CHECK_CONTAINS(out.data, ".linux        00001000  0000000140006000  0000000140006000  "
				 "00001600");
	CHECK_CONTAINS(out.data, ".initrd       0000000f  0000000140007000  0000000140007000  "
				 "00002600");
	CHECK_OK(RUN(NULL, &err, "objcopy", "-O", "binary", "--only-section=.cmdline", "uki",
		     "cmdline"),
		 &err);
	CHECK_FILE("cmdline", "roothash=00 ro");
}

/* All bytes but those of .sbat, to which ukify adds a line of its own. */
TEST(ukify_writes_the_same)
{
	struct uki_input input = sample();
	CLEANUP_FREE uint8_t *ours = NULL, *theirs = NULL;
	CLEANUP_FREE char *ukify = proc_find("ukify");
	struct region initrd = {.bytes = "initrd", .length = 6, .fd = -1};
	struct err err = {0};
	size_t size, size2;

	if (!ukify)
		SKIP("ukify is not installed (Debian 12 has none)");
	input.initrds = &initrd;
	input.initrd_count = 1;
	ours = build(&input, &size);
	tap_spew("stub", stub, sizeof(stub));
	tap_spew("kernel", kernel, sizeof(kernel));
	tap_spew("initrd", "initrd", 6);
	tap_spew("osrel", input.osrel, strlen(input.osrel));
	CHECK_OK(RUN(NULL, &err, "ukify", "build", "--stub", "stub", "--linux", "kernel",
		     "--initrd", "initrd", "--os-release", "@osrel", "--cmdline", input.cmdline,
		     "--uname", input.uname, "--output", "theirs"),
		 &err);
	theirs = (uint8_t *)tap_slurp("theirs", &size2);
	CHECK_U64(size, size2);
	memcpy(ours + TESTPE_TABLE + 40 + 8, theirs + TESTPE_TABLE + 40 + 8, 4);
	memcpy(ours + 3072, theirs + 3072, 1024);
	CHECK_MEM(ours, theirs, size);
}

TEST(texts_are_read_back)
{
	struct uki_input input = sample();
	size_t size;
	CLEANUP_FREE uint8_t *bytes = build(&input, &size);
	struct memimage image = memimage(bytes, size);
	CLEANUP_FREE char *cmdline = NULL, *osrel = NULL, *none = NULL, *bad = NULL;
	struct err err = {0};

	CHECK_OK(uki_read_text(&image.image, ".cmdline", &cmdline, &err), &err);
	CHECK_STR(cmdline, "roothash=00 ro");
	CHECK_OK(uki_read_text(&image.image, ".osrel", &osrel, &err), &err);
	CHECK_STR(osrel, "ID=demo\n");
	CHECK_OK(uki_read_text(&image.image, ".dtb", &none, &err), &err);
	CHECK_STR(none, NULL);
	bytes[0x1200 + 3] = 0;
	CHECK_ERR(uki_read_text(&image.image, ".cmdline", &bad, &err), &err, ERR_VERIFY,
		  "section '.cmdline' holds a NUL");
}

TEST(fds_and_bytes_give_the_same)
{
	struct uki_input input = sample();
	size_t size, size2;
	CLEANUP_FREE uint8_t *bytes = build(&input, &size), *again = NULL;
	CLEANUP_FD int fd = -1;

	tap_spew("kernel", "junk", 4);
	fd = open("kernel", O_RDWR | O_CLOEXEC);
	CHECK(pwrite(fd, kernel, sizeof(kernel), 4) == sizeof(kernel));
	input.kernel = (struct region){.fd = fd, .source_offset = 4, .length = sizeof(kernel)};
	again = build(&input, &size2);
	CHECK_U64(size2, size);
	CHECK_MEM(again, bytes, size);
}

static void check_refused(const struct uki_input *input, const char *message)
{
	struct uki uki;
	struct err err = {0};

	CHECK_ERR(uki_plan(input, &uki, &err), &err, ERR_VERIFY, message);
	CHECK_CONTAINS(err.msg, "cannot make the unified kernel image: ");
}

TEST(bad_stubs_are_refused)
{
	struct uki_input input = sample();

	put_le32(stub + TESTPE_OPTIONAL + 60, 512);
	check_refused(&input, "no room for the section '.cmdline'");
	input = sample();
	put_le32(stub + TESTPE_OPTIONAL + 112 + 4 * 8, 0x1000);
	check_refused(&input, "the stub is signed");
	input = sample();
	put_le32(stub + TESTPE_COFF + 8, 0x900);
	check_refused(&input, "symbol table");
	input = sample();
	put_le32(stub + TESTPE_TABLE + 16, 0x601);
	check_refused(&input, "sections are not aligned");
	input = sample();
	put_le32(stub + TESTPE_OPTIONAL + 60, 2048);
	check_refused(&input, "headers reach into its sections");
	input = sample();
	memcpy(stub + TESTPE_TABLE + 40, ".cmdline", 8);
	check_refused(&input, "the stub has a section '.cmdline' already");
	input = sample();
	input.stub_size = 64;
	check_refused(&input, "bad stub: no PE image");
	input = sample();
	kernel[0] = 'x';
	check_refused(&input, "the kernel cannot be started by UEFI: no PE image");
	input = sample();
	input.kernel.length = 0;
	check_refused(&input, "the kernel is empty");
}

static void check_hostile(size_t at, unsigned bytes, uint32_t value, const char *message)
{
	struct memimage image = memimage(stub, sizeof(stub));
	struct uki_section s[UKI_SECTIONS_MAX];
	struct err err = {0};
	size_t count;

	testpe_stub(stub);
	if (bytes == 2)
		put_le16(stub + at, (uint16_t)value);
	else
		put_le32(stub + at, value);
	CHECK_ERR(uki_sections(&image.image, s, &count, &err), &err, ERR_VERIFY, message);
}

TEST(hostile_files_are_refused)
{
	check_hostile(60, 4, UINT32_MAX, "no PE image");
	check_hostile(60, 4, TESTPE_SIZE - 4, "no PE image");
	check_hostile(60, 4, 0, "no PE image");
	check_hostile(TESTPE_COFF + 2, 2, 0, "with 0 sections");
	check_hostile(TESTPE_COFF + 2, 2, 65535, "with 65535 sections");
	check_hostile(TESTPE_COFF + 2, 2, 95, "truncated PE headers");
	check_hostile(TESTPE_COFF + 16, 2, 65535, "truncated PE headers");
	check_hostile(TESTPE_COFF + 16, 2, 8, "truncated PE headers");
	check_hostile(TESTPE_OPTIONAL, 2, 0x10b, "no 64-bit PE image");
	check_hostile(TESTPE_OPTIONAL + 36, 4, 0, "odd alignment");
	check_hostile(TESTPE_OPTIONAL + 36, 4, 513, "odd alignment");
	check_hostile(TESTPE_OPTIONAL + 60, 4, UINT32_MAX, "bytes of headers");
	check_hostile(TESTPE_TABLE + 16, 4, UINT32_MAX, "section 1 leaves the file");
	check_hostile(TESTPE_TABLE + 40 + 20, 4, UINT32_MAX - 10, "section 2 leaves the file");
	check_hostile(TESTPE_TABLE + 20, 4, 10, "section 1 leaves the file");
}

TEST(kernel_versions_are_found)
{
	CLEANUP_FREE char *version = NULL;
	struct err err = {0};
	char *none = NULL;

	testpe_kernel(kernel, "6.12.1-test (builder) #1");
	CHECK_OK(uki_kernel_version(kernel, sizeof(kernel), &version, &err), &err);
	CHECK_STR(version, "6.12.1-test");

	put_le16(kernel + 0x20e, 0);
	CHECK_ERR(uki_kernel_version(kernel, sizeof(kernel), &none, &err), &err, ERR_VERIFY,
		  "does not tell its version");
	put_le16(kernel + 0x20e, 0xffff);
	CHECK_ERR(uki_kernel_version(kernel, sizeof(kernel), &none, &err), &err, ERR_VERIFY,
		  "does not tell its version");
	/* A version that the file ends in. */
	put_le16(kernel + 0x20e, TESTPE_SIZE - 0x200 - 4);
	memcpy(kernel + TESTPE_SIZE - 4, "6.12", 4);
	CHECK_ERR(uki_kernel_version(kernel, sizeof(kernel), &none, &err), &err, ERR_VERIFY,
		  "does not tell its version");
	CHECK_ERR(uki_kernel_version(stub, 100, &none, &err), &err, ERR_VERIFY, "no bzImage");
}
