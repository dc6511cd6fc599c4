/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening what is to be compared: tells disk images, bare file systems, manifests and locks apart by
 * their content, and reads what a disk holds beside its root: boot entries, the ESP, partitions.
 */
#include "inspect/inventory_parts.h"

#include "attest/manifest.h"
#include "base/fd.h"
#include "base/path.h"
#include "disk/gpt.h"
#include "inspect/inspect.h"
#include "inspect/inspect_guest.h"
#include "output/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define JSON_MAX ((size_t)64 << 20)

static int set_text(struct inventory *inv, const char *category, const char *name, const char *text,
		    struct err *err)
{
	return text ? inventory_set(inv, category, name, json_string(text), err) : 0;
}

/* The words of the command line but the root hash, which is a fact of its own. */
static int add_cmdline(struct inventory *inv, const char *cmdline, struct err *err)
{
	CLEANUP_FREE char *words = mem_strdup(cmdline);
	CLEANUP(str_free) struct str order = {0};
	char *save = NULL;

	inventory_category(inv, "cmdline");
	for (char *word = strtok_r(words, " \t\n", &save); word;
	     word = strtok_r(NULL, " \t\n", &save)) {
		if (str_has_prefix(word, "roothash="))
			continue;
		str_addf(&order, "%s%s", order.len ? " " : "", word);
		if (inventory_set(inv, "cmdline", word, json_true(), err) < 0)
			return -1;
	}
	inv->cmdline = str_steal(&order);
	return 0;
}

static int add_partition(struct inventory *inv, const json_t *p, struct err *err)
{
	const char *type = json_member_string(p, "type");
	const json_t *used = json_object_get(p, "used");
	CLEANUP_FREE char *name = mem_strdup(type ? type : "?"), *used_name = NULL;
	json_t *row;

	/* Of several with one type all but the first have their number in the name. */
	if (json_object_get(inventory_category(inv, "partitions"), name)) {
		free(name);
		name = mem_printf("%s %lld", type ? type : "?",
				  (long long)json_integer_value(json_object_get(p, "number")));
	}
	row = json_object();
	json_object_set(row, "number", json_object_get(p, "number"));
	json_object_set(row, "size", json_object_get(p, "size"));
	if (inventory_set(inv, "partitions", name, row, err) < 0)
		return -1;
	used_name = mem_printf("%s used", name);
	return json_is_integer(used) ? inventory_set(inv, "sizes", used_name,
						     json_integer(json_integer_value(used)), err)
				     : 0;
}

/* What `ingot inspect` finds. *ret_root is the number of the root's partition, 0: not known; *ret_uki the
 * kernel image that starts it, NULL: none, borrowed. */
static int add_disk(struct inventory *inv, const json_t *image, json_int_t *ret_root,
		    const char **ret_uki, struct err *err)
{
	const json_t *entries = json_object_get(image, "entries"), *best = NULL, *item;
	CLEANUP_FREE char *file = mem_printf("file %s", json_member_string(image, "format"));
	size_t i;

	json_array_foreach(json_object_get(json_object_get(image, "table"), "partitions"), i, item)
	{
		if (add_partition(inv, item, err) < 0)
			return -1;
	}
	json_array_foreach(entries, i, item)
	{
		if (!best || (json_is_integer(json_object_get(item, "root")) &&
			      !json_is_integer(json_object_get(best, "root"))))
			best = item;
	}
	*ret_root = json_integer_value(json_object_get(best, "root"));
	*ret_uki = json_member_string(best, "file");
	if (set_text(inv, "image", "root_hash", json_member_string(image, "root_hash"), err) < 0 ||
	    set_text(inv, "image", "kernel", json_member_string(image, "kernel"), err) < 0 ||
	    inventory_set(inv, "sizes", "disk", json_incref(json_object_get(image, "size")), err) <
		    0 ||
	    inventory_set(inv, "sizes", file, json_incref(json_object_get(image, "bytes")), err) <
		    0)
		return -1;
	return best && json_member_string(best, "cmdline")
		       ? add_cmdline(inv, json_member_string(best, "cmdline"), err)
		       : 0;
}

static bool is_type(const struct gpt_partition *p, const char *name)
{
	const struct gpt_type *type = gpt_type_of(&p->type);

	return type && strcmp(type->name, name) == 0;
}

