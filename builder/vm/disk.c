/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overlays by qemu-img, and one byte of damage for the test that damage is found.
 */
#include "vm/disk.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DISK_MAX ((uint64_t)64 << 40)

/* Formats that QEMU reads too, and what it calls them. */
static const struct {
	const char *format, *driver;
} drivers[] = {
	{"raw", "raw"},
	{"qcow2", "qcow2"},
	{"vhd", "vpc"},
	{"vmdk", "vmdk"},
};

static const char *find_driver(const char *format)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (strcmp(drivers[i].format, format) == 0)
			return drivers[i].driver;
	return NULL;
}

static int check_image(const struct vm_image *image, const char **ret_driver, struct err *err)
{
	*ret_driver = find_driver(image->format);
	if (!*ret_driver) {
		err_set(err, ERR_USAGE, "QEMU reads no images of format %s", image->format);
		return err_hint(err, "make another one of it: ingot convert --format qcow2");
	}
	if (image->size < MIB || image->size > DISK_MAX)
		return err_set(err, ERR_VERIFY, "%llu bytes are no size for a disk",
			       (unsigned long long)image->size);
	return 0;
}

/* How QEMU is to open the image (its "json:" file names): by this driver, by the size in a VHD's footer
 * rather than the one of its cylinders, and without any other file that it may name. */
static char *backing_name(const struct vm_image *image, const char *driver, struct err *err)
{
	CLEANUP_FREE char *path = realpath(image->path, NULL);
	CLEANUP_FREE char *text = NULL;
	CLEANUP_JSON json_t *node = NULL;

	if (!path) {
		err_sys(err, errno, "cannot open '%s'", image->path);
		return NULL;
	}
	node = json_pack("{s:s, s:{s:s, s:s}}", "driver", driver, "file", "driver", "file",
			 "filename", path);
	if (node && strcmp(driver, "vpc") == 0)
		json_object_set_new(node, "force_size_calc", json_string("current_size"));
	else if (node && strcmp(driver, "raw") != 0)
		json_object_set_new(node, "backing", json_null());
	text = node ? json_dumps(node, JSON_COMPACT) : NULL;
	if (!text) {
		err_set(err, ERR_USAGE, "its path is not UTF-8");
		return NULL;
	}
	return mem_printf("json:%s", text);
}

int vm_disk_create(const struct vm_tools *tools, const struct vm_image *image, const char *path,
		   uint64_t size, struct err *err)
{
	CLEANUP_FREE char *backing = NULL;
	CLEANUP_FREE char *bytes = NULL;
	const char *driver;

	if (check_image(image, &driver, err) < 0)
		return -1;
	backing = backing_name(image, driver, err);
	if (!backing)
		return -1;
	if (size == 0)
		size = image->size + 8 * GIB;
	if (size < image->size || size > DISK_MAX) {
		char text[16];

		return err_set(err, ERR_USAGE, "the disk must be at least as large as '%s' (%s)",
			       image->path, size_format(image->size, text));
	}
	bytes = mem_printf("%llu", (unsigned long long)size_align(size, 64 * KIB));
	const char *argv[] = {tools->qemu_img, "create", "-q", "-f",  "qcow2", "-F", driver, "-b",
			      backing,         "--",     path, bytes, NULL};
	struct proc proc = {.argv = argv};

	if (proc_run(&proc, err) < 0)
		return err_wrap(err, "cannot create a disk over '%s'", image->path);
	return 0;
}

int vm_disk_damage(const char *disk, const struct vm_damage *damage, struct err *err)
{
	CLEANUP_FREE char *io = proc_find("qemu-io");
	CLEANUP_FREE char *command = mem_printf("write -P %u %llu 1", (unsigned)damage->value,
						(unsigned long long)damage->offset);

	if (!io) {
		err_set(err, ERR_TOOL, "cannot find 'qemu-io'");
		return err_hint(err,
				"install the package qemu-utils (scripts/install-deps does it)");
	}
	const char *argv[] = {io, "-f", "qcow2", "-c", command, disk, NULL};
	struct proc proc = {.argv = argv};

	if (proc_run(&proc, err) < 0)
		return err_wrap(err, "cannot change a byte of '%s'", disk);
	return 0;
}
