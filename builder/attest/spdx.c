/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPDX 2.3 as JSON (spdx.github.io/spdx-spec/v2.3): the image, what it contains, and where that is from.
 */
#include "attest/sbom_parts.h"

#include "base/clock.h"
#include "base/path.h"
#include "base/str.h"

#include <string.h>

#define UNKNOWN "NOASSERTION"
#define DOCUMENT "DOCUMENT"

struct document {
	const struct sbom_index *x;
	json_t *packages, *files, *relationships;
};

static json_t *spdx_id(const char *id)
{
	CLEANUP_FREE char *text = mem_printf("SPDXRef-%s", id);

	return json_string(text);
}

static void relate(struct document *d, const char *from, const char *type, const char *to)
{
	json_array_append_new(d->relationships, json_pack("{s:o, s:s, s:o}", "spdxElementId",
							  spdx_id(from), "relationshipType", type,
							  "relatedSpdxElement", spdx_id(to)));
}

static json_t *reference(const char *category, const char *type, const char *locator)
{
	return json_pack("{s:s, s:s, s:s}", "referenceCategory", category, "referenceType", type,
			 "referenceLocator", locator);
}

static json_t *checksum(const char *algorithm, const char *hex)
{
	return json_pack("{s:s, s:s}", "algorithm", algorithm, "checksumValue", hex);
}

/* What every package must have. Licences are not asserted: dpkg's database does not name them. */
static json_t *make_package(struct document *d, const struct sbom_ref *ref, const char *name,
			    const char *version, const char *purpose)
{
	json_t *p =
		json_pack("{s:o, s:s, s:s, s:b, s:s, s:s, s:s}", "SPDXID", spdx_id(ref->id), "name",
			  name, "downloadLocation", UNKNOWN, "filesAnalyzed", 0, "licenseConcluded",
			  UNKNOWN, "licenseDeclared", UNKNOWN, "copyrightText", UNKNOWN);

	if (version)
		json_object_set_new(p, "versionInfo", json_string(version));
	if (purpose)
		json_object_set_new(p, "primaryPackagePurpose", json_string(purpose));
	if (ref->purl)
		json_object_set_new(
			p, "externalRefs",
			json_pack("[o]", reference("PACKAGE-MANAGER", "purl", ref->purl)));
	json_array_append_new(d->packages, p);
	return p;
}

static void add_root(struct document *d)
{
	const struct sbom *s = &d->x->sbom;
	json_t *p = make_package(d, &d->x->root, s->name, s->version, "OPERATING_SYSTEM");
	json_t *references = json_object_get(p, "externalRefs");
	char hex[DIGEST_HEX_SIZE];

	json_object_set_new(p, "supplier", json_string(UNKNOWN));
	if (s->description)
		json_object_set_new(p, "summary", json_string(s->description));
	/* Annex F, category OTHER: what a machine that runs the image knows of it. */
	json_array_append_new(references, reference("OTHER", "dm-verity-root-hash",
						    digest_hex(&s->root_hash, hex)));
	json_array_append_new(references, reference("OTHER", "ingot-profile-sha256",
						    digest_hex(&s->profile, hex)));
	relate(d, DOCUMENT, "DESCRIBES", d->x->root.id);
}

/* "Person: NAME (ADDRESS)", SPDX 7.5.3, from "NAME <ADDRESS>". Parentheses would end the name. */
static json_t *person(const char *maintainer)
{
	size_t name = strcspn(maintainer, "<"), end;
	const char *address = maintainer[name] ? maintainer + name + 1 : "";
	CLEANUP(str_free) struct str text = {0};

	for (end = name; end > 0 && maintainer[end - 1] == ' '; end--)
		;
	str_add(&text, "Person: ");
	if (end)
		str_add_bytes(&text, maintainer, end);
	else if (*address && *address != '>')
		str_add_bytes(&text, address, strcspn(address, ">"));
	else
		return json_string(UNKNOWN);
	for (size_t i = strlen("Person: "); i < text.len; i++)
		text.data[i] = text.data[i] == '(' ? '[' : text.data[i] == ')' ? ']' : text.data[i];
	if (end && strcspn(address, "> ()"))
		str_addf(&text, " (%.*s)", (int)strcspn(address, "> ()"), address);
	return json_string(text.data);
}

