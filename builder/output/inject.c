/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding a partition: the old disk as regions, the new table around them, then the usual pass.
 */
#include "output/inject.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/size.h"
#include "base/str.h"
#include "disk/plan.h"
#include "output/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A hash tree of a bad image could claim a root of any size. */
#define DISK_MAX ((uint64_t)16 << 40)

struct inject {
	const struct inject_options *options;
	struct inject_result *result;
	struct source source;
	struct gpt gpt;
	uint8_t head[GPT_HEAD_SIZE], tail[GPT_TAIL_SIZE];
	struct log_step step;
};

static void inject_close(struct inject *in)
{
	source_close(&in->source);
	gpt_free(&in->gpt);
}

static bool has_type(const struct gpt_partition *p, const char *name)
{
	const struct gpt_type *type = gpt_type_of(&p->type);

	return type && strcmp(type->name, name) == 0;
}

static const struct gpt_partition *find_part(const struct gpt *gpt, const char *type,
					     const char *label)
{
	for (size_t i = 0; i < gpt->count; i++)
		if (has_type(&gpt->items[i], type) &&
		    (!label || strcmp(gpt->items[i].label, label) == 0))
			return &gpt->items[i];
	return NULL;
}

/* Behind all partitions. The root of an image is as large as its content and grows to its slot at first boot:
 * how large that is tells the partition of its hash tree, which has its final size. */
static uint64_t first_free(const struct gpt *gpt)
{
	const struct gpt_partition *verity = find_part(gpt, "root-verity", NULL);
	uint64_t at = 0, slot = 0;

	if (verity)
		slot = verity->size < DISK_MAX ? disk_slot_max(verity->size) : DISK_MAX;
	for (size_t i = 0; i < gpt->count; i++) {
		const struct gpt_partition *p = &gpt->items[i];
		uint64_t size = p->size;

		if (verity && has_type(p, "root") && slot > size)
			size = slot;
		if (p->offset + size > at)
			at = p->offset + size;
	}
	return size_align(at, MIB);
}

/* The format to write. zlib can be read by more programs than zstd, so a qcow2 that has it keeps it
 * (QEMU docs/interop/qcow2.txt: compression type at 104, of version 3 only). */
