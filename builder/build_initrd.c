/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The initrd: what dracut made inside the package layer, with firmware/initrd laid over it, values of
 * the profile filled in and ingot-initrd added; written again so that nothing in it depends on the
 * machine or the user that built the layer.
 */
#include "build_job.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "disk/plan.h"
#include "tree/archive.h"

#include <inttypes.h>
#include <string.h>

#define FORMAT_VERSION "1"
#define ZSTD_LEVEL 9
#define TEMPLATE_MAX ((size_t)64 << 10)

struct value {
	const char *name;
	char *value;
};

/* What "@name@" in files that end in ".in" stands for. */
static size_t template_values(const struct profile *p, struct value values[4])
{
	values[0] = (struct value){"disk.root", mem_printf("%" PRIu64, p->disk.root)};
	values[1] = (struct value){"disk.root-verity",
				   mem_printf("%" PRIu64, disk_verity_slot(p->disk.root))};
	values[2] = (struct value){"disk.var.minimum", mem_printf("%" PRIu64, p->disk.var.minimum)};
	values[3] = (struct value){"disk.var.filesystem", mem_strdup(p->disk.var.filesystem)};
	return 4;
}

static int scan(const struct job *job, struct tree *tree, struct err *err)
{
	CLEANUP_FREE char *dir = path_join(job->options->data, "firmware/initrd");
	CLEANUP_FREE char *helper = path_join(job->options->programs, "ingot-initrd");
	CLEANUP(str_free) struct str program = {0};

	if (tree_scan_overlay(dir, NULL, tree, err) < 0)
		return -1;
	if (fd_read_file(helper, (size_t)64 << 20, &program, err) < 0)
		return err_hint(err, "build it with 'make', or install ingot completely");
	return tree_put_file(tree, "/usr/lib/ingot/ingot-initrd", 0755, program.data, program.len,
			     "ingot-initrd", err);
}

int build_initrd_key(struct job *job, struct cache_key *key, struct err *err)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	struct value values[4];
	struct digest d;

	cache_key_add(key, "format", FORMAT_VERSION);
	cache_key_add_digest(key, "packages", &job->digests[STEP_PACKAGES]);
	cache_key_addf(key, "source date", "%" PRId64, job->epoch);
	for (size_t i = 0, n = template_values(job->profile, values); i < n; i++) {
		cache_key_add(key, values[i].name, values[i].value);
		free(values[i].value);
	}
	if (scan(job, tree, err) < 0 || tree_digest(tree, &d, err) < 0)
		return -1;
	cache_key_add_digest(key, "firmware/initrd", &d);
	return 0;
}

static int fill(const char *text, const struct value *values, size_t count, const char *path,
		struct str *ret, struct err *err)
{
	while (*text) {
		size_t plain = strcspn(text, "@");
		const char *end;
		size_t i = 0;

		str_add_bytes(ret, text, plain);
		text += plain;
		if (!*text)
			break;
		end = strchr(text + 1, '@');
		while (end && i < count &&
		       (strlen(values[i].name) != (size_t)(end - text - 1) ||
			strncmp(values[i].name, text + 1, strlen(values[i].name)) != 0))
			i++;
		if (!end || i == count)
			return err_set(err, ERR_PROFILE, "'%s': '%.24s' names no value", path,
				       text);
		str_add(ret, values[i].value);
		text = end + 1;
	}
	return 0;
}

struct templates {
	struct strv paths;
};

static int find_templates(const struct tree_node *node, const char *path, void *context,
			  struct err *err)
{
	struct templates *templates = context;

	(void)err;
	if (node->inode->type == TREE_FILE && str_has_suffix(path, ".in"))
		strv_add(&templates->paths, path);
	return 0;
}

/* Replaces each "x.conf.in" by "x.conf" with the values filled in. */
static int fill_templates(const struct job *job, struct tree *tree, struct err *err)
{
	struct templates templates = {0};
	struct value values[4];
	size_t count = template_values(job->profile, values);
	int r = tree_walk(tree, find_templates, &templates, err);

	for (size_t i = 0; r == 0 && i < templates.paths.count; i++) {
		const char *path = templates.paths.items[i];
		CLEANUP_FREE char *final = mem_strndup(path, strlen(path) - strlen(".in"));
		CLEANUP_FREE char *text = NULL;
		CLEANUP(str_free) struct str filled = {0};
		size_t len;

		r = tree_read(tree_find(tree, path), TEMPLATE_MAX, &text, &len, err);
		if (r == 0)
			r = fill(text, values, count, path, &filled, err);
		if (r == 0)
			r = tree_put_file(tree, final, 0644, filled.data ? filled.data : "",
					  filled.len, "firmware/initrd", err);
		if (r == 0)
			tree_remove(tree, path);
	}
	for (size_t i = 0; i < count; i++)
		free(values[i].value);
	strv_free(&templates.paths);
	return r;
}

int build_initrd_run(struct job *job, const char *dir, struct log_step *progress, struct err *err)
{
	CLEANUP(tree_cleanup) struct tree *initrd = tree_new();
	CLEANUP(tree_cleanup) struct tree *ours = tree_new();
	CLEANUP(outfile_abandon) struct outfile out = OUTFILE_NONE;
	CLEANUP_FREE char *path = path_join(dir, "initrd.zst");
	const struct tree_node *node;

	if (build_open_layer(job, err) < 0)
		return -1;
	node = tree_find(job->layer.tree, "/boot/initrd.img");
	if (!node || node->inode->type != TREE_FILE)
		return err_set(err, ERR_VERIFY, "the package layer has no /boot/initrd.img");
	if (tree_read_cpio(node->inode->data.fd, node->inode->data.offset, node->inode->data.size,
			   "initrd", initrd, err) < 0 ||
	    scan(job, ours, err) < 0 || fill_templates(job, ours, err) < 0 ||
	    tree_merge(initrd, ours, err) < 0)
		return -1;
	tree_clamp_times(initrd, job->epoch);
	if (outfile_open(&out, path, err) < 0 ||
	    tree_write_cpio(initrd, ZSTD_LEVEL, out.fd, path, err) < 0 ||
	    fd_size(out.fd, path, &progress->bytes, err) < 0)
		return -1;
	return outfile_finish(&out, true, err);
}
