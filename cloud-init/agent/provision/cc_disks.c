/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_setup: partitions on data disks, once per instance. What has content is left alone unless user-data says
 * overwrite: true; what is in use is left alone in any case.
 */
#include "agent/provision/cloudconfig.h"
#include "agent/provision/disk.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PARTS_MAX 16
#define SECTOR 512
#define ALIGN 2048 /* sectors: 1 MiB */

struct layout {
	unsigned percent[PARTS_MAX];
	const char *type[PARTS_MAX];
	uint64_t start[PARTS_MAX], length[PARTS_MAX]; /* sectors */
	size_t count;
};

/* Types by the names that cloud-init, sgdisk and sfdisk have for them; sfdisk's short ones fit both kinds of tables. */
static const char *part_type(const char *text)
{
	static const struct {
		const char *name, *type;
	} types[] = {
		{"83", "L"},   {"8300", "L"}, {"linux", "L"}, {"82", "S"},
		{"8200", "S"}, {"swap", "S"}, {"ef", "U"},    {"ef00", "U"},
		{"8e", "V"},   {"8e00", "V"}, {"fd", "R"},    {"fd00", "R"},
	};
	size_t len = strlen(text);

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcasecmp(types[i].name, text) == 0)
			return types[i].type;
	return len == 36 && strspn(text, "0123456789abcdefABCDEF-") == len ? text : NULL;
}

static bool read_part(struct cc *cc, const struct doc_node *item, struct layout *layout)
{
	const struct doc_node *size = item, *type = NULL;
	uint64_t percent;

	if (item->kind == DOC_LIST && (item->count == 1 || item->count == 2)) {
		size = item->items[0];
		type = item->count == 2 ? item->items[1] : NULL;
	}
	if (!cc_number(cc, size, "the size of a partition in percent", 1, 100, &percent))
		return false;
	layout->type[layout->count] = "L";
	if (type) {
		const char *text = cc_text(cc, type, "the type of a partition");

		layout->type[layout->count] = text ? part_type(text) : NULL;
		if (text && !layout->type[layout->count])
			cc_problem(cc, type, "unknown type of a partition: '%s'",
				   cc_show(cc, text));
	}
	layout->percent[layout->count] = (unsigned)percent;
	return layout->type[layout->count++] != NULL;
}

static bool read_layout(struct cc *cc, const struct doc_node *node, struct layout *ret)
{
	unsigned sum = 0;
	bool whole = false;

	if (!node)
		return true; /* a table without partitions */
	if (node->kind != DOC_LIST) {
		if (!cc_bool(cc, node, "layout", &whole))
			return false;
		if (whole)
			*ret = (struct layout){.percent = {100}, .type = {"L"}, .count = 1};
		return true;
	}
	if (node->count > PARTS_MAX) {
		cc_problem(cc, node, "more than %d partitions", PARTS_MAX);
		return false;
	}
	for (size_t i = 0; i < node->count; i++)
		if (!read_part(cc, node->items[i], ret))
			return false;
	for (size_t i = 0; i < ret->count; i++)
		sum += ret->percent[i];
	if (sum <= 100)
		return true;
	cc_problem(cc, node, "the partitions take %u %% of the disk", sum);
	return false;
}

/* Where each partition lies. The last one takes the rest when all is given away. */
static int place_parts(const char *path, struct layout *layout, struct err *err)
{
	uint64_t size, sectors, at = ALIGN;
	unsigned sum = 0;

	if (disk_size(path, &size, err) < 0)
		return -1;
	if (size < (uint64_t)8 << 20)
		return err_set(err, ERR_OTHER, "'%s' is too small for partitions", path);
	sectors = size / SECTOR / ALIGN * ALIGN - (uint64_t)2 * ALIGN; /* room for both tables */
	for (size_t i = 0; i < layout->count; i++) {
		uint64_t length = sectors * layout->percent[i] / 100 / ALIGN * ALIGN;

		sum += layout->percent[i];
		if (sum == 100 && i + 1 == layout->count)
			length = ALIGN + sectors - at;
		if (!length)
			return err_set(err, ERR_OTHER, "partition %zu would be empty", i + 1);
		layout->start[i] = at;
		layout->length[i] = length;
		at += length;
	}
	return 0;
}

