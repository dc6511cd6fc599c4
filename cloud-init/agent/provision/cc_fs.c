/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_setup: file systems on disks and partitions, once per instance. What has content is left alone unless user-data
 * says so.
 */
#include "agent/provision/cloudconfig.h"
#include "agent/provision/disk.h"

#include "base/mem.h"
#include "base/proc.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define PARTS_MAX 16
#define OPTIONS_MAX 16

static const struct {
	const char *type, *program, *force, *label;
	size_t label_max;
} makers[] = {
	{"ext4", "mkfs.ext4", "-F", "-L", 16},    {"ext3", "mkfs.ext3", "-F", "-L", 16},
	{"ext2", "mkfs.ext2", "-F", "-L", 16},    {"xfs", "mkfs.xfs", "-f", "-L", 12},
	{"btrfs", "mkfs.btrfs", "-f", "-L", 255}, {"vfat", "mkfs.vfat", "-I", "-n", 11},
	{"swap", "mkswap", "-f", "-L", 16},
};

struct fs {
	size_t maker; /* row of makers[] */
	const char *label;
	const char *replace; /* type that may be overwritten, or NULL */
	bool overwrite;
	struct strv options;
};

/* An option or a quote in it would reach mkfs. */
static bool label_valid(const char *label)
{
	return *label && *label != '-' &&
	       strspn(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			     "0123456789-_.") == strlen(label);
}

static bool same_fs(const struct fs *fs, const struct disk_content *content, bool label)
{
	return strcmp(content->type, makers[fs->maker].type) == 0 &&
	       (!label || strcmp(content->label, fs->label ? fs->label : "") == 0);
}

static bool read_fs(struct cc *cc, const struct doc_node *entry, struct fs *ret)
{
	const struct doc_node *type = doc_node_get(entry, "filesystem");
	const struct doc_node *label = doc_node_get(entry, "label");
	const char *name = type ? cc_text(cc, type, "filesystem") : NULL;

	if (!name) {
		if (!type)
			cc_problem(cc, entry, "fs_setup: an entry needs a filesystem");
		return false;
	}
	while (ret->maker < ARRAY_SIZE(makers) && strcmp(makers[ret->maker].type, name) != 0)
		ret->maker++;
	if (ret->maker == ARRAY_SIZE(makers)) {
		cc_problem(cc, type, "unknown file system '%s'", cc_show(cc, name));
		return false;
	}
	if (label && !doc_node_is_null(label))
		ret->label = cc_text(cc, label, "label");
	if (ret->label &&
	    (!label_valid(ret->label) || strlen(ret->label) > makers[ret->maker].label_max)) {
		cc_problem(cc, label, "label: at most %zu of letters, digits, '-', '_' and '.'",
			   makers[ret->maker].label_max);
		return false;
	}
	ret->replace = doc_node_string(entry, "replace_fs");
	ret->overwrite = cc_flag(cc, entry, "overwrite", false);
	if (doc_node_get(entry, "extra_opts"))
		return cc_texts(cc, doc_node_get(entry, "extra_opts"), "extra_opts", ' ',
				&ret->options);
	return true;
}

/* "auto" and "any": the partition that is the one already, else the first empty one, else the disk itself when it has
 * no partitions. */
static char *choose_partition(struct cc *cc, const struct doc_node *entry, const char *disk,
			      const struct fs *fs, bool label)
{
	char *empty = NULL;
	bool has = false;

	for (unsigned i = 1; i <= PARTS_MAX; i++) {
		char *path = disk_partition(disk, i);
		struct disk_content content;
		struct err err = {0};
		bool there = access(path, F_OK) == 0;

		has |= there;
		if (there && disk_probe(path, &content, &err) == 0) {
			if (same_fs(fs, &content, label)) {
				free(empty);
				return path;
			}
			if (!content.any && !empty) {
				empty = path;
				continue;
			}
		}
		free(path);
	}
	if (!empty && !has)
		empty = mem_strdup(disk);
	if (!empty)
		cc_problem(cc, entry, "'%s' has no empty partition", disk);
	return empty;
}

