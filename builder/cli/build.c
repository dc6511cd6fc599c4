/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot build: profiles in, images out.
 */
#include "cli/profiles.h"

#include "attest/packer.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sign.h"
#include "base/size.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const struct cli_option options[] = {
	{"format", 'f', "LIST", "formats, such as raw,qcow2 (default: what the profile says)"},
	CLI_BUILD_OPTIONS,
	{"sign", 0, "KEY", "sign SHA256SUMS and the provenance: a PEM file or a pkcs11: URI"},
	{"packer-manifest", 0, "FILE", "write what was built as Packer's manifest has it, too"},
	{0},
};

static void print_results(const json_t *manifests)
{
	size_t i, k;
	json_t *manifest, *artifact;

	json_array_foreach(manifests, i, manifest)
	{
		const char *folder = json_member_string(manifest, "folder");

		json_array_foreach(json_object_get(manifest, "artifacts"), k, artifact)
		{
			json_int_t bytes = json_integer_value(json_object_get(artifact, "bytes"));
			char size[16];

			printf("%s/%s  %s\n", folder, json_member_string(artifact, "file"),
			       size_format((uint64_t)bytes, size));
		}
	}
}

static int write_packer(const char *path, const json_t *manifests, struct err *err)
{
	CLEANUP_JSON json_t *packer = packer_manifest(manifests);

	return json_write_file(path, packer, true, err);
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	CLEANUP(strv_free) struct strv set = {0};
	CLEANUP_JSON json_t *manifests = NULL;
	CLEANUP(sign_cleanup) struct sign_key *signer = NULL;
	struct build_options build = cli_build_options(cli, args, args->operands, &set);
	const char *key = cli_get(args, "sign"), *packer = cli_get(args, "packer-manifest");

	/* Before anything that takes time: a wrong key is told at once. */
	if (key && !(signer = sign_open_private(key, err)))
		return -1;
	/* Opening a key takes it out; without one no program of the build has to know it either. */
	unsetenv(SIGN_PASSPHRASE);
	build.signer = signer;
	if (build_run(&build, &manifests, err) < 0)
		return -1;
	if (packer && write_packer(packer, manifests, err) < 0)
		return -1;
	if (!cli->json && log_verbosity() >= 0)
		print_results(manifests);
	return 0;
}

const struct cli_verb cli_build = {
	.name = "build",
	.operands = "PROFILE...",
	.summary = "build the images of one or several profiles",
	.details =
		"A PROFILE is a file, or a name that is looked up in ./profiles and in the profiles\n"
		"that come with ingot. What several profiles share is built once. Beside the images come\n"
		"manifest.json, SBOMs (SPDX, CycloneDX), provenance (in-toto, SLSA) and SHA256SUMS.",
	.options = options,
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.run = run,
};
