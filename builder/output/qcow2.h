/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of the qcow2 format (QEMU docs/interop/qcow2.txt) that writer and reader share. All
 * fields on disk are big-endian.
 */
#ifndef INGOT_OUTPUT_QCOW2_H
#define INGOT_OUTPUT_QCOW2_H

#include "output/bigendian.h"

#define QCOW2_MAGIC 0x514649fbu
#define QCOW2_HEADER_V2 72
#define QCOW2_HEADER_V3 104
#define QCOW2_COPIED ((uint64_t)1 << 63)
#define QCOW2_COMPRESSED ((uint64_t)1 << 62)
#define QCOW2_ZERO ((uint64_t)1)
#define QCOW2_OFFSET_MASK 0x00fffffffffffe00ull
#define QCOW2_INCOMPATIBLE_DIRTY ((uint64_t)1 << 0)
#define QCOW2_INCOMPATIBLE_COMPRESSION ((uint64_t)1 << 3)

#endif
