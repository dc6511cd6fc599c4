/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking into images. A damaged part is a problem in the result, not the end: whoever inspects an
 * image wants to know what can still be read.
 */
#include "inspect/inspect_parts.h"

#include "attest/containers.h"
#include "base/mem.h"
#include "base/str.h"
#include "disk/endian.h"
#include "disk/fatread.h"
#include "disk/plan.h"
#include "disk/slice.h"
#include "disk/squashread.h"
#include "disk/verity.h"
#include "output/image.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PROBLEMS_MAX 32
#define STATUS_MAX ((size_t)64 << 20)

void inspect_set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value ? value : json_null());
}

void inspect_add_problem(struct inspect *in, const char *text)
{
	if (json_array_size(in->problems) < PROBLEMS_MAX)
		json_array_append_new(in->problems, json_string(text));
}

bool inspect_has_type(const struct gpt_partition *p, const char *name)
{
	const struct gpt_type *type = gpt_type_of(&p->type);

	return type && strcmp(type->name, name) == 0;
}

int inspect_open_partition(struct inspect *in, const struct gpt_partition *p, struct image **ret,
			   struct err *err)
{
	char name[64];

	snprintf(name, sizeof(name), "partition %u", p->number);
	*ret = slice_open(in->image, p->offset, p->size, name, err);
	return *ret ? 0 : -1;
}

/* Bytes of content, by what the first bytes say; -1: unknown. */
static json_int_t used_bytes(struct inspect *in, const struct gpt_partition *p)
{
	CLEANUP(image_close) struct image *part = NULL;
	CLEANUP(fatread_cleanup) struct fatread *fat = NULL;
	uint64_t used, room, blocks;
	uint8_t head[512];

	if (p->size < sizeof(head) || inspect_open_partition(in, p, &part, NULL) < 0 ||
	    part->pread(part, head, sizeof(head), 0, NULL) < 0)
		return -1;
	if (memcmp(head, "hsqs", 4) == 0) {
		used = get_le64(head + 40);
		return used <= p->size ? (json_int_t)used : -1;
	}
	if (memcmp(head, "verity\0\0", 8) == 0) {
		blocks = get_le64(head + 72);
		if (blocks > in->image->size / VERITY_BLOCK)
			return -1;
		return (json_int_t)disk_verity_size(blocks * VERITY_BLOCK);
	}
	fat = fatread_open(part, NULL);
	return fat && fatread_usage(fat, &used, &room, NULL) == 0 ? (json_int_t)used : -1;
}

static json_t *partition_json(struct inspect *in, const struct gpt_partition *p)
{
	const struct gpt_type *type = gpt_type_of(&p->type);
	char uuid[GUID_TEXT_SIZE], type_text[GUID_TEXT_SIZE];
	json_int_t used = used_bytes(in, p);
	json_t *v = json_object();

	guid_format(&p->type, type_text);
	inspect_set(v, "number", json_integer(p->number));
	inspect_set(v, "type", json_string(type ? type->name : type_text));
	inspect_set(v, "architecture",
		    type && type->architecture ? json_string(type->architecture) : NULL);
	inspect_set(v, "label", json_string(p->label));
	inspect_set(v, "uuid", json_string(guid_format(&p->unique, uuid)));
	inspect_set(v, "offset", json_integer((json_int_t)p->offset));
	inspect_set(v, "size", json_integer((json_int_t)p->size));
	inspect_set(v, "used", used >= 0 ? json_integer(used) : NULL);
	inspect_set(v, "read_only", json_boolean(p->flags & GPT_FLAG_READ_ONLY));
	return v;
}

static void add_table(struct inspect *in)
{
	char uuid[GUID_TEXT_SIZE];
	json_t *table = json_object(), *parts = json_array();

	for (size_t i = 0; i < in->gpt.count; i++)
		json_array_append_new(parts, partition_json(in, &in->gpt.items[i]));
	inspect_set(table, "uuid", json_string(guid_format(&in->gpt.disk, uuid)));
	inspect_set(table, "from_backup", json_boolean(in->gpt.from_backup));
	inspect_set(table, "partitions", parts);
	inspect_set(in->value, "table", table);
	if (in->gpt.problem[0])
		inspect_add_problem(in, in->gpt.problem);
}

/* Installed packages in the database of dpkg. */
static json_int_t count_packages(const char *status)
{
	json_int_t count = 0;

	for (const char *line = status, *end; *line; line = *end ? end + 1 : end) {
		CLEANUP_FREE char *text = NULL;

		end = line + strcspn(line, "\n");
		if (!str_has_prefix(line, "Status: "))
			continue;
		text = mem_strndup(line, (size_t)(end - line));
		count += str_has_suffix(text, " ok installed");
	}
	return count;
}

