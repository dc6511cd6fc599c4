/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the file of `ingot cluster` by a table of its keys. A new key is a new row and a member to put it in.
 */
#include "vm/clusterfile.h"

#include "base/doc.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/size.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_NETWORK "192.168.77.0/24"
/* The first machine; what is below is for whoever has a router. */
#define FIRST_HOST 11
/* QEMU's user network, see machine.c: the two must not be one. */
#define USER_NETWORK 0xc6120000u
#define USER_MASK 0xffff0000u

struct reader {
	struct mem_arena *arena;
	struct doc_report report;
	const char *folder;   /* of the file: paths are relative to it */
	uint32_t network;     /* host byte order */
	struct doc_place top; /* of the document */
};

/* An entry of `machines` before it is counted out. */
struct entry {
	struct cluster_spec spec;
	const char *image, *profile;
	unsigned count; /* 0: one, without a number in its name */
};

struct target {
	struct cluster_file *file;
	struct entry *entry; /* NULL for the keys of `cluster` */
};

struct row {
	const char *key;
	bool machine; /* of an entry of machines, else of cluster */
	bool list;
	const char *expected;
	/* Puts the value (a scalar, or a list of them) where it belongs; false when it is wrong. */
	bool (*read)(struct reader *reader, const struct doc_node *value, struct target *target);
};

static bool is_name(const char *text)
{
	size_t len = strlen(text);

	return len >= 1 && len <= 63 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && text[0] != '-' &&
	       text[len - 1] != '-';
}

static bool read_number(const char *text, unsigned min, unsigned max, unsigned *ret)
{
	unsigned value;
	char rest;

	if (strspn(text, "0123456789") != strlen(text) || strlen(text) > 6 ||
	    sscanf(text, "%u%c", &value, &rest) != 1 || value < min || value > max)
		return false;
	*ret = value;
	return true;
}

static bool read_cluster_name(struct reader *reader, const struct doc_node *value,
			      struct target *target)
{
	(void)reader;
	target->file->name = value->text;
	return is_name(value->text);
}

static bool read_network(struct reader *reader, const struct doc_node *value, struct target *target)
{
	const char *slash = strchr(value->text, '/');
	char address[INET_ADDRSTRLEN] = "";
	struct in_addr in;
	uint32_t mask;

	if (!slash || (size_t)(slash - value->text) >= sizeof(address) ||
	    !read_number(slash + 1, 8, 27, &target->file->prefix))
		return false;
	memcpy(address, value->text, (size_t)(slash - value->text));
	if (inet_pton(AF_INET, address, &in) != 1)
		return false;
	reader->network = ntohl(in.s_addr);
	mask = ~(uint32_t)0 << (32 - target->file->prefix);
	if ((reader->network & (mask & USER_MASK)) == (USER_NETWORK & (mask & USER_MASK))) {
		doc_error(&reader->report, &value->place,
			  "the network '%s' overlaps 198.18.0.0/16, over which a machine reaches "
			  "this computer",
			  doc_show(reader->arena, value->text));
		return true;
	}
	return (reader->network & ~mask) == 0;
}

static bool read_internet(struct reader *reader, const struct doc_node *value,
			  struct target *target)
{
	(void)reader;
	target->file->internet = strcmp(value->text, "true") == 0;
	return target->file->internet || strcmp(value->text, "false") == 0;
}

static bool read_name(struct reader *reader, const struct doc_node *value, struct target *target)
{
	(void)reader;
	target->entry->spec.name = value->text;
	return is_name(value->text);
}

static const char *beside(struct reader *reader, const char *path)
{
	CLEANUP_FREE char *joined = path_join(reader->folder, path);

	return mem_arena_strdup(reader->arena, joined);
}

/* A bare name is looked up in the folders for profiles; anything else is a path from this file on. */
static bool read_profile(struct reader *reader, const struct doc_node *value, struct target *target)
{
	const char *text = value->text;

	target->entry->profile = text;
	if (strchr(text, '/') || str_has_suffix(text, ".yaml") || str_has_suffix(text, ".yml"))
		target->entry->profile = beside(reader, text);
	return *text != '\0';
}

static bool read_image(struct reader *reader, const struct doc_node *value, struct target *target)
{
	target->entry->image = beside(reader, value->text);
	return *value->text != '\0';
}

static bool read_count(struct reader *reader, const struct doc_node *value, struct target *target)
{
	(void)reader;
	return read_number(value->text, 1, CLUSTER_MACHINES_MAX, &target->entry->count);
}

static bool read_cpus(struct reader *reader, const struct doc_node *value, struct target *target)
{
	(void)reader;
	return read_number(value->text, 1, 255, &target->entry->spec.cpus);
}

static bool read_memory(struct reader *reader, const struct doc_node *value, struct target *target)
{
	uint64_t *memory = &target->entry->spec.memory;

	(void)reader;
	return size_parse(value->text, memory, NULL) == 0 && *memory >= 256 * MIB &&
	       *memory <= 1024 * GIB && *memory % MIB == 0;
}