static int choose_format(struct inject *in, struct err *err)
{
	const char *name = in->source.image->format;
	uint8_t header[105] = {0};

	if (strcmp(name, "qcow2") == 0) {
		CLEANUP_FD int fd = open(in->options->input, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return err_sys(err, errno, "cannot open '%s'", in->options->input);
		if (fd_pread(fd, header, sizeof(header), 0, in->options->input, err) < 0)
			return -1;
		if (header[7] == 2 || header[103] < 105 || header[104] == 0)
			name = "qcow2-zlib";
	}
	in->result->format = output_format_find(name);
	if (in->result->format)
		return 0;
	return err_set(err, ERR_OTHER, "images of format %s cannot be written", name);
}

/* The size of the disk with a partition that ends at end: a multiple of what it was and of what the format wants. */
static uint64_t new_size(const struct inject *in, uint64_t end)
{
	uint64_t size = in->source.image->size, step = in->result->format->multiple;

	if (step < MIB)
		step = MIB;
	if (size % GIB == 0 && step < GIB)
		step = GIB;
	end += GPT_TAIL_SIZE;
	return end > size ? size_align(end, step) : size;
}

static void add_bytes(struct inject *in, const uint8_t *bytes, size_t len, uint64_t offset)
{
	struct region_list *d = &in->source.disk;
	const struct region region = {.offset = offset,
				      .length = len,
				      .bytes = bytes,
				      .fd = -1,
				      .name = "partition table"};

	VEC_ADD(d->items, d->count, d->room, region);
}

static void add_content(struct inject *in)
{
	struct region_list *d = &in->source.disk;

	for (size_t i = 0; i < in->options->content->count; i++) {
		struct region region = in->options->content->items[i];

		region.offset += in->result->partition.offset;
		VEC_ADD(d->items, d->count, d->room, region);
	}
}

/* The partition is there: only what is in it changes. */
static int plan_replace(struct inject *in, struct err *err)
{
	const struct gpt_partition *p = &in->result->partition;
	uint64_t size = in->source.image->size;

	if (p->size < in->options->content->size)
		return err_set(err, ERR_VERIFY, "its partition '%s' is too small", p->label);
	if (source_add(&in->source, 0, p->offset, err) < 0)
		return -1;
	add_content(in);
	in->source.disk.size = size;
	return source_add(&in->source, p->offset + p->size, size, err);
}

static int plan_add(struct inject *in, struct err *err)
{
	struct gpt_partition *p = &in->result->partition;
	struct image *image = in->source.image;
	uint64_t kept = image->size - GPT_TAIL_SIZE, size;
	struct digest seed;
	bool found;

	*p = (struct gpt_partition){.offset = first_free(&in->gpt),
				    .size = in->options->content->size,
				    .flags = GPT_FLAG_READ_ONLY | GPT_FLAG_NO_AUTO};
	memcpy(p->label, in->options->label, strlen(in->options->label));
	digest_bytes(in->gpt.disk.bytes, sizeof(in->gpt.disk.bytes), &seed);
	guid_derive(in->options->label, &seed, &p->unique);
	if (p->offset > DISK_MAX - p->size)
		return err_set(err, ERR_VERIFY, "its root would leave no room on any disk");
	size = new_size(in, p->offset + p->size);
	if (guid_parse(gpt_type_find("linux-generic", NULL)->guid, &p->type, err) < 0 ||
	    image->pread(image, in->head, GPT_HEAD_SIZE, 0, err) < 0 ||
	    (size > image->size &&
	     gpt_enlarge(in->head, image->size, size, in->tail, &found, &kept, err) < 0) ||
	    gpt_add(in->head, size, p, in->tail, err) < 0)
		return -1;
	in->source.disk.size = size;
	add_bytes(in, in->head, GPT_HEAD_SIZE, 0);
	if (source_add(&in->source, GPT_HEAD_SIZE, kept < p->offset ? kept : p->offset, err) < 0)
		return -1;
	add_content(in);
	add_bytes(in, in->tail, GPT_TAIL_SIZE, size - GPT_TAIL_SIZE);
	return 0;
}

static int plan(struct inject *in, struct err *err)
{
	const struct gpt_partition *old;

	if (gpt_read(in->source.image, &in->gpt, err) < 0)
		return -1;
	if (in->gpt.problem[0])
		return err_set(err, ERR_VERIFY, "%s", in->gpt.problem);
	if (in->gpt.count == 0 || !in->gpt.items)
		return err_set(err, ERR_VERIFY, "it has no partitions");
	old = find_part(&in->gpt, "linux-generic", in->options->label);
	in->result->replaced = old;
	if (old) {
		in->result->partition = *old;
		return plan_replace(in, err);
	}
	if (find_part(&in->gpt, "var", NULL)) {
		err_set(err, ERR_VERIFY,
			"it was booted already: a partition behind /var would keep that from "
			"growing");
		return err_hint(err, "attach a disk of 'ingot seed --format nocloud-iso' instead");
	}
	return plan_add(in, err);
}

/* A link is not followed: it would be replaced, and /dev/stdout is one. */
static int check_target(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "cannot write '%s'", path);
	if (S_ISREG(st.st_mode))
		return 0;
	return err_set(err, ERR_USAGE, "cannot write '%s': it is no regular file", path);
}

static void on_progress(uint64_t done, uint64_t total, void *context)
{
	struct inject *in = context;

	log_step_progress(&in->step, done, total, NULL);
}

int inject_run(const struct inject_options *options, struct inject_result *ret, struct err *err)
{
	CLEANUP(inject_close)
	struct inject in = {.options = options, .result = ret, .source = SOURCE_NONE};
	const struct output_watch watch = {.progress = on_progress, .context = &in};
	struct output_target target = {.path = options->output,
				       .options = {.portable = options->portable, .secret = true}};
	int r;

	*ret = (struct inject_result){0};
	if (check_target(options->output, err) < 0 ||
	    source_open(options->input, &in.source, err) < 0 || choose_format(&in, err) < 0)
		return -1;
	if (plan(&in, err) < 0)
		return err_wrap(err, "cannot add a partition to '%s'", options->input);
	target.format = ret->format;
	ret->size = in.source.disk.size;
	log_step_begin(&in.step, "seed", path_base(options->output));
	r = output_write_all(&in.source.disk, &target, 1, options->jobs, &watch, &ret->file, err);
	in.step.bytes = ret->file.size;
	log_step_end(&in.step, r == 0 ? LOG_DONE : LOG_FAILED);
	return r;
}
