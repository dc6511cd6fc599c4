/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing what a build left in its folder.
 */
#ifndef INGOT_ATTEST_SIGNING_H
#define INGOT_ATTEST_SIGNING_H

#include "base/err.h"
#include "base/sign.h"

#define SIGNING_STATEMENT_SUFFIX ".provenance.json" /* of the file that is wrapped */
#define SIGNING_ENVELOPE_SUFFIX ".intoto.jsonl"

/* Signs SHA256SUMS (SHA256SUMS.sig) and the provenance that manifest.json names (NAME.intoto.jsonl) in the
 * folder. Signatures of the key that are there and right are kept. What is signed is not checked: see
 * verify_path. ERR_VERIFY when the folder has no such files. */
int signing_folder(const char *folder, const struct sign_key *key, struct err *err);

#endif