/* None is an empty list; a damaged list is null and a problem. */
static void add_containers(struct inspect *in, struct squashread *fs)
{
	CLEANUP_FREE char *text = NULL;
	struct err problem = {0};
	json_t *list = NULL;
	size_t len;

	if (squashread_file(fs, CONTAINERS_FILE, CONTAINERS_BYTES_MAX, &text, &len, &problem) == 0)
		list = text ? containers_parse(text, len, CONTAINERS_FILE, &problem) : json_array();
	if (!list)
		inspect_add_problem(in, problem.msg);
	inspect_set(in->value, "containers", list);
}

static void add_root(struct inspect *in, unsigned number)
{
	CLEANUP(squashread_cleanup) struct squashread *fs = NULL;
	CLEANUP_FREE char *status = NULL;
	struct squashread_info info;
	struct err problem = {0};
	json_t *root = json_object();
	size_t len;

	for (size_t i = 0; i < in->gpt.count && !fs; i++)
		if (in->gpt.items[i].number == number)
			fs = squashread_open(in->image, in->gpt.items[i].offset,
					     in->gpt.items[i].size, &problem);
	if (!fs) {
		inspect_add_problem(in, problem.msg);
		json_decref(root);
		return;
	}
	squashread_get_info(fs, &info);
	inspect_set(root, "compression", json_string(info.compression));
	inspect_set(root, "block", json_integer(info.block));
	inspect_set(root, "inodes", json_integer((json_int_t)info.inodes));
	inspect_set(in->value, "root", root);
	/* A link to /usr/lib/sysimage in our images. */
	if (squashread_file(fs, "/var/lib/dpkg/status", STATUS_MAX, &status, &len, &problem) < 0)
		inspect_add_problem(in, problem.msg);
	else if (status)
		inspect_set(in->value, "packages", json_integer(count_packages(status)));
	add_containers(in, fs);
}

/* The values of the image are those of its first entry that has a root. */
static void add_summary(struct inspect *in)
{
	static const char *const keys[] = {"root_hash", "kernel", "os_release"};
	json_t *best = json_array_get(in->entries, 0), *entry;
	size_t i;

	json_array_foreach(in->entries, i, entry)
	{
		if (json_is_integer(json_object_get(entry, "root"))) {
			best = entry;
			break;
		}
	}
	for (i = 0; best && i < ARRAY_SIZE(keys); i++)
		json_object_set(in->value, keys[i], json_object_get(best, keys[i]));
	if (best && json_is_integer(json_object_get(best, "root")))
		add_root(in, (unsigned)json_integer_value(json_object_get(best, "root")));
	json_array_foreach(in->entries, i, entry)
	{
		json_object_del(entry, "os_release");
	}
}

static int inspect_all(struct inspect *in, const char *path, struct err *err)
{
	struct stat st;

	in->image = image_open(path, err);
	if (!in->image || gpt_read(in->image, &in->gpt, err) < 0)
		return -1;
	/* A block device has no size of its own. */
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		st = (struct stat){.st_size = (off_t)in->image->size};
	inspect_set(in->value, "file", json_string(path));
	inspect_set(in->value, "format", json_string(in->image->format));
	inspect_set(in->value, "size", json_integer((json_int_t)in->image->size));
	inspect_set(in->value, "bytes", json_integer(st.st_size));
	inspect_set(in->value, "allocated", json_integer((json_int_t)st.st_blocks * 512));
	inspect_set(in->value, "root_hash", NULL);
	inspect_set(in->value, "kernel", NULL);
	inspect_set(in->value, "os_release", NULL);
	inspect_set(in->value, "root", NULL);
	inspect_set(in->value, "packages", NULL);
	inspect_set(in->value, "containers", NULL);
	inspect_set(in->value, "verified", NULL);
	add_table(in);
	if (inspect_add_esp(in, err) < 0)
		return -1;
	if (in->verify && !json_is_true(json_object_get(in->value, "verified")))
		return err_set(err, ERR_VERIFY,
			       "cannot verify '%s': no kernel image on it names "
			       "the root hash of one of its partitions",
			       path);
	add_summary(in);
	return 0;
}

json_t *inspect_image(const char *path, bool verify, struct err *err)
{
	struct inspect in = {.verify = verify, .value = json_object()};
	int ret;

	in.entries = json_array();
	in.problems = json_array();
	ret = inspect_all(&in, path, err);
	inspect_set(in.value, "entries", in.entries);
	inspect_set(in.value, "problems", in.problems);
	gpt_free(&in.gpt);
	image_close(&in.image);
	if (ret < 0) {
		json_decref(in.value);
		return NULL;
	}
	return in.value;
}
