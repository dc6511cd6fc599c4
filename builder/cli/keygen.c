/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot keygen: a pair of keys for signing images.
 */
#include "cli/cli.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sign.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct cli_option options[] = {
	{"type", 0, "TYPE", "ed25519 (default), ecdsa (P-256) or rsa (3072 bits)"},
	{"output", 'o', "NAME", "write NAME.key and NAME.pub (default: ingot)"},
	{0},
};

static int find_type(const char *name, enum sign_type *ret, struct err *err)
{
	static const struct {
		const char *name;
		enum sign_type type;
	} rows[] = {{"ed25519", SIGN_ED25519}, {"ecdsa", SIGN_ECDSA}, {"rsa", SIGN_RSA}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strcmp(name, rows[i].name) == 0) {
			*ret = rows[i].type;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "option '--type' is '%.20s', expected ed25519, ecdsa or rsa",
		       name);
}

/* Both names must be free before one is taken. */
static int check_free(const char *path, struct err *err)
{
	if (access(path, F_OK) < 0)
		return 0;
	err_sys(err, EEXIST, "cannot create '%s'", path);
	return err_hint(err, "keys are never overwritten: choose another name by -o");
}

static void tell(const struct cli *cli, const struct sign_key *key, const char *private_path,
		 const char *public_path, bool encrypted)
{
	if (cli->json) {
		log_event("key", json_pack("{s:s, s:s, s:s, s:s, s:b}", "id", sign_key_id(key),
					   "kind", sign_key_kind(key), "private", private_path,
					   "public", public_path, "encrypted", encrypted));
		return;
	}
	if (log_verbosity() < 0)
		return;
	printf("%-9s%s%s\n", "private", private_path,
	       encrypted ? " (encrypted)" : " (not encrypted: keep it safe)");
	printf("%-9s%s\n", "public", public_path);
	printf("%-9s%s\n", "kind", sign_key_kind(key));
	printf("%-9s%s\n", "id", sign_key_id(key));
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	const char *name = cli_get(args, "output"), *type_name = cli_get(args, "type");
	CLEANUP_FREE char *private_path = mem_printf("%s.key", name ? name : "ingot");
	CLEANUP_FREE char *public_path = mem_printf("%s.pub", name ? name : "ingot");
	CLEANUP(sign_cleanup) struct sign_key *key = NULL;
	enum sign_type type = SIGN_ED25519;
	bool encrypted;

	if ((type_name && find_type(type_name, &type, err) < 0) ||
	    check_free(private_path, err) < 0 || check_free(public_path, err) < 0)
		return -1;
	key = sign_generate(type, err);
	if (!key || sign_write_private(key, private_path, &encrypted, err) < 0)
		return -1;
	if (sign_write_public(key, public_path, err) < 0) {
		/* Nobody could use half a pair. */
		unlink(private_path);
		return -1;
	}
	tell(cli, key, private_path, public_path, encrypted);
	return 0;
}

const struct cli_verb cli_keygen = {
	.name = "keygen",
	.operands = "",
	.summary = "make a pair of keys that sign and verify images",
	.details =
		"The private key is readable by its owner only, and encrypted when the environment\n"
		"variable " SIGN_PASSPHRASE " is set. Files that are there are never overwritten.",
	.options = options,
	.operands_max = 0,
	.run = run,
};