/* What sfdisk(8) reads. */
static void write_table(const char *label, const struct layout *layout, struct str *ret)
{
	str_addf(ret, "label: %s\nunit: sectors\n\n", label);
	for (size_t i = 0; i < layout->count; i++)
		str_addf(ret, "start=%" PRIu64 ", size=%" PRIu64 ", type=%s\n", layout->start[i],
			 layout->length[i], layout->type[i]);
}

/* Zeros at both ends of each partition: it is new, and disk_probe must find it empty. */
static int clear_parts(const char *path, const struct layout *layout, struct err *err)
{
	const uint64_t window = (uint64_t)ALIGN * SECTOR;
	CLEANUP_FREE char *zeros = mem_alloc(window);
	CLEANUP_FD int fd = open(path, O_WRONLY | O_EXCL | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "cannot write '%s'", path);
	for (size_t i = 0; i < layout->count; i++) {
		uint64_t end = (layout->start[i] + layout->length[i]) * SECTOR;

		if (fd_pwrite(fd, zeros, window, layout->start[i] * SECTOR, path, err) < 0 ||
		    fd_pwrite(fd, zeros, window, end - window, path, err) < 0)
			return -1;
	}
	return fsync(fd) < 0 ? err_sys(err, errno, "cannot write '%s'", path) : 0;
}

static int run_sfdisk(const char *path, const struct str *table, struct err *err)
{
	CLEANUP_FD int fd = memfd_create("sfdisk", MFD_CLOEXEC);
	const char *argv[] = {"sfdisk", "--quiet", "--wipe", "always", "--wipe-partitions",
			      "always", path,      NULL};
	const struct proc proc = {.argv = argv, .stdin_fd = fd};

	if (fd < 0)
		return err_sys(err, errno, "cannot start 'sfdisk'");
	if (fd_pwrite(fd, table->data, table->len, 0, "sfdisk", err) < 0)
		return -1;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, errno, "cannot start 'sfdisk'");
	return proc_run(&proc, err);
}

static int set_up_disk(struct cc *cc, const struct doc_pair *pair, const char *mark,
		       struct err *err)
{
	static const char *const known[] = {"table_type", "layout", "overwrite"};
	const char *type = doc_node_string(pair->value, "table_type");
	CLEANUP_FREE char *path = NULL;
	CLEANUP(str_free) struct str table = {0};
	struct layout layout = {0};
	size_t before = cc->problems.count;
	bool overwrite;

	cc_check_keys(cc, pair->value, "disk_setup", known, ARRAY_SIZE(known));
	overwrite = cc_flag(cc, pair->value, "overwrite", false);
	type = type ? type : "mbr";
	if (strcmp(type, "gpt") != 0 && strcmp(type, "mbr") != 0)
		cc_problem(cc, doc_node_get(pair->value, "table_type"),
			   "table_type must be gpt or mbr");
	if (!read_layout(cc, doc_node_get(pair->value, "layout"), &layout) ||
	    cc->problems.count > before)
		return 0; /* nothing is written on a guess */
	if (layout.count > 4 && strcmp(type, "mbr") == 0) {
		cc_problem(cc, pair->value, "table_type mbr has room for 4 partitions: use gpt");
		return 0;
	}
	path = disk_find(cc, pair->value, pair->key);
	if (!path)
		return 0;
	if (disk_may_write(cc, pair->value, path, overwrite)) {
		if (place_parts(path, &layout, err) < 0 || clear_parts(path, &layout, err) < 0)
			return -1;
		write_table(strcmp(type, "gpt") == 0 ? "gpt" : "dos", &layout, &table);
		if (run_sfdisk(path, &table, err) < 0)
			return -1;
		disk_settle(cc);
	} else if (cc->problems.count > before) {
		return 0; /* tried again at the next boot */
	}
	return cc_note(cc, "done", mark, err);
}

int cc_disk_setup(struct cc *cc, const struct doc_node *value, struct err *err)
{
	(void)err; /* each disk is a matter of its own */
	if (!cc_is(cc, value, DOC_MAP, "disk_setup"))
		return 0;
	for (size_t i = 0; i < value->count; i++) {
		const struct doc_pair *pair = &value->pairs[i];
		CLEANUP_FREE char *mark = mem_printf("disk_setup %s", pair->key);
		struct err own = {0};

		if (cc_was(cc, "done", mark) ||
		    !cc_is(cc, pair->value, DOC_MAP, "an entry of disk_setup"))
			continue;
		if (set_up_disk(cc, pair, mark, &own) < 0)
			cc_failed(cc, pair->value, &own);
	}
	return 0;
}
