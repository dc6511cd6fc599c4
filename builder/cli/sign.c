/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot sign: puts a signature under what an earlier build left, after looking at it.
 */
#include "cli/cli.h"

#include "attest/signing.h"
#include "base/log.h"
#include "base/mem.h"
#include "inspect/verify.h"

#include <stdio.h>
#include <sys/stat.h>

static const struct cli_option options[] = {
	{"key", 'k', "KEY", "private key: a PEM file or a pkcs11: URI"},
	{0},
};

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	CLEANUP(sign_cleanup) struct sign_key *key = NULL;
	CLEANUP_JSON json_t *report = NULL;
	const struct verify_options how = {.jobs = cli->jobs};
	const char *folder = args->operands[0], *where = cli_get(args, "key");
	struct stat st;

	if (!where) {
		err_set(err, ERR_USAGE, "no key given");
		return err_hint(err, "--key FILE, such as one that 'ingot keygen' made");
	}
	if (stat(folder, &st) == 0 && !S_ISDIR(st.st_mode))
		return err_set(err, ERR_USAGE, "'%s' is not a folder that a build left", folder);
	key = sign_open_private(where, err);
	/* Nobody should put their name to what they have not looked at. */
	if (!key || verify_path(folder, &how, &report, err) < 0 ||
	    signing_folder(folder, key, err) < 0)
		return -1;
	log_event("signed", json_pack("{s:s, s:s, s:s}", "path", folder, "key", sign_key_id(key),
				      "kind", sign_key_kind(key)));
	if (!cli->json && log_verbosity() >= 0)
		printf("signed '%s' with the %s key %.16s\n", folder, sign_key_kind(key),
		       sign_key_id(key));
	return 0;
}

const struct cli_verb cli_sign = {
	.name = "sign",
	.operands = "FOLDER",
	.summary = "verify what a build left and sign it, away from where it was built",
	.details = "FOLDER is OUT/NAME of a build. 'ingot build --sign' does it at once.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
