/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel images on the EFI system partition: what they start, how often it may fail, and whether
 * the root that they name is there and right.
 */
#include "inspect/inspect_parts.h"

#include "base/mem.h"
#include "disk/fatread.h"
#include "disk/uki.h"
#include "disk/verity.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define UKI_FOLDER "EFI/Linux"
#define UKI_MAX 64

/* Finds root or root-verity by the half of the root hash that is its UUID. */
static const struct gpt_partition *find_by_hash(const struct inspect *in, const char *type,
						const uint8_t half[16])
{
	struct guid unique;

	guid_from_bytes(half, &unique);
	for (size_t i = 0; i < in->gpt.count; i++)
		if (inspect_has_type(&in->gpt.items[i], type) &&
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
	inspect_set(entry, "tries_left", counted ? json_integer(left) : NULL);
	inspect_set(entry, "tries_done", counted ? json_integer(done) : NULL);
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

json_t *inspect_os_release(const char *text)
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
		inspect_set(v, key, json_string(value));
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
		inspect_set(entry, "root_hash", NULL);
		inspect_set(entry, "root", NULL);
		return 0;
	}
	root = find_by_hash(in, "root", hash.bytes);
	inspect_set(entry, "root_hash", json_string(digest_hex(&hash, hex)));
	inspect_set(entry, "root", root ? json_integer(root->number) : NULL);
	if (!root) {
		inspect_add_problem(in, "a kernel image names a root hash that no partition has");
		return 0;
	}
	if (!in->verify)
		return 0;
	if (verify_root(in, &hash, root, err) < 0)
		return -1;
	inspect_set(in->value, "verified", json_true());
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
		inspect_add_problem(in, problem.msg);
		return 0;
	}
	inspect_set(entry, "file", json_string(path));
	inspect_set(entry, "size", json_integer((json_int_t)file->size));
	inspect_set(entry, "kernel", uname ? json_string(uname) : NULL);
	inspect_set(entry, "cmdline", cmdline ? json_string(cmdline) : NULL);
	inspect_set(entry, "os_release", osrel ? inspect_os_release(osrel) : NULL);
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
		inspect_add_problem(in, problem.msg);
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(items[i].name);

		if (items[i].is_folder || len < 4 ||
		    strcasecmp(items[i].name + len - 4, ".efi") != 0)
			continue;
		if (json_array_size(in->entries) == UKI_MAX) {
			inspect_add_problem(in, "the ESP holds too many kernel images");
			break;
		}
		if (add_entry(in, fat, items[i].name, err) < 0)
			return -1;
	}
	return 0;
}

int inspect_add_esp(struct inspect *in, struct err *err)
{
	for (size_t i = 0; i < in->gpt.count; i++) {
		CLEANUP(image_close) struct image *part = NULL;
		CLEANUP(fatread_cleanup) struct fatread *fat = NULL;
		struct err problem = {0};

		if (!inspect_has_type(&in->gpt.items[i], "esp"))
			continue;
		if (inspect_open_partition(in, &in->gpt.items[i], &part, &problem) == 0)
			fat = fatread_open(part, &problem);
		if (!fat)
			inspect_add_problem(in, problem.msg);
		else if (add_entries(in, fat, err) < 0)
			return -1;
	}
	return 0;
}
