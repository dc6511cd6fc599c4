/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Converting: the input as regions, holes left out; larger when a format wants that; then the pass.
 */
#include "output/convert.h"

#include "base/fd.h"
#include "base/image.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/size.h"
#include "disk/gpt.h"
#include "output/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The input, and its table when that was moved. */
struct input {
	struct source source;
	uint8_t head[GPT_HEAD_SIZE], tail[GPT_TAIL_SIZE];
};

/* What is written, and what is told about it. */
struct conversion {
	const struct output_format *formats[OUTPUT_TARGETS_MAX];
	struct output_target targets[OUTPUT_TARGETS_MAX];
	struct output_result results[OUTPUT_TARGETS_MAX];
	struct strv paths;
	size_t count;
	char *name;
	struct digest digest; /* of the disk */
	struct log_step step;
};

static void input_close(struct input *input)
{
	source_close(&input->source);
}

static void conversion_free(struct conversion *c)
{
	strv_free(&c->paths);
	free(c->name);
}

/* The head, the content behind it and the tail, for a disk that gets larger. */
static int add_enlarged(struct input *input, uint64_t size, struct err *err)
{
	struct source *source = &input->source;
	struct region_list *d = &source->disk;
	struct image *image = source->image;
	struct region head = {.length = GPT_HEAD_SIZE, .bytes = input->head, .fd = -1};
	struct region tail = {.offset = size - GPT_TAIL_SIZE,
			      .length = GPT_TAIL_SIZE,
			      .bytes = input->tail,
			      .fd = -1};
	uint64_t kept = image->size;
	bool found = false;

	if (image->size >= GPT_HEAD_SIZE &&
	    (image->pread(image, input->head, GPT_HEAD_SIZE, 0, err) < 0 ||
	     gpt_enlarge(input->head, image->size, size, input->tail, &found, &kept, err) < 0)) {
		err_wrap(err, "cannot enlarge the disk '%s'", image->name);
		return err_hint(err, "repair its partition table first, or ask for formats that "
				     "take a disk of this size (raw, qcow2)");
	}
	if (!found)
		return source_add(source, 0, image->size, err);
	head.name = tail.name = "partition table";
	VEC_ADD(d->items, d->count, d->room, head);
	if (source_add(source, GPT_HEAD_SIZE, kept, err) < 0)
		return -1;
	VEC_ADD(d->items, d->count, d->room, tail);
	return 0;
}

/* The smallest size that all formats take. */
static int choose_size(const struct conversion *c, const struct image *image, uint64_t *ret,
		       struct err *err)
{
	char is[16], was[16];
	const struct output_format *by = NULL;

	if (image->size % 512 != 0)
		return err_set(err, ERR_VERIFY,
			       "cannot convert '%s': %" PRIu64
			       " bytes are no disk: not a multiple of 512",
			       image->name, image->size);
	*ret = image->size;
	/* One may undo what another one needs, so until all are content. */
	for (size_t i = 0; i < c->count; i++) {
		const struct output_format *f = c->formats[i];

		if (f->multiple == 0 || *ret % f->multiple == 0)
			continue;
		*ret = size_align(*ret, f->multiple);
		by = f;
		i = (size_t)-1;
	}
	if (by)
		log_info("the disk grows from %s to %s: format %s has whole %s",
			 size_format(image->size, was), size_format(*ret, is), by->name,
			 size_format(by->multiple, (char[16]){0}));
	return 0;
}

/* The input's name without what tells its format. */
static char *base_name(const char *input)
{
	const char *name = path_base(input), *suffix = "";

	for (const struct output_format *const *f = output_formats; *f; f++)
		if (str_has_suffix(name, (*f)->suffix) && strlen((*f)->suffix) > strlen(suffix))
			suffix = (*f)->suffix;
	if (!*suffix && str_has_suffix(name, ".img"))
		suffix = ".img";
	if (strlen(name) == strlen(suffix))
		suffix = "";
	return mem_strndup(name, strlen(name) - strlen(suffix));
}

