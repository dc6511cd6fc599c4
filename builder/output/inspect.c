/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking into images. A damaged part is a problem in the result, not the end: whoever inspects an
 * image wants to know what can still be read.
 */
#include "output/inspect.h"

#include "base/mem.h"
#include "base/str.h"
#include "disk/endian.h"
#include "disk/fatread.h"
#include "disk/gpt.h"
#include "disk/plan.h"
#include "disk/slice.h"
#include "disk/squashread.h"
#include "disk/uki.h"
#include "disk/verity.h"
#include "output/image.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define UKI_FOLDER "EFI/Linux"
#define UKI_MAX 64
#define PROBLEMS_MAX 32
#define STATUS_MAX ((size_t)64 << 20)

struct inspect {
	struct image *image;
	struct gpt gpt;
	bool verify;
	json_t *value, *entries, *problems;
};

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value ? value : json_null());
}

static void add_problem(struct inspect *in, const char *text)
{
	if (json_array_size(in->problems) < PROBLEMS_MAX)
		json_array_append_new(in->problems, json_string(text));
}

static bool has_type(const struct gpt_partition *p, const char *name)
{
	const struct gpt_type *type = gpt_type_of(&p->type);

	return type && strcmp(type->name, name) == 0;
}

static int partition_open(struct inspect *in, const struct gpt_partition *p, struct image **ret,
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

	if (p->size < sizeof(head) || partition_open(in, p, &part, NULL) < 0 ||
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
	set(v, "number", json_integer(p->number));
	set(v, "type", json_string(type ? type->name : type_text));
	set(v, "architecture", type && type->architecture ? json_string(type->architecture) : NULL);
	set(v, "label", json_string(p->label));
	set(v, "uuid", json_string(guid_format(&p->unique, uuid)));
	set(v, "offset", json_integer((json_int_t)p->offset));
	set(v, "size", json_integer((json_int_t)p->size));
	set(v, "used", used >= 0 ? json_integer(used) : NULL);
	set(v, "read_only", json_boolean(p->flags & GPT_FLAG_READ_ONLY));
	return v;
}

static void add_table(struct inspect *in)
{
	char uuid[GUID_TEXT_SIZE];
	json_t *table = json_object(), *parts = json_array();

	for (size_t i = 0; i < in->gpt.count; i++)
		json_array_append_new(parts, partition_json(in, &in->gpt.items[i]));
	set(table, "uuid", json_string(guid_format(&in->gpt.disk, uuid)));
	set(table, "from_backup", json_boolean(in->gpt.from_backup));
	set(table, "partitions", parts);
	set(in->value, "table", table);
	if (in->gpt.problem[0])
		add_problem(in, in->gpt.problem);
}

/* Finds root or root-verity by the half of the root hash that is its UUID. */
static const struct gpt_partition *find_by_hash(const struct inspect *in, const char *type,
						const uint8_t half[16])
{
	struct guid unique;

	guid_from_bytes(half, &unique);
	for (size_t i = 0; i < in->gpt.count; i++)
		if (has_type(&in->gpt.items[i], type) &&
		    memcmp(&in->gpt.items[i].unique, &unique, sizeof(unique)) == 0)
			return &in->gpt.items[i];
	return NULL;
}

/* "name+LEFT-DONE.efi": Automatic Boot Assessment of systemd. */
static void add_counters(json_t *entry, const char *name)
{
	const char *plus = strrchr(name, '+');
	unsigned left = 0, done = 0;
	int end = 0;
	bool counted = false;

	if (plus && strspn(plus + 1, "0123456789") > 0 && strspn(plus + 1, "0123456789") < 6) {
		counted =
			sscanf(plus, "+%5u%n", &left, &end) == 1 && strcmp(plus + end, ".efi") == 0;
		if (!counted)
			counted = sscanf(plus, "+%5u-%5u%n", &left, &done, &end) == 2 &&
				  strcmp(plus + end, ".efi") == 0;
	}
	set(entry, "tries_left", counted ? json_integer(left) : NULL);
	set(entry, "tries_done", counted ? json_integer(done) : NULL);
}

/* The value of roothash= in a command line. */
static int find_root_hash(const char *cmdline, struct digest *ret)
{
	char hex[DIGEST_HEX_SIZE];

	for (const char *p = cmdline; (p = strstr(p, "roothash=")); p++) {
		if ((p != cmdline && p[-1] != ' ') || strcspn(p + 9, " \n") != 64)
			continue;
		memcpy(hex, p + 9, 64);
		hex[64] = 0;
		return digest_parse(hex, ret, NULL);
	}
	return -1;
}

/* KEY=value lines of os-release(5); quotes are taken off. */
static json_t *parse_os_release(const char *text)
{
	json_t *v = json_object();

	for (const char *line = text, *end; *line; line = *end ? end + 1 : end) {
		const char *equals = strchr(line, '=');
		CLEANUP_FREE char *key = NULL, *value = NULL;
		char *from, *to;

		end = line + strcspn(line, "\n");
		if (!equals || equals > end || *line == '#')
			continue;
		key = mem_strndup(line, (size_t)(equals - line));
		value = mem_strndup(equals + 1, (size_t)(end - equals - 1));
		to = value;
		for (from = value; *from; from++) {
			if (*from == '"' || *from == '\'')
				continue;
			if (*from == '\\' && from[1])
				from++;
			*to++ = *from;
		}
		*to = 0;
		set(v, key, json_string(value));
	}
	return v;
}

static int verify_root(struct inspect *in, const struct digest *hash,
		       const struct gpt_partition *root, struct err *err)
{
	const struct gpt_partition *tree = find_by_hash(in, "root-verity", hash->bytes + 16);

	if (!tree)
		return err_set(err, ERR_VERIFY, "'%s' has no hash tree for partition %u",
			       in->image->name, root->number);
	return verity_check(in->image, root->offset, root->size, tree->offset, tree->size, hash,
			    err);
}

/* What the kernel image says about the system that it starts. */
static int add_system(struct inspect *in, json_t *entry, const char *cmdline, struct err *err)
{
	const struct gpt_partition *root = NULL;
	char hex[DIGEST_HEX_SIZE];
	struct digest hash;

	if (find_root_hash(cmdline, &hash) < 0) {
		set(entry, "root_hash", NULL);
		set(entry, "root", NULL);
		return 0;
	}
	root = find_by_hash(in, "root", hash.bytes);
	set(entry, "root_hash", json_string(digest_hex(&hash, hex)));
	set(entry, "root", root ? json_integer(root->number) : NULL);
	if (!root) {
		add_problem(in, "a kernel image names a root hash that no partition has");
		return 0;
	}
	if (!in->verify)
		return 0;
	if (verify_root(in, &hash, root, err) < 0)
		return -1;
	set(in->value, "verified", json_true());
	return 0;
}

static int add_entry(struct inspect *in, struct fatread *fat, const char *name, struct err *err)
{
	CLEANUP_FREE char *path = mem_printf("%s/%s", UKI_FOLDER, name);
	CLEANUP_FREE char *cmdline = NULL, *uname = NULL, *osrel = NULL;
	struct err problem = {0};
	CLEANUP(image_close) struct image *file = fatread_open_file(fat, path, &problem);
	CLEANUP_JSON json_t *entry = json_object();

	if (!file || uki_read_text(file, ".cmdline", &cmdline, &problem) < 0 ||
	    uki_read_text(file, ".uname", &uname, &problem) < 0 ||
	    uki_read_text(file, ".osrel", &osrel, &problem) < 0) {
		add_problem(in, problem.msg);
		return 0;
	}
	set(entry, "file", json_string(path));
	set(entry, "size", json_integer((json_int_t)file->size));
	set(entry, "kernel", uname ? json_string(uname) : NULL);
	set(entry, "cmdline", cmdline ? json_string(cmdline) : NULL);
	set(entry, "os_release", osrel ? parse_os_release(osrel) : NULL);
	add_counters(entry, name);
	if (add_system(in, entry, cmdline ? cmdline : "", err) < 0)
		return -1;
	json_array_append(in->entries, entry);
	return 0;
}

static int add_entries(struct inspect *in, struct fatread *fat, struct err *err)
{
	CLEANUP_FREE struct fatread_entry *items = NULL;
	struct err problem = {0};
	size_t count;

	if (fatread_list(fat, UKI_FOLDER, &items, &count, &problem) < 0) {
		add_problem(in, problem.msg);
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(items[i].name);

		if (items[i].is_folder || len < 4 ||
		    strcasecmp(items[i].name + len - 4, ".efi") != 0)
			continue;
		if (json_array_size(in->entries) == UKI_MAX) {
			add_problem(in, "the ESP holds too many kernel images");
			break;
		}
		if (add_entry(in, fat, items[i].name, err) < 0)
			return -1;
	}
	return 0;
}

static int add_esp(struct inspect *in, struct err *err)
{
	for (size_t i = 0; i < in->gpt.count; i++) {
		CLEANUP(image_close) struct image *part = NULL;
		CLEANUP(fatread_cleanup) struct fatread *fat = NULL;
		struct err problem = {0};

		if (!has_type(&in->gpt.items[i], "esp"))
			continue;
		if (partition_open(in, &in->gpt.items[i], &part, &problem) == 0)
			fat = fatread_open(part, &problem);
		if (!fat)
			add_problem(in, problem.msg);
		else if (add_entries(in, fat, err) < 0)
			return -1;
	}
	return 0;
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
		add_problem(in, problem.msg);
		json_decref(root);
		return;
	}
	squashread_get_info(fs, &info);
	set(root, "compression", json_string(info.compression));
	set(root, "block", json_integer(info.block));
	set(root, "inodes", json_integer((json_int_t)info.inodes));
	set(in->value, "root", root);
	/* A link to /usr/lib/sysimage in our images. */
	if (squashread_file(fs, "/var/lib/dpkg/status", STATUS_MAX, &status, &len, &problem) < 0)
		add_problem(in, problem.msg);
	else if (status)
		set(in->value, "packages", json_integer(count_packages(status)));
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
	set(in->value, "file", json_string(path));
	set(in->value, "format", json_string(in->image->format));
	set(in->value, "size", json_integer((json_int_t)in->image->size));
	set(in->value, "bytes", json_integer(st.st_size));
	set(in->value, "allocated", json_integer((json_int_t)st.st_blocks * 512));
	set(in->value, "root_hash", NULL);
	set(in->value, "kernel", NULL);
	set(in->value, "os_release", NULL);
	set(in->value, "root", NULL);
	set(in->value, "packages", NULL);
	set(in->value, "verified", NULL);
	add_table(in);
	if (add_esp(in, err) < 0)
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
	set(in.value, "entries", in.entries);
	set(in.value, "problems", in.problems);
	gpt_free(&in.gpt);
	image_close(&in.image);
	if (ret < 0) {
		json_decref(in.value);
		return NULL;
	}
	return in.value;
}
