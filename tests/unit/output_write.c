/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contract of all image formats: what is written reads back as the same bytes, does not depend on
 * the number of threads, and has the digest that is told.
 */
#include "tap.h"

#include <sys/resource.h>

#include "base/mem.h"
#include "base/size.h"
#include "memimage.h"
#include "output/image.h"
#include "output/output.h"
#include "profile/schema.h"
#include "readback.h"

#define DISK_SIZE (9 * MIB + 512)

/* A disk with all that matters: zeros inside, random and compressible clusters, clusters that are cut
 * by regions and by the end, holes, bytes and files. */
struct sample {
	uint8_t *want;
	struct region regions[8];
	struct region_list list;
	int fd;
};

static void add(struct sample *s, uint64_t offset, uint64_t length, bool from_file)
{
	struct region *r = &s->regions[s->list.count++];

	*r = (struct region){.offset = offset, .length = length, .fd = -1, .name = "part"};
	if (!from_file) {
		r->bytes = s->want + offset;
		return;
	}
	/* The file has all bytes of the disk, moved by 100. */
	r->fd = s->fd;
	r->source_offset = offset + 100;
}

static void fill_text(uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t) "all work and no play makes a dull disk "[(i * i / 977) % 39];
}

static struct sample *sample(void)
{
	struct sample *s = mem_alloc(sizeof(*s));
	uint8_t *w = s->want = mem_alloc(DISK_SIZE);

	fill_random(w + 300000, 2000000, 7);
	memset(w + 1000000, 0, 300000);
	fill_text(w + 4 * MIB, 2 * MIB);
	fill_random(w + 5 * MIB, 100000, 8);
	/* One byte in a cluster. */
	w[8 * MIB + 65535] = 1;
	memcpy(w + DISK_SIZE - 512, "end", 3);
	tap_spew("source", w, 100);
	s->fd = open("source", O_RDWR | O_CLOEXEC);
	CHECK(pwrite(s->fd, w, DISK_SIZE, 100) == (ssize_t)DISK_SIZE);
	s->list.items = s->regions;
	s->list.size = DISK_SIZE;
	add(s, 300000, 1000, false);
	add(s, 301000, 1999000, true);
	add(s, 4 * MIB, MIB + 77, true);
	add(s, 5 * MIB + 77, MIB - 77, false);
	add(s, 7 * MIB, 0, false);
	add(s, 7 * MIB, MIB + 65536, true);
	add(s, DISK_SIZE - 512, 512, false);
	return s;
}

static void free_sample(struct sample **s)
{
	close((*s)->fd);
	free((*s)->want);
	free(*s);
}

/* Writes the disk in one format; it gets as large as the format needs it. */
static void write_one(const struct region_list *list, const char *format, const char *path,
		      unsigned jobs, struct output_result *result)
{
	struct output_target target = {
		.format = output_format_find(format), .path = path, .options = {.no_sync = true}};
	struct region_list disk = *list;
	struct err err = {0};

	if (target.format->multiple)
		disk.size = size_align(disk.size, target.format->multiple);
	CHECK_OK(output_write_all(&disk, &target, 1, jobs, NULL, result, &err), &err);
}

static void check_same(const char *path, const char *format, const uint8_t *want)
{
	const struct output_format *f = output_format_find(format);

	check_readback(path, format, want, DISK_SIZE,
		       f->multiple ? size_align(DISK_SIZE, f->multiple) : DISK_SIZE);
}

TEST(every_format_reads_back)
{
	CLEANUP(free_sample) struct sample *s = sample();

	for (const struct output_format *const *f = output_formats; *f; f++) {
		struct output_result result;
		struct digest digest;
		struct stat st;
		struct err err = {0};

		write_one(&s->list, (*f)->name, "image", 2, &result);
		if ((*f)->read)
			check_same("image", (*f)->name, s->want);
		CHECK_OK(digest_file("image", &digest, &err), &err);
		CHECK_MEM(digest.bytes, result.digest.bytes, DIGEST_SIZE);
		CHECK_INT(stat("image", &st), 0);
		CHECK_U64((uint64_t)st.st_size, result.size);
		/* Holes stay holes. */
		CHECK((uint64_t)st.st_blocks * 512 < 6 * MIB);
	}
}