/* The files are not written from start to end, and must appear whole. */
static int check_target(const char *path, const char *input, struct err *err)
{
	struct stat target, source;

	if (stat(path, &target) < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "cannot write '%s'", path);
	if (stat(input, &source) == 0 && source.st_dev == target.st_dev &&
	    source.st_ino == target.st_ino) {
		err_set(err, ERR_USAGE, "cannot write '%s': it is the input", path);
		return err_hint(err, "another folder (-o DIR) or another name (--name NAME)");
	}
	if (!S_ISREG(target.st_mode))
		return err_set(err, ERR_USAGE,
			       "cannot write '%s': it is no regular file, and images are not "
			       "written from start to end, so no pipe or device can take them",
			       path);
	return 0;
}

static int check_folder(const char *folder, struct err *err)
{
	struct stat st;

	if (stat(folder, &st) < 0 || S_ISDIR(st.st_mode))
		return 0;
	err_set(err, ERR_USAGE, "cannot write to '%s': it is no folder", folder);
	return err_hint(err, "give a folder: images are not written from start to end, so no pipe "
			     "or device can take them");
}

static int add_targets(const struct convert_options *o, struct conversion *c, struct err *err)
{
	c->name = o->name ? mem_strdup(o->name) : base_name(o->input);
	if (!*c->name || strchr(c->name, '/') || strlen(c->name) > 200 || !path_is_clean(c->name))
		return err_set(err, ERR_USAGE, "'%.210s' can be no name of a file", c->name);
	if (check_folder(o->folder, err) < 0 || path_make_dirs(o->folder, err) < 0)
		return -1;
	for (size_t i = 0; i < c->count; i++) {
		CLEANUP_FREE char *file = mem_printf("%s%s", c->name, c->formats[i]->suffix);
		CLEANUP_FREE char *path =
			strcmp(o->folder, ".") == 0 ? mem_strdup(file) : path_join(o->folder, file);

		if (check_target(path, o->input, err) < 0)
			return -1;
		strv_add(&c->paths, path);
	}
	for (size_t i = 0; i < c->count; i++)
		c->targets[i] = (struct output_target){
			.format = c->formats[i],
			.path = c->paths.items[i],
			.options = {.name = c->name, .portable = o->portable},
		};
	return 0;
}

static void on_progress(uint64_t done, uint64_t total, void *context)
{
	struct conversion *c = context;

	log_step_progress(&c->step, done, total, NULL);
}

static int on_complete(const struct output_result *results, const struct digest *content,
		       void *context, struct err *err)
{
	struct conversion *c = context;

	(void)results;
	(void)err;
	c->digest = *content;
	return 0;
}

static json_t *describe(const struct conversion *c, uint64_t size)
{
	json_t *artifacts = json_array();
	char hex[DIGEST_HEX_SIZE];

	for (size_t i = 0; i < c->count; i++)
		json_array_append_new(artifacts,
				      json_pack("{s:s, s:s, s:I, s:I, s:s}", "format",
						c->formats[i]->name, "file", c->targets[i].path,
						"size", (json_int_t)size, "bytes",
						(json_int_t)c->results[i].size, "sha256",
						digest_hex(&c->results[i].digest, hex)));
	return json_pack("{s:o, s:s}", "artifacts", artifacts, "disk_sha256",
			 digest_hex(&c->digest, hex));
}

int convert_run(const struct convert_options *options, json_t **ret, struct err *err)
{
	CLEANUP(input_close) struct input input = {.source = SOURCE_NONE};
	CLEANUP(conversion_free) struct conversion c = {0};
	const struct output_watch watch = {on_progress, on_complete, &c};
	struct source *source = &input.source;
	uint64_t size = 0;
	int r;

	if (output_formats_choose(options->formats, c.formats, &c.count, err) < 0 ||
	    source_open(options->input, source, err) < 0 ||
	    choose_size(&c, source->image, &size, err) < 0 || add_targets(options, &c, err) < 0)
		return -1;
	r = size > source->image->size ? add_enlarged(&input, size, err)
				       : source_add(source, 0, size, err);
	if (r < 0)
		return -1;
	source->disk.size = size;
	log_step_begin(&c.step, "convert", c.name);
	r = output_write_all(&source->disk, c.targets, c.count, options->jobs, &watch, c.results,
			     err);
	c.step.bytes = 0;
	for (size_t i = 0; r == 0 && i < c.count; i++)
		c.step.bytes += c.results[i].size;
	log_step_end(&c.step, r == 0 ? LOG_DONE : LOG_FAILED);
	if (r == 0)
		*ret = describe(&c, size);
	return r;
}
