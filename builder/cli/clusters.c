/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the file of a cluster to machines that can be started.
 */
#include "cli/clusters.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "cache/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Absolute and without links; a file that is gone keeps its name in its folder. */
static char *real_path(const char *file, struct err *err)
{
	char *real = realpath(file, NULL);

	if (!real && errno == ENOENT) {
		CLEANUP_FREE char *parent = path_parent(file);
		CLEANUP_FREE char *folder = realpath(parent, NULL);

		if (folder)
			real = path_join(folder, path_base(file));
	}
	if (!real) {
		err_sys(err, errno, "cannot open '%s'", file);
		if (err)
			err->code = ERR_PROFILE;
	}
	return real;
}

int clusters_open(const struct cli *cli, const char *file, struct clusters *c, struct err *err)
{
	CLEANUP_FREE char *folder = NULL;
	CLEANUP_FREE char *real = NULL;
	char hex[DIGEST_HEX_SIZE];
	struct cache *cache;
	struct digest digest;

	*c = CLUSTERS_NONE;
	c->path = real_path(file, err);
	if (!c->path)
		return -1;
	if (digest_file(c->path, &digest, NULL) == 0)
		digest_hex(&digest, c->version);
	digest_bytes(c->path, strlen(c->path), &digest);
	cache = cache_open(cli->cache, err);
	if (!cache)
		return -1;
	/* The supervisor has another working directory. */
	real = realpath(cache_dir(cache), NULL);
	folder = mem_printf("%s/clusters/%.16s", real ? real : cache_dir(cache),
			    digest_hex(&digest, hex));
	cache_close(cache);
	return cluster_state_open(folder, &c->state, err);
}

void clusters_close(struct clusters *c)
{
	for (size_t i = 0; i < c->image_count; i++)
		cli_machine_free(&c->images[i]);
	for (size_t i = 0; c->members && i < c->file.count; i++)
		if (c->members[i].seed > 0)
			close(c->members[i].seed);
	for (size_t i = 0; c->credentials && i < c->file.count; i++)
		free((char *)c->credentials[i].value);
	free(c->images);
	free(c->members);
	free(c->credentials);
	cluster_state_close(&c->state);
	cluster_file_free(&c->file);
	free(c->path);
	*c = CLUSTERS_NONE;
}

int clusters_read(struct clusters *c, bool json, struct err *err)
{
	CLEANUP(str_free) struct str problems = {0};
	int r = cluster_file_read(c->path, &c->file, &problems, err);

	if (problems.len && json)
		log_event("problems",
			  json_pack("{s:s, s:s}", "profile", c->path, "text", problems.data));
	if (problems.len)
		fputs(problems.data, stderr);
	return r;
}

/* The image of one machine: found or built once for all that have it. */
static int open_image(const struct cli *cli, const struct cli_args *args, struct clusters *c,
		      size_t index, size_t *images, struct err *err)
{
	const char *operand = c->file.machines[index].operand;
	struct cli_machine *machine = &c->images[c->image_count];
	char *real;

	for (size_t i = 0; i < index; i++)
		if (strcmp(c->file.machines[i].operand, operand) == 0) {
			images[index] = images[i];
			return 0;
		}
	images[index] = c->image_count++;
	if (cli_machine_open(cli, args, operand, machine, err) < 0)
		return -1;
	/* The supervisor has another working directory. */
	real = realpath(machine->image, NULL);
	if (!real)
		return err_sys(err, errno, "cannot open '%s'", machine->image);
	free(machine->image);
	machine->image = real;
	machine->options.image.path = real;
	return 0;
}

static void fill_member(struct clusters *c, size_t index, const struct cli_machine *image)
{
	struct cluster_member *member = &c->members[index];

	member->spec = &c->file.machines[index];
	member->image = image->options.image;
	member->swarm = cli_machine_is_swarm(image);
	member->role = json_member_string(json_object_get(image->manifest, "join"), "role");
	cluster_macs(index, member);
	c->credentials[index] = (struct vm_credential){"network.network.20-cluster",
						       cluster_network_unit(&c->file, member)};
	member->credentials = &c->credentials[index];
	member->credential_count = 1;
}

static int make_seeds(struct clusters *c, struct err *err)
{
	char secret[CLUSTER_SECRET_SIZE];
	int r = cluster_secret(secret, err);

	for (size_t i = 0; i < c->file.count && r == 0; i++)
		r = cluster_seed(&c->options, &c->members[i], secret, &c->members[i].seed, err);
	mem_wipe(secret, sizeof(secret));
	return r;
}

int clusters_prepare(const struct cli *cli, const struct cli_args *args, struct clusters *c,
		     struct err *err)
{
	size_t images[CLUSTER_MACHINES_MAX];

	c->images = mem_alloc_array(c->file.count, sizeof(*c->images));
	c->members = mem_alloc_array(c->file.count, sizeof(*c->members));
	c->credentials = mem_alloc_array(c->file.count, sizeof(*c->credentials));
	for (size_t i = 0; i < c->file.count; i++) {
		if (open_image(cli, args, c, i, images, err) < 0)
			return -1;
		fill_member(c, i, &c->images[images[i]]);
	}
	c->options = (struct cluster_options){
		.file = &c->file,
		.state = c->state.path,
		.version = c->version,
		.tools = &c->images[0].tools,
		.kvm = c->images[0].options.kvm,
		.members = c->members,
		.count = c->file.count,
	};
	if (cluster_check_memory(c->members, c->file.count, c->options.kvm, err) < 0)
		return -1;
	return make_seeds(c, err);
}
