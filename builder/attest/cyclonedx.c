/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CycloneDX 1.6 as JSON (ECMA-424): the image is the component that the bill is about, everything in it a
 * component, with the graph of dependencies.
 */
#include "attest/sbom_parts.h"

#include "base/clock.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static json_t *make_component(const char *type, const struct sbom_ref *ref, const char *name,
			      const char *version)
{
	json_t *c = json_pack("{s:s, s:s, s:s}", "type", type, "bom-ref", ref->id, "name", name);

	if (version)
		json_object_set_new(c, "version", json_string(version));
	if (ref->purl)
		json_object_set_new(c, "purl", json_string(ref->purl));
	return c;
}

/* Adds a property of ours; without a value nothing. */
static void add_property(json_t *component, const char *name, const char *value)
{
	json_t *list = json_object_get(component, "properties");

	if (!value || !*value)
		return;
	if (!list) {
		list = json_array();
		json_object_set_new(component, "properties", list);
	}
	json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "value", value));
}

static void add_size(json_t *component, uint64_t size)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, size);
	add_property(component, "ingot:size", text);
}

static json_t *hash(const char *algorithm, const char *hex)
{
	return json_pack("{s:s, s:s}", "alg", algorithm, "content", hex);
}

static json_t *root_json(const struct sbom_index *x)
{
	const struct sbom *s = &x->sbom;
	json_t *c = make_component("operating-system", &x->root, s->name, s->version);
	char hex[DIGEST_HEX_SIZE];

	if (s->description)
		json_object_set_new(c, "description", json_string(s->description));
	add_property(c, "ingot:architecture", s->architecture);
	add_property(c, "ingot:distribution", s->distribution);
	add_property(c, "ingot:profile:sha256", digest_hex(&s->profile, hex));
	add_property(c, "ingot:release", s->release);
	add_property(c, "ingot:root-hash", digest_hex(&s->root_hash, hex));
	return c;
}

/* The source package is what a .deb descends from. */
static json_t *ancestors(const struct sbom_source *source)
{
	return json_pack("{s:[{s:s, s:s, s:s, s:s}]}", "ancestors", "type", "library", "name",
			 source->name, "version", source->version, "purl", source->ref.purl);
}

static json_t *package_json(const struct sbom_index *x, size_t i)
{
	const struct sbom_package *p = &x->sbom.packages[i];
	json_t *c = make_component("library", &x->packages[i], p->name, p->version);

	if (p->origin)
		json_object_set_new(c, "supplier", json_pack("{s:s}", "name", p->origin));
	if (p->maintainer)
		json_object_set_new(c, "publisher", json_string(p->maintainer));
	if (p->summary)
		json_object_set_new(c, "description", json_string(p->summary));
	if (p->sha256)
		json_object_set_new(c, "hashes", json_pack("[o]", hash("SHA-256", p->sha256)));
	if (p->homepage && sbom_is_uri(p->homepage))
		json_object_set_new(
			c, "externalReferences",
			json_pack("[{s:s, s:s}]", "type", "website", "url", p->homepage));
	json_object_set_new(c, "pedigree", ancestors(&x->sources[x->package_sources[i]]));
	add_property(c, "ingot:deb:component", p->component);
	add_property(c, "ingot:deb:path", p->path);
	add_property(c, "ingot:deb:section", p->section);
	if (p->size)
		add_size(c, p->size);
	add_property(c, "ingot:deb:suite", p->suite);
	return c;
}

static json_t *file_json(const struct sbom_index *x, size_t i)
{
	const struct sbom_file *f = &x->sbom.files[i];
	json_t *c = make_component("file", &x->files[i], f->path, NULL);

	json_object_set_new(
		c, "hashes",
		json_pack("[o, o]", hash("SHA-1", f->sha1), hash("SHA-256", f->sha256)));
	add_property(c, "ingot:from", f->component);
	add_size(c, f->size);
	return c;
}

static json_t *container_json(const struct sbom_index *x, size_t i)
{
	const struct sbom_container *container = &x->sbom.containers[i];
	json_t *c = make_component("container", &x->containers[i], container->reference,
				   container->digest);

	json_object_set_new(
		c, "hashes",
		json_pack("[o]", hash("SHA-256", container->digest + strlen("sha256:"))));
	add_property(c, "ingot:oci:config", container->config);
	for (size_t k = 0; k < container->layer_count; k++)
		add_property(c, "ingot:oci:layer", container->layers[k]);
	if (container->size)
		add_size(c, container->size);
	return c;
}

static json_t *components_json(const struct sbom_index *x)
{
	json_t *list = json_array();

	for (size_t i = 0; i < x->sbom.package_count; i++)
		json_array_append_new(list, package_json(x, i));
	for (size_t i = 0; i < x->sbom.file_count; i++)
		json_array_append_new(list, file_json(x, i));
	for (size_t i = 0; i < x->sbom.container_count; i++)
		json_array_append_new(list, container_json(x, i));
	return list;
}

static void add_node(json_t *graph, const char *ref, json_t *depends_on)
{
	json_array_append_new(graph, json_pack("{s:s, s:o}", "ref", ref, "dependsOn", depends_on));
}

static json_t *package_depends(const struct sbom_index *x, size_t i)
{
	size_t count;
	CLEANUP_FREE size_t *to = sbom_index_depends(x, i, &count);
	json_t *list = json_array();

	for (size_t k = 0; k < count; k++)
		json_array_append_new(list, json_string(x->packages[to[k]].id));
	return list;
}

static json_t *graph_json(const struct sbom_index *x)
{
	json_t *graph = json_array(), *all = json_array();

	for (size_t i = 0; i < x->sbom.package_count; i++)
		json_array_append_new(all, json_string(x->packages[i].id));
	for (size_t i = 0; i < x->sbom.file_count; i++)
		json_array_append_new(all, json_string(x->files[i].id));
	for (size_t i = 0; i < x->sbom.container_count; i++)
		json_array_append_new(all, json_string(x->containers[i].id));
	add_node(graph, x->root.id, all);
	for (size_t i = 0; i < x->sbom.package_count; i++)
		add_node(graph, x->packages[i].id, package_depends(x, i));
	return graph;
}

static json_t *metadata_json(const struct sbom_index *x)
{
	char created[32];

	return json_pack("{s:s, s:[{s:s}], s:{s:[{s:s, s:s, s:s}]}, s:o}", "timestamp",
			 clock_format(x->sbom.created, created), "lifecycles", "phase", "build",
			 "tools", "components", "type", "application", "name", "ingot", "version",
			 INGOT_VERSION, "component", root_json(x));
}

json_t *sbom_cyclonedx(const struct sbom *sbom, struct err *err)
{
	CLEANUP(sbom_index_free) struct sbom_index x = {0};
	CLEANUP_FREE char *serial = NULL;
	json_t *value;

	if (sbom_index_make(sbom, &x, err) < 0) {
		err_wrap(err, "cannot make the CycloneDX bill");
		return NULL;
	}
	value = json_pack("{s:s, s:s, s:i, s:o, s:o, s:o}", "bomFormat", "CycloneDX", "specVersion",
			  "1.6", "version", 1, "metadata", metadata_json(&x), "components",
			  components_json(&x), "dependencies", graph_json(&x));
	if (!value) {
		err_set(err, ERR_OTHER, "cannot make the CycloneDX bill: a value is no UTF-8");
		return NULL;
	}
	serial = mem_printf("urn:uuid:%s", sbom_uuid(value, "ingot cyclonedx", x.arena));
	json_object_set_new(value, "serialNumber", json_string(serial));
	return value;
}
