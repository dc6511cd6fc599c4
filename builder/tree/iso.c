/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree as an ISO 9660 image by libarchive. It writes its own name, version and the time of day into the
 * image: those bytes are set again, so that equal trees give equal images.
 */
#include "tree/archive.h"

#include "base/clock.h"
#include "base/mem.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ISO_MAX ((size_t)64 << 20) /* of an image: it is in memory */
#define SECTOR ((size_t)2048)
#define FIRST_DESCRIPTOR 16 /* ECMA-119, 6.2.1 */
#define DESCRIPTOR_END 255
#define VOLUME_DATES 813 /* in a descriptor: creation, modification, expiration, effective */
#define VOLUME_DATE_SIZE 17
#define DATE_SIZE 7
#define RECORD_MIN 34
#define RECORD_FOLDER 2
#define FOLDERS_MAX 16 /* inside each other */

struct iso {
	struct archive *out;
	const struct tree_iso *options;
	struct str *bytes;
	bool too_large;
};

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void free_archive(struct archive **a)
{
	archive_write_free(*a);
}

static void free_entry(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

static int failed(const struct iso *iso, struct err *err)
{
	const char *text = archive_error_string(iso->out);

	if (iso->too_large)
		return err_set(err, ERR_SPACE, "more than %zu MiB", ISO_MAX >> 20);
	if (archive_errno(iso->out) > 0)
		return err_sys(err, archive_errno(iso->out), "%s", text ? text : "libarchive");
	return err_set(err, ERR_OTHER, "%s", text ? text : "libarchive failed");
}

static la_ssize_t on_write(struct archive *a, void *context, const void *bytes, size_t len)
{
	struct iso *iso = context;

	(void)a;
	if (len > ISO_MAX - iso->bytes->len) {
		iso->too_large = true;
		return -1;
	}
	str_add_bytes(iso->bytes, bytes, len);
	return (la_ssize_t)len;
}

static int add_node(const struct tree_node *node, const char *path, void *context, struct err *err)
{
	struct iso *iso = context;
	const struct tree_inode *inode = node->inode;
	CLEANUP(free_entry) struct archive_entry *entry = archive_entry_new();
	bool folder = inode->type == TREE_DIR;
	const struct tree_data *data = &inode->data;

	if (!node->parent)
		return 0;
	if (!folder && (inode->type != TREE_FILE || (data->size > 0 && !data->bytes)))
		return err_set(err, ERR_OTHER, "'%s' is no file in memory", path);
	archive_entry_set_pathname(entry, path + 1);
	archive_entry_set_filetype(entry, folder ? AE_IFDIR : AE_IFREG);
	archive_entry_set_perm(entry, inode->mode);
	archive_entry_set_uid(entry, inode->uid);
	archive_entry_set_gid(entry, inode->gid);
	archive_entry_set_atime(entry, iso->options->time, 0);
	archive_entry_set_ctime(entry, iso->options->time, 0);
	archive_entry_set_mtime(entry, iso->options->time, 0);
	archive_entry_set_size(entry, folder ? 0 : (la_int64_t)data->size);
	if (archive_write_header(iso->out, entry) != ARCHIVE_OK)
		return failed(iso, err);
	if (!folder && data->size > 0 &&
	    archive_write_data(iso->out, data->bytes, data->size) != (la_ssize_t)data->size)
		return failed(iso, err);
	return 0;
}

/* The dates of a volume (ECMA-119, 8.4.26.1): digits and the offset from UTC. */
static void put_volume_dates(uint8_t *descriptor, const struct tm *tm)
{
	char text[64];

	snprintf(text, sizeof(text), "%04d%02d%02d%02d%02d%02d00", (tm->tm_year + 1900) % 10000,
		 tm->tm_mon + 1, tm->tm_mday, tm->tm_hour, tm->tm_min, tm->tm_sec);
	for (unsigned i = 0; i < 4; i++) {
		uint8_t *date = descriptor + VOLUME_DATES + (size_t)i * VOLUME_DATE_SIZE;

		memset(date, '0', VOLUME_DATE_SIZE - 1);
		if (i < 2)
			memcpy(date, text, VOLUME_DATE_SIZE - 1);
		date[VOLUME_DATE_SIZE - 1] = 0;
	}
}

/* The date of a directory record (ECMA-119, 9.1.5). */
static void put_date(uint8_t *to, const struct tm *tm)
{
	const uint8_t date[DATE_SIZE] = {
		(uint8_t)tm->tm_year, (uint8_t)(tm->tm_mon + 1), (uint8_t)tm->tm_mday,
		(uint8_t)tm->tm_hour, (uint8_t)tm->tm_min,       (uint8_t)tm->tm_sec,
	};

	memcpy(to, date, DATE_SIZE);
}

/* The fields of Rock Ridge in the rest of a directory record (IEEE P1282, 4.1.1 and 4.1.6). */
static void set_fields(uint8_t *field, const uint8_t *end, const struct tm *tm)
{
	while (end - field >= 4 && field[2] >= 4 && field[2] <= end - field) {
		uint8_t len = field[2];

		if (memcmp(field, "PX", 2) == 0 && len >= 36)
			memset(field + 20, 0, 16);
		if (memcmp(field, "TF", 2) == 0 && (field[4] & 0x80) == 0)
			for (uint8_t *date = field + 5; field + len - date >= DATE_SIZE;
			     date += DATE_SIZE)
				put_date(date, tm);
		field += len;
	}
}

static void set_record(uint8_t *record, const struct tm *tm)
{
	size_t used = 33 + (size_t)record[32];

	put_date(record + 18, tm);
	used += used % 2;
	if (used < record[0])
		set_fields(record + used, record + record[0], tm);
}

/* Goes through a folder, its record given, and through those below it. */
static int set_folder(struct str *bytes, const uint8_t *folder, const struct tm *tm, unsigned depth,
		      struct err *err)
{
	uint8_t *data = (uint8_t *)bytes->data;
	uint64_t at = SECTOR * le32(folder + 2), end = at + le32(folder + 10);

	if (depth > FOLDERS_MAX || end > bytes->len)
		return err_set(err, ERR_OTHER, "libarchive wrote a bad folder");
	while (at < end) {
		uint8_t *record = data + at;
		bool self_or_parent;

		if (record[0] == 0) { /* records do not cross sectors */
			at = (at / SECTOR + 1) * SECTOR;
			continue;
		}
		if (record[0] < RECORD_MIN || record[0] > end - at)
			return err_set(err, ERR_OTHER, "libarchive wrote a bad folder");
		self_or_parent = record[32] == 1 && record[33] <= 1; /* "." and ".." */
		set_record(record, tm);
		if ((record[25] & RECORD_FOLDER) && !self_or_parent &&
		    set_folder(bytes, record, tm, depth + 1, err) < 0)
			return -1;
		at += record[0];
	}
	return 0;
}

/* Sets what libarchive takes from its version, from the clock, from who runs it, and from its idea of a
 * label: it makes letters large and hyphens low lines, but "config-2" must stay. Behind the descriptors it
 * leaves a page about itself, which no reader needs. */
static int make_equal(struct str *bytes, const struct tree_iso *options, struct err *err)
{
	uint8_t *data = (uint8_t *)bytes->data, *d;
	size_t count = bytes->len / SECTOR, i;
	time_t t = (time_t)options->time;
	struct tm tm;

	gmtime_r(&t, &tm);
	for (i = FIRST_DESCRIPTOR; i < count; i++) {
		d = data + i * SECTOR;
		if (memcmp(d + 1, "CD001", 5) != 0)
			return err_set(err, ERR_OTHER, "libarchive wrote no ISO 9660 image");
		if (d[0] == DESCRIPTOR_END)
			break;
		if (d[0] == 1) {
			memset(d + 40, ' ', 32);
			memcpy(d + 40, options->label, strlen(options->label));
		}
		put_volume_dates(d, &tm);
		set_record(d + 156, &tm);
		if (set_folder(bytes, d + 156, &tm, 0, err) < 0)
			return -1;
	}
	if (i + 1 < count && memcmp(data + (i + 1) * SECTOR, "INFO ", 5) == 0)
		memset(data + (i + 1) * SECTOR, 0, SECTOR);
	return 0;
}

static int set_options(const struct iso *iso, struct err *err)
{
	const char *const rows[][2] = {
		{"volume-id", iso->options->label},
		{"application-id", "INGOT"},
		{"joliet", "1"},
		{"rockridge", "strict"}, /* modes and owners as in the tree */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (archive_write_set_format_option(iso->out, "iso9660", rows[i][0], rows[i][1]) !=
		    ARCHIVE_OK)
			return failed(iso, err);
	return 0;
}

int tree_write_iso(const struct tree *tree, const struct tree_iso *options, struct str *ret,
		   struct err *err)
{
	CLEANUP(free_archive) struct archive *out = archive_write_new();
	struct iso iso = {.out = out, .options = options, .bytes = ret};
	size_t before = ret->len;

	if (before != 0 || strlen(options->label) > 16)
		return err_set(err, ERR_OTHER, "cannot write an ISO 9660 image: bad label");
	if (archive_write_set_format_iso9660(out) != ARCHIVE_OK || set_options(&iso, err) < 0 ||
	    archive_write_set_bytes_per_block(out, 0) != ARCHIVE_OK ||
	    archive_write_open(out, &iso, NULL, on_write, NULL) != ARCHIVE_OK) {
		if (!err || !err->code)
			failed(&iso, err);
		return err_wrap(err, "cannot write an ISO 9660 image");
	}
	if (tree_walk(tree, add_node, &iso, err) < 0)
		return err_wrap(err, "cannot write an ISO 9660 image");
	if (archive_write_close(out) != ARCHIVE_OK) {
		failed(&iso, err);
		return err_wrap(err, "cannot write an ISO 9660 image");
	}
	if (make_equal(ret, options, err) < 0)
		return err_wrap(err, "cannot write an ISO 9660 image");
	return 0;
}