static void set_supplier(json_t *package, const char *origin)
{
	CLEANUP_FREE char *supplier = mem_printf("Organization: %s", origin);

	json_object_set_new(package, "supplier", json_string(supplier));
}

static void add_origin(json_t *package, const struct sbom_package *p)
{
	CLEANUP(str_free) struct str text = {0};

	if (p->origin) {
		set_supplier(package, p->origin);
		if (p->maintainer)
			json_object_set_new(package, "originator", person(p->maintainer));
	} else {
		json_object_set_new(package, "supplier",
				    p->maintainer ? person(p->maintainer) : json_string(UNKNOWN));
	}
	if (!p->path)
		return;
	if (*path_base(p->path))
		json_object_set_new(package, "packageFileName", json_string(path_base(p->path)));
	str_addf(&text, "'%s'", p->path);
	if (p->suite)
		str_addf(&text, " of suite '%s'", p->suite);
	if (p->component)
		str_addf(&text, ", component '%s'", p->component);
	json_object_set_new(package, "sourceInfo", json_string(text.data));
}

static void add_depends(struct document *d, size_t i)
{
	size_t count;
	CLEANUP_FREE size_t *to = sbom_index_depends(d->x, i, &count);

	for (size_t k = 0; k < count; k++)
		relate(d, d->x->packages[i].id, "DEPENDS_ON", d->x->packages[to[k]].id);
}

static void add_packages(struct document *d)
{
	const struct sbom_index *x = d->x;

	for (size_t i = 0; i < x->source_count; i++) {
		const struct sbom_source *source = &x->sources[i];
		json_t *p = make_package(d, &source->ref, source->name, source->version, "SOURCE");

		if (source->origin)
			set_supplier(p, source->origin);
	}
	for (size_t i = 0; i < x->sbom.package_count; i++) {
		const struct sbom_package *p = &x->sbom.packages[i];
		json_t *package = make_package(d, &x->packages[i], p->name, p->version, "INSTALL");

		add_origin(package, p);
		if (p->sha256)
			json_object_set_new(package, "checksums",
					    json_pack("[o]", checksum("SHA256", p->sha256)));
		if (p->homepage && sbom_is_uri(p->homepage))
			json_object_set_new(package, "homepage", json_string(p->homepage));
		if (p->summary)
			json_object_set_new(package, "summary", json_string(p->summary));
		relate(d, x->root.id, "CONTAINS", x->packages[i].id);
		relate(d, x->packages[i].id, "GENERATED_FROM",
		       x->sources[x->package_sources[i]].ref.id);
		add_depends(d, i);
	}
}

