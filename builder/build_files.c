/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files beside the images. Everything that can fail is done while they have temporary names; the
 * manifest comes after what it names, SHA256SUMS after the manifest, and signatures last.
 */
#include "build_files.h"

#include "attest/manifest.h"
#include "attest/signing.h"
#include "attest/sums.h"
#include "base/mem.h"
#include "base/path.h"
#include "build_papers.h"

#include <errno.h>
#include <unistd.h>

static char *file_name(const struct job *job, const char *suffix)
{
	return mem_printf("%s_%s%s", job->profile->name, job->profile->version, suffix);
}

static int add_file(const struct job *job, const char *name, const struct str *text,
		    struct build_files *files, struct err *err)
{
	CLEANUP_FREE char *path = path_join(job->out, name);
	struct outfile *out = &files->items[files->count];

	if (outfile_open(out, path, err) < 0)
		return -1;
	files->count++;
	if (fd_write(out->fd, text->data, text->len, path, err) < 0)
		return -1;
	if (fsync(out->fd) < 0)
		return err_sys(err, errno, "cannot write '%s'", path);
	return 0;
}

/* Adds SBOMs and provenance, and names them in the manifest. */
static int add_papers(struct job *job, json_t *manifest, struct build_files *files,
		      struct sums *sums, struct err *err)
{
	CLEANUP(build_papers_free) struct build_papers papers = {0};

	if (build_papers_make(job, manifest, &papers, err) < 0)
		return -1;
	for (size_t i = 0; i < PAPER_COUNT; i++) {
		const struct build_paper *p = &papers.items[i];

		if (sums_add(sums, p->file, &p->digest, err) < 0 ||
		    add_file(job, p->file, &p->text, files, err) < 0)
			return -1;
	}
	json_object_set_new(manifest, "papers", build_papers_json(&papers));
	return 0;
}

static int add_manifest(const struct job *job, const json_t *manifest, struct build_files *files,
			struct sums *sums, struct err *err)
{
	CLEANUP_FREE char *json = json_text(manifest);
	CLEANUP(str_free) struct str text = {0};
	struct digest digest;

	if (!json)
		return err_set(err, ERR_OTHER, "cannot write the manifest: text is not UTF-8");
	str_add(&text, json);
	digest_bytes(text.data, text.len, &digest);
	if (sums_add(sums, MANIFEST_FILE, &digest, err) < 0)
		return -1;
	return add_file(job, MANIFEST_FILE, &text, files, err);
}

static int add_images(const json_t *manifest, struct sums *sums, struct err *err)
{
	json_t *artifact;
	size_t i;

	json_array_foreach(json_object_get(manifest, "artifacts"), i, artifact)
	{
		struct digest digest;

		if (digest_parse(json_member_string(artifact, "sha256"), &digest, err) < 0 ||
		    sums_add(sums, json_member_string(artifact, "file"), &digest, err) < 0)
			return -1;
	}
	return 0;
}

static int remove_old(const struct job *job, const char *name, struct err *err)
{
	CLEANUP_FREE char *path = path_join(job->out, name);

	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, errno, "cannot remove '%s'", path);
	return 0;
}

int build_files_prepare(struct job *job, json_t *manifest, struct build_files *ret, struct err *err)
{
	CLEANUP_FREE char *envelope = file_name(job, SIGNING_ENVELOPE_SUFFIX);
	const char *const old[] = {SUMS_FILE SUMS_SIGNATURE_SUFFIX, SUMS_FILE, envelope,
				   MANIFEST_FILE};
	CLEANUP(sums_free) struct sums sums = {0};
	CLEANUP(str_free) struct str text = {0};

	if (add_images(manifest, &sums, err) < 0 ||
	    add_papers(job, manifest, ret, &sums, err) < 0 ||
	    add_manifest(job, manifest, ret, &sums, err) < 0)
		return -1;
	sums_text(&sums, &text);
	if (add_file(job, SUMS_FILE, &text, ret, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(old); i++)
		if (remove_old(job, old[i], err) < 0)
			return -1;
	return 0;
}

int build_files_finish(const struct job *job, struct build_files *files, struct err *err)
{
	CLEANUP_FREE char *any = path_join(job->out, SUMS_FILE);

	for (size_t i = 0; i < files->count; i++)
		if (outfile_finish(&files->items[i], false, err) < 0)
			return -1;
	return path_sync_parent(any, err);
}

void build_files_abandon(struct build_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		outfile_abandon(&files->items[i]);
	files->count = 0;
}

int build_files_sign(const struct job *job, struct err *err)
{
	if (!job->options->signer || signing_folder(job->out, job->options->signer, err) == 0)
		return 0;
	return err_wrap(err, "the images in '%s' are complete, but not signed", job->out);
}

void build_files_names(const json_t *manifest, struct strv *ret)
{
	static const char *const lists[] = {"artifacts", "papers"};
	json_t *item;
	size_t k;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		json_array_foreach(json_object_get(manifest, lists[i]), k, item)
		{
			const char *file = json_member_string(item, "file");

			strv_add(ret, file ? file : "");
		}
	}
	strv_add(ret, SUMS_FILE);
}
