/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proving what a build left: the signature, the sums, that manifest and provenance tell the truth about
 * the files, and that every image is whole from its partition table to the last block of its root.
 */
#ifndef INGOT_INSPECT_VERIFY_H
#define INGOT_INSPECT_VERIFY_H

#include "base/err.h"
#include "base/json.h"
#include "base/sign.h"

#include <stddef.h>
#include <stdint.h>

struct verify_options {
	const struct sign_key *const
		*keys; /* one of them must have signed; none: nobody needs to */
	size_t key_count;
	unsigned jobs; /* threads, at least 1 */
	/* Called now and then from several threads with bytes that were read; may be NULL. */
	void (*progress)(uint64_t done, uint64_t total, void *context);
	void *context;
};

/* Verifies the folder of an image (SHA256SUMS, manifest.json and what they name) or one image file (with
 * what SHA256SUMS and manifest.json beside it say, when they name it). All of it may be hostile. The first
 * thing that is wrong is the error: ERR_VERIFY, or ERR_OTHER when something could not be read. *ret_report
 * is given in any case (the caller decrefs it): {path, verified, unlisted [name], checks [{check, subject,
 * result ("passed", "failed", "skipped"), text}]}; checks that come after the first failure are missing.
 * Reads everything, most of it once; blocks for seconds. */
int verify_path(const char *path, const struct verify_options *options, json_t **ret_report,
		struct err *err);

#endif
