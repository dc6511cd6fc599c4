/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot seed: what one machine is told at its first boot, as a medium or into an image.
 */
#include "cli/seed.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/size.h"
#include "seed/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_FILE_MAX ((size_t)64 << 10)
#define EARLIEST 315532800 /* 1980-01-01: the first day that FAT knows */

static const struct cli_option options[] = {
	{"user-data", 'u', "FILE", "cloud-config, script or anything else that cloud-init takes"},
	{"hostname", 'H', "NAME", "name of the machine"},
	{"ssh-key", 0, "FILE", "public keys that may log in; may be repeated"},
	{"meta-data", 0, "KEY=VALUE",
	 "further meta-data, such as availability-zone=a; may be repeated"},
	{"network-config", 0, "FILE",
	 "network-config version 1 or 2; configdrive: network_data.json"},
	{"vendor-data", 0, "FILE", "like user-data, which wins over it"},
	{"instance-id", 0, "ID",
	 "another one is another machine (default: derived from all the rest)"},
	{"format", 'f', "FORMAT", "nocloud-iso (default); 'ingot help seed-formats' lists them"},
	{"output", 'o', "PATH", "file or folder to write; with IMAGE the new image"},
	{"in-place", 'i', NULL, "replace IMAGE itself"},
	{"no-check", 0, NULL, "take user-data as it is, for a machine that others made"},
	{0},
};

/* The files of the command line. */
struct texts {
	struct str user, vendor, network;
	struct strv meta, keys;
};

static void free_texts(struct texts *t)
{
	str_wipe(&t->user);
	str_wipe(&t->vendor);
	str_wipe(&t->network);
	strv_free(&t->meta);
	strv_free(&t->keys);
}

static void free_seed(struct cli_seed *seed)
{
	seed_free(&seed->seed);
}

static int read_keys(const struct cli_args *args, struct strv *keys, struct err *err)
{
	CLEANUP(strv_free) struct strv files = {0};

	cli_get_all(args, "ssh-key", &files);
	for (size_t i = 0; i < files.count; i++) {
		CLEANUP(str_free) struct str text = {0};
		char *rest, *line;

		if (fd_read_file(files.items[i], KEY_FILE_MAX, &text, err) < 0)
			return err_wrap(err, "option '--ssh-key'");
		rest = text.len > 0 ? text.data : NULL;
		while ((line = strsep(&rest, "\r\n")))
			if (*line && *line != '#')
				strv_add(keys, line);
	}
	if (files.count > 0 && keys->count == 0)
		return err_set(err, ERR_USAGE, "option '--ssh-key': there is no key in '%s'",
			       files.items[0]);
	return 0;
}

static void warn_size(const char *name, const struct str *text)
{
	CLEANUP(str_free) struct str limits = {0};
	char size[16];

	seed_check_size(text->len, &limits);
	if (limits.len > 0)
		log_warn("%s has %s: fine for this, but %s; gzip it", name,
			 size_format(text->len, size), limits.data);
}

static int read_texts(const struct cli *cli, const struct cli_args *args, bool configdrive,
		      struct texts *t, struct err *err)
{
	if (!cli_has(args, "user-data") && !cli_has(args, "hostname") &&
	    !cli_has(args, "ssh-key")) {
		err_set(err, ERR_USAGE, "no user-data given");
		return err_hint(err,
				"such as: ingot seed --user-data FILE --hostname NAME -o seed.iso");
	}
	cli_get_all(args, "meta-data", &t->meta);
	if (cli_seed_read(cli, args, "user-data", CLI_SEED_USER_DATA, &t->user, err) < 0 ||
	    cli_seed_read(cli, args, "vendor-data", CLI_SEED_USER_DATA, &t->vendor, err) < 0 ||
	    cli_seed_read(cli, args, "network-config",
			  configdrive ? CLI_SEED_NO_CHECK : CLI_SEED_NETWORK, &t->network, err) < 0)
		return -1;
	warn_size("user-data", &t->user);
	return read_keys(args, &t->keys, err);
}

static struct seed_blob blob(const struct str *text)
{
	return (struct seed_blob){text->data, text->len};
}

static int make(const struct cli *cli, const struct cli_args *args, struct cli_seed *seed,
		struct err *err)
{
	CLEANUP(free_texts) struct texts t = {0};
	struct seed_input input = {
		.hostname = cli_get(args, "hostname"),
		.instance_id = cli_get(args, "instance-id"),
		.meta = &t.meta,
		.ssh_keys = &t.keys,
		.folder = cli_get(args, "output"),
	};
	bool set;

	if (clock_source_date(&seed->time, &set, err) < 0)
		return -1;
	if (!set || seed->time < EARLIEST)
		seed->time = EARLIEST;
	if (read_texts(cli, args, strcmp(seed->format->name, "configdrive") == 0, &t, err) < 0)
		return -1;
	input.user_data = blob(&t.user);
	input.vendor_data = blob(&t.vendor);
	input.network_config = blob(&t.network);
	return seed_make(seed->format, &input, &seed->seed, err);
}

