/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot seed IMAGE: a partition labelled CIDATA behind the others. A file on the ESP would change what the
 * firmware starts from, and /var does not exist before the first boot; a partition of its own is found by its label,
 * like any NoCloud medium, and systemd-repart leaves alone what its definitions do not name.
 */
#include "cli/seed.h"

#include "base/log.h"
#include "base/mem.h"
#include "inspect/inspect.h"
#include "inspect/inspect_guest.h"
#include "output/inject.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADVICE "attach a disk of 'ingot seed --format nocloud-iso' to the machine instead"

static int inspect(const char *path, bool verify, json_t **ret, struct err *err)
{
	const json_t *problems;

	*ret = inspect_image(path, verify, err);
	if (!*ret)
		return err_wrap(err, "cannot seed '%s'", path);
	problems = json_object_get(*ret, "problems");
	if (json_array_size(problems) == 0)
		return 0;
	return err_set(err, ERR_VERIFY, "cannot seed '%s': %s", path,
		       json_string_value(json_array_get(problems, 0)));
}

/* Nobody should hand secrets to an image that is not what its kernel expects. */
static int check_image(const char *path, struct err *err)
{
	CLEANUP_JSON json_t *image = NULL, *verified = NULL;
	int r = inspect(path, false, &image, err);

	if (image && json_array_size(json_object_get(image, "entries")) == 0) {
		err_set(err, ERR_VERIFY,
			"cannot seed '%s': no kernel image on it names a root hash, so ingot did not "
			"make it, and a partition behind its root could keep that from growing",
			path);
		return err_hint(err, ADVICE);
	}
	if (!image && inspect_is_foreign(path))
		return err_hint(err, ADVICE);
	if (r < 0 || inspect(path, true, &verified, err) < 0)
		return -1;
	if (!json_is_true(json_object_get(verified, "verified")))
		return err_set(err, ERR_VERIFY, "cannot seed '%s': its root cannot be verified",
			       path);
	return 0;
}

static int check_input(const char *input, const char *output, struct err *err)
{
	CLEANUP_FREE char *map = NULL;
	struct stat st;

	if (stat(input, &st) < 0)
		return err_sys(err, errno, "cannot open '%s'", input);
	if (!S_ISREG(st.st_mode)) {
		err_set(err, ERR_USAGE, "cannot seed '%s': it is no regular file", input);
		return err_hint(err, ADVICE);
	}
	/* The map beside a raw.zst is of one state of the disk. */
	if (!str_has_suffix(output, ".raw.zst"))
		return 0;
	map = mem_printf("%.*sbmap", (int)(strlen(output) - strlen("zst")), output);
	if (access(map, F_OK) != 0)
		return 0;
	err_set(err, ERR_USAGE, "cannot write '%s': the map '%s' beside it would be wrong", output,
		map);
	return err_hint(err, "choose another name by -o, or convert the image to raw first");
}

/* A file that root replaces in somebody's folder stays that user's. */
static int keep_owner(const char *path, const struct stat *before, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(err, errno, "cannot open '%s'", path);
	if ((st.st_uid != before->st_uid || st.st_gid != before->st_gid) &&
	    chown(path, before->st_uid, before->st_gid) < 0 && errno != EPERM)
		return err_sys(err, errno, "cannot change the owner of '%s'", path);
	return 0;
}

int cli_seed_image(const struct cli *cli, const struct cli_seed *seed, const char *input,
		   const char *output, json_t **ret, struct err *err)
{
	CLEANUP(esp_free) struct esp disk = {0};
	struct inject_options options = {
		.input = input,
		.output = output,
		.label = seed->format->label,
		.content = &disk.regions,
		.portable = true,
		.jobs = cli->jobs,
	};
	struct inject_result result;
	const struct gpt_partition *p = &result.partition;
	char uuid[GUID_TEXT_SIZE];
	struct stat st;

	if (check_input(input, output, err) < 0 || check_image(input, err) < 0 ||
	    cli_seed_plan_disk(seed, &disk, err) < 0)
		return -1;
	if (stat(input, &st) < 0)
		return err_sys(err, errno, "cannot open '%s'", input);
	if (inject_run(&options, &result, err) < 0 ||
	    (strcmp(input, output) == 0 && keep_owner(output, &st, err) < 0))
		return -1;
	*ret = json_pack("{s:s, s:I, s:{s:i, s:s, s:s, s:I, s:I, s:b}}", "format",
			 result.format->name, "bytes", (json_int_t)result.file.size, "partition",
			 "number", (int)p->number, "label", p->label, "uuid",
			 guid_format(&p->unique, uuid), "offset", (json_int_t)p->offset, "size",
			 (json_int_t)p->size, "replaced", result.replaced);
	return 0;
}
