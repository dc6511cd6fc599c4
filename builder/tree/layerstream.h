/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a layer's tar: a thread reads, decompresses and hashes ahead of the one that parses, so that
 * each has a processor of its own. Private to this folder.
 */
#ifndef INGOT_TREE_LAYERSTREAM_H
#define INGOT_TREE_LAYERSTREAM_H

#include "tree/layer.h"

struct layer_stream;

/* Starts reading; in is borrowed until layer_stream_free. NULL with err when there is no thread. */
struct layer_stream *layer_stream_start(const struct tree_layer_input *in, struct err *err);

/* Points *ret_bytes to the next piece of the uncompressed tar, valid until the next call, and returns its
 * length (at most 1 MiB); 0 at the end, -1 with err (ERR_VERIFY for a broken stream and for more than
 * tar_max). Blocks. */
ssize_t layer_stream_next(struct layer_stream *s, const uint8_t **ret_bytes, struct err *err);

/* The digest of all pieces; only after layer_stream_next has returned 0. */
void layer_stream_digest(const struct layer_stream *s, struct digest *ret);

/* Stops the thread, after the read that it is in, and frees; NULL is allowed. */
void layer_stream_free(struct layer_stream *s);

#endif