/* One list, as a program wants it: the lines of qemu.args. */
static json_t *arguments_of(const struct seed *seed)
{
	json_t *list = json_array();

	for (size_t i = 0; i < seed->count; i++) {
		CLEANUP_FREE char *text = NULL;
		char *rest, *line;

		if (strcmp(seed->files[i].path, "qemu.args") != 0)
			continue;
		text = mem_strndup(seed->files[i].bytes, seed->files[i].len);
		rest = text;
		while ((line = strsep(&rest, "\n")))
			if (*line)
				json_array_append_new(list, json_string(line));
	}
	return list;
}

static void print_notes(const struct cli_seed *seed, const char *path, const json_t *arguments)
{
	json_t *item;
	size_t i;

	if (seed->format->medium != SEED_FOLDER)
		return;
	printf("for QEMU (one argument per line in '%s/qemu.args'):\n", path);
	json_array_foreach(arguments, i, item)
		printf("%s%s", json_string_value(item), i % 2 ? "\n" : " ");
	printf("to encrypt one for a host with a TPM:\n"
	       "systemd-creds encrypt --name=ingot.user-data '%s/ingot.user-data' "
	       "ingot.user-data.cred\n",
	       path);
}

/* Takes the reference of details: format, bytes, partition. */
static void report(const struct cli *cli, const struct cli_args *args, const struct cli_seed *seed,
		   const char *path, json_t *details)
{
	CLEANUP_JSON json_t *arguments = arguments_of(&seed->seed);
	json_int_t bytes = json_integer_value(json_object_get(details, "bytes"));
	char size[16];

	json_object_set_new(details, "path", json_string(path));
	json_object_set_new(details, "instance_id", json_string(seed->seed.instance_id));
	json_object_set_new(details, "hostname",
			    cli_has(args, "hostname") ? json_string(cli_get(args, "hostname"))
						      : json_null());
	json_object_set(details, "arguments", arguments);
	if (cli->json) {
		log_event("seeded", details);
		return;
	}
	if (log_verbosity() >= 0) {
		printf("%s  %s  %s  instance-id %s\n", path, json_member_string(details, "format"),
		       size_format((uint64_t)bytes, size), seed->seed.instance_id);
		print_notes(seed, path, arguments);
	}
	json_decref(details);
}

/* Where the image goes: *ret_path is owned by the caller. */
static int choose_output(const struct cli_args *args, const char *input, char **ret_path,
			 struct err *err)
{
	const char *output = cli_get(args, "output");
	struct stat a, b;

	if (!output == !cli_has(args, "in-place"))
		return err_set(err, ERR_USAGE, "either '--output FILE' or '--in-place' is needed");
	if (!output) {
		*ret_path = realpath(input, NULL);
		return *ret_path ? 0 : err_sys(err, errno, "cannot open '%s'", input);
	}
	if (stat(input, &a) == 0 && stat(output, &b) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino) {
		err_set(err, ERR_USAGE, "cannot write '%s': it is the input", output);
		return err_hint(err, "--in-place replaces it");
	}
	*ret_path = mem_strdup(output);
	return 0;
}

static int seed_image(const struct cli *cli, const struct cli_args *args, struct cli_seed *seed,
		      struct err *err)
{
	CLEANUP_FREE char *output = NULL;
	const char *input = args->operands[0];
	json_t *details;

	if (cli_has(args, "format"))
		return err_set(err, ERR_USAGE,
			       "'--format' is for media: an image stays what it is");
	seed->format = seed_format_find("nocloud-disk", err);
	if (!seed->format || choose_output(args, input, &output, err) < 0 ||
	    make(cli, args, seed, err) < 0 ||
	    cli_seed_image(cli, seed, cli_has(args, "in-place") ? output : input, output, &details,
			   err) < 0)
		return -1;
	report(cli, args, seed, output, details);
	return 0;
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	CLEANUP(free_seed) struct cli_seed seed = {0};
	const char *path = cli_get(args, "output"), *format = cli_get(args, "format");
	uint64_t bytes;

	if (args->operand_count > 0)
		return seed_image(cli, args, &seed, err);
	if (cli_has(args, "in-place"))
		return err_set(err, ERR_USAGE, "'--in-place' needs an image");
	seed.format = seed_format_find(format ? format : seed_formats[0].name, err);
	if (!seed.format)
		return -1;
	if (!path || !*path) {
		err_set(err, ERR_USAGE, "no output given");
		return err_hint(err, "such as: -o seed%s", seed.format->suffix);
	}
	if (make(cli, args, &seed, err) < 0 || cli_seed_write(&seed, path, &bytes, err) < 0)
		return -1;
	report(cli, args, &seed, path,
	       json_pack("{s:s, s:I, s:n}", "format", seed.format->name, "bytes", (json_int_t)bytes,
			 "partition"));
	return 0;
}

const struct cli_verb cli_seed = {
	.name = "seed",
	.operands = "[IMAGE]",
	.summary = "tell one machine its user-data, name and keys: a medium, or put into an image",
	.details =
		"Without IMAGE a medium is written that is attached to the machine. With IMAGE, which ingot\n"
		"made and which never ran, the seed becomes a partition of it behind the others; root,\n"
		"kernel and the disk's identity stay. What is written holds secrets: mode 0600.",
	.options = options,
	.operands_min = 0,
	.operands_max = 1,
	.run = run,
};
