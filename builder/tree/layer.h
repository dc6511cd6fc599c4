/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of container images: a foreign tar stream, maybe compressed, becomes a tree in the terms of overlayfs
 * and a tar of our own, in one pass that also takes what is needed to assemble the stream again.
 */
#ifndef INGOT_TREE_LAYER_H
#define INGOT_TREE_LAYER_H

#include "base/digest.h"
#include "tree/tree.h"

#include <sys/types.h>

/* Where a layer comes from. */
struct tree_layer_input {
	/* Fills at most len bytes and returns how many; 0 at the end, -1 with err. May block. Called from
	 * another thread than that of tree_import_layer. */
	ssize_t (*read)(void *context, void *bytes, size_t len, struct err *err);
	void *context;
	const char *origin; /* for messages: "layer 3 of 'app:1.4'" */
	uint64_t tar_max;   /* bytes of the uncompressed tar; more is ERR_VERIFY */
	size_t entries_max; /* more is ERR_VERIFY */
};

struct tree_layer {
	struct digest diff_id; /* of the uncompressed tar as it came */
	struct digest
		digest; /* of our own tar, as pax_finish has it: what the content in tar_fd is */
	uint64_t tar;   /* bytes of the uncompressed tar as it came */
	uint64_t
		size; /* bytes of regular files and of targets of symbolic links, as Docker counts */
	size_t entries; /* of the tar as it came */
};

/* Reads a layer (OCI image specification, layer.md; gzip, zstd or not compressed, told by its first bytes):
 * writes it as an uncompressed pax tar of our own to tar_fd, what assembles the stream again (tar-split JSON,
 * gzip) to split_fd, and fills tree, whose data refer to tar_fd. Both are empty regular files, open for
 * reading and writing. Whiteouts (.wh.NAME) become character devices 0:0, opaque folders (.wh..wh..opq) get
 * trusted.overlay.opaque=y. An entry whose parent is a symbolic link to a folder of the same layer goes into that
 * folder. Refused with ERR_VERIFY: paths and links out of the layer, forged whiteouts and attributes of
 * overlayfs, what exceeds the limits, broken streams, bytes behind the end of the compressed stream. The caller
 * compares diff_id. Blocks. */
int tree_import_layer(const struct tree_layer_input *in, int tar_fd, int split_fd,
		      struct tree *tree, struct tree_layer *ret,
		      void (*progress)(uint64_t bytes, void *context), void *context,
		      struct err *err);

/* Lays over below the folder path of tree (made when absent): the root of over becomes path, with its
 * attributes. Contents stay borrowed; over is unchanged. What is at path already is replaced. */
int tree_graft(struct tree *tree, const char *path, const struct tree *over, struct err *err);

#endif
