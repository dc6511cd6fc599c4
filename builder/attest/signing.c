/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing what a build left: first the statement, then the sums, whose signature tells that all is there.
 */
#include "attest/signing.h"

#include "attest/dsse.h"
#include "attest/manifest.h"
#include "attest/sums.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"

#include <string.h>

#define MANIFEST_MAX ((size_t)16 << 20)

/* The file name of the statement, borrowed from the manifest. */
static const char *find_statement(const json_t *manifest)
{
	json_t *paper;
	size_t i;

	json_array_foreach(json_object_get(manifest, "papers"), i, paper)
	{
		const char *type = json_member_string(paper, "type");
		const char *file = json_member_string(paper, "file");

		if (type && strcmp(type, "provenance") == 0 && file && sums_is_name(file) &&
		    str_has_suffix(file, SIGNING_STATEMENT_SUFFIX))
			return file;
	}
	return NULL;
}

int signing_folder(const char *folder, const struct sign_key *key, struct err *err)
{
	CLEANUP_FREE char *manifest_path = path_join(folder, MANIFEST_FILE);
	CLEANUP_FREE char *sums = path_join(folder, SUMS_FILE);
	CLEANUP_JSON json_t *manifest = json_read_file(manifest_path, MANIFEST_MAX, err);
	CLEANUP_FREE char *statement = NULL, *envelope = NULL;
	const char *file;

	if (!manifest)
		return -1;
	file = find_statement(manifest);
	if (!file)
		return err_set(err, ERR_VERIFY, "'%s' names no provenance", manifest_path);
	statement = path_join(folder, file);
	envelope =
		mem_printf("%.*s" SIGNING_ENVELOPE_SUFFIX,
			   (int)(strlen(statement) - strlen(SIGNING_STATEMENT_SUFFIX)), statement);
	return dsse_write(statement, envelope, key, err) < 0 ? -1 : sums_sign(sums, key, err);
}
