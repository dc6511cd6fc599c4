/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DSSE envelopes. What is signed is the PAE: a text that says how long type and payload are, so that no
 * other pair has the same.
 */
#include "attest/dsse.h"

#include "base/base64.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"

#include <string.h>
#include <unistd.h>

void dsse_free(struct dsse *e)
{
	free(e->type);
	free(e->key_id);
	str_free(&e->payload);
	str_free(&e->signature);
	*e = (struct dsse){0};
}

static void pae(const char *type, const void *payload, size_t len, struct str *text)
{
	str_addf(text, "DSSEv1 %zu %s %zu ", strlen(type), type, len);
	str_add_bytes(text, payload, len);
}

int dsse_wrap(const void *payload, size_t len, const char *type, const struct sign_key *key,
	      struct str *line, struct err *err)
{
	CLEANUP(str_free)
	struct str text = {0}, signature = {0}, payload64 = {0}, signature64 = {0};
	CLEANUP_JSON json_t *envelope = NULL;
	CLEANUP_FREE char *json = NULL;

	pae(type, payload, len, &text);
	if (sign_bytes(key, text.data, text.len, &signature, err) < 0)
		return -1;
	str_add(&payload64, "");
	base64_add(payload, len, &payload64);
	base64_add(signature.data, signature.len, &signature64);
	envelope =
		json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "payload", payload64.data, "payloadType",
			  type, "signatures", "keyid", sign_key_id(key), "sig", signature64.data);
	json = envelope ? json_line(envelope) : NULL;
	if (!json)
		return err_set(err, ERR_OTHER, "cannot make an envelope: its type is no UTF-8");
	str_add(line, json);
	str_add(line, "\n");
	return 0;
}

/* Base64 of either alphabet: the specification lets the writer choose. */
static int decode(const char *text, struct str *bytes)
{
	CLEANUP_FREE char *standard = mem_strdup(text);

	for (char *p = standard; *p; p++)
		*p = *p == '-' ? '+' : *p == '_' ? '/' : *p;
	str_add(bytes, "");
	return base64_decode(standard, strlen(standard), bytes);
}

static int parse_members(const json_t *value, const char *name, struct dsse *ret, struct err *err)
{
	const json_t *signatures = json_object_get(value, "signatures");
	const json_t *first = json_array_get(signatures, 0);
	const char *type = json_member_string(value, "payloadType");
	const char *payload = json_member_string(value, "payload");
	const char *signature = json_member_string(first, "sig");
	const char *key_id = json_member_string(first, "keyid");

	if (!type || !payload || !json_is_array(signatures))
		return err_set(err, ERR_VERIFY,
			       "cannot read '%s': it lacks payload, payloadType or signatures",
			       name);
	if (json_array_size(signatures) != 1)
		return err_set(err, ERR_VERIFY,
			       "cannot read '%s': it has %zu signatures, one is expected", name,
			       json_array_size(signatures));
	if (!signature)
		return err_set(err, ERR_VERIFY, "cannot read '%s': the signature has no sig", name);
	if (decode(payload, &ret->payload) < 0 || decode(signature, &ret->signature) < 0)
		return err_set(err, ERR_VERIFY, "cannot read '%s': payload or sig is no base64",
			       name);
	ret->type = mem_strdup(type);
	ret->key_id = mem_strdup(key_id);
	return 0;
}

int dsse_parse(const char *text, size_t len, const char *name, struct dsse *ret, struct err *err)
{
	CLEANUP_JSON json_t *value = NULL;

	*ret = (struct dsse){0};
	value = json_parse(text, len, name, err);
	if (!value) {
		if (err)
			err->code = ERR_VERIFY;
		return -1;
	}
	if (parse_members(value, name, ret, err) == 0)
		return 0;
	dsse_free(ret);
	return -1;
}

bool dsse_verify(const struct dsse *e, const struct sign_key *key)
{
	CLEANUP(str_free) struct str text = {0};

	pae(e->type, e->payload.data, e->payload.len, &text);
	return sign_verify(key, text.data, text.len, e->signature.data, e->signature.len);
}

/* True when the file at path is an envelope of just that already. */
static bool is_wrapped(const char *path, const struct str *payload, const struct sign_key *key)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP(dsse_free) struct dsse e = {0};

	return access(path, F_OK) == 0 && fd_read_file(path, DSSE_MAX, &text, NULL) == 0 &&
	       text.data && dsse_parse(text.data, text.len, path, &e, NULL) == 0 && e.type &&
	       strcmp(e.type, DSSE_IN_TOTO) == 0 && e.payload.len == payload->len &&
	       memcmp(e.payload.data, payload->data, payload->len) == 0 && e.key_id &&
	       strcmp(e.key_id, sign_key_id(key)) == 0 && dsse_verify(&e, key);
}

int dsse_write(const char *path, const char *path_envelope, const struct sign_key *key,
	       struct err *err)
{
	CLEANUP(str_free) struct str payload = {0}, line = {0};

	str_add(&payload, "");
	if (fd_read_file(path, DSSE_MAX / 2, &payload, err) < 0)
		return -1;
	if (is_wrapped(path_envelope, &payload, key))
		return 0;
	if (dsse_wrap(payload.data, payload.len, DSSE_IN_TOTO, key, &line, err) < 0)
		return err_wrap(err, "cannot sign '%s'", path);
	return outfile_write(path_envelope, line.data, line.len, true, err);
}
