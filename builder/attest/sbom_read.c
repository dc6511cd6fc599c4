/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of an SBOM from the JSON in which the steps of a build hand them over.
 */
#include "attest/sbom.h"

#include <string.h>

static uint64_t size_of(const json_t *row)
{
	json_int_t size = json_integer_value(json_object_get(row, "size"));

	return size > 0 ? (uint64_t)size : 0;
}

static void read_depends(const json_t *row, struct mem_arena *arena, struct sbom_package *p)
{
	const json_t *list = json_object_get(row, "depends");
	const char **names = mem_arena_alloc(arena, (json_array_size(list) + 1) * sizeof(*names));

	for (size_t i = 0; i < json_array_size(list); i++)
		if (json_is_string(json_array_get(list, i)))
			names[p->depend_count++] = json_string_value(json_array_get(list, i));
	p->depends = names;
}

struct sbom_package *sbom_read_packages(const json_t *list, struct mem_arena *arena,
					size_t *ret_count, struct err *err)
{
	size_t count = json_array_size(list);
	struct sbom_package *packages = mem_arena_alloc(arena, (count + 1) * sizeof(*packages));

	for (size_t i = 0; i < count; i++) {
		const json_t *row = json_array_get(list, i);
		struct sbom_package *p = &packages[i];
		const struct {
			const char *key, **value;
		} members[] = {
			{"name", &p->name},
			{"version", &p->version},
			{"architecture", &p->architecture},
			{"source", &p->source},
			{"source_version", &p->source_version},
			{"maintainer", &p->maintainer},
			{"homepage", &p->homepage},
			{"section", &p->section},
			{"summary", &p->summary},
			{"sha256", &p->sha256},
			{"origin", &p->origin},
			{"suite", &p->suite},
			{"component", &p->component},
			{"path", &p->path},
		};

		for (size_t k = 0; k < ARRAY_SIZE(members); k++)
			*members[k].value = json_member_string(row, members[k].key);
		p->size = size_of(row);
		read_depends(row, arena, p);
		if (!p->name || !p->version || !p->architecture) {
			err_set(err, ERR_VERIFY,
				"the record of package %zu has no name, version or architecture",
				i + 1);
			return NULL;
		}
	}
	*ret_count = count;
	return packages;
}

struct sbom_file *sbom_read_files(const json_t *list, struct mem_arena *arena, size_t *ret_count,
				  struct err *err)
{
	size_t count = json_array_size(list);
	struct sbom_file *files = mem_arena_alloc(arena, (count + 1) * sizeof(*files));

	for (size_t i = 0; i < count; i++) {
		const json_t *row = json_array_get(list, i);

		files[i] = (struct sbom_file){
			.path = json_member_string(row, "path"),
			.sha256 = json_member_string(row, "sha256"),
			.sha1 = json_member_string(row, "sha1"),
			.size = size_of(row),
			.component = json_member_string(row, "component"),
		};
		if (!files[i].path || !files[i].sha256 || !files[i].sha1 || !files[i].component) {
			err_set(err, ERR_VERIFY, "the record of file %zu is damaged", i + 1);
			return NULL;
		}
	}
	*ret_count = count;
	return files;
}