TEST(bytes_do_not_depend_on_threads)
{
	CLEANUP(free_sample) struct sample *s = sample();

	for (const struct output_format *const *f = output_formats; *f; f++) {
		struct output_result first, other;

		/* The file's name is in some formats. */
		write_one(&s->list, (*f)->name, "image", 1, &first);
		for (unsigned jobs = 2; jobs <= 9; jobs += 7)
			for (int again = 0; again < 5; again++) {
				write_one(&s->list, (*f)->name, "image", jobs, &other);
				CHECK_MEM(other.digest.bytes, first.digest.bytes, DIGEST_SIZE);
			}
	}
}

TEST(bytes_do_not_depend_on_how_regions_are_cut)
{
	CLEANUP(free_sample) struct sample *s = sample();
	struct region whole = {.length = DISK_SIZE, .bytes = s->want, .fd = -1};
	struct region_list list = {.items = &whole, .count = 1, .size = DISK_SIZE};

	for (const struct output_format *const *f = output_formats; *f; f++) {
		struct output_result first, other;

		write_one(&s->list, (*f)->name, "image", 2, &first);
		write_one(&list, (*f)->name, "image", 2, &other);
		CHECK_MEM(other.digest.bytes, first.digest.bytes, DIGEST_SIZE);
	}
}

/* All formats at once share the pass; each must be what it is alone. */
TEST(formats_do_not_disturb_each_other)
{
	CLEANUP(free_sample) struct sample *s = sample();
	struct output_target targets[OUTPUT_TARGETS_MAX] = {0};
	struct output_result results[OUTPUT_TARGETS_MAX], alone;
	struct region_list disk = s->list;
	char names[OUTPUT_TARGETS_MAX][16];
	size_t count = 0;
	struct err err = {0};

	for (; output_formats[count]; count++) {
		const struct output_format *f = output_formats[count];

		snprintf(names[count], sizeof(names[count]), "all-%zu", count);
		targets[count] = (struct output_target){
			.format = f, .path = names[count], .options = {.no_sync = true}};
		if (f->multiple)
			disk.size = size_align(disk.size, f->multiple);
	}
	CHECK_OK(output_write_all(&disk, targets, count, 3, NULL, results, &err), &err);
	for (size_t i = 0; i < count; i++) {
		/* The name is in some formats: it has to be the same. */
		CHECK_OK(output_write_all(&disk, &targets[i], 1, 1, NULL, &alone, &err), &err);
		CHECK_MEM(results[i].digest.bytes, alone.digest.bytes, DIGEST_SIZE);
	}
}

TEST(a_format_refuses_a_disk_that_it_cannot_hold)
{
	struct region_list list = {.size = 512};
	struct err err = {0};

	for (const struct output_format *const *f = output_formats; *f; f++) {
		struct output_target target = {
			.format = *f, .path = "small", .options = {.no_sync = true}};
		struct output_result result;

		if (!(*f)->multiple)
			continue;
		CHECK_ERR(output_write_all(&list, &target, 1, 1, NULL, &result, &err), &err,
			  ERR_OTHER, "a disk of format");
		CHECK(access("small", F_OK) < 0);
	}
}

static int keep_content(const struct output_result *results, const struct digest *content,
			void *context, struct err *err)
{
	(void)results;
	(void)err;
	*(struct digest *)context = *content;
	return 0;
}

TEST(the_digest_of_the_disk_is_that_of_the_raw_file)
{
	CLEANUP(free_sample) struct sample *s = sample();
	struct digest digest, told;
	struct output_target target = {.format = output_format_find("qcow2"),
				       .path = "c.qcow2",
				       .options = {.no_sync = true}};
	const struct output_watch watch = {.complete = keep_content, .context = &told};
	struct output_result result;
	struct err err = {0};

	digest_bytes(s->want, DISK_SIZE, &digest);
	write_one(&s->list, "raw", "c.raw", 2, &result);
	CHECK_MEM(result.digest.bytes, digest.bytes, DIGEST_SIZE);
	CHECK_OK(output_write_all(&s->list, &target, 1, 2, &watch, &result, &err), &err);
	CHECK_MEM(told.bytes, digest.bytes, DIGEST_SIZE);
}

