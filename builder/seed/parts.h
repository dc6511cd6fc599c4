/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the formats of seeds share. Private to seed/.
 */
#ifndef INGOT_SEED_PARTS_H
#define INGOT_SEED_PARTS_H

#include "base/json.h"
#include "seed/seed.h"

/* meta-data, user-data and so on; struct seed_format.add_files, as are the next two: seed->instance_id is set and
 * the input is checked. */
int seed_nocloud(const struct seed_input *input, struct seed *seed, struct err *err);

/* openstack/latest/...; ERR_USAGE for vendor-data that is no UTF-8 and for a network-config of NoCloud. */
int seed_configdrive(const struct seed_input *input, struct seed *seed, struct err *err);

/* ingot.user-data and so on, and qemu.args; ERR_USAGE for what no machine can be handed. */
int seed_credentials(const struct seed_input *input, struct seed *seed, struct err *err);

/* Adds a file with a copy of the bytes. */
void seed_add(struct seed *seed, const char *path, const void *bytes, size_t len);

/* Appends NoCloud's meta-data: YAML, every value in the quotes of JSON. */
void seed_meta_data(const struct seed_input *input, const struct seed *seed, struct str *text);

#endif
