/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the list of containers, configurations of images, tar-split data of a layer.
 */
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/path.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char root[] = "/tmp/fuzz-containers.XXXXXX";

static void remove_root(void)
{
	path_remove_all(root, NULL);
}

/* A layer whose tree has one file, and whose split data are the input. */
static void assemble(const uint8_t *data, size_t size)
{
	static bool made = false;
	struct agent agent = {.root = root};
	struct containers_layer layer = {.tar = 1 << 20};
	char *tree = containers_layer_path(&layer.diff_id);
	char *split = containers_split_path(&layer.diff_id);
	char *dir, *file, *folder;
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (!made && !mkdtemp(root))
		abort();
	dir = agent_path(&agent, tree);
	file = agent_path(&agent, split);
	folder = path_parent(file);
	if (!made) {
		char *a = path_join(dir, "a");

		if (path_make_dirs(dir, NULL) < 0 || path_make_dirs(folder, NULL) < 0 ||
		    outfile_write(a, "hello", 5, false, NULL) < 0)
			abort();
		free(a);
		atexit(remove_root);
		made = true;
	}
	if (fd < 0 || outfile_write(file, data, size, false, NULL) < 0)
		abort();
	/* No data have the digest of zeros. */
	if (containers_split_write(&agent, &layer, fd, NULL) == 0)
		abort();
	close(fd);
	free(tree);
	free(split);
	free(dir);
	free(file);
	free(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct agent agent = {.root = "/nonexistent"};
	struct containers containers;
	struct digest *ids = NULL;

	if (size == 0 || size > 65536)
		return 0;
	(void)containers_parse(&agent, (const char *)data, size, &containers, NULL);
	for (size_t i = 0; i < containers.image_count; i++)
		for (size_t k = 0; k < containers.images[i].names.count; k++)
			free(containers_familiar(containers.images[i].names.items[k]));
	containers_free(&containers);
	if (containers_diff_ids((const char *)data, size, &ids) < 0 && ids)
		abort();
	free(ids);
	assemble(data, size);
	return 0;
}