static bool read_disk(struct reader *reader, const struct doc_node *value, struct target *target)
{
	(void)reader;
	return size_parse(value->text, &target->entry->spec.disk, NULL) == 0 &&
	       target->entry->spec.disk > 0;
}

static bool read_user_data(struct reader *reader, const struct doc_node *value,
			   struct target *target)
{
	CLEANUP(str_free) struct str text = {0};
	struct err err = {0};

	if (!*value->text)
		return false;
	if (fd_read_file(beside(reader, value->text), CLUSTER_USER_DATA_MAX, &text, &err) < 0) {
		doc_error(&reader->report, &value->place, "%s", err.msg);
		return true;
	}
	target->entry->spec.user_data =
		mem_arena_strndup(reader->arena, text.data ? text.data : "", text.len);
	target->entry->spec.user_data_len = text.len;
	return true;
}

static bool read_forward(struct reader *reader, const struct doc_node *value, struct target *target)
{
	const char **forwards =
		mem_arena_alloc(reader->arena, (value->count + 1) * sizeof(*forwards));

	for (size_t i = 0; i < value->count; i++) {
		const char *text = value->items[i]->text;
		unsigned host, guest;
		char protocol[4], rest;

		if (sscanf(text, "%3[a-z]:%5u:%5u%c", protocol, &host, &guest, &rest) != 3 ||
		    (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0) || host < 1 ||
		    host > 65535 || guest < 1 || guest > 65535)
			return false;
		forwards[i] = text;
	}
	target->entry->spec.forwards = forwards;
	return true;
}

static const struct row rows[] = {
	{"name", false, false, "1 to 63 of a-z, 0-9 and -", read_cluster_name},
	{"network", false, false, "a network such as " DEFAULT_NETWORK ", /8 to /27", read_network},
	{"internet", false, false, "true or false", read_internet},
	{"name", true, false, "1 to 63 of a-z, 0-9 and -", read_name},
	{"profile", true, false, "the name or path of a profile", read_profile},
	{"image", true, false, "the path of an image", read_image},
	{"count", true, false, "a number from 1 to 32", read_count},
	{"memory", true, false, "a size in whole MiB from 256M on, such as 2G", read_memory},
	{"cpus", true, false, "a number from 1 to 255", read_cpus},
	{"disk", true, false, "a size such as 20G", read_disk},
	{"user-data", true, false, "the path of a file", read_user_data},
	{"forward", true, true, "entries such as tcp:8080:80 (port here, port of the machine)",
	 read_forward},
};

static void unknown_key(struct reader *reader, const struct doc_pair *pair, const char *const *keys,
			size_t count)
{
	doc_error(&reader->report, &pair->place, "unknown key '%s'",
		  doc_show(reader->arena, pair->key));
	doc_note_nearest(&reader->report, &pair->place, pair->key, keys, count, true);
}

static void read_value(struct reader *reader, const struct row *row, const struct doc_pair *pair,
		       struct target *target)
{
	struct doc_node *value = pair->value;
	bool right = value->kind == (row->list ? DOC_LIST : DOC_SCALAR);

	for (size_t i = 0; right && row->list && i < value->count; i++)
		right = value->items[i]->kind == DOC_SCALAR;
	if (!right) {
		doc_error(&reader->report, &value->place, "'%s' is %s", row->key,
			  doc_node_what(value));
	} else if (!row->read(reader, value, target)) {
		doc_error(&reader->report, &value->place, "bad value%s%s%s for '%s'",
			  row->list ? "" : " '",
			  row->list ? "" : doc_show(reader->arena, value->text),
			  row->list ? "" : "'", row->key);
		right = false;
	}
	if (!right)
		doc_note(&reader->report, &value->place, "expected %s", row->expected);
}

static void read_map(struct reader *reader, const struct doc_node *map, struct target *target)
{
	bool machine = target->entry != NULL;
	const char *keys[ARRAY_SIZE(rows)];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].machine == machine)
			keys[count++] = rows[i].key;
	for (size_t p = 0; p < map->count; p++) {
		const struct row *row = NULL;

		for (size_t i = 0; i < ARRAY_SIZE(rows) && !row; i++)
			if (rows[i].machine == machine &&
			    strcmp(rows[i].key, map->pairs[p].key) == 0)
				row = &rows[i];
		if (row)
			read_value(reader, row, &map->pairs[p], target);
		else
			unknown_key(reader, &map->pairs[p], keys, count);
	}
}

