/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provenance statement and its envelope: about just these files, and the same bytes in both.
 */
#include "inspect/verify_parts.h"

#include "attest/dsse.h"
#include "base/mem.h"

#include <string.h>

#define STATEMENT_MAX ((size_t)16 << 20)
#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PREDICATE_TYPE "https://slsa.dev/provenance/v1"

static const json_t *find_subject(const json_t *subjects, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(subjects, i, item)
	{
		const char *found = json_member_string(item, "name");

		if (found && strcmp(found, name) == 0)
			return item;
	}
	return NULL;
}

static int check_subjects(struct verify *v, const char *name, const json_t *subjects,
			  struct err *err)
{
	json_t *item;
	size_t i;

	json_array_foreach(subjects, i, item)
	{
		const char *file = json_member_string(item, "name");
		const char *hex = json_member_string(json_object_get(item, "digest"), "sha256");
		const struct sums_entry *entry = file ? sums_find(&v->sums, file) : NULL;
		struct digest digest;
		char other[DIGEST_HEX_SIZE];

		if (!file || !hex || digest_parse(hex, &digest, NULL) < 0)
			return err_set(err, ERR_VERIFY, "%s: a subject has no name or no sha256",
				       name);
		if (!entry)
			return err_set(err, ERR_VERIFY, "%s: its subject '%.255s' is not in %s",
				       name, verify_plain(file), SUMS_FILE);
		if (memcmp(digest.bytes, entry->digest.bytes, DIGEST_SIZE) != 0)
			return err_set(err, ERR_VERIFY, "%s: %s says sha256 %.64s, %s says %s",
				       file, name, hex, SUMS_FILE,
				       digest_hex(&entry->digest, other));
	}
	for (i = 0; i < v->disk_count; i++)
		if (!find_subject(subjects, v->disks[i].name))
			return err_set(err, ERR_VERIFY, "%s: %s is not among its subjects", name,
				       v->disks[i].name);
	return 0;
}

/* The envelope holds the same bytes; who has keys wants it, as it is what others look at. */
static int check_envelope(struct verify *v, const char *statement, const struct str *text,
			  struct err *err)
{
	CLEANUP_FREE char *name =
		mem_printf("%.*s" SIGNING_ENVELOPE_SUFFIX,
			   (int)(strlen(statement) - strlen(SIGNING_STATEMENT_SUFFIX)), statement);
	CLEANUP(str_free) struct str content = {0};
	CLEANUP(dsse_free) struct dsse envelope = {0};

	if (!verify_has(v, name)) {
		if (v->options->key_count > 0)
			return err_set(err, ERR_VERIFY, "%s: it is missing from '%s'", name,
				       v->folder);
		verify_skipped(v, "envelope", name, "there is none: the build was not signed");
		return 0;
	}
	if (verify_slurp(v, name, DSSE_MAX, &content, err) < 0 ||
	    dsse_parse(content.data, content.len, name, &envelope, err) < 0)
		return -1;
	if (strcmp(envelope.type, DSSE_IN_TOTO) != 0)
		return err_set(err, ERR_VERIFY, "%s: its payload is not of the type %s", name,
			       DSSE_IN_TOTO);
	if (envelope.payload.len != text->len ||
	    memcmp(envelope.payload.data, text->data, text->len) != 0)
		return err_set(err, ERR_VERIFY, "%s: its payload differs from %s", name, statement);
	if (v->options->key_count == 0) {
		verify_skipped(v, "envelope", name, "it holds %s, but no key was given", statement);
		return 0;
	}
	for (size_t i = 0; i < v->options->key_count; i++) {
		if (!dsse_verify(&envelope, v->options->keys[i]))
			continue;
		verify_passed(v, "envelope", name, "it holds %s, signed by the %s key %.16s...",
			      statement, sign_key_kind(v->options->keys[i]),
			      sign_key_id(v->options->keys[i]));
		return 0;
	}
	return err_set(err, ERR_VERIFY, "%s: its signature is not by %s", name,
		       v->options->key_count == 1 ? "the given key" : "any of the given keys");
}

static int check_statement(struct verify *v, const char *name, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_JSON json_t *statement = NULL;
	const char *type, *predicate;
	const json_t *subjects;

	if (verify_read(v, name, STATEMENT_MAX, &text, err) < 0)
		return -1;
	statement = verify_parse(&text, name, err);
	if (!statement)
		return -1;
	type = json_member_string(statement, "_type");
	predicate = json_member_string(statement, "predicateType");
	subjects = json_object_get(statement, "subject");
	if (!type || strcmp(type, STATEMENT_TYPE) != 0 || !predicate ||
	    strcmp(predicate, PREDICATE_TYPE) != 0 || !json_is_array(subjects))
		return err_set(err, ERR_VERIFY,
			       "%s: it is no in-toto statement with SLSA provenance", name);
	if (check_subjects(v, name, subjects, err) < 0)
		return -1;
	verify_passed(v, "provenance", name, "its %zu subjects are what %s says",
		      json_array_size(subjects), SUMS_FILE);
	return check_envelope(v, name, &text, err);
}

bool verify_is_envelope(const struct verify *v, const char *name)
{
	CLEANUP_FREE char *statement = NULL;

	if (!str_has_suffix(name, SIGNING_ENVELOPE_SUFFIX))
		return false;
	statement = mem_printf("%.*s" SIGNING_STATEMENT_SUFFIX,
			       (int)(strlen(name) - strlen(SIGNING_ENVELOPE_SUFFIX)), name);
	return sums_find(&v->sums, statement) != NULL;
}

int verify_provenance(struct verify *v, struct err *err)
{
	v->stage = "provenance";
	for (size_t i = 0; i < v->sums.count; i++)
		if (str_has_suffix(v->sums.items[i].name, SIGNING_STATEMENT_SUFFIX) &&
		    check_statement(v, v->sums.items[i].name, err) < 0)
			return -1;
	return 0;
}