static int compare_hex(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* SPDX 7.9: SHA-1 over the sorted SHA-1 of all files, in hex. */
static json_t *verification_code(const struct sbom_index *x, const struct sbom_group *group)
{
	CLEANUP_FREE const char **hexes = mem_alloc_array(group->count, sizeof(*hexes));
	struct digest_ctx *ctx = digest_start_sha1();
	char hex[DIGEST_SHA1_HEX_SIZE];

	for (size_t i = 0; i < group->count; i++)
		hexes[i] = x->sbom.files[group->first + i].sha1;
	qsort(hexes, group->count, sizeof(*hexes), compare_hex);
	for (size_t i = 0; i < group->count; i++)
		digest_add(ctx, hexes[i], strlen(hexes[i]));
	return json_pack("{s:s}", "packageVerificationCodeValue", digest_finish_sha1(ctx, hex));
}

static void add_file(struct document *d, const struct sbom_group *group, size_t i)
{
	const struct sbom_file *f = &d->x->sbom.files[i];
	CLEANUP_FREE char *name = mem_printf(".%s%s", *f->path == '/' ? "" : "/", f->path);

	json_array_append_new(d->files,
			      json_pack("{s:o, s:s, s:[o, o], s:s, s:[s], s:s}", "SPDXID",
					spdx_id(d->x->files[i].id), "fileName", name, "checksums",
					checksum("SHA1", f->sha1), checksum("SHA256", f->sha256),
					"licenseConcluded", UNKNOWN, "licenseInfoInFiles", UNKNOWN,
					"copyrightText", UNKNOWN));
	relate(d, group->ref.id, "CONTAINS", d->x->files[i].id);
}

/* A package whose files were not analysed may contain none (SPDX 7.8), so that ours are in packages of
 * their own. */
static void add_files(struct document *d)
{
	for (size_t i = 0; i < d->x->group_count; i++) {
		const struct sbom_group *group = &d->x->groups[i];
		json_t *p = make_package(d, &group->ref, group->name, NULL, "FILE");

		json_object_set_new(p, "filesAnalyzed", json_true());
		json_object_set_new(p, "packageVerificationCode", verification_code(d->x, group));
		json_object_set_new(p, "licenseInfoFromFiles", json_pack("[s]", UNKNOWN));
		json_object_set_new(p, "supplier", json_string(UNKNOWN));
		relate(d, d->x->root.id, "CONTAINS", group->ref.id);
		for (size_t k = 0; k < group->count; k++)
			add_file(d, group, group->first + k);
	}
}

/* SPDX 7.12: what else tells the image apart. */
static void add_layers(json_t *package, const struct sbom_container *c)
{
	CLEANUP(str_free) struct str text = {0};

	if (c->config)
		str_addf(&text, "configuration %s", c->config);
	for (size_t i = 0; i < c->layer_count; i++)
		str_addf(&text, "%s%s%s",
			 i          ? " "
			 : text.len ? ", "
				    : "",
			 i ? "" : "layers ", c->layers[i]);
	if (text.len)
		json_object_set_new(package, "sourceInfo", json_string(text.data));
}

static void add_containers(struct document *d)
{
	for (size_t i = 0; i < d->x->sbom.container_count; i++) {
		const struct sbom_container *c = &d->x->sbom.containers[i];
		json_t *p =
			make_package(d, &d->x->containers[i], c->reference, c->digest, "CONTAINER");

		json_object_set_new(
			p, "checksums",
			json_pack("[o]", checksum("SHA256", c->digest + strlen("sha256:"))));
		add_layers(p, c);
		relate(d, d->x->root.id, "CONTAINS", d->x->containers[i].id);
	}
}

/* SPDX 6.5: without a place of its own the name space is one of spdx.org; it must tell this document from
 * any other. */
static json_t *name_space(const struct sbom_index *x, const json_t *content)
{
	const char *generic = strrchr(x->root.purl, '/') + 1;
	CLEANUP_FREE char *text =
		mem_printf("https://spdx.org/spdxdocs/%.*s-%s", (int)strcspn(generic, "@?"),
			   generic, sbom_uuid(content, "ingot spdx", x->arena));

	return json_string(text);
}

json_t *sbom_spdx(const struct sbom *sbom, struct err *err)
{
	CLEANUP(sbom_index_free) struct sbom_index x = {0};
	struct document d = {.x = &x};
	CLEANUP_FREE char *name = NULL;
	char created[32];
	json_t *value;

	if (sbom_index_make(sbom, &x, err) < 0) {
		err_wrap(err, "cannot make the SPDX document");
		return NULL;
	}
	d.packages = json_array();
	d.files = json_array();
	d.relationships = json_array();
	add_root(&d);
	add_packages(&d);
	add_files(&d);
	add_containers(&d);
	name = mem_printf("%s-%s", x.sbom.name, x.sbom.version);
	value = json_pack("{s:s, s:s, s:o, s:s, s:{s:s, s:[s]}, s:o, s:o, s:o}", "spdxVersion",
			  "SPDX-2.3", "dataLicense", "CC0-1.0", "SPDXID", spdx_id(DOCUMENT), "name",
			  name, "creationInfo", "created", clock_format(sbom->created, created),
			  "creators", "Tool: ingot-" INGOT_VERSION, "packages", d.packages, "files",
			  d.files, "relationships", d.relationships);
	if (!value) {
		err_set(err, ERR_OTHER, "cannot make the SPDX document: a value is no UTF-8");
		return NULL;
	}
	json_object_set_new(value, "documentNamespace", name_space(&x, value));
	return value;
}
