/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a unit, a Compose file, a manifest of pods: each use that is found has an image or a
 * reason, and what is told as an image has no variables left.
 */
#include "demand.h"
#include "base/mem.h"
#include "layers/imageuse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct tree *tree, const char *path, const uint8_t *data, size_t size)
{
	struct err err = {0};

	demand(tree_put_file(tree, path, 0644, data, size, "overlay", &err) == 0, "a file is put");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = {
		"/etc/systemd/system/a.target.wants/a@1.service",
		"/etc/systemd/system/a@1.service",
		"/etc/containers/systemd/a.container",
		"/etc/kubernetes/manifests/a.yaml",
		"/srv/compose.yaml",
		"/srv/.env",
		"/etc/systemd/system-preset/1.preset",
	};
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	CLEANUP(imageuse_list_free) struct imageuse_list list = {0};
	struct profile profile = {0};
	struct err err = {0};

	if (size > (1 << 16))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		put(tree, paths[i], data, size);
	demand(imageuse_find(tree, &profile, &list, &err) == 0, "uses are found");
	for (size_t i = 0; i < list.count; i++) {
		const struct imageuse *use = &list.items[i];

		demand(!use->image != !use->why, "an image or a reason");
		demand(use->file && use->file[0] == '/', "a file");
		demand(!use->image || (*use->image && !strpbrk(use->image, "$%")),
		       "an image without variables");
	}
	return 0;
}
