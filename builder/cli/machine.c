/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an operand to an image file and the settings of a machine.
 */
#include "cli/machine.h"

#include "attest/manifest.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/size.h"
#include "cache/cache.h"
#include "cli/profiles.h"
#include "output/image.h"
#include "vm/probe.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MANIFEST_MAX ((size_t)64 << 20)

static bool is_image_file(const char *operand)
{
	struct stat st;

	return !str_has_suffix(operand, ".yaml") && !str_has_suffix(operand, ".yml") &&
	       stat(operand, &st) == 0 && S_ISREG(st.st_mode);
}

/* The file of the format that boots fastest among those that were built. */
static const char *choose_artifact(const json_t *manifest)
{
	static const char *const formats[] = {"raw", "qcow2", "qcow2-zlib", "vhd", "vmdk"};

	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		size_t i;
		json_t *artifact;

		json_array_foreach(json_object_get(manifest, "artifacts"), i, artifact)
		{
			const char *format = json_member_string(artifact, "format");

			if (format && strcmp(format, formats[f]) == 0)
				return json_member_string(artifact, "file");
		}
	}
	return NULL;
}

static int build_image(const struct cli *cli, const struct cli_args *args, const char *operand,
		       struct cli_machine *machine, struct err *err)
{
	CLEANUP(strv_free) struct strv set = {0};
	CLEANUP_JSON json_t *manifests = NULL;
	const char *profiles[] = {operand, NULL};
	const struct build_options build = cli_build_options(cli, args, profiles, &set);
	const char *file, *folder;

	if (build_run(&build, &manifests, err) < 0)
		return -1;
	machine->manifest = json_incref(json_array_get(manifests, 0));
	file = choose_artifact(machine->manifest);
	folder = json_member_string(machine->manifest, "folder");
	if (!file || !folder) {
		err_set(err, ERR_USAGE, "cannot boot '%s': no image of it is built that QEMU reads",
			operand);
		return err_hint(err, "add raw to the formats of the profile");
	}
	machine->image = path_join(folder, file);
	machine->name = mem_strdup(json_member_string(machine->manifest, "name"));
	return 0;
}

/* The manifest beside the file, when it is about this file. */
static int find_manifest(struct cli_machine *machine, struct err *err)
{
	CLEANUP_FREE char *folder = path_parent(machine->image);
	CLEANUP_FREE char *path = path_join(folder, MANIFEST_FILE);
	CLEANUP_JSON json_t *manifest = NULL;
	json_t *artifact;
	struct stat st;
	size_t i;

	if (stat(path, &st) < 0 && errno == ENOENT)
		return 0;
	manifest = json_read_file(path, MANIFEST_MAX, err);
	if (!manifest)
		return -1;
	json_array_foreach(json_object_get(manifest, "artifacts"), i, artifact)
	{
		const char *file = json_member_string(artifact, "file");

		if (file && strcmp(file, path_base(machine->image)) == 0)
			machine->manifest = manifest;
	}
	if (machine->manifest)
		manifest = NULL;
	return 0;
}

/* What QEMU is told about the image: it does not guess, as what it guesses may be hostile. */
static int inspect_image(struct cli_machine *machine, struct err *err)
{
	CLEANUP(image_close) struct image *image = image_open(machine->image, err);

	if (!image)
		return -1;
	machine->options.image = (struct vm_image){
		.path = machine->image, .format = image->format, .size = image->size};
	return 0;
}

static int read_options(const struct cli_args *args, struct cli_machine *machine, struct err *err)
{
	const char *disk = cli_get(args, "disk");
	long memory = 2048, cpus = 2;

	if (cli_get_number(args, "memory", 256, 1 << 20, &memory, err) < 0 ||
	    cli_get_number(args, "smp", 1, 255, &cpus, err) < 0)
		return -1;
	if (disk && size_parse(disk, &machine->options.disk_size, err) < 0) {
		if (err)
			err->code = ERR_USAGE;
		return err_wrap(err, "option '--disk'");
	}
	machine->options.memory = (uint64_t)memory * MIB;
	machine->options.cpus = (unsigned)cpus;
	return 0;
}

static int decide_kvm(const struct cli *cli, const struct cli_args *args,
		      struct cli_machine *machine, struct err *err)
{
	CLEANUP(str_free) struct str why = {0};
	struct cache *cache;
	enum vm_kvm wanted;
	int r;

	if (vm_probe_parse(cli_get(args, "kvm"), &wanted, err) < 0)
		return -1;
	cache = cache_open(cli->cache, err);
	if (!cache)
		return -1;
	r = vm_probe_decide(&machine->tools, wanted, cache_dir(cache), &machine->options.kvm, &why,
			    err);
	cache_close(cache);
	if (r == 0 && !machine->options.kvm)
		log_info("emulating the processor, KVM is not used: %s", why.data);
	return r;
}

int cli_machine_open(const struct cli *cli, const struct cli_args *args, const char *operand,
		     struct cli_machine *machine, struct err *err)
{
	*machine = (struct cli_machine){0};
	if (read_options(args, machine, err) < 0 || vm_tools_find(&machine->tools, err) < 0 ||
	    decide_kvm(cli, args, machine, err) < 0)
		return -1;
	if (is_image_file(operand)) {
		machine->image = mem_strdup(operand);
		machine->name = mem_strdup(path_base(operand));
		if (find_manifest(machine, err) < 0)
			return -1;
	} else if (build_image(cli, args, operand, machine, err) < 0) {
		return -1;
	}
	return inspect_image(machine, err);
}

void cli_machine_free(struct cli_machine *machine)
{
	vm_tools_free(&machine->tools);
	free(machine->image);
	free(machine->name);
	json_decref(machine->manifest);
	*machine = (struct cli_machine){0};
}

bool cli_machine_is_swarm(const struct cli_machine *machine)
{
	const char *kind = json_member_string(json_object_get(machine->manifest, "join"), "kind");

	return kind && strcmp(kind, "swarm") == 0;
}

json_t *cli_machine_text(const char *text)
{
	json_t *value = json_string(text);

	if (!value) {
		CLEANUP_FREE char *ascii = mem_strdup(text);

		for (char *p = ascii; *p; p++)
			if ((unsigned char)*p >= 128)
				*p = '?';
		value = json_string(ascii);
	}
	return value;
}
