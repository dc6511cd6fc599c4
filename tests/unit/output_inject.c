/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of a partition more in a finished image, in every format that can be read: the others stay byte for
 * byte, sgdisk finds nothing wrong, and the room that the root grows into stays free.
 */
#include "testimage.h"

#include "disk/slice.h"
#include "inspect/inspect.h"
#include "output/image.h"
#include "output/inject.h"

static struct err err;

static const uint8_t content_bytes[4096] = "what the machine is told";
static struct region content_region = {
	.offset = MIB, .length = sizeof(content_bytes), .bytes = content_bytes, .fd = -1};
static const struct region_list content = {&content_region, 1, 1, 3 * MIB};

static struct gpt read_table(const char *path, uint64_t *ret_size)
{
	struct image *image = image_open(path, &err);
	struct gpt gpt;

	CHECK_OK_PTR(image, &err);
	CHECK_OK(gpt_read(image, &gpt, &err), &err);
	CHECK_STR(gpt.problem, "");
	*ret_size = image->size;
	image_close(&image);
	return gpt;
}

static void read_at(const char *path, void *to, size_t len, uint64_t offset)
{
	struct image *image = image_open(path, &err);

	CHECK_OK_PTR(image, &err);
	CHECK_OK(image->pread(image, to, len, offset, &err), &err);
	image_close(&image);
}

static void same_range(const char *a, const char *b, uint64_t from, uint64_t to)
{
	static uint8_t x[1 << 20], y[1 << 20];

	for (uint64_t at = from; at < to; at += sizeof(x)) {
		size_t len = to - at < sizeof(x) ? (size_t)(to - at) : sizeof(x);

		read_at(a, x, len, at);
		read_at(b, y, len, at);
		CHECK_MEM(x, y, len);
	}
}

static struct inject_result inject(const char *input, const char *output)
{
	const struct inject_options options = {.input = input,
					       .output = output,
					       .label = "CIDATA",
					       .content = &content,
					       .jobs = 2};
	struct inject_result result;

	CHECK_OK(inject_run(&options, &result, &err), &err);
	return result;
}

static void check_other_tools(const char *path)
{
	struct str out = {0};

	CHECK_OK(RUN(&out, &err, "sgdisk", "-v", path), &err);
	CHECK_CONTAINS(out.data, "No problems found.");
	str_free(&out);
	CHECK_OK(RUN(&out, &err, "sfdisk", "--verify", path), &err);
	CHECK_CONTAINS(out.data, "No errors detected.");
	str_free(&out);
}

/* What every format that is read and written must do. */
static void check_format(const struct output_format *f, const char *file)
{
	CLEANUP_FREE char *output = mem_printf("out%s", f->suffix);
	struct gpt before, after;
	uint64_t old_size, size;
	struct inject_result result = inject(file, output);
	uint8_t bytes[sizeof(content_bytes)];
	json_t *image;

	before = read_table(file, &old_size);
	after = read_table(output, &size);
	CHECK_STR(result.format->name, f->name);
	CHECK(!result.replaced);
	CHECK_U64(result.size, size);
	CHECK_INT(after.count, before.count + 1);
	CHECK_MEM(after.disk.bytes, before.disk.bytes, 16);
	for (size_t i = 0; i < before.count; i++)
		CHECK_MEM(&after.items[i], &before.items[i], sizeof(before.items[i]));
	CHECK_STR(after.items[before.count].label, "CIDATA");
	CHECK_U64(after.items[before.count].size, content.size);
	CHECK_U64(after.items[before.count].offset, result.partition.offset);
	/* Everything from the table to the end of the last partition. */
	same_range(file, output, MIB,
		   before.items[before.count - 1].offset + before.items[before.count - 1].size);
	read_at(output, bytes, sizeof(bytes), result.partition.offset + MIB);
	CHECK_MEM(bytes, content_bytes, sizeof(bytes));
	image = inspect_image(output, true, &err);
	CHECK_OK_PTR(image, &err);
	CHECK(json_is_true(json_object_get(image, "verified")));
	CHECK_INT(json_array_size(json_object_get(image, "problems")), 0);
	json_decref(image);
	gpt_free(&before);
	gpt_free(&after);
}

static bool has_name(const char *const *names, const char *name)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

static void check_formats(const char *const *formats)
{
	for (; *formats; formats++) {
		const struct output_format *f = output_format_find(*formats);
		CLEANUP_FREE char *file = mem_printf("demo%s", f->suffix);

		check_format(f, file);
	}
}

TEST_TIMEOUT(every_format_that_is_read, 300)
{
	static const char *const formats[] = {"raw", "raw.zst", "qcow2", "qcow2-zlib",
					      "vhd", "vmdk",    "ova",   NULL};
	struct testimage demo = {.compact = true};

	testimage_make(formats, false, &demo);
	for (const struct output_format *const *f = output_formats; *f; f++)
		CHECK(!(*f)->read || has_name(formats, (*f)->name) ||
		      strcmp((*f)->name, "gcp") == 0);
	check_formats(formats);
	check_other_tools("out.raw");
}

TEST_TIMEOUT(gcp_has_whole_gib, 300)
{
	static const char *const formats[] = {"gcp", NULL};
	struct testimage demo = {.align = GIB};

	testimage_make(formats, false, &demo);
	check_formats(formats);
}

static const char *const raw[] = {"raw", NULL};

