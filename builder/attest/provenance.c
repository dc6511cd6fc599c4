/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-toto statement. Arrays that are sets are sorted; --set keeps its order, since the last one wins.
 */
#include "attest/provenance.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "disk/gpt.h"

#include <string.h>

bool provenance_shows_value(const char *key)
{
	static const char *const shown[] = {
		"name",
		"version",
		"description",
		"base.distribution",
		"base.release",
		"base.architecture",
		"base.components",
		"packages",
		"sysctl",
		"modules",
		"kernel",
		"services",
		"firewall",
		"locale",
		"timezone",
		"disk",
		"rootfs",
		"etc",
		"join.kind",
		"join.role",
		"formats",
		"setuid",
	};

	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		size_t len = strlen(shown[i]);

		if (strncmp(key, shown[i], len) == 0 && (!key[len] || strchr(".[", key[len])))
			return true;
	}
	return false;
}

static json_t *text_json(const char *text)
{
	CLEANUP(str_free) struct str s = {0};

	str_add_utf8(&s, text, strlen(text));
	return json_string(s.data);
}

static json_t *set_json(const char *assignment)
{
	size_t len = strcspn(assignment, "=");
	CLEANUP_FREE char *key = mem_strndup(assignment, len);
	const char *value = assignment[len] ? assignment + len + 1 : "";
	json_t *item = json_pack("{s:o}", "key", text_json(key));

	if (provenance_shows_value(key)) {
		json_object_set_new(item, "value", text_json(value));
	} else {
		char hex[DIGEST_HEX_SIZE];
		struct digest d;

		digest_bytes(value, strlen(value), &d);
		json_object_set_new(item, "valueSha256", json_string(digest_hex(&d, hex)));
	}
	return item;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *formats_json(const char *const *formats)
{
	json_t *list = json_array();
	CLEANUP_FREE const char **sorted = NULL;
	size_t count = 0;

	while (formats && formats[count])
		count++;
	sorted = mem_alloc_array(count, sizeof(*sorted));
	for (size_t i = 0; i < count; i++)
		sorted[i] = formats[i];
	qsort(sorted, count, sizeof(*sorted), compare_strings);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, text_json(sorted[i]));
	return list;
}

static json_t *external_json(const struct provenance *p)
{
	char hex[DIGEST_HEX_SIZE];
	json_t *set = json_array();

	for (const char *const *s = p->set; s && *s; s++)
		json_array_append_new(set, set_json(*s));
	return json_pack("{s:o, s:o, s:s, s:o, s:o}", "profile", text_json(p->profile), "version",
			 text_json(p->version), "profileSha256",
			 digest_hex(&p->profile_digest, hex), "formats", formats_json(p->formats),
			 "set", set);
}

static json_t *pairs_json(const struct provenance_pair *pairs, size_t count)
{
	json_t *object = json_object();

	for (size_t i = 0; i < count; i++)
		json_object_set_new(object, pairs[i].name, text_json(pairs[i].value));
	return object;
}

static json_t *internal_json(const struct provenance *p)
{
	char created[32];

	return json_pack("{s:s, s:o, s:o}", "sourceDate", clock_format(p->created, created),
			 "steps", pairs_json(p->steps, p->step_count), "tools",
			 pairs_json(p->tools, p->tool_count));
}

static bool is_sha256(const char *hex)
{
	return hex && strlen(hex) == DIGEST_HEX_SIZE - 1 &&
	       strspn(hex, "0123456789abcdef") == DIGEST_HEX_SIZE - 1;
}

static json_t *resource_json(const struct provenance_resource *r)
{
	json_t *item = json_object();

	json_object_set_new(item, "name", text_json(r->name));
	if (r->uri)
		json_object_set_new(item, "uri", text_json(r->uri));
	if (r->sha256)
		json_object_set_new(item, "digest", json_pack("{s:s}", "sha256", r->sha256));
	if (r->media_type)
		json_object_set_new(item, "mediaType", text_json(r->media_type));
	if (r->path)
		json_object_set_new(item, "annotations",
				    json_pack("{s:o}", "path", text_json(r->path)));
	return item;
}

