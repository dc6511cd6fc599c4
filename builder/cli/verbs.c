/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of verbs. A new verb is one new file and one row here.
 */
#include "cli/cli.h"

#include <stdint.h>

const struct cli_verb *const cli_verbs[] = {
	&cli_build,   &cli_lock,    &cli_plan,   &cli_validate, &cli_explain,
	&cli_schema,  &cli_inspect, &cli_verify, &cli_keygen,   &cli_sign,
	&cli_diff,    &cli_convert, &cli_seed,   &cli_boot,     &cli_test,
	&cli_cluster, &cli_images,  &cli_cache,  NULL,
};