static void add_machine(struct reader *reader, struct cluster_file *file, const struct entry *entry,
			unsigned number, const struct doc_place *place)
{
	struct cluster_spec spec = entry->spec;
	uint32_t hosts = file->prefix ? ~(uint32_t)0 >> file->prefix : 0;
	struct in_addr in;
	char address[INET_ADDRSTRLEN];

	if (number)
		spec.name = mem_arena_printf(reader->arena, "%s-%u", entry->spec.name, number);
	for (size_t i = 0; i < file->count; i++)
		if (strcmp(file->machines[i].name, spec.name) == 0) {
			doc_error(&reader->report, place, "two machines are called '%s'",
				  spec.name);
			return;
		}
	if (file->count == CLUSTER_MACHINES_MAX || file->count + FIRST_HOST >= hosts) {
		doc_error(&reader->report, place,
			  "too many machines: at most %u, and all addresses from .%u on must be in "
			  "the network",
			  CLUSTER_MACHINES_MAX, FIRST_HOST);
		return;
	}
	in.s_addr = htonl(reader->network + FIRST_HOST + (uint32_t)file->count);
	spec.address =
		mem_arena_strdup(reader->arena, inet_ntop(AF_INET, &in, address, sizeof(address)));
	VEC_ADD(file->machines, file->count, file->room, spec);
}

static void read_machine(struct reader *reader, struct cluster_file *file,
			 const struct doc_node *node)
{
	struct entry entry = {.spec = {.memory = 2 * GIB, .cpus = 2}};
	struct target target = {file, &entry};
	size_t before = reader->report.count;

	if (node->kind != DOC_MAP) {
		doc_error(&reader->report, &node->place, "a machine is a map, this is %s",
			  doc_node_what(node));
		return;
	}
	read_map(reader, node, &target);
	if (reader->report.count > before)
		return;
	if (!entry.spec.name)
		doc_error(&reader->report, &node->place, "the machine has no 'name'");
	else if (!entry.profile == !entry.image)
		doc_error(&reader->report, &node->place,
			  "the machine needs either 'profile' or 'image'");
	else if (entry.count > 1 && entry.spec.forwards && entry.spec.forwards[0])
		doc_error(&reader->report, &node->place,
			  "'forward' and 'count': a port of this computer can be of one machine");
	if (reader->report.count > before)
		return;
	entry.spec.operand = entry.profile ? entry.profile : entry.image;
	if (!entry.count)
		add_machine(reader, file, &entry, 0, &node->place);
	for (unsigned n = 1; n <= entry.count && reader->report.count == before; n++)
		add_machine(reader, file, &entry, n, &node->place);
}

static void read_machines(struct reader *reader, const struct doc_node *root,
			  struct cluster_file *file)
{
	struct doc_node *machines = doc_node_get(root, "machines");

	if (!machines || machines->kind != DOC_LIST || !machines->count) {
		doc_error(&reader->report, machines ? &machines->place : &reader->top,
			  "'machines' must be a list of machines");
		return;
	}
	for (size_t i = 0; i < machines->count; i++)
		read_machine(reader, file, machines->items[i]);
}

static void read_document(struct reader *reader, const struct doc_node *root,
			  struct cluster_file *file)
{
	static const char *const keys[] = {"cluster", "machines"};
	struct target target = {file, NULL};
	struct doc_node *cluster = doc_node_get(root, "cluster");

	if (root->kind != DOC_MAP) {
		doc_error(&reader->report, &root->place,
			  "a cluster is a map with 'cluster' and 'machines', this is %s",
			  doc_node_what(root));
		return;
	}
	for (size_t i = 0; i < root->count; i++)
		if (strcmp(root->pairs[i].key, keys[0]) != 0 &&
		    strcmp(root->pairs[i].key, keys[1]) != 0)
			unknown_key(reader, &root->pairs[i], keys, ARRAY_SIZE(keys));
	if (!cluster || cluster->kind != DOC_MAP)
		doc_error(&reader->report, cluster ? &cluster->place : &reader->top,
			  "'cluster' must be a map with a 'name'");
	else
		read_map(reader, cluster, &target);
	if (cluster && cluster->kind == DOC_MAP && !doc_node_get(cluster, "name"))
		doc_error(&reader->report, &cluster->place, "the cluster has no 'name'");
	read_machines(reader, root, file);
}

int cluster_file_read(const char *path, struct cluster_file *ret, struct str *problems,
		      struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_FREE char *folder = path_parent(path);
	struct reader reader = {.report = {.text = problems}, .folder = folder};
	struct doc_node *root;

	*ret = (struct cluster_file){.arena = mem_arena_new(), .prefix = 24, .internet = true};
	reader.arena = ret->arena;
	reader.network = 0xc0a84d00u; /* DEFAULT_NETWORK */
	reader.top = (struct doc_place){mem_arena_strdup(ret->arena, path), 1, 1};
	if (fd_read_file(path, DOC_BYTES_MAX, &text, err) < 0) {
		if (err)
			err->code = ERR_PROFILE;
		return -1;
	}
	root = doc_parse(ret->arena, text.data ? text.data : "", text.len, reader.top,
			 &reader.report);
	if (root)
		read_document(&reader, root, ret);
	if (reader.report.count == 0)
		return 0;
	return err_set(err, ERR_PROFILE, "cannot use '%s': %zu error%s", path, reader.report.count,
		       reader.report.count == 1 ? "" : "s");
}

void cluster_file_free(struct cluster_file *file)
{
	free(file->machines);
	mem_arena_free(file->arena);
	*file = (struct cluster_file){0};
}
