/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of tree_import_layer: layer.c reads the entries, layerpath.c says where they go, layerraw.c
 * keeps the bytes of the stream that no file has. Private to this folder.
 */
#ifndef INGOT_TREE_LAYERPARTS_H
#define INGOT_TREE_LAYERPARTS_H

#include "base/str.h"
#include "tree/importparts.h"
#include "tree/layer.h"
#include "tree/layerstream.h"
#include "tree/node.h"
#include "tree/split.h"

#define LAYER_WHITEOUT ".wh."
#define LAYER_OPAQUE ".wh..wh..opq"
#define LAYER_OPAQUE_XATTR "trusted.overlay.opaque"

/* A file whose content tar-split's reader takes from the tree. */
struct layer_file {
	const struct tree_node *node;
	const struct tree_inode
		*inode; /* the node's when it was added; another one now: replaced */
	struct split_lost where;
};

struct layer_import {
	struct import im;
	struct layer_stream *stream;
	struct split *split;
	/* The piece of the stream that libarchive reads, and what it has left behind of earlier ones. Positions
	 * count from the start of the uncompressed stream. */
	const uint8_t *piece;
	size_t piece_len;
	uint64_t piece_at;  /* position of piece */
	uint64_t raw_from;  /* all before is in split, or content of a file */
	struct str pending; /* the bytes [raw_from, piece_at), when raw_from lies before piece_at */
	struct err err;     /* why the stream ended */
	size_t entries;
	uint64_t kept; /* bytes of names, targets and attributes */
	bool replaced; /* something took the place of an entry */
	struct layer_file *files;
	size_t file_count, file_room;
};

/* For archive_read_open: hands over the next piece, context is the struct layer_import. */
la_ssize_t layer_raw_read(struct archive *archive, void *context, const void **ret_bytes);

/* How far libarchive has consumed the stream: after a header the position of its data. */
uint64_t layer_raw_position(const struct layer_import *l);

/* Puts all bytes up to the position, which was handed over already, into split. */
int layer_raw_until(struct layer_import *l, uint64_t position, struct err *err);

/* The byte at the position, which is in no content and not in split yet; -1 for any other position. */
int layer_raw_byte(const struct layer_import *l, uint64_t position);

/* False when bytes, which libarchive has handed out, are in the current piece but not those at raw_from. */
bool layer_raw_is_next(const struct layer_import *l, const void *bytes);

/* Leaves out the len bytes at raw_from, the content of a file. */
void layer_raw_skip(struct layer_import *l, uint64_t len);

/* Reads the stream to its end, which holds only zeros now. */
int layer_raw_finish(struct layer_import *l, struct err *err);

/* Writes the name of an entry without superfluous slashes and dots to to (PATH_IMAGE_MAX bytes, "" is the
 * root); an absolute one counts from the root, as for the engines. -1 for names with ".." and control characters. */
int layer_clean_path(const char *raw, char *to);

/* True for a node that a whiteout has left. */
bool layer_is_whiteout(const struct tree_node *node);

/* The folder that holds path, made when absent, with links of the same layer followed; path (PATH_IMAGE_MAX
 * bytes) becomes the path without them. like gives times to new folders. NULL with err. */
struct tree_node *layer_make_parent(struct layer_import *l, char *path,
				    const struct tree_inode *like, struct err *err);

/* Makes a folder opaque (one that was a whiteout, or is a folder already). */
int layer_set_opaque(struct layer_import *l, const char *path, const struct tree_inode *folder,
		     struct err *err);

/* True when the folder has the attribute. */
bool layer_is_opaque(const struct tree_inode *inode);

/* Sets ERR_VERIFY: why something is wrong with the current entry. Returns -1. */
int layer_broken(const struct layer_import *l, const char *why, struct err *err);

/* Sets the library's error, or that of the stream that it reads. Returns -1. */
int layer_read_failed(struct layer_import *l, struct err *err);

/* Reads the content of an entry that the tree does not have: all of it goes into split. */
int layer_drain(struct layer_import *l, struct err *err);

/* Copies the content of the current entry, the file node, to our tar. It goes into split only when the bytes of
 * the stream are not those of the file (a sparse one). */
int layer_copy_content(struct layer_import *l, const struct tree_node *node, struct err *err);

#endif
