/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of the files that are ours. A changed file of a package counts as ours: its content is.
 */
#include "attest/ownfiles.h"

#include "base/digest.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

#define BUFFER ((size_t)256 << 10)
#define COMPONENT "profile" /* of what is not from an overlay */
#define CONTAINER_LAYERS "/usr/share/ingot/containers/layers/"

struct listing {
	int layer_fd;
	const struct ownfiles_name *names;
	json_t *list;
	char *buffer;
};

static int digest_content(const struct tree_data *data, const char *path, char *buffer,
			  struct digest *ret_sha256, char *sha1, struct err *err)
{
	struct digest_ctx *a = digest_start(), *b = digest_start_sha1();

	for (uint64_t at = 0; at < data->size;) {
		size_t n = data->size - at < BUFFER ? (size_t)(data->size - at) : BUFFER;
		const char *bytes = data->bytes ? (const char *)data->bytes + at : buffer;

		if (!data->bytes &&
		    fd_pread(data->fd, buffer, n, data->offset + at, path, err) < 0) {
			digest_ctx_free(a);
			digest_ctx_free(b);
			return -1;
		}
		digest_add(a, bytes, n);
		digest_add(b, bytes, n);
		at += n;
	}
	digest_finish(a, ret_sha256);
	digest_finish_sha1(b, sha1);
	return 0;
}

static const char *component_of(const struct listing *l, const struct tree_inode *inode)
{
	for (const struct ownfiles_name *n = l->names; n->origin; n++)
		if (inode->origin && strcmp(n->origin, inode->origin) == 0)
			return n->name;
	return COMPONENT;
}

static int visit(const struct tree_node *node, const char *path, void *context, struct err *err)
{
	struct listing *l = context;
	const struct tree_inode *inode = node->inode;
	char sha1[DIGEST_SHA1_HEX_SIZE], hex[DIGEST_HEX_SIZE];
	CLEANUP(str_free) struct str text = {0}, component = {0};
	const char *name;
	struct digest d;

	if (str_has_prefix(path, CONTAINER_LAYERS))
		return 0;
	if (inode->type != TREE_FILE || (!inode->data.bytes && inode->data.fd == l->layer_fd))
		return 0;
	if (digest_content(&inode->data, path, l->buffer, &d, sha1, err) < 0)
		return -1;
	name = component_of(l, inode);
	str_add_utf8(&text, path, strlen(path));
	str_add_utf8(&component, name, strlen(name));
	json_array_append_new(l->list,
			      json_pack("{s:s, s:I, s:s, s:s, s:s}", "path", text.data, "size",
					(json_int_t)inode->data.size, "sha256", digest_hex(&d, hex),
					"sha1", sha1, "component", component.data));
	return 0;
}

json_t *ownfiles_list(const struct tree *tree, int layer_fd, const struct ownfiles_name *names,
		      struct err *err)
{
	struct listing l = {layer_fd, names, json_array(), mem_alloc(BUFFER)};
	int r = tree_walk(tree, visit, &l, err);

	free(l.buffer);
	if (r < 0) {
		json_decref(l.list);
		return NULL;
	}
	return l.list;
}
