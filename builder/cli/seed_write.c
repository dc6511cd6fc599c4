/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot seed: media. All of them hold secrets, so nobody else can ever open them.
 */
#include "cli/seed.h"

#include "base/digest.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "disk/endian.h"
#include "output/output.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 16 /* of a folder */

/* A serial number that depends on the content, as formatters take it from the clock. */
static uint32_t serial_of(const struct seed *seed)
{
	struct digest_ctx *ctx = digest_start();
	struct digest digest;

	for (size_t i = 0; i < seed->count; i++) {
		digest_add(ctx, seed->files[i].path, strlen(seed->files[i].path) + 1);
		digest_add(ctx, &seed->files[i].len, sizeof(seed->files[i].len));
		digest_add(ctx, seed->files[i].bytes, seed->files[i].len);
	}
	digest_finish(ctx, &digest);
	return get_le32(digest.bytes);
}

int cli_seed_plan_disk(const struct cli_seed *seed, struct esp *ret, struct err *err)
{
	const struct seed *s = &seed->seed;
	CLEANUP_FREE struct region *regions = mem_alloc_array(s->count, sizeof(*regions));
	CLEANUP_FREE struct esp_file *files = mem_alloc_array(s->count, sizeof(*files));
	const struct esp_options options = {
		.size = CLI_SEED_DISK_SIZE,
		.serial = serial_of(s),
		.label = seed->format->label,
		.time = seed->time,
	};

	for (size_t i = 0; i < s->count; i++) {
		regions[i] = (struct region){
			.length = s->files[i].len, .bytes = s->files[i].bytes, .fd = -1};
		files[i] = (struct esp_file){.path = s->files[i].path,
					     .regions = &regions[i],
					     .region_count = s->files[i].len > 0,
					     .size = s->files[i].len};
	}
	return esp_plan(files, s->count, &options, ret, err);
}

/* A link is not followed: it would be replaced, and /dev/stdout is one. */
static int check_file(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "cannot write '%s'", path);
	if (S_ISREG(st.st_mode))
		return 0;
	err_set(err, ERR_USAGE, "cannot write '%s': it is no regular file", path);
	return err_hint(err, "write a file, then copy it to a stick by dd");
}

static int write_iso(const struct cli_seed *seed, const char *path, uint64_t *ret_bytes,
		     struct err *err)
{
	CLEANUP(str_wipe) struct str image = {0};
	CLEANUP(outfile_abandon) struct outfile out = OUTFILE_NONE;

	if (seed_iso(seed->format, &seed->seed, seed->time, &image, err) < 0 ||
	    outfile_open_private(&out, path, err) < 0 ||
	    fd_write(out.fd, image.data, image.len, path, err) < 0)
		return -1;
	*ret_bytes = image.len;
	return outfile_finish(&out, true, err);
}

static int write_disk(const struct cli_seed *seed, const char *path, uint64_t *ret_bytes,
		      struct err *err)
{
	CLEANUP(esp_free) struct esp disk = {0};
	struct output_result result;
	const struct output_target target = {
		.format = output_format_find("raw"), .path = path, .options = {.secret = true}};

	if (cli_seed_plan_disk(seed, &disk, err) < 0 ||
	    output_write_all(&disk.regions, &target, 1, 1, NULL, &result, err) < 0)
		return -1;
	*ret_bytes = result.size;
	return 0;
}

/* A new folder, or an empty one: what lies in another one could be of another machine. */
static int make_folder(const char *path, struct err *err)
{
	struct dirent *entry;
	bool empty = true;
	DIR *dir;

	if (mkdir(path, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return err_sys(err, errno, "cannot create '%s'", path);
	dir = opendir(path);
	if (!dir && errno == ENOTDIR)
		return err_set(err, ERR_USAGE, "cannot write '%s': it is no folder", path);
	if (!dir)
		return err_sys(err, errno, "cannot open '%s'", path);
	while ((entry = readdir(dir)))
		empty = empty &&
			(strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	closedir(dir);
	if (!empty)
		return err_set(err, ERR_USAGE, "cannot write '%s': the folder is not empty", path);
	if (chmod(path, 0700) < 0)
		return err_sys(err, errno, "cannot change the mode of '%s'", path);
	return 0;
}

static void abandon_all(struct outfile (*files)[FILES_MAX])
{
	for (size_t i = 0; i < FILES_MAX; i++)
		if ((*files)[i].path)
			outfile_abandon(&(*files)[i]);
}

/* All files are complete before the first gets its name. */
static int write_folder(const struct cli_seed *seed, const char *path, uint64_t *ret_bytes,
			struct err *err)
{
	const struct seed *s = &seed->seed;
	CLEANUP(abandon_all) struct outfile files[FILES_MAX] = {0};
	int r = 0;

	if (s->count > FILES_MAX)
		return err_set(err, ERR_OTHER, "more than %d files", FILES_MAX);
	if (make_folder(path, err) < 0)
		return -1;
	for (size_t i = 0; r == 0 && i < s->count; i++) {
		CLEANUP_FREE char *name = path_join(path, s->files[i].path);

		r = outfile_open_private(&files[i], name, err);
		if (r == 0)
			r = fd_write(files[i].fd, s->files[i].bytes, s->files[i].len, name, err);
		*ret_bytes += s->files[i].len;
	}
	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = outfile_finish(&files[i], true, err);
	if (r < 0) {
		abandon_all(&files);
		(void)rmdir(path); /* stays when something is in it */
	}
	return r;
}

int cli_seed_write(const struct cli_seed *seed, const char *path, uint64_t *ret_bytes,
		   struct err *err)
{
	*ret_bytes = 0;
	if (seed->format->medium == SEED_FOLDER)
		return write_folder(seed, path, ret_bytes, err);
	if (check_file(path, err) < 0)
		return -1;
	return seed->format->medium == SEED_ISO ? write_iso(seed, path, ret_bytes, err)
						: write_disk(seed, path, ret_bytes, err);
}
