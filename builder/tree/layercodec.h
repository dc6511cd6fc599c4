/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes as a layer (gzip, zstd, or a tar as it is), decompressed. Private to this folder.
 */
#ifndef INGOT_TREE_LAYERCODEC_H
#define INGOT_TREE_LAYERCODEC_H

#include "tree/layer.h"

struct layer_codec;

/* Makes a decoder over in (borrowed). Free with layer_codec_free. */
struct layer_codec *layer_codec_new(const struct tree_layer_input *in);

/* Frees; NULL is allowed. */
void layer_codec_free(struct layer_codec *c);

/* Fills bytes with uncompressed data as far as they go and returns how many; 0 at the end, -1 with err:
 * ERR_VERIFY for a stream that is broken, ends early, or has something behind its end. Several gzip
 * members (RFC 1952, 2.2) and zstd frames, skippable ones too (RFC 8878, 3.1), are one stream. Blocks. */
ssize_t layer_codec_read(struct layer_codec *c, void *bytes, size_t len, struct err *err);

#endif
