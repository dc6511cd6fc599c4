/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA256SUMS: who signed it, the files that it names, and whether they are what it says.
 */
#include "inspect/verify_parts.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The signature over the bytes of SHA256SUMS, before anybody reads them. */
static int check_signature(struct verify *v, struct err *err)
{
	CLEANUP_FREE char *path = verify_path_of(v, SUMS_FILE SUMS_SIGNATURE_SUFFIX);
	CLEANUP(str_free) struct str signature = {0};

	v->is_signed = access(path, F_OK) == 0;
	if (v->options->key_count == 0) {
		verify_skipped(v, "signature", SUMS_FILE, "%s",
			       v->is_signed
				       ? "no key was given"
				       : "there is no signature: anybody could have made this");
		return 0;
	}
	if (!v->is_signed)
		return err_set(err, ERR_VERIFY,
			       SUMS_FILE SUMS_SIGNATURE_SUFFIX ": it is missing from '%s'",
			       v->folder);
	str_add(&signature, "");
	if (fd_read_file(path, SIGN_SIGNATURE_MAX, &signature, err) < 0)
		return -1;
	for (size_t i = 0; i < v->options->key_count; i++) {
		const struct sign_key *key = v->options->keys[i];

		if (!sign_verify(key, v->sums_text.data, v->sums_text.len, signature.data,
				 signature.len))
			continue;
		verify_passed(v, "signature", SUMS_FILE, "signed by the %s key %.16s...",
			      sign_key_kind(key), sign_key_id(key));
		return 0;
	}
	return err_set(err, ERR_VERIFY, SUMS_FILE ": its signature is not by %s",
		       v->options->key_count == 1 ? "the given key" : "any of the given keys");
}

int verify_read_sums(struct verify *v, bool *ret_found, struct err *err)
{
	CLEANUP_FREE char *path = verify_path_of(v, SUMS_FILE);

	*ret_found = access(path, F_OK) == 0;
	str_add(&v->sums_text, "");
	return *ret_found ? fd_read_file(path, SUMS_MAX, &v->sums_text, err) : 0;
}

int verify_use_sums(struct verify *v, struct err *err)
{
	v->stage = "signature";
	if (check_signature(v, err) < 0)
		return -1;
	v->stage = "sums";
	if (sums_parse(v->sums_text.data, v->sums_text.len, SUMS_FILE, &v->sums, err) < 0)
		return -1;
	v->has_sums = true;
	return 0;
}

int verify_add_file(struct verify *v, const char *name, const struct digest *want, struct err *err)
{
	struct verify_file *file = &v->files[v->file_count];
	CLEANUP_FREE char *path = verify_path_of(v, name);
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno == ENOENT)
			return err_set(err, ERR_VERIFY, "%s: it is missing, %s names it", name,
				       SUMS_FILE);
		return err_sys(err, errno, "cannot open '%s'", path);
	}
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_VERIFY, "%s: it is no regular file", name);
	*file = (struct verify_file){.name = mem_strdup(name),
				     .path = MEM_STEAL(path),
				     .want = want ? *want : (struct digest){{0}},
				     .wanted = want != NULL,
				     .size = (uint64_t)st.st_size};
	v->file_count++;
	return 0;
}

int verify_compare_files(struct verify *v, struct err *err)
{
	for (size_t i = 0; i < v->file_count; i++)
		if (v->files[i].wanted && verify_compare(v->files[i].name, &v->files[i].found,
							 SUMS_FILE, &v->files[i].want, err) < 0)
			return -1;
	if (v->has_sums)
		verify_passed(v, "sums", SUMS_FILE, "%zu %s what it says", v->file_count,
			      v->file_count == 1 ? "file is" : "files are");
	return 0;
}
