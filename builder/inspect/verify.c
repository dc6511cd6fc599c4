/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which things are proven: who signed, what was signed, what the papers say, and then, on all
 * processors, the bytes.
 */
#include "inspect/verify_parts.h"

#include "base/mem.h"
#include "base/path.h"
#include "base/size.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TREE_PARTS_MAX 8
#define UNLISTED_MAX 64

static void add_check(struct verify *v, const char *check, const char *subject, const char *result,
		      const char *text)
{
	json_array_append_new(v->checks,
			      json_pack("{s:s, s:s, s:s, s:s}", "check", check, "subject", subject,
					"result", result, "text", text));
}

__attribute__((format(printf, 5, 0))) static void add_formatted(struct verify *v, const char *check,
								const char *subject,
								const char *result, const char *fmt,
								va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	add_check(v, check, subject, result, text);
}

void verify_passed(struct verify *v, const char *check, const char *subject, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_formatted(v, check, subject, "passed", fmt, ap);
	va_end(ap);
}

void verify_skipped(struct verify *v, const char *check, const char *subject, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_formatted(v, check, subject, "skipped", fmt, ap);
	va_end(ap);
}

const char *verify_plain(const char *text)
{
	return sums_is_name(text) ? text : "?";
}

char *verify_path_of(const struct verify *v, const char *name)
{
	return path_join(v->folder, name);
}

/* What was looked at on one disk holds for all when they are equal. */
static int compare_disks(struct verify *v, struct err *err)
{
	for (size_t i = 0; i < v->disk_count; i++) {
		char hex[DIGEST_HEX_SIZE], other[DIGEST_HEX_SIZE];

		if (memcmp(v->disks[i].found.bytes, v->head->found.bytes, DIGEST_SIZE) != 0)
			return err_set(err, ERR_VERIFY,
				       "%s: the sha256 of its disk is %s, that of %s is %s",
				       v->disks[i].name, digest_hex(&v->disks[i].found, hex),
				       v->head->name, digest_hex(&v->head->found, other));
	}
	return 0;
}

static void report_disks(struct verify *v)
{
	CLEANUP(str_free) struct str names = {0};
	char hex[DIGEST_HEX_SIZE], size[16];
	const char *hash = json_member_string(v->inspected, "root_hash");

	for (size_t i = 0; i < v->disk_count; i++)
		str_addf(&names, "%s%s", i ? ", " : "", v->disks[i].name);
	verify_passed(v, "disk", names.data, "%s disk of %s, sha256 %s",
		      v->disk_count > 1 ? "the same" : "a", size_format(v->head->size, size),
		      digest_hex(&v->head->found, hex));
	verify_passed(v, "table", v->head->name, "both partition tables are whole and agree");
	verify_passed(v, "root", v->head->name,
		      "the data are what the root hash %s in the kernel image says",
		      hash ? hash : "");
	verify_passed(v, "tree", v->head->name, "all %llu files and folders can be read, %s",
		      (unsigned long long)atomic_load(&v->entries),
		      size_format(atomic_load(&v->content), size));
}

/* The tasks for the bytes; those of the files come first. With opened false there are no others. */
static size_t make_tasks(struct verify *v, struct verify_task *tasks, bool opened)
{
	unsigned parts = v->options->jobs < TREE_PARTS_MAX ? v->options->jobs : TREE_PARTS_MAX;
	size_t count = 0;

	for (size_t i = 0; i < v->file_count; i++)
		tasks[count++] = (struct verify_task){
			.run = verify_file_run, .subject = &v->files[i], .cost = v->files[i].size};
	if (!opened)
		return count;
	for (size_t i = 0; i < v->disk_count; i++)
		if (!v->disks[i].is_raw || !v->disks[i].file)
			tasks[count++] = (struct verify_task){.run = verify_disk_run,
							      .subject = &v->disks[i],
							      .cost = v->disks[i].size};
	tasks[count++] = (struct verify_task){.run = verify_boot_run, .cost = v->roots[0].size};
	for (size_t i = 0; i < v->root_count * parts; i++)
		tasks[count++] = (struct verify_task){.run = verify_tree_run,
						      .subject = &v->roots[i / parts],
						      .part = (unsigned)(i % parts),
						      .parts = parts,
						      .cost = v->roots[i / parts].size};
	return count;
}

/* Reads everything. A wrong sum says more than what came of it, so it is told first. */
static int check_bytes(struct verify *v, struct err *err)
{
	CLEANUP_FREE struct verify_task *tasks = mem_alloc_array(
		v->file_count + v->disk_count + 1 + VERIFY_ROOTS_MAX * TREE_PARTS_MAX,
		sizeof(*tasks));
	struct err problem = {0};
	int opened = verify_open_disks(v, &problem);
	int r = verify_run(v, tasks, make_tasks(v, tasks, opened == 0),
			   opened == 0 ? &problem : NULL);

	v->stage = "sums";
	for (size_t i = 0; i < v->file_count; i++) {
		if (tasks[i].result == 0)
			continue;
		*err = tasks[i].err;
		return -1;
	}
	if (verify_compare_files(v, err) < 0)
		return -1;
	v->stage = "disk";
	if (opened < 0 || r < 0) {
		*err = problem;
		return -1;
	}
	for (size_t i = 0; i < v->disk_count; i++)
		if (v->disks[i].is_raw && v->disks[i].file)
			v->disks[i].found = v->disks[i].file->found;
	return 0;
}

/* All that is common to folders and single files, once what is to be looked at is known. */
static int check_all(struct verify *v, struct err *err)
{
	if (check_bytes(v, err) < 0 || verify_manifest_digests(v, err) < 0 ||
	    compare_disks(v, err) < 0)
		return -1;
	report_disks(v);
	return 0;
}

