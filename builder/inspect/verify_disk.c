/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of files and of the disks in them; partition tables and the way from the kernel image to the
 * data of the root, as inspect_image finds them.
 */
#include "inspect/verify_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "inspect/inspect.h"
#include "output/image.h"
#include "output/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20)
/* Zeros take no room in a file: without a limit they could keep us busy for years. */
#define DISK_MAX ((uint64_t)16 << 40)

int verify_file_run(struct verify_task *task, struct err *err)
{
	struct verify_file *file = task->subject;
	CLEANUP_FD int fd = open(file->path, O_RDONLY | O_CLOEXEC);
	CLEANUP_FREE char *buffer = mem_alloc(CHUNK);
	struct digest_ctx *ctx;
	ssize_t n;

	if (fd < 0)
		return err_sys(err, errno, "cannot open '%s'", file->path);
	ctx = digest_start();
	while ((n = read(fd, buffer, CHUNK)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			digest_ctx_free(ctx);
			return err_sys(err, errno, "cannot read '%s'", file->path);
		}
		digest_add(ctx, buffer, (size_t)n);
		verify_progress(task->verify, (uint64_t)n);
	}
	digest_finish(ctx, &file->found);
	if (file->wanted && memcmp(file->found.bytes, file->want.bytes, DIGEST_SIZE) != 0)
		atomic_store(&task->verify->stop, true);
	return 0;
}

int verify_disk_run(struct verify_task *task, struct err *err)
{
	struct verify_disk *disk = task->subject;
	CLEANUP(image_close) struct image *image = image_open(disk->path, err);
	CLEANUP_FREE char *buffer = mem_alloc(CHUNK);
	struct digest_ctx *ctx;

	if (!image)
		return -1;
	ctx = digest_start();
	for (uint64_t at = 0; at < image->size && !atomic_load(&task->verify->stop); at += CHUNK) {
		size_t len = image->size - at < CHUNK ? (size_t)(image->size - at) : CHUNK;

		if (image->pread(image, buffer, len, at, err) < 0) {
			digest_ctx_free(ctx);
			return -1;
		}
		digest_add(ctx, buffer, len);
		verify_progress(task->verify, len);
	}
	digest_finish(ctx, &disk->found);
	return 0;
}

/* Several rows of the table may be read by the same code (variants of a format). */
static bool is_format(const char *expected, const char *found)
{
	const struct output_format *a = output_format_find(expected),
				   *b = output_format_find(found);

	return strcmp(expected, found) == 0 || (a && b && a->read && a->read == b->read);
}

void verify_add_disk(struct verify *v, const char *name, const char *format, uint64_t size)
{
	struct verify_disk *disk = &v->disks[v->disk_count++];

	*disk = (struct verify_disk){.name = mem_strdup(name),
				     .path = verify_path_of(v, name),
				     .format = format,
				     .size = size};
	for (size_t i = 0; i < v->file_count; i++)
		if (strcmp(v->files[i].name, name) == 0)
			disk->file = &v->files[i];
}

static int open_disk(struct verify *v, struct verify_disk *disk, struct err *err)
{
	CLEANUP(image_close) struct image *image = image_open(disk->path, err);

	if (!image)
		return -1;
	if (disk->format && !is_format(disk->format, image->format))
		return err_set(err, ERR_VERIFY, "%s: it is %s, manifest.json says %s", disk->name,
			       image->format, verify_plain(disk->format));
	if (disk->size && disk->size != image->size)
		return err_set(err, ERR_VERIFY,
			       "%s: its disk has %llu bytes, manifest.json says %llu", disk->name,
			       (unsigned long long)image->size, (unsigned long long)disk->size);
	if (image->size > DISK_MAX)
		return err_set(err, ERR_VERIFY, "%s: its disk is larger than %llu TiB", disk->name,
			       (unsigned long long)(DISK_MAX >> 40));
	disk->size = image->size;
	disk->is_raw = strcmp(image->format, "raw") == 0;
	/* A raw one is read fastest. */
	if (!v->head || (disk->is_raw && !v->head->is_raw))
		v->head = disk;
	return 0;
}

/* Whatever inspection finds strange about an image that we should vouch for is wrong. */
static int check_problems(const json_t *image, const char *name, struct err *err)
{
	const json_t *problems = json_object_get(image, "problems");

	if (json_array_size(problems) == 0)
		return 0;
	return err_set(err, ERR_VERIFY, "%s: %s", name,
		       json_string_value(json_array_get(problems, 0)));
}

int verify_boot_run(struct verify_task *task, struct err *err)
{
	struct verify *v = task->verify;

	if (atomic_load(&v->stop))
		return 0;
	v->inspected = inspect_image(v->head->path, true, err);
	verify_progress(v, task->cost);
	if (!v->inspected)
		return -1;
	return check_problems(v->inspected, v->head->name, err);
}

static int add_root(struct verify *v, const json_t *partition, struct err *err)
{
	struct verify_root root = {
		.number = (unsigned)json_integer_value(json_object_get(partition, "number")),
		.offset = (uint64_t)json_integer_value(json_object_get(partition, "offset")),
		.size = (uint64_t)json_integer_value(json_object_get(partition, "size"))};

	for (size_t i = 0; i < v->root_count; i++)
		if (v->roots[i].number == root.number)
			return 0;
	if (v->root_count == VERIFY_ROOTS_MAX)
		return err_set(err, ERR_VERIFY, "%s: more than %d roots", v->head->name,
			       VERIFY_ROOTS_MAX);
	v->roots[v->root_count++] = root;
	return 0;
}

static int find_roots(struct verify *v, struct err *err)
{
	CLEANUP_JSON json_t *image = inspect_image(v->head->path, false, err);
	json_t *entry, *partition;
	size_t i, k;

	if (!image || check_problems(image, v->head->name, err) < 0)
		return -1;
	json_array_foreach(json_object_get(image, "entries"), i, entry)
	{
		json_array_foreach(json_object_get(json_object_get(image, "table"), "partitions"),
				   k, partition)
		{
			if (json_equal(json_object_get(entry, "root"),
				       json_object_get(partition, "number")) &&
			    add_root(v, partition, err) < 0)
				return -1;
		}
	}
	if (v->root_count == 0)
		return err_set(err, ERR_VERIFY,
			       "%s: no kernel image on it names the root hash of one of its "
			       "partitions",
			       v->head->name);
	return 0;
}

int verify_open_disks(struct verify *v, struct err *err)
{
	for (size_t i = 0; i < v->disk_count; i++)
		if (open_disk(v, &v->disks[i], err) < 0)
			return -1;
	return find_roots(v, err);
}