TEST(qemu_agrees)
{
	static const char *const formats[] = {"qcow2", "qcow2-zlib"};
	CLEANUP(free_sample) struct sample *s = sample();

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		CLEANUP(str_free) struct str out = {0};
		struct output_result result;
		struct err err = {0};

		write_one(&s->list, "raw", "d.raw", 2, &result);
		write_one(&s->list, formats[i], "d.qcow2", 2, &result);
		check_same("d.qcow2", "qcow2", s->want);
		CHECK_OK(RUN(&out, &err, "qemu-img", "check", "d.qcow2"), &err);
		CHECK_CONTAINS(out.data, "No errors were found on the image.");
		str_free(&out);
		CHECK_OK(RUN(&out, &err, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", "d.raw",
			     "d.qcow2"),
			 &err);
		str_free(&out);
		CHECK_OK(RUN(&out, &err, "qemu-img", "info", "d.qcow2"), &err);
		CHECK_CONTAINS(out.data, "compat: 1.1");
		CHECK_CONTAINS(out.data,
			       i == 0 ? "compression type: zstd" : "compression type: zlib");
		CHECK_CONTAINS(out.data, "cluster_size: 65536");
	}
	CHECK_FILE_MEM("d.raw", (const char *)s->want, DISK_SIZE);
}

static uint64_t last_done, last_total;
static unsigned calls;

static void count_progress(uint64_t done, uint64_t total, void *context)
{
	CHECK(context == &calls);
	CHECK(done >= last_done && done <= total);
	last_done = done;
	last_total = total;
	calls++;
}

TEST(formats_are_written_together)
{
	CLEANUP(free_sample) struct sample *s = sample();
	struct output_target targets[2] = {
		{.format = output_format_find("qcow2"), .path = "x.qcow2"},
		{.format = output_format_find("raw"), .path = "x.raw"},
	};
	const struct output_watch watch = {.progress = count_progress, .context = &calls};
	struct output_result results[2], alone;
	struct err err = {0};

	CHECK_OK(output_write_all(&s->list, targets, 2, 3, &watch, results, &err), &err);
	check_same("x.qcow2", "qcow2", s->want);
	check_same("x.raw", "raw", s->want);
	CHECK(calls > 0);
	CHECK_U64(last_total, DISK_SIZE);
	write_one(&s->list, "qcow2", "y.qcow2", 1, &alone);
	CHECK_MEM(alone.digest.bytes, results[0].digest.bytes, DIGEST_SIZE);
}

static void check_nothing_left(void)
{
	DIR *dir = opendir(".");
	struct dirent *e;

	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    strcmp(e->d_name, "source") != 0)
			FAIL("'%s' was left", e->d_name);
	closedir(dir);
}

/* The files are whole by then, but not where anybody would take them for that. */
static int refuse(const struct output_result *results, const struct digest *content, void *context,
		  struct err *err)
{
	(void)content;
	CHECK(context == &calls);
	CHECK_U64(results[1].size, DISK_SIZE);
	CHECK(access("x.qcow2", F_OK) < 0 && access("x.raw", F_OK) < 0);
	return err_set(err, ERR_SPACE, "no room for what belongs to it");
}

TEST(the_caller_has_the_last_word)
{
	CLEANUP(free_sample) struct sample *s = sample();
	struct output_target targets[2] = {
		{.format = output_format_find("qcow2"), .path = "x.qcow2"},
		{.format = output_format_find("raw"), .path = "x.raw"},
	};
	const struct output_watch watch = {.complete = refuse, .context = &calls};
	struct output_result results[2];
	struct err err = {0};

	CHECK_ERR(output_write_all(&s->list, targets, 2, 3, &watch, results, &err), &err, ERR_SPACE,
		  "no room");
	check_nothing_left();
}

static void check_fails(const struct region_list *list, const char *second, int code,
			const char *message)
{
	struct output_target targets[2] = {
		{.format = output_format_find("qcow2"), .path = "x.qcow2"},
		{.format = output_format_find("raw"), .path = second},
	};
	struct output_result results[2];
	struct err err = {0};

	CHECK_ERR(output_write_all(list, targets, 2, 3, NULL, results, &err), &err, code, message);
	check_nothing_left();
}