static char *find_target(struct cc *cc, const struct doc_node *entry, const struct fs *fs)
{
	const struct doc_node *device = doc_node_get(entry, "device");
	const struct doc_node *node = doc_node_get(entry, "partition");
	const char *name = device ? cc_text(cc, device, "device") : NULL;
	const char *part = node && node->kind == DOC_SCALAR ? node->text : "none";
	CLEANUP_FREE char *disk = NULL;
	CLEANUP_FREE char *path = NULL;
	uint64_t number;

	if (!name) {
		if (!device)
			cc_problem(cc, entry, "fs_setup: an entry needs a device");
		return NULL;
	}
	disk = disk_find(cc, device, name);
	if (!disk)
		return NULL;
	if (!node || strcmp(part, "none") == 0 || doc_node_is_null(node))
		return MEM_STEAL(disk);
	if (strcmp(part, "auto") == 0 || strcmp(part, "any") == 0)
		return choose_partition(cc, entry, disk, fs, strcmp(part, "auto") == 0);
	if (!cc_number(cc, node, "partition ('auto', 'any', 'none' or its number)", 1, 128,
		       &number))
		return NULL;
	path = disk_partition(disk, (unsigned)number);
	if (access(path, F_OK) == 0)
		return MEM_STEAL(path);
	cc_problem(cc, node, "'%s' has no partition %" PRIu64, cc_show(cc, name), number);
	return NULL;
}

static int run_mkfs(const struct fs *fs, const char *path, struct err *err)
{
	const char *argv[OPTIONS_MAX + 6] = {makers[fs->maker].program, makers[fs->maker].force};
	size_t n = 2;
	int r;

	if (fs->label) {
		argv[n++] = makers[fs->maker].label;
		argv[n++] = fs->label;
	}
	if (fs->options.count > OPTIONS_MAX)
		return err_set(err, ERR_OTHER, "more than %d options for mkfs", OPTIONS_MAX);
	for (size_t i = 0; i < fs->options.count; i++)
		argv[n++] = fs->options.items[i];
	argv[n] = path;
	r = proc_run(&(struct proc){.argv = argv}, err);
	if (r < 0 && err->code == ERR_TOOL)
		return err_set(err, ERR_TOOL,
			       "the image has no %s: add the package that brings it to its profile",
			       makers[fs->maker].program);
	return r;
}

static int set_up_fs(struct cc *cc, const struct doc_node *entry, const char *mark, struct err *err)
{
	static const char *const known[] = {"label",     "filesystem", "device",     "partition",
					    "overwrite", "replace_fs", "extra_opts", "cmd"};
	struct fs fs = {0};
	struct disk_content content = {0};
	CLEANUP_FREE char *path = NULL;
	size_t before = cc->problems.count;
	int r = 0;

	cc_check_keys(cc, entry, "fs_setup", known, ARRAY_SIZE(known));
	if (doc_node_get(entry, "cmd"))
		cc_problem(cc, doc_node_get(entry, "cmd"),
			   "'cmd' is not supported: call it from bootcmd");
	if (read_fs(cc, entry, &fs) && cc->problems.count == before)
		path = find_target(cc, entry, &fs);
	if (path && disk_probe(path, &content, err) < 0) {
		r = -1;
	} else if (path && (!same_fs(&fs, &content, true) || fs.overwrite)) {
		bool replace = fs.replace && *content.type && strcmp(content.type, fs.replace) == 0;

		if (disk_may_write(cc, entry, path, fs.overwrite || replace)) {
			r = run_mkfs(&fs, path, err);
			disk_settle(cc);
		}
	}
	strv_free(&fs.options);
	if (r < 0 || !path || cc->problems.count > before)
		return r;
	return cc_note(cc, "done", mark, err);
}

int cc_fs_setup(struct cc *cc, const struct doc_node *value, struct err *err)
{
	(void)err; /* each file system is a matter of its own */
	if (!cc_is(cc, value, DOC_LIST, "fs_setup"))
		return 0;
	for (size_t i = 0; i < value->count; i++) {
		const struct doc_node *entry = value->items[i];
		const char *device = doc_node_string(entry, "device");
		const char *part = doc_node_string(entry, "partition");
		CLEANUP_FREE char *mark = mem_printf("fs_setup %zu %s %s", i + 1,
						     device ? device : "", part ? part : "");
		struct err own = {0};

		if (cc_was(cc, "done", mark) || !cc_is(cc, entry, DOC_MAP, "an entry of fs_setup"))
			continue;
		if (set_up_fs(cc, entry, mark, &own) < 0)
			cc_failed(cc, entry, &own);
	}
	return 0;
}