/* Files that nobody vouches for. */
static int list_unlisted(struct verify *v, struct err *err)
{
	json_t *unlisted = json_object_get(v->report, "unlisted");
	DIR *dir = opendir(v->folder);
	struct dirent *e;

	if (!dir)
		return err_sys(err, errno, "cannot read the folder '%s'", v->folder);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || sums_find(&v->sums, e->d_name) ||
		    strcmp(e->d_name, SUMS_FILE) == 0 ||
		    strcmp(e->d_name, SUMS_FILE SUMS_SIGNATURE_SUFFIX) == 0 ||
		    verify_is_envelope(v, e->d_name))
			continue;
		if (json_array_size(unlisted) < UNLISTED_MAX && sums_is_name(e->d_name))
			json_array_append_new(unlisted, json_string(e->d_name));
	}
	closedir(dir);
	return 0;
}

static int verify_folder(struct verify *v, struct err *err)
{
	bool found;

	if (verify_read_sums(v, &found, err) < 0)
		return -1;
	if (!found) {
		err_set(err, ERR_VERIFY, "cannot verify '%s': it has no %s", v->folder, SUMS_FILE);
		return err_hint(err, "the folder of one image is meant, or an image file");
	}
	if (verify_use_sums(v, err) < 0)
		return -1;
	v->files = mem_alloc_array(v->sums.count, sizeof(*v->files));
	for (size_t i = 0; i < v->sums.count; i++)
		if (verify_add_file(v, v->sums.items[i].name, &v->sums.items[i].digest, err) < 0)
			return -1;
	if (verify_manifest(v, NULL, err) < 0 || verify_provenance(v, err) < 0 ||
	    list_unlisted(v, err) < 0)
		return -1;
	return check_all(v, err);
}

/* True when the text of a file of the folder holds the name: files of other things are left alone. */
static bool mentions(const struct verify *v, const char *file, const char *name)
{
	CLEANUP(str_free) struct str text = {0};

	return verify_slurp(v, file, (size_t)32 << 20, &text, NULL) == 0 &&
	       memmem(text.data, text.len, name, strlen(name)) != NULL;
}

/* What the files beside it say about one image. */
static int look_around(struct verify *v, const char *name, struct err *err)
{
	const struct sums_entry *entry = NULL;
	bool found;

	if (verify_read_sums(v, &found, err) < 0)
		return -1;
	if (!found && v->options->key_count > 0)
		return err_set(err, ERR_VERIFY, "%s: there is no %s beside it that could be signed",
			       name, SUMS_FILE);
	if (found && (v->options->key_count > 0 || mentions(v, SUMS_FILE, name))) {
		if (verify_use_sums(v, err) < 0)
			return -1;
		entry = sums_find(&v->sums, name);
		if (!entry && v->options->key_count > 0)
			return err_set(err, ERR_VERIFY, "%s: %s does not name it", name, SUMS_FILE);
		if (entry && verify_add_file(v, name, &entry->digest, err) < 0)
			return -1;
		v->has_sums = entry != NULL;
	}
	if (!v->has_sums)
		verify_skipped(v, "sums", name, "there is no %s that names it", SUMS_FILE);
	if (mentions(v, MANIFEST_FILE, name)) {
		if (!entry && verify_add_file(v, name, NULL, err) < 0)
			return -1;
		return verify_manifest(v, name, err);
	}
	verify_skipped(v, "manifest", name, "there is no manifest.json that names it");
	return 0;
}

static int verify_image(struct verify *v, const char *path, struct err *err)
{
	const char *name = path_base(path);

	v->files = mem_alloc_array(1, sizeof(*v->files));
	v->disks = mem_alloc_array(64, sizeof(*v->disks));
	if (sums_is_name(name) && look_around(v, name, err) < 0)
		return -1;
	if (v->disk_count == 0)
		verify_add_disk(v, name, NULL, 0);
	return check_all(v, err);
}

static void verify_free(struct verify *v)
{
	for (size_t i = 0; i < v->file_count; i++) {
		free(v->files[i].name);
		free(v->files[i].path);
	}
	for (size_t i = 0; i < v->disk_count; i++) {
		free(v->disks[i].name);
		free(v->disks[i].path);
	}
	free(v->files);
	free(v->disks);
	free(v->folder);
	str_free(&v->sums_text);
	sums_free(&v->sums);
	json_decref(v->manifest);
	json_decref(v->inspected);
}

/* The message quotes what is in files: no control character of them may reach a terminal. */
static const char *make_plain(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p < ' ' || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
			*p = '?';
	return text;
}

int verify_path(const char *path, const struct verify_options *options, json_t **ret_report,
		struct err *err)
{
	struct verify v = {.options = options,
			   .stage = "open",
			   .report = json_object(),
			   .checks = json_array()};
	struct err own = {0};
	struct stat st;
	int r;

	if (!err)
		err = &own;
	json_object_set_new(v.report, "path", json_string(path));
	json_object_set_new(v.report, "checks", v.checks);
	json_object_set_new(v.report, "unlisted", json_array());
	if (stat(path, &st) < 0) {
		r = err_sys(err, errno, "cannot open '%s'", path);
	} else if (S_ISDIR(st.st_mode)) {
		v.folder = mem_strdup(path);
		r = verify_folder(&v, err);
	} else {
		v.folder = path_parent(path);
		r = verify_image(&v, path, err);
	}
	if (r < 0)
		add_check(&v, v.stage, path, "failed", make_plain(err->msg));
	json_object_set_new(v.report, "verified", json_boolean(r == 0));
	verify_free(&v);
	*ret_report = v.report;
	return r;
}
