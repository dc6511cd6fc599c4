/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One gzip member after the other (RFC 1952), by ISA-L where it is installed, for it is several times as fast,
 * else by zlib. Private to this folder.
 */
#ifndef INGOT_TREE_LAYERINFLATE_H
#define INGOT_TREE_LAYERINFLATE_H

#include <stddef.h>
#include <stdint.h>

struct inflater;

/* What a step comes to. */
enum inflater_result { INFLATER_MORE, INFLATER_MEMBER_END, INFLATER_BROKEN };

/* Makes an inflater that waits for a member's header; NULL when there is no memory. Free with inflater_free. */
struct inflater *inflater_new(void);

/* Frees; NULL is allowed. */
void inflater_free(struct inflater *f);

/* Decodes from *in to *out, moves both and lessens their lengths. At the end of a member (its checksum and length
 * are right then) it stops, ready for the next one. INFLATER_MORE without a change: it lacks input, or room. */
enum inflater_result inflater_step(struct inflater *f, const uint8_t **in, size_t *in_len,
				   uint8_t **out, size_t *out_len);

/* Bytes of the current member that came out so far, 0 at its start. */
uint64_t inflater_produced(const struct inflater *f);

#endif
