/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking what a seed is made of, deriving the instance-id, and the medium that is an ISO 9660 image.
 */
#include "seed/seed.h"

#include "base/digest.h"
#include "base/mem.h"
#include "seed/parts.h"
#include "tree/archive.h"

#include <stdbool.h>
#include <string.h>

#define HOSTNAME_MAX 64 /* Linux' own limit (sethostname(2)), which is below that of DNS */
#define LABEL_MAX 63    /* RFC 1123 */
#define ID_MAX 128
#define KEY_MAX 64
#define VALUE_MAX 4096
#define SSH_KEY_MAX 16384
#define ID_HEX 16 /* digits of a derived instance-id */

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* What meta-data has by options of their own. */
static const char *const reserved[] = {"instance-id",    "instance_id", "local-hostname",
				       "local_hostname", "hostname",    "public-keys",
				       "public_keys"};

static int check_hostname(const char *name, struct err *err)
{
	const char *part = name;
	size_t len = strlen(name);

	while (len > 0 && len <= HOSTNAME_MAX) {
		size_t n = strcspn(part, ".");

		if (n == 0 || n > LABEL_MAX || strspn(part, LETTERS "-") < n || part[0] == '-' ||
		    part[n - 1] == '-')
			break;
		if (!part[n])
			return 0;
		part += n + 1;
	}
	return err_set(
		err, ERR_USAGE,
		"'%.80s' can be no host name: words of letters, digits and hyphens with dots "
		"between them, at most %d characters (RFC 1123)",
		name, HOSTNAME_MAX);
}

static int check_id(const char *id, struct err *err)
{
	size_t len = strlen(id);

	if (len > 0 && len <= ID_MAX && strspn(id, LETTERS "._:-") == len)
		return 0;
	return err_set(err, ERR_USAGE,
		       "'%.80s' can be no instance-id: 1 to %d letters, digits and . _ : -", id,
		       ID_MAX);
}

/* The characters of a value that goes into YAML, JSON and log lines. */
static bool is_text(const char *value)
{
	CLEANUP_JSON json_t *text = json_string(value); /* NULL when it is not UTF-8 */

	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if (*p < 32 || *p == 127)
			return false;
	return text;
}

static int check_meta(const struct strv *meta, struct err *err)
{
	for (size_t i = 0; meta && i < meta->count; i++) {
		const char *item = meta->items[i];
		size_t len = strspn(item, LETTERS "_.-");

		if (item[len] != '=' || len == 0 || len > KEY_MAX)
			return err_set(err, ERR_USAGE,
				       "'%.80s' is not KEY=VALUE: KEY has 1 to %d letters, digits "
				       "and _ . -",
				       item, KEY_MAX);
		if (strlen(item + len) > VALUE_MAX || !is_text(item + len))
			return err_set(err, ERR_USAGE,
				       "the value of '%.*s' must be one line of UTF-8 text, at "
				       "most %d bytes",
				       (int)len, item, VALUE_MAX - 1);
		for (size_t k = 0; k < ARRAY_SIZE(reserved); k++)
			if (strlen(reserved[k]) == len && strncmp(item, reserved[k], len) == 0)
				return err_set(err, ERR_USAGE,
					       "'%s' has an option of its own, it is no key of "
					       "--meta-data",
					       reserved[k]);
		for (size_t k = 0; k < i; k++)
			if (strncmp(item, meta->items[k], len + 1) == 0)
				return err_set(err, ERR_USAGE, "'%.*s' is given twice", (int)len,
					       item);
	}
	return 0;
}

static int check_ssh_keys(const struct strv *keys, struct err *err)
{
	static const char *const kinds[] = {"ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"};

	for (size_t i = 0; keys && i < keys->count; i++) {
		const char *key = keys->items[i];
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			known = known || str_has_prefix(key, kinds[k]);
		if (!known || !strchr(key, ' ') || strlen(key) > SSH_KEY_MAX || !is_text(key))
			return err_set(err, ERR_USAGE,
				       "SSH key %zu ('%.20s...') is not one line as in a .pub file",
				       i + 1, key);
	}
	return 0;
}

static int check_blob(const struct seed_blob *blob, const char *what, struct err *err)
{
	if (blob->len <= SEED_DATA_MAX)
		return 0;
	return err_set(err, ERR_USAGE, "%s has %zu bytes, at most %zu are read on a machine", what,
		       blob->len, SEED_DATA_MAX);
}

