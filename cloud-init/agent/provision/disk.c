/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at block devices. "Empty" is the answer that lets something be overwritten, so it needs two witnesses.
 */
#include "agent/provision/disk.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WINDOW ((size_t)1 << 20)

static bool is_device(const struct cc *cc, const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && (S_ISBLK(st.st_mode) || (!cc->live && S_ISREG(st.st_mode)));
}

char *disk_find(struct cc *cc, const struct doc_node *node, const char *name)
{
	const struct timespec tick = {.tv_nsec = 100000000};
	CLEANUP_FREE char *given = *name == '/' ? mem_strdup(name) : mem_printf("/dev/%s", name);
	CLEANUP_FREE char *full = agent_path(cc->agent, given);
	char *real;

	if (!str_has_prefix(given, "/dev/") || !path_is_clean(given)) {
		cc_problem(cc, node, "'%s' is no device below /dev", cc_show(cc, name));
		return NULL;
	}
	for (int i = 0; cc->live && i < DISK_WAIT * 10 && access(full, F_OK) < 0; i++)
		nanosleep(&tick, NULL);
	real = realpath(full, NULL);
	if (real && is_device(cc, real))
		return real;
	free(real);
	cc_problem(cc, node, "there is no device '%s'", cc_show(cc, name));
	return NULL;
}

int disk_size(const char *path, uint64_t *ret, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "cannot open '%s'", path);
	*ret = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, ret) < 0)
		return err_sys(err, errno, "cannot tell the size of '%s'", path);
	return 0;
}

bool disk_busy(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);

	return fd < 0 && errno == EBUSY;
}

static int window_empty(int fd, uint64_t offset, size_t len, const char *path, bool *ret,
			struct err *err)
{
	CLEANUP_FREE char *bytes = mem_alloc(len ? len : 1);

	if (fd_pread(fd, bytes, len, offset, path, err) < 0)
		return -1;
	for (size_t i = 0; *ret && i < len; i++)
		*ret = bytes[i] == 0;
	return 0;
}

/* No signature need be known: zeros at both ends, or something is there. */
static int is_empty(const char *path, bool *ret, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t size = 0;

	if (fd < 0)
		return err_sys(err, errno, "cannot open '%s'", path);
	if (disk_size(path, &size, err) < 0)
		return -1;
	*ret = true;
	if (size <= 2 * WINDOW)
		return window_empty(fd, 0, (size_t)size, path, ret, err);
	if (window_empty(fd, 0, WINDOW, path, ret, err) < 0)
		return -1;
	return *ret ? window_empty(fd, size - WINDOW, WINDOW, path, ret, err) : 0;
}

static void take_value(const char *text, const char *key, char *to, size_t size)
{
	size_t key_len = strlen(key);

	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		if (len > key_len && strncmp(line, key, key_len) == 0)
			snprintf(to, size, "%.*s", (int)(len - key_len), line + key_len);
		line += len + (line[len] == '\n');
	}
}

int disk_probe(const char *path, struct disk_content *ret, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	const char *argv[] = {"blkid", "-p", "-o", "export", path, NULL};
	const struct proc proc = {.argv = argv, .output = &text, .output_max = 65536};
	struct err none = {0};
	bool empty = false;

	*ret = (struct disk_content){0};
	/* Anything but 0 says nothing that could be relied on: then only zeros are empty. */
	if (proc_run(&proc, &none) == 0 && text.len) {
		take_value(text.data, "TYPE=", ret->type, sizeof(ret->type));
		take_value(text.data, "LABEL=", ret->label, sizeof(ret->label));
		take_value(text.data, "PTTYPE=", ret->table, sizeof(ret->table));
		/* Of an empty partition it tells the entry in the table only. */
		ret->any = *ret->type || *ret->table;
	}
	if (ret->any)
		return 0;
	if (none.code == ERR_TOOL)
		return err_set(err, ERR_TOOL, "the image has no blkid");
	if (is_empty(path, &empty, err) < 0)
		return -1;
	ret->any = !empty;
	return 0;
}

bool disk_may_write(struct cc *cc, const struct doc_node *node, const char *path, bool overwrite)
{
	struct disk_content content;
	struct err err = {0};

	if (disk_busy(path)) {
		cc_problem(cc, node, "'%s' is in use: it is never overwritten", path);
		return false;
	}
	if (disk_probe(path, &content, &err) < 0) {
		cc_failed(cc, node, &err);
		return false;
	}
	if (!content.any || overwrite)
		return true;
	cc_remark(cc, "%s: left as it is, it holds %s (overwrite: true would destroy that)", path,
		  *content.type    ? content.type
		  : *content.table ? "a partition table"
				   : "something unknown");
	return false;
}

char *disk_partition(const char *path, unsigned number)
{
	size_t len = strlen(path);
	bool digit = len && path[len - 1] >= '0' && path[len - 1] <= '9';

	return mem_printf("%s%s%u", path, digit ? "p" : "", number);
}

void disk_settle(const struct cc *cc)
{
	const char *argv[] = {"udevadm", "settle", "--timeout=10", NULL};
	struct err err = {0};

	if (cc->live && proc_run(&(struct proc){.argv = argv}, &err) < 0)
		report_log(cc->report, 4, "PROVISION", &err, "udev does not come to rest");
}