TEST(a_failure_leaves_no_file)
{
	CLEANUP(free_sample) struct sample *s = sample();

	check_fails(&s->list, "no/folder/x.raw", ERR_OTHER, "cannot create 'no/folder/x.raw'");
	/* A source that ends early, in the middle of the pass. */
	CHECK_INT(ftruncate(s->fd, 5 * MIB), 0);
	check_fails(&s->list, "x.raw", ERR_VERIFY, "part");
	close(s->fd);
	s->fd = -1;
	s->regions[1].fd = -1;
	check_fails(&s->list, "x.raw", ERR_OTHER, "part");
}

static void write_full(const struct region_list *list, const struct output_format *format)
{
	struct output_target target = {.format = format, .path = "x", .options = {.no_sync = true}};
	struct region_list disk = *list;
	struct output_result result;
	struct err err = {0};

	if (format->multiple)
		disk.size = size_align(disk.size, format->multiple);
	if (output_write_all(&disk, &target, 1, 2, NULL, &result, &err) == 0) {
		/* One that is smaller than the room there is. */
		CHECK(result.size <= MIB);
		CHECK_INT(unlink("x"), 0);
	} else {
		CHECK_ERR(-1, &err, ERR_OTHER, "File too large");
	}
	check_nothing_left();
}

TEST(a_full_disk_leaves_no_file)
{
	CLEANUP(free_sample) struct sample *s = sample();
	struct rlimit limit = {.rlim_cur = MIB, .rlim_max = MIB};

	/* EFBIG stands for ENOSPC: both come from write. */
	signal(SIGXFSZ, SIG_IGN);
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
	check_fails(&s->list, "x.raw", ERR_OTHER, "File too large");
	for (const struct output_format *const *f = output_formats; *f; f++)
		write_full(&s->list, *f);
}

TEST(wrong_regions_are_refused)
{
	struct region regions[2] = {{.offset = 0, .length = 1024, .bytes = "", .fd = -1},
				    {.offset = 512, .length = 512, .bytes = "", .fd = -1}};
	struct region_list list = {.items = regions, .count = 2, .size = MIB};

	check_fails(&list, "x.raw", ERR_OTHER, "overlaps another one or leaves the disk");
	regions[1] = (struct region){.offset = MIB, .length = 1, .bytes = "", .fd = -1};
	check_fails(&list, "x.raw", ERR_OTHER, "leaves the disk");
	regions[1] = (struct region){.offset = 1024, .length = UINT64_MAX, .bytes = "", .fd = -1};
	check_fails(&list, "x.raw", ERR_OTHER, "leaves the disk");
	list.size = 0;
	check_fails(&list, "x.raw", ERR_OTHER, "not a number of sectors");
	list.size = 1000;
	check_fails(&list, "x.raw", ERR_OTHER, "not a number of sectors");
}

TEST(empty_disks_are_written)
{
	struct region_list list = {.size = 600 * MIB};
	struct output_result result;
	struct err err = {0};

	write_one(&list, "qcow2", "e.qcow2", 2, &result);
	CHECK(result.size <= 5 * 65536);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "check", "e.qcow2"), &err);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "create", "-q", "-f", "raw", "e.raw", "600M"), &err);
	CHECK_OK(RUN(NULL, &err, "qemu-img", "compare", "e.raw", "e.qcow2"), &err);
}

TEST(formats_have_all_that_help_needs)
{
	size_t count = 0;

	for (; output_formats[count]; count++) {
		const struct output_format *f = output_formats[count];

		CHECK(output_format_find(f->name) == f);
		CHECK_INT(f->suffix[0], '.');
		CHECK(strlen(f->summary) > 10 && strlen(f->summary) < 80);
		CHECK(f->open && f->write && f->finish && f->close);
		CHECK(!f->prepare == !f->drop);
		CHECK(!f->with || output_format_find(f->with));
	}
	CHECK(count >= 2);
	CHECK(!output_format_find("floppy"));
}

/* profile/ may not look into output/, so the names are there twice. */
TEST(profiles_may_name_each_format)
{
	const struct schema_row *row = schema_rows;
	size_t count = 0;

	while (strcmp(row->key, "formats") != 0)
		row++;
	for (; output_formats[count]; count++)
		CHECK_STR(row->choices[count], output_formats[count]->name);
	CHECK(!row->choices[count]);
}
