/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot inspect: what is in an image.
 */
#include "cli/cli.h"

#include "base/json.h"
#include "base/log.h"
#include "base/size.h"
#include "cli/text.h"
#include "inspect/inspect_guest.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
	{"verify", 0, NULL, "read the root file system and check it against its root hash"},
	{0},
};

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* At least width characters of text out of the image. */
static void print_padded(const char *text, int width)
{
	text_print(text);
	printf("%*s", width > (int)strlen(text) ? width - (int)strlen(text) : 1, "");
}

static void print_line(const char *name, const char *value)
{
	if (!value)
		return;
	printf("%-13s", name);
	text_print(value);
	putchar('\n');
}

static void print_system(const json_t *image)
{
	const json_t *release = json_object_get(image, "os_release");
	const json_t *packages = json_object_get(image, "packages");
	const json_t *root = json_object_get(image, "root");

	print_line("image", json_member_string(release, "IMAGE_ID"));
	print_line("version", json_member_string(release, "IMAGE_VERSION"));
	print_line("system", json_member_string(release, "PRETTY_NAME"));
	print_line("kernel", json_member_string(image, "kernel"));
	print_line("root hash", json_member_string(image, "root_hash"));
	if (json_is_object(root))
		printf("%-13ssquashfs, %s, blocks of %llu KiB, %llu inodes\n", "root",
		       json_member_string(root, "compression"),
		       (unsigned long long)number(root, "block") / 1024,
		       (unsigned long long)number(root, "inodes"));
	if (json_is_integer(packages))
		printf("%-13s%lld\n", "packages", (long long)json_integer_value(packages));
	if (json_is_true(json_object_get(image, "verified")))
		print_line("verified", "the root file system is what its root hash says");
}

/* The digest without its algorithm: twelve digits, as Docker shows them. */
static void print_containers(const json_t *list)
{
	const json_t *item;
	char bytes[16];
	size_t i;

	if (!json_array_size(list))
		return;
	printf("\n%-48s %-12s %6s %10s\n", "CONTAINER IMAGE", "IMAGE ID", "LAYERS", "SIZE");
	json_array_foreach(list, i, item)
	{
		print_padded(json_member_string(item, "reference"), 49);
		printf("%.12s %6zu %10s\n", json_member_string(item, "image") + strlen("sha256:"),
		       json_array_size(json_object_get(item, "layers")),
		       size_format(number(item, "bytes"), bytes));
	}
}

static void print_partitions(const json_t *table)
{
	size_t i;
	json_t *p;
	char offset[16], size[16], used[16];

	printf("\n%3s  %-16s %-36s %10s %10s %10s\n", "#", "TYPE", "LABEL", "OFFSET", "SIZE",
	       "USED");
	json_array_foreach(json_object_get(table, "partitions"), i, p)
	{
		bool known = json_is_integer(json_object_get(p, "used"));

		printf("%3lld  %-16.16s %-36s %10s %10s %10s\n", (long long)number(p, "number"),
		       json_member_string(p, "type"), json_member_string(p, "label"),
		       size_format(number(p, "offset"), offset),
		       size_format(number(p, "size"), size),
		       known ? size_format(number(p, "used"), used) : "-");
	}
}

static void print_entry(const json_t *entry)
{
	const json_t *root = json_object_get(entry, "root");
	char size[16];

	putchar('\n');
	text_print(json_member_string(entry, "file"));
	printf("  %s\n", size_format(number(entry, "size"), size));
	if (json_is_integer(json_object_get(entry, "tries_left")))
		printf("%-13s%llu tries left, %llu done\n", "  boots",
		       (unsigned long long)number(entry, "tries_left"),
		       (unsigned long long)number(entry, "tries_done"));
	else
		print_line("  boots", "not counted: known to be good");
	if (json_is_integer(root))
		printf("%-13spartition %llu\n", "  root",
		       (unsigned long long)number(entry, "root"));
	print_line("  cmdline", json_member_string(entry, "cmdline"));
}

/* What libguestfs found: partitions when they are in no GPT, then file systems. */
static void print_guest(const json_t *image)
{
	const json_t *guest = json_object_get(image, "guest"), *row;
	char offset[16], size[16];
	size_t i;

	if (!json_is_object(json_object_get(image, "table")) &&
	    json_array_size(json_object_get(guest, "partitions"))) {
		printf("\n%3s  %10s %10s\n", "#", "OFFSET", "SIZE");
		json_array_foreach(json_object_get(guest, "partitions"), i, row)
		{
			printf("%3lld  %10s %10s\n", (long long)number(row, "number"),
			       size_format(number(row, "offset"), offset),
			       size_format(number(row, "size"), size));
		}
	}
	if (!json_array_size(json_object_get(guest, "filesystems")))
		return;
	printf("\n%-36s %-8s %10s  %s\n", "FILE SYSTEM", "TYPE", "SIZE", "MOUNTED ON");
	json_array_foreach(json_object_get(guest, "filesystems"), i, row)
	{
		const char *mount = json_member_string(row, "mount");
		bool sized = json_is_integer(json_object_get(row, "size"));

		print_padded(json_member_string(row, "device"), 37);
		print_padded(json_member_string(row, "type"), 9);
		printf("%10s  ", sized ? size_format(number(row, "size"), size) : "-");
		text_print(mount ? mount : "-");
		putchar('\n');
	}
}

static void print_image(const json_t *image)
{
	char size[16], bytes[16], allocated[16];
	size_t i;
	json_t *item;

	print_line("file", json_member_string(image, "file"));
	printf("%-13s%s, disk of %s, file of %s (%s allocated)\n", "format",
	       json_member_string(image, "format"), size_format(number(image, "size"), size),
	       size_format(number(image, "bytes"), bytes),
	       size_format(number(image, "allocated"), allocated));
	print_system(image);
	if (json_is_object(json_object_get(image, "table")))
		print_partitions(json_object_get(image, "table"));
	print_containers(json_object_get(image, "containers"));
	print_guest(image);
	json_array_foreach(json_object_get(image, "entries"), i, item)
	{
		print_entry(item);
	}
	json_array_foreach(json_object_get(image, "problems"), i, item)
	{
		log_warn("%s", json_string_value(item));
	}
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	json_t *image = inspect_any(args->operands[0], cli_has(args, "verify"), err);

	if (!image)
		return -1;
	if (cli->json) {
		log_event("image", image);
		return 0;
	}
	print_image(image);
	json_decref(image);
	return 0;
}

const struct cli_verb cli_inspect = {
	.name = "inspect",
	.operands = "IMAGE",
	.summary = "show what is in an image: partitions, root hash, system, boot entries",
	.details =
		"Reads images in every format that ingot writes, without root. A disk that ingot did not make is\n"
		"looked into by libguestfs, when that is installed: it takes half a minute. With --json one\n"
		"event \"image\".",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
