/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking into foreign disks. An appliance takes seconds to minutes: it is started only for disks that hold
 * something that nothing else here can read.
 */
#include "inspect/inspect_guest.h"

#include "base/mem.h"
#include "cache/cache.h"
#include "disk/endian.h"
#include "disk/gpt.h"
#include "inspect/inspect_parts.h"
#include "output/image.h"
#include "vm/probe.h"

#include <string.h>
#include <sys/stat.h>

#define SECTOR 512u
#define PROBE_SIZE ((size_t)68 << 10) /* the farthest mark is that of btrfs */

/* Marks of file systems that are not read here, and of what they lie in. */
static const struct mark {
	size_t offset;
	const char *bytes;
	size_t len;
} marks[] = {
	{1080, "\x53\xef", 2},         /* ext2, ext3, ext4 */
	{0, "XFSB", 4},                /* xfs */
	{65600, "_BHRfS_M", 8},        /* btrfs */
	{SECTOR, "LABELONE", 8},       /* LVM */
	{3, "NTFS    ", 8},            /* Windows */
	{1024, "\x10\x20\xf5\xf2", 4}, /* f2fs */
};

static bool has_mark(struct image *image, uint64_t offset)
{
	CLEANUP_FREE char *bytes = mem_alloc(PROBE_SIZE);
	size_t len = PROBE_SIZE;

	if (offset >= image->size)
		return false;
	if (image->size - offset < len)
		len = (size_t)(image->size - offset);
	if (image->pread(image, bytes, len, offset, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (memcmp(bytes + marks[i].offset, marks[i].bytes, marks[i].len) == 0)
			return true;
	return false;
}

static bool gpt_has_mark(struct image *image, bool *ret_ours)
{
	struct gpt gpt = {0};
	bool found = false;

	if (gpt_read(image, &gpt, NULL) < 0)
		return false;
	for (size_t i = 0; i < gpt.count; i++) {
		*ret_ours |= inspect_has_type(&gpt.items[i], "root-verity");
		found |= has_mark(image, gpt.items[i].offset);
	}
	gpt_free(&gpt);
	return found;
}

/* The four entries of a DOS partition table (from byte 446 on: type at 4, first sector at 8); one that
 * holds others cannot be told from one that holds a system. */
static bool dos_has_mark(struct image *image)
{
	uint8_t sector[SECTOR];

	if (image->size < sizeof(sector) ||
	    image->pread(image, sector, sizeof(sector), 0, NULL) < 0 || sector[510] != 0x55 ||
	    sector[511] != 0xaa)
		return false;
	for (size_t i = 0; i < 4; i++) {
		const uint8_t *entry = sector + 446 + 16 * i;

		if (entry[4] == 0x05 || entry[4] == 0x0f || entry[4] == 0x85)
			return true;
		if (entry[4] && entry[4] != 0xee &&
		    has_mark(image, (uint64_t)get_le32(entry + 8) * SECTOR))
			return true;
	}
	return false;
}

bool inspect_is_foreign(const char *path)
{
	CLEANUP(image_close) struct image *image = image_open(path, NULL);
	const char *format = NULL;
	bool ours = false, found;

	/* What QEMU cannot read, libguestfs cannot either: a disk in an archive, for one. */
	if (guest_format(path, &format, NULL) < 0)
		return false;
	if (!image)
		return strcmp(format, "raw") != 0 && strcmp(format, "qcow2") != 0;
	/* What is raw to one and a container to the other can be read by that one only. */
	if ((strcmp(format, "raw") == 0) != (strcmp(image->format, "raw") == 0))
		return strcmp(format, "raw") != 0;
	found = gpt_has_mark(image, &ours) || dos_has_mark(image) || has_mark(image, 0);
	return found && !ours;
}

/* The probe's answer is remembered where ingot boot looks for it. */
static bool kvm_works(void)
{
	CLEANUP(str_free) struct str why = {0};
	struct cache *cache = cache_open(NULL, NULL);
	bool works = cache && vm_probe_works(cache_dir(cache), &why);

	cache_close(cache);
	return works;
}

int inspect_run_guest(const char *path, int (*consume)(int tar_fd, void *context, struct err *err),
		      void *context, json_t **ret_report, struct err *err)
{
	struct log_step step;
	struct guest_request request = {
		.path = path, .step = &step, .consume = consume, .context = context};
	int r;

	request.kvm = kvm_works();
	log_step_begin(&step, "guest", path);
	r = guest_read(&request, ret_report, err);
	log_step_end(&step, r < 0 ? LOG_FAILED : LOG_DONE);
	return r;
}

/* What inspect_image says of an image that it cannot read. */
static json_t *empty_image(const char *path, const json_t *report)
{
	static const char *const unknown[] = {"table", "root_hash", "kernel",  "os_release",
					      "root",  "packages",  "verified"};
	json_t *image = json_object();
	struct stat st = {0};

	(void)stat(path, &st);
	inspect_set(image, "file", json_string(path));
	inspect_set(image, "format", json_incref(json_object_get(report, "format")));
	inspect_set(image, "size", json_incref(json_object_get(report, "size")));
	inspect_set(image, "bytes", json_integer((json_int_t)st.st_size));
	inspect_set(image, "allocated", json_integer((json_int_t)st.st_blocks * 512));
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		inspect_set(image, unknown[i], NULL);
	inspect_set(image, "entries", json_array());
	inspect_set(image, "problems", json_array());
	return image;
}

static void set_unknown(json_t *image, const char *key, json_t *value)
{
	if (value && json_is_null(json_object_get(image, key)))
		json_object_set_new(image, key, value);
	else
		json_decref(value);
}

static void add_report(json_t *image, json_t *report)
{
	const char *text = json_member_string(report, "os_release");
	json_t *kernel = json_array_get(json_object_get(report, "kernels"), 0);

	set_unknown(image, "os_release", text ? inspect_os_release(text) : NULL);
	set_unknown(image, "kernel", json_incref(kernel));
	set_unknown(image, "packages", json_incref(json_object_get(report, "packages")));
	json_object_del(report, "os_release");
	json_object_set(image, "guest", report);
}

json_t *inspect_any(const char *path, bool verify, struct err *err)
{
	CLEANUP_JSON json_t *report = NULL;
	json_t *image = inspect_image(path, verify, err);
	struct err failure = {0};

	if (image)
		json_object_set_new(image, "guest", json_null());
	if (verify || !inspect_is_foreign(path))
		return image;
	if (inspect_run_guest(path, NULL, NULL, &report, &failure) < 0) {
		CLEANUP_FREE char *text =
			mem_printf("%s%s%s", failure.msg, *failure.hint ? "; " : "", failure.hint);

		if (image)
			json_array_append_new(json_object_get(image, "problems"),
					      json_string(text));
		else if (err)
			*err = failure;
		return image;
	}
	if (!image)
		image = empty_image(path, report);
	err_clear(err);
	add_report(image, report);
	return image;
}