static int compare_resources(const void *a, const void *b)
{
	const struct provenance_resource *x = a, *y = b;
	const char *const xs[] = {x->name, x->uri, x->sha256, x->path, x->media_type};
	const char *const ys[] = {y->name, y->uri, y->sha256, y->path, y->media_type};
	int order = 0;

	for (size_t i = 0; order == 0 && i < ARRAY_SIZE(xs); i++)
		order = strcmp(xs[i] ? xs[i] : "", ys[i] ? ys[i] : "");
	return order;
}

/* Sorted, nothing twice. With digests true each must have one. */
static json_t *resources_json(const struct provenance_resource *resources, size_t count,
			      bool digests, struct err *err)
{
	CLEANUP_FREE struct provenance_resource *sorted = mem_alloc_array(count, sizeof(*sorted));
	json_t *list = json_array();

	if (count)
		memcpy(sorted, resources, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_resources);
	for (size_t i = 0; i < count; i++) {
		const struct provenance_resource *r = &sorted[i];

		if (!r->name || (r->sha256 && !is_sha256(r->sha256)) ||
		    (!r->sha256 && (digests || !r->uri))) {
			err_set(err, ERR_VERIFY, "'%.200s' has no name or no SHA-256",
				r->name ? r->name : "");
			json_decref(list);
			return NULL;
		}
		if (i == 0 || compare_resources(&sorted[i - 1], r) != 0)
			json_array_append_new(list, resource_json(r));
	}
	return list;
}

/* One build, one id: the same for the same inputs and results, wherever they are built. */
static json_t *invocation_id(const json_t *definition, const json_t *subjects)
{
	CLEANUP_FREE char *a = json_line(definition), *b = json_line(subjects), *id = NULL;
	struct digest_ctx *ctx = digest_start();
	char text[GUID_TEXT_SIZE];
	struct digest digest;
	struct guid guid;

	digest_add(ctx, a, strlen(a) + 1);
	digest_add(ctx, b, strlen(b) + 1);
	digest_finish(ctx, &digest);
	guid_derive("ingot provenance", &digest, &guid);
	id = mem_printf("urn:uuid:%s", guid_format(&guid, text));
	return json_string(id);
}

static json_t *definition_json(const struct provenance *p, struct err *err)
{
	json_t *dependencies = resources_json(p->dependencies, p->dependency_count, false, err);

	if (!dependencies)
		return NULL;
	return json_pack("{s:s, s:o, s:o, s:o}", "buildType", PROVENANCE_BUILD_TYPE,
			 "externalParameters", external_json(p), "internalParameters",
			 internal_json(p), "resolvedDependencies", dependencies);
}

static json_t *details_json(json_t *byproducts, const json_t *definition, const json_t *subjects)
{
	json_t *details =
		json_pack("{s:{s:s, s:{s:s}}, s:{s:o}}", "builder", "id", PROVENANCE_BUILDER,
			  "version", "ingot", INGOT_VERSION, "metadata", "invocationId",
			  invocation_id(definition, subjects));

	if (json_array_size(byproducts))
		json_object_set(details, "byproducts", byproducts);
	return details;
}

json_t *provenance_make(const struct provenance *p, struct err *err)
{
	CLEANUP_JSON json_t *subjects = NULL, *byproducts = NULL, *definition = NULL;
	json_t *statement = NULL;

	if (p->subject_count == 0)
		err_set(err, ERR_VERIFY, "there is no image");
	else
		subjects = resources_json(p->subjects, p->subject_count, true, err);
	if (subjects)
		byproducts = resources_json(p->byproducts, p->byproduct_count, true, err);
	if (byproducts)
		definition = definition_json(p, err);
	if (!definition) {
		err_wrap(err, "cannot make the provenance");
		return NULL;
	}
	statement =
		json_pack("{s:s, s:O, s:s, s:{s:O, s:o}}", "_type",
			  "https://in-toto.io/Statement/v1", "subject", subjects, "predicateType",
			  "https://slsa.dev/provenance/v1", "predicate", "buildDefinition",
			  definition, "runDetails", details_json(byproducts, definition, subjects));
	if (!statement)
		err_set(err, ERR_OTHER, "cannot make the provenance: a value is no UTF-8");
	return statement;
}
