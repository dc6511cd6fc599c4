/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of an SBOM in the form that both writers work on; private to the files here.
 */
#ifndef INGOT_ATTEST_SBOM_PARTS_H
#define INGOT_ATTEST_SBOM_PARTS_H

#include "attest/sbom.h"

#define SBOM_NONE SIZE_MAX

/* How the documents call things: ids are unique, of [A-Za-z0-9.-] and depend on the content only. */
struct sbom_ref {
	const char *id, *purl;
};

struct sbom_source {
	const char *name, *version, *origin; /* origin may be NULL */
	struct sbom_ref ref;
};

/* Files of one component: files first to first + count - 1. */
struct sbom_group {
	const char *name;
	size_t first, count;
	struct sbom_ref ref; /* without purl */
};

struct sbom_index {
	struct mem_arena *arena;
	struct sbom sbom; /* all text is UTF-8; arrays sorted, nothing twice */
	struct sbom_ref root;
	struct sbom_ref *packages;   /* of sbom.packages */
	size_t *package_sources;     /* index into sources of each package */
	struct sbom_source *sources; /* sorted */
	size_t source_count;
	struct sbom_ref *files; /* of sbom.files, which are sorted by component, then path */
	struct sbom_group *groups;
	size_t group_count;
	struct sbom_ref *containers; /* of sbom.containers */
};

/* Fills the index. Free with sbom_index_free, also after an error. */
int sbom_index_make(const struct sbom *sbom, struct sbom_index *ret, struct err *err);

/* Fills index->sbom from sbom; the first part of sbom_index_make. */
int sbom_index_copy(const struct sbom *sbom, struct sbom_index *index, struct err *err);

/* Frees it; usable with CLEANUP(). */
void sbom_index_free(struct sbom_index *index);

/* The packages that package i depends on as far as they are here, by their index, sorted, each once, without
 * itself. Caller frees. */
size_t *sbom_index_depends(const struct sbom_index *index, size_t i, size_t *ret_count);

/* True for an absolute http, https or ftp URI (RFC 3986) without anything that needs quoting. */
bool sbom_is_uri(const char *text);

/* Writes "urn:uuid:..." less the prefix: a UUID (RFC 9562, version 8) derived from the value, for a
 * purpose. Taken from the arena. */
const char *sbom_uuid(const json_t *value, const char *purpose, struct mem_arena *arena);

#endif