static int check_input(const struct seed_input *input, struct err *err)
{
	if ((input->meta && input->meta->count > SEED_KEYS_MAX) ||
	    (input->ssh_keys && input->ssh_keys->count > SEED_KEYS_MAX))
		return err_set(err, ERR_USAGE, "more than %d keys", SEED_KEYS_MAX);
	if ((input->hostname && check_hostname(input->hostname, err) < 0) ||
	    (input->instance_id && check_id(input->instance_id, err) < 0) ||
	    check_meta(input->meta, err) < 0 || check_ssh_keys(input->ssh_keys, err) < 0 ||
	    check_blob(&input->user_data, "user-data", err) < 0 ||
	    check_blob(&input->vendor_data, "vendor-data", err) < 0)
		return -1;
	return check_blob(&input->network_config, "network-config", err);
}

/* Each part with its length in front, so that nothing can move from one into the next. */
static void digest_part(struct digest_ctx *ctx, const void *bytes, size_t len)
{
	CLEANUP_FREE char *text = mem_printf("%zu:", len);

	digest_add(ctx, text, strlen(text));
	if (len > 0)
		digest_add(ctx, bytes, len);
}

static void digest_list(struct digest_ctx *ctx, const struct strv *list)
{
	for (size_t i = 0; list && i < list->count; i++)
		digest_part(ctx, list->items[i], strlen(list->items[i]));
	digest_part(ctx, NULL, 0);
}

/* Whoever is told something else is another instance, and provisions itself anew. */
static char *derive_id(const struct seed_input *input)
{
	struct digest_ctx *ctx = digest_start();
	const char *host = input->hostname ? input->hostname : "";
	char hex[DIGEST_HEX_SIZE];
	struct digest digest;

	digest_part(ctx, host, strlen(host));
	digest_part(ctx, input->user_data.bytes, input->user_data.len);
	digest_part(ctx, input->vendor_data.bytes, input->vendor_data.len);
	digest_part(ctx, input->network_config.bytes, input->network_config.len);
	digest_list(ctx, input->meta);
	digest_list(ctx, input->ssh_keys);
	digest_finish(ctx, &digest);
	return mem_printf("ingot-%.*s", ID_HEX, digest_hex(&digest, hex));
}

int seed_make(const struct seed_format *format, const struct seed_input *input, struct seed *ret,
	      struct err *err)
{
	*ret = (struct seed){0};
	if (check_input(input, err) < 0)
		return -1;
	ret->instance_id = input->instance_id ? mem_strdup(input->instance_id) : derive_id(input);
	if (format->add_files(input, ret, err) == 0)
		return 0;
	seed_free(ret);
	return -1;
}

void seed_add(struct seed *seed, const char *path, const void *bytes, size_t len)
{
	struct seed_file file = {.path = mem_strdup(path), .bytes = mem_alloc(len + 1), .len = len};

	if (len > 0)
		memcpy(file.bytes, bytes, len);
	VEC_ADD(seed->files, seed->count, seed->room, file);
}

void seed_free(struct seed *seed)
{
	if (!seed)
		return;
	for (size_t i = 0; i < seed->count; i++) {
		mem_wipe(seed->files[i].bytes, seed->files[i].len);
		free(seed->files[i].bytes);
		free(seed->files[i].path);
	}
	free(seed->files);
	free(seed->instance_id);
	*seed = (struct seed){0};
}

int seed_iso(const struct seed_format *format, const struct seed *seed, int64_t time,
	     struct str *ret, struct err *err)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	const struct tree_iso options = {.label = format->label, .time = time};

	if (format->medium != SEED_ISO)
		return err_set(err, ERR_OTHER, "the format %s is no ISO 9660 image", format->name);
	for (size_t i = 0; i < seed->count; i++) {
		const struct seed_file *file = &seed->files[i];
		/* Root alone reads it: user-data may hold secrets. */
		const struct tree_inode inode = {
			.type = TREE_FILE,
			.mode = 0400,
			.mtime = time,
			.data = {.size = file->len, .bytes = file->bytes, .fd = -1},
			.origin = "seed",
		};

		if (!tree_put(tree, file->path, &inode, err))
			return -1;
	}
	return tree_write_iso(tree, &options, ret, err);
}
