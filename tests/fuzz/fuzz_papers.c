/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as dpkg's status file, and any text as what a package, a file and a container say of themselves: an
 * error is told, or SBOMs can be made and written.
 */
#include "attest/sbom.h"
#include "layers/dpkg.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEX "0123456789abcdef0123456789abcdef01234567"

static void write_both(struct sbom *sbom)
{
	json_t *(*const writers[])(const struct sbom *, struct err *) = {sbom_spdx, sbom_cyclonedx};

	for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
		struct err err = {0};
		CLEANUP_JSON json_t *value = writers[i](sbom, &err);
		CLEANUP_FREE char *text = value ? json_text(value) : NULL;

		/* Only what must be there can be missing. */
		if (!text && err.code != ERR_VERIFY)
			abort();
	}
}

static void try_status(const char *text, size_t len, struct sbom *sbom)
{
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	struct err err = {0};
	CLEANUP_JSON json_t *list = dpkg_parse(text, len, &err);

	if (!list)
		return;
	sbom->packages = sbom_read_packages(list, arena, &sbom->package_count, &err);
	if (!sbom->packages)
		abort();
	write_both(sbom);
}

/* One line after the other for each member. */
static void try_values(char *text, struct sbom *sbom)
{
	struct sbom_package p[2] = {0};
	struct sbom_file file = {.sha256 = HEX "0123456789abcdef01234567", .sha1 = HEX};
	struct sbom_container container = {.digest = "sha256:" HEX "0123456789abcdef01234567"};
	const char *depends[] = {NULL};
	const char **const members[] = {
		&p[0].name,           &p[0].version,    &p[0].architecture, &p[0].source,
		&p[0].source_version, &p[0].maintainer, &p[0].homepage,     &p[0].section,
		&p[0].summary,        &p[0].origin,     &p[0].suite,        &p[0].component,
		&p[0].path,           &depends[0],      &p[1].name,         &p[1].version,
		&p[1].architecture,   &p[1].maintainer, &file.path,         &file.component,
		&container.reference, &sbom->name,      &sbom->version,     &sbom->release_version,
		&sbom->description,
	};

	for (size_t i = 0; text && i < ARRAY_SIZE(members); i++)
		*members[i] = strsep(&text, "\n");
	p[0].depends = depends;
	p[0].depend_count = depends[0] ? 1 : 0;
	sbom->packages = p;
	sbom->package_count = p[1].name ? 2 : 1;
	sbom->files = &file;
	sbom->file_count = file.path ? 1 : 0;
	sbom->containers = &container;
	sbom->container_count = container.reference ? 1 : 0;
	write_both(sbom);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sbom empty = {.name = "a",
				   .version = "1",
				   .architecture = "amd64",
				   .distribution = "debian",
				   .release = "trixie"};
	CLEANUP_FREE char *text = mem_strndup((const char *)data, size);
	struct sbom sbom = empty;

	try_status((const char *)data, size, &sbom);
	sbom = empty;
	try_values(text, &sbom);
	return 0;
}
