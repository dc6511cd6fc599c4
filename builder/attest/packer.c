/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.json in the shape of Packer's.
 */
#include "attest/packer.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "disk/gpt.h"

#include <string.h>

/* Packer's custom_data is a map of strings. */
static json_t *custom_data(const json_t *manifest)
{
	static const char *const members[] = {"version", "architecture", "root_hash", "disk_sha256",
					      "profile"};
	json_t *data = json_object(), *artifact;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(members); i++) {
		const char *value = json_member_string(manifest, members[i]);

		if (value)
			json_object_set_new(data, members[i], json_string(value));
	}
	json_array_foreach(json_object_get(manifest, "artifacts"), i, artifact)
	{
		CLEANUP_FREE char *name =
			mem_printf("sha256 %s", json_member_string(artifact, "file"));

		json_object_set(data, name, json_object_get(artifact, "sha256"));
	}
	return data;
}

static json_t *files(const json_t *manifest)
{
	const char *folder = json_member_string(manifest, "folder");
	json_t *list = json_array(), *artifact;
	size_t i;

	json_array_foreach(json_object_get(manifest, "artifacts"), i, artifact)
	{
		CLEANUP_FREE char *path =
			path_join(folder ? folder : "", json_member_string(artifact, "file"));

		json_array_append_new(list, json_pack("{s:s, s:O}", "name", path, "size",
						      json_object_get(artifact, "bytes")));
	}
	return list;
}

json_t *packer_manifest(const json_t *manifests)
{
	CLEANUP_FREE char *line = json_line(manifests);
	json_t *builds = json_array(), *manifest;
	char uuid[GUID_TEXT_SIZE];
	struct digest digest;
	struct guid guid;
	size_t i;

	digest_bytes(line, strlen(line), &digest);
	guid_derive("ingot packer run", &digest, &guid);
	guid_format(&guid, uuid);
	json_array_foreach(manifests, i, manifest)
	{
		const char *name = json_member_string(manifest, "name");
		const char *created = json_member_string(manifest, "created");
		CLEANUP_FREE char *id =
			mem_printf("%s_%s", name, json_member_string(manifest, "version"));
		int64_t time = 0;

		if (created)
			(void)clock_parse(created, &time, NULL);
		json_array_append_new(builds,
				      json_pack("{s:s, s:s, s:I, s:o, s:s, s:s, s:o}", "name", name,
						"builder_type", "ingot", "build_time",
						(json_int_t)time, "files", files(manifest),
						"artifact_id", id, "packer_run_uuid", uuid,
						"custom_data", custom_data(manifest)));
	}
	return json_pack("{s:o, s:s}", "builds", builds, "last_run_uuid", uuid);
}