/* At first boot the root grows to its slot: that room stays free, and what is behind it is used. */
TEST(the_slot_of_the_root_stays_free)
{
	struct testimage demo = {.compact = true};
	struct inject_result result;
	struct stat st;

	testimage_make(raw, false, &demo);
	result = inject("demo.raw", "out.raw");
	CHECK(result.partition.offset >= demo.root_at + 64 * MIB);
	/* Not more than the hash tree of a slot could stand for: 1 MiB of it are 128 MiB. */
	CHECK(result.partition.offset <= demo.root_at + 192 * MIB);
	CHECK_U64(result.size % MIB, 0);
	CHECK_INT(stat("out.raw", &st), 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	CHECK(result.partition.flags == (GPT_FLAG_READ_ONLY | GPT_FLAG_NO_AUTO));
}

TEST(a_disk_with_room_keeps_its_size)
{
	struct testimage demo = {.align = GIB};
	struct inject_result result;

	testimage_make(raw, false, &demo);
	CHECK_U64(demo.size, GIB);
	result = inject("demo.raw", "out.raw");
	CHECK_U64(result.size, GIB);
	check_other_tools("out.raw");
}

TEST(again_and_in_place)
{
	static const uint8_t other[512] = "something else";
	struct region region = {.offset = 0, .length = sizeof(other), .bytes = other, .fd = -1};
	struct region_list list = {&region, 1, 1, MIB};
	struct inject_options options = {.input = "out.raw",
					 .output = "out.raw",
					 .label = "CIDATA",
					 .content = &list,
					 .jobs = 1};
	struct testimage demo = {.compact = true};
	struct inject_result first, second;
	uint8_t bytes[512];

	testimage_make(raw, false, &demo);
	first = inject("demo.raw", "out.raw");
	CHECK_OK(inject_run(&options, &second, &err), &err);
	CHECK(second.replaced);
	CHECK_U64(second.size, first.size);
	CHECK_MEM(&second.partition, &first.partition, sizeof(first.partition));
	read_at("out.raw", bytes, sizeof(bytes), first.partition.offset);
	CHECK_MEM(bytes, other, sizeof(bytes));
	read_at("out.raw", bytes, sizeof(bytes), first.partition.offset + MIB);
	CHECK(bytes[0] == 0); /* nothing of the old content is left */
	same_range("demo.raw", "out.raw", MIB, demo.root_at + demo.root_used);
	check_other_tools("out.raw");
	list.size = 64 * MIB;
	CHECK_ERR(inject_run(&options, &second, &err), &err, ERR_VERIFY,
		  "its partition 'CIDATA' is too small");
}

static void refuse(const char *command, int code, const char *why)
{
	const struct inject_options options = {.input = "demo.raw",
					       .output = "out.raw",
					       .label = "CIDATA",
					       .content = &content,
					       .jobs = 1};
	struct testimage demo = {.compact = true};
	struct inject_result result;

	testimage_make(raw, false, &demo);
	CHECK_OK(RUN(NULL, &err, "sh", "-c", command), &err);
	CHECK_ERR(inject_run(&options, &result, &err), &err, code, why);
	CHECK(access("out.raw", F_OK) != 0);
}

TEST(booted)
{
	refuse("truncate -s 400M demo.raw && sgdisk -e -n 0:0:0 "
	       "-t 0:4d21b016-b534-45c2-a9fb-5c16e091fd2d demo.raw",
	       ERR_VERIFY, "it was booted already");
}

TEST(no_table)
{
	refuse("truncate -s 0 demo.raw && truncate -s 100M demo.raw", ERR_VERIFY,
	       "cannot add a partition to 'demo.raw'");
}

TEST(no_partitions)
{
	refuse("sgdisk -o demo.raw", ERR_VERIFY, "it has no partitions");
}

TEST(damaged_table)
{
	refuse("printf X | dd of=demo.raw bs=1 seek=1100 conv=notrunc status=none", ERR_VERIFY,
	       "checksum");
}

TEST(no_free_entry)
{
	struct gpt_partition part = {.size = MIB};
	uint8_t tail[GPT_TAIL_SIZE], head[GPT_HEAD_SIZE];
	struct gpt_partition items[GPT_ENTRIES] = {0};
	struct gpt gpt = {.items = items, .count = GPT_ENTRIES};

	for (size_t i = 0; i < GPT_ENTRIES; i++) {
		CHECK_OK(guid_parse(gpt_types[0].guid, &items[i].type, &err), &err);
		items[i].unique.bytes[0] = (uint8_t)(i + 1);
		items[i].offset = (i + 1) * MIB;
		items[i].size = MIB;
	}
	part.offset = (GPT_ENTRIES + 1) * MIB;
	part.type = items[0].type;
	CHECK_OK(gpt_write(&gpt, GIB, head, tail, &err), &err);
	CHECK_ERR(gpt_add(head, GIB, &part, tail, &err), &err, ERR_VERIFY, "no free entry");
	gpt.count--;
	CHECK_OK(gpt_write(&gpt, GIB, head, tail, &err), &err);
	CHECK_OK(gpt_add(head, GIB, &part, tail, &err), &err);
	CHECK_INT(part.number, GPT_ENTRIES);
	CHECK_ERR(gpt_add(head, GIB, &part, tail, &err), &err, ERR_OTHER, "is in the way");
	part.offset = GIB - MIB;
	CHECK_ERR(gpt_add(head, GIB, &part, tail, &err), &err, ERR_OTHER, "cannot lie there");
}

TEST(slots)
{
	static const uint64_t sizes[] = {64 * MIB, 2 * GIB, 5 * GIB, 100 * GIB};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t verity = disk_verity_slot(sizes[i]), most = disk_slot_max(verity);

		CHECK(most >= sizes[i]);
		CHECK_U64(disk_verity_slot(most), verity);
		CHECK(disk_verity_slot(most + MIB) > verity);
	}
	CHECK_U64(disk_slot_max(0), 0);
}
