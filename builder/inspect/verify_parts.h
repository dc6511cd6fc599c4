/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What verify.c (the order of things), verify_sums.c (signature, sums), verify_manifest.c,
 * verify_provenance.c, verify_disk.c (bytes of files and disks), verify_tree.c (the root file system) and
 * verify_run.c (threads) share. Private to them.
 */
#ifndef INGOT_INSPECT_VERIFY_PARTS_H
#define INGOT_INSPECT_VERIFY_PARTS_H

#include "attest/manifest.h"
#include "attest/signing.h"
#include "attest/sums.h"
#include "base/str.h"
#include "inspect/verify.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Work for a thread. */
struct verify_task {
	int (*run)(struct verify_task *task, struct err *err);
	struct verify *verify;
	void *subject;
	unsigned part, parts; /* of the same subject */
	uint64_t cost;        /* bytes to read: the larger ones start first */
	int result;
	struct err err;
};

/* A file and what its digest should be. */
struct verify_file {
	char *name, *path;
	struct digest want, found;
	bool wanted; /* want is what SHA256SUMS says */
	uint64_t size;
};

/* An image. */
struct verify_disk {
	char *name, *path;
	const char *format;       /* as the manifest says, borrowed from it; NULL: unknown */
	struct verify_file *file; /* its digest as a file, or NULL: not asked for */
	bool is_raw;              /* the digest of the file is that of the disk */
	uint64_t size;            /* of the disk, bytes */
	struct digest found;
};

/* A root file system on an image. */
struct verify_root {
	uint64_t offset, size;
	unsigned number; /* of the partition */
};

#define VERIFY_ROOTS_MAX 16

struct verify {
	const struct verify_options *options;
	char *folder;
	json_t *report, *checks;
	const char *stage;    /* the check that is being made */
	struct str sums_text; /* as read: what is signed is what is parsed */
	struct sums sums;
	bool has_sums, is_signed;
	json_t *manifest; /* or NULL */
	struct verify_file *files;
	size_t file_count;
	struct verify_disk *disks;
	size_t disk_count;
	struct verify_disk
		*head; /* the disk whose content is looked at; the others are equal to it */
	struct verify_root roots[VERIFY_ROOTS_MAX];
	size_t root_count;
	json_t *inspected; /* what inspect_image says about head, verified */
	atomic_uint_fast64_t done, entries, content;
	uint64_t total;
	atomic_bool stop; /* a file is not what SHA256SUMS says: nothing else matters */
};

/* Adds a check that passed to the report. */
void verify_passed(struct verify *v, const char *check, const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Adds a check that was not made, and why. */
void verify_skipped(struct verify *v, const char *check, const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Path of a file in the folder; the caller frees it. */
char *verify_path_of(const struct verify *v, const char *name);

/* A text from outside as it may be printed: "?" when it holds control characters or is no UTF-8. */
const char *verify_plain(const char *text);

/* True when the folder has something of that name. */
bool verify_has(const struct verify *v, const char *name);

/* Reads a file of the folder. ERR_VERIFY when it is missing, no regular file or larger than max bytes. */
int verify_slurp(const struct verify *v, const char *name, size_t max, struct str *text,
		 struct err *err);

/* Tells whoever watches that so many bytes more were read. */
void verify_progress(struct verify *v, uint64_t bytes);

/* Sets err to "<name>: sha256 is <found>, <who> says <want>" unless they are equal. */
int verify_compare(const char *name, const struct digest *found, const char *who,
		   const struct digest *want, struct err *err);

/* Reads a file of the folder, at most max bytes, that SHA256SUMS must name when there is one, and compares
 * its digest with that. A file that is not there is ERR_VERIFY. */
int verify_read(struct verify *v, const char *name, size_t max, struct str *text, struct err *err);

/* Parses the JSON object in a file that was read; name is for messages. The caller decrefs it. */
json_t *verify_parse(const struct str *text, const char *name, struct err *err);

/* Reads SHA256SUMS into v->sums_text; *ret_found is false when there is none. */
int verify_read_sums(struct verify *v, bool *ret_found, struct err *err);

/* Checks the signature over v->sums_text, if keys are given, and then parses it. */
int verify_use_sums(struct verify *v, struct err *err);

/* Notes a file whose digest is to be taken in v->files, which must have room; want is what SHA256SUMS says,
 * or NULL. ERR_VERIFY when it is missing. */
int verify_add_file(struct verify *v, const char *name, const struct digest *want, struct err *err);

/* Compares the digests that were found with what SHA256SUMS says. */
int verify_compare_files(struct verify *v, struct err *err);

/* Runs the tasks on as many threads as the options say. The error is that of the first task, in their
 * order, that failed. */
int verify_run(struct verify *v, struct verify_task *tasks, size_t count, struct err *err);

/* Checks what the manifest says against SHA256SUMS and the sizes of the files, and takes its images into
 * v->disks: all of them, or only the file named only. */
int verify_manifest(struct verify *v, const char *only, struct err *err);

/* Compares digests, root hash and partition table that the manifest tells with those that were found. */
int verify_manifest_digests(struct verify *v, struct err *err);

/* Checks the provenance statements that SHA256SUMS names, and their envelopes. */
int verify_provenance(struct verify *v, struct err *err);

/* True for the name of the envelope of such a statement, which SHA256SUMS does not name. */
bool verify_is_envelope(const struct verify *v, const char *name);

/* Adds an image to v->disks, which must have room; name is copied, format borrowed (NULL: any). size is
 * that of the disk (0: any). */
void verify_add_disk(struct verify *v, const char *name, const char *format, uint64_t size);

/* Opens the images, compares formats and sizes with what is expected, chooses v->head and finds the roots
 * that its kernel images start. */
int verify_open_disks(struct verify *v, struct err *err);

/* Digest of a file (subject: struct verify_file). */
int verify_file_run(struct verify_task *task, struct err *err);

/* Digest of a disk's content (subject: struct verify_disk). */
int verify_disk_run(struct verify_task *task, struct err *err);

/* Partition tables, kernel images and hash tree of v->head. */
int verify_boot_run(struct verify_task *task, struct err *err);

/* Reads every file of a root (subject: struct verify_root) of v->head, or its part of them. */
int verify_tree_run(struct verify_task *task, struct err *err);

#endif
