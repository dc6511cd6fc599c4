/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Converting: the same disk out of every format, holes are not read, disks grow with their table, the input
 * stays, wrong requests are refused. What other tools say is in tests/cli/convert.t.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "memimage.h"
#include "output/convert.h"
#include "output/image.h"

#define DISK_SIZE (6 * MIB + 512)

static uint8_t *want;

static void make_disk(void)
{
	int fd = open("disk.raw", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	want = mem_alloc(DISK_SIZE);
	fill_random(want + MIB, 100000, 1);
	memset(want + 3 * MIB, 7, 200000);
	want[DISK_SIZE - 1] = 9;
	CHECK_INT(ftruncate(fd, DISK_SIZE), 0);
	CHECK(pwrite(fd, want + MIB, 100000, MIB) == 100000);
	CHECK(pwrite(fd, want + 3 * MIB, 200000, 3 * MIB) == 200000);
	CHECK(pwrite(fd, want + DISK_SIZE - 1, 1, DISK_SIZE - 1) == 1);
	close(fd);
}

static json_t *convert(const char *input, const char *formats, const char *folder)
{
	const struct convert_options options = {
		.input = input, .formats = formats, .folder = folder, .jobs = 2};
	json_t *result = NULL;
	struct err err = {0};

	CHECK_OK(convert_run(&options, &result, &err), &err);
	return result;
}

static void check_image(const char *path, uint64_t size)
{
	struct err err = {0};
	CLEANUP(image_close) struct image *image = image_open(path, &err);
	CLEANUP_FREE uint8_t *got = mem_alloc(DISK_SIZE);

	CHECK_OK_PTR(image, &err);
	CHECK_U64(image->size, size);
	CHECK_OK(image->pread(image, got, DISK_SIZE, 0, &err), &err);
	CHECK_MEM(got, want, DISK_SIZE);
}

static const char *sum_of(const json_t *result, const char *format)
{
	json_t *artifact;
	size_t i;

	json_array_foreach(json_object_get(result, "artifacts"), i, artifact)
	{
		if (strcmp(json_member_string(artifact, "format"), format) == 0)
			return json_member_string(artifact, "sha256");
	}
	return NULL;
}

TEST(every_format_from_every_format)
{
	char formats[256] = "";
	json_t *result, *artifact, *again, *other;
	uint64_t size = 0;
	size_t i, k;

	make_disk();
	/* VHD wants whole MiB, so each of the others is the larger disk too. GCP's whole GiB would make
	 * this slow, see tests/cli/convert.t. */
	for (const struct output_format *const *f = output_formats; *f; f++) {
		if ((*f)->multiple > MIB)
			continue;
		strcat(formats, (*f)->name);
		strcat(formats, ",");
		if ((*f)->multiple > size)
			size = (*f)->multiple;
	}
	CHECK_U64(size, MIB);
	size = 7 * MIB;
	result = convert("disk.raw", formats, "out");
	json_array_foreach(json_object_get(result, "artifacts"), i, artifact)
	{
		const char *file = json_member_string(artifact, "file");
		const char *name = json_member_string(artifact, "format");

		CHECK_U64((uint64_t)json_integer_value(json_object_get(artifact, "size")), size);
		if (!output_format_find(name)->read)
			continue;
		check_image(file, size);
		/* And back: the same bytes in all formats as from the raw disk. */
		again = convert(file, "raw,vhd,raw.zst", "again");
		CHECK_STR(json_member_string(again, "disk_sha256"),
			  json_member_string(result, "disk_sha256"));
		json_array_foreach(json_object_get(again, "artifacts"), k, other)
		{
			CHECK_STR(json_member_string(other, "sha256"),
				  sum_of(result, json_member_string(other, "format")));
		}
		json_decref(again);
	}
	CHECK(i >= 5);
	json_decref(result);
	CHECK_FILE_MEM("disk.raw", (const char *)want, DISK_SIZE);
	free(want);
}

/* Bytes that this process has read from files. */
static unsigned long long bytes_read(void)
{
	unsigned long long ret = 0;
	FILE *io = fopen("/proc/self/io", "re");

	CHECK(io && fscanf(io, "rchar: %llu", &ret) == 1);
	fclose(io);
	return ret;
}

TEST(holes_are_not_read)
{
	int fd = open("holes.raw", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	unsigned long long before;
	struct stat st;
	struct err err = {0};

	CHECK_INT(ftruncate(fd, (off_t)(2 * GIB)), 0);
	CHECK(pwrite(fd, "x", 1, (off_t)GIB) == 1);
	close(fd);
	before = bytes_read();
	json_decref(convert("holes.raw", "qcow2", "out"));
	CHECK(bytes_read() - before < MIB);
	CLEANUP(image_close) struct image *image = image_open("out/holes.qcow2", &err);
	char got[2];

	CHECK_OK_PTR(image, &err);
	CHECK_OK(image->pread(image, got, 2, GIB - 1, &err), &err);
	CHECK_MEM(got, "\0x", 2);
	CHECK_INT(stat("out/holes.qcow2", &st), 0);
	CHECK(st.st_size < (off_t)MIB);
}

TEST(names_come_from_the_input)
{
	static const char *const names[][2] = {
		{"a.img", "a.qcow2"},     {"a.raw.zst.raw", "a.raw.zst.qcow2"},
		{"b", "b.qcow2"},         {".raw", ".raw.qcow2"},
		{"c.1.raw", "c.1.qcow2"}, {"d.qcow2.raw", "d.qcow2.qcow2"},
	};

	make_disk();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_FREE char *path = mem_printf("named/%s", names[i][1]);

		CHECK_INT(link("disk.raw", names[i][0]) < 0 && errno != EEXIST, 0);
		json_decref(convert(names[i][0], "qcow2", "named"));
		CHECK_EXISTS(path);
	}
	free(want);
}

static void check_refused(const struct convert_options *options, int code, const char *message)
{
	json_t *result = NULL;
	struct err err = {0};

	CHECK_ERR(convert_run(options, &result, &err), &err, code, message);
	CHECK(result == NULL);
}

TEST(wrong_requests_are_refused)
{
	struct convert_options o = {
		.input = "disk.raw", .formats = "raw", .folder = ".", .jobs = 1};

	make_disk();
	check_refused(&o, ERR_USAGE, "cannot write 'disk.raw': it is the input");
	o.folder = "./new/../.";
	check_refused(&o, ERR_USAGE, "it is the input");
	CHECK_INT(symlink("disk.raw", "link.raw"), 0);
	o.name = "link";
	check_refused(&o, ERR_USAGE, "link.raw': it is the input");
	o.folder = "disk.raw";
	check_refused(&o, ERR_USAGE, "cannot write to 'disk.raw': it is no folder");
	o.folder = "out";
	o.name = "a/b";
	check_refused(&o, ERR_USAGE, "can be no name of a file");
	o.name = "";
	check_refused(&o, ERR_USAGE, "can be no name of a file");
	o.name = "..";
	check_refused(&o, ERR_USAGE, "can be no name of a file");
	o.name = NULL;
	o.formats = "raw,cow";
	check_refused(&o, ERR_USAGE, "unknown format 'cow'");
	o.formats = "";
	check_refused(&o, ERR_USAGE, "no format given");
	o.formats = "qcow2";
	o.input = "absent";
	check_refused(&o, ERR_OTHER, "cannot open 'absent': No such file");
	tap_spew("odd", want, 1000);
	o.input = "odd";
	check_refused(&o, ERR_VERIFY, "1000 bytes are no disk: not a multiple of 512");
	CHECK_INT(mkdir("out", 0700) == 0 || errno == EEXIST, 1);
	CHECK_INT(mkfifo("out/disk.qcow2", 0600), 0);
	o.input = "disk.raw";
	check_refused(&o, ERR_USAGE, "cannot write 'out/disk.qcow2': it is no regular file");
	free(want);
}

/* What a disk that cannot grow is told. */
TEST(a_damaged_table_does_not_move)
{
	struct convert_options o = {
		.input = "disk.raw", .formats = "raw,vhd", .folder = "out", .jobs = 1};
	int fd;

	make_disk();
	fd = open("disk.raw", O_RDWR | O_CLOEXEC);
	CHECK(pwrite(fd, "EFI PART", 8, 512) == 8);
	close(fd);
	check_refused(&o, ERR_VERIFY,
		      "cannot enlarge the disk 'disk.raw': cannot move the partition table: wrong");
	CHECK_MISSING("out/disk.raw");
	o.formats = "qcow2";
	json_decref(convert("disk.raw", "qcow2", "out"));
	CHECK_EXISTS("out/disk.qcow2");
	free(want);
}