static int add_esp(struct inventory *inv, const struct gpt *gpt, const char *uki, struct err *err)
{
	for (size_t i = 0; i < gpt->count; i++)
		if (is_type(&gpt->items[i], "esp"))
			return inventory_read_esp(inv, gpt->items[i].offset, gpt->items[i].size,
						  uki, err);
	return 0;
}

static bool is_squashfs(struct image *image, uint64_t offset)
{
	char magic[4];

	return image->size >= offset && image->size - offset >= sizeof(magic) &&
	       image->pread(image, magic, sizeof(magic), offset, NULL) == 0 &&
	       memcmp(magic, "hsqs", 4) == 0;
}

/* The partition that the boot entry means, else the first root that is a squashfs. */
static const struct gpt_partition *find_root(const struct inventory *inv, const struct gpt *gpt,
					     json_int_t number)
{
	for (size_t i = 0; i < gpt->count; i++) {
		const struct gpt_partition *p = &gpt->items[i];

		if (number ? p->number == number
			   : is_type(p, "root") && is_squashfs(inv->image, p->offset))
			return p;
	}
	return NULL;
}

static int read_disk(struct inventory *inv, const char *path, struct gpt *gpt, struct err *err)
{
	CLEANUP_JSON json_t *image = inspect_image(path, false, err);
	const struct gpt_partition *root;
	const char *uki = NULL;
	json_int_t number = 0;

	if (!image || add_disk(inv, image, &number, &uki, err) < 0 ||
	    gpt_read(inv->image, gpt, err) < 0 || add_esp(inv, gpt, uki, err) < 0)
		return -1;
	root = find_root(inv, gpt, number);
	if (!root) {
		err_set(err, ERR_VERIFY,
			"cannot compare '%s': it has no root file system that "
			"can be read",
			path);
		return err_hint(err, "it must be an image that ingot made");
	}
	inv->tree_offset = root->offset;
	inv->tree_size = root->size;
	return inventory_read_tree(inv, err);
}

static int read_image(struct inventory *inv, const char *path, struct err *err)
{
	struct gpt gpt = {0};
	int result;

	if (inspect_is_foreign(path))
		return inventory_read_guest(inv, err);
	inv->image = image_open(path, err);
	if (!inv->image)
		return -1;
	result = read_disk(inv, path, &gpt, err);
	gpt_free(&gpt);
	return result;
}

static int read_squashfs(struct inventory *inv, const char *path, struct err *err)
{
	inv->image = image_open(path, err);
	if (!inv->image)
		return -1;
	inv->tree_size = inv->image->size;
	if (inventory_read_tree(inv, err) < 0)
		return -1;
	return inventory_set(inv, "sizes", "file squashfs",
			     json_integer((json_int_t)inv->tree_size), err);
}

static int read_json(struct inventory *inv, const char *path, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};

	if (fd_read_file(path, JSON_MAX, &text, err) < 0)
		return -1;
	return inventory_read_json(inv, text.data ? text.data : "", text.len, err);
}

/* The first bytes of the file tell what it is, whatever else is in it. */
static int read_any(struct inventory *inv, struct err *err)
{
	CLEANUP_FREE char *manifest = NULL;
	CLEANUP_FD int fd = -1;
	char head[64] = {0};
	struct stat st;
	size_t blanks;

	if (stat(inv->name, &st) == 0 && S_ISDIR(st.st_mode)) {
		manifest = path_join(inv->name, MANIFEST_FILE);
		return read_json(inv, manifest, err);
	}
	fd = open(inv->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && read(fd, head, sizeof(head) - 1) < 0)
		return err_sys(err, errno, "cannot read '%s'", inv->name);
	blanks = strspn(head, " \t\r\n");
	if (head[blanks] == '{')
		return read_json(inv, inv->name, err);
	return memcmp(head, "hsqs", 4) == 0 ? read_squashfs(inv, inv->name, err)
					    : read_image(inv, inv->name, err);
}

struct inventory *inventory_open(const char *path, struct err *err)
{
	struct inventory *inv = inventory_begin(path, "image");

	if (read_any(inv, err) == 0 && inventory_finish(inv, err) == 0)
		return inv;
	inventory_free(inv);
	return NULL;
}
