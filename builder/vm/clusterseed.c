/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machines of a cluster are told: a NoCloud medium for each, in memory only. Our part is vendor-data, the
 * file's user-data lies over it as it is: the agent merges the two, and what the user says wins.
 */
#include "vm/cluster.h"

#include "base/fd.h"
#include "base/mem.h"
#include "seed/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

int cluster_secret(char secret[CLUSTER_SECRET_SIZE], struct err *err)
{
	unsigned char bytes[(CLUSTER_SECRET_SIZE - 1) / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return err_sys(err, errno, "cannot get random bytes");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(secret + 2 * i, 3, "%02x", bytes[i]);
	mem_wipe(bytes, sizeof(bytes));
	return 0;
}

/* JSON is YAML, too. */
static int add_json(const char *header, json_t *value, struct str *text, struct err *err)
{
	CLEANUP_JSON json_t *owned = value;
	char *line = owned ? json_line(owned) : NULL;

	if (!line)
		return err_set(err, ERR_OTHER, "cannot write the provisioning data");
	str_addf(text, "%s%s\n", header, line);
	mem_wipe(line, strlen(line));
	free(line);
	return 0;
}

static int add_vendor_data(const struct cluster_options *options,
			   const struct cluster_member *member, const char *secret,
			   struct str *text, struct err *err)
{
	json_t *seeds = json_array(), *value;

	for (size_t i = 0; i < options->count; i++) {
		const char *role = options->members[i].role;

		if (role && strcmp(role, "manager") == 0)
			json_array_append_new(seeds,
					      json_string(options->members[i].spec->address));
	}
	value = json_pack("{s:s, s:{s:{s:s, s:s, s:o, s:s}}}", "hostname", member->spec->name,
			  "ingot", "cluster", "name", options->file->name, "secret", secret,
			  "seeds", seeds, "advertise", member->spec->address);
	if (value && !member->swarm)
		json_object_del(value, "ingot");
	return add_json("#cloud-config\n", value, text, err);
}

/* Version 2 (netplan's): both cards by their addresses. */
static int add_network_config(const struct cluster_options *options,
			      const struct cluster_member *member, struct str *text,
			      struct err *err)
{
	CLEANUP_FREE char *address =
		mem_printf("%s/%u", member->spec->address, options->file->prefix);

	return add_json("",
			json_pack("{s:i, s:{s:{s:{s:s}, s:[s]}, s:{s:{s:s}, s:b}}}", "version", 2,
				  "ethernets", "cluster", "match", "macaddress", member->link_mac,
				  "addresses", address, "outside", "match", "macaddress",
				  member->user_mac, "dhcp4", true),
			text, err);
}

/* A file without a name, open for reading only, as QEMU wants it. */
static int open_medium(const struct str *bytes, int *ret, struct err *err)
{
	CLEANUP_FD int fd = memfd_create("ingot-seed", MFD_CLOEXEC);
	CLEANUP_FREE char *path = mem_printf("/proc/self/fd/%d", fd);

	if (fd < 0)
		return err_sys(err, errno, "cannot create a medium in memory");
	if (fd_write(fd, bytes->data, bytes->len, "medium", err) < 0)
		return -1;
	*ret = open(path, O_RDONLY | O_CLOEXEC);
	return *ret < 0 ? err_sys(err, errno, "cannot open a medium in memory") : 0;
}

int cluster_seed(const struct cluster_options *options, const struct cluster_member *member,
		 const char *secret, int *ret_fd, struct err *err)
{
	CLEANUP(seed_free) struct seed seed = {0};
	CLEANUP(str_wipe) struct str vendor = {0}, network = {0}, iso = {0};
	const struct seed_format *format = seed_format_find("nocloud-iso", err);
	struct seed_input input = {.hostname = member->spec->name};

	if (!format || add_vendor_data(options, member, secret, &vendor, err) < 0 ||
	    add_network_config(options, member, &network, err) < 0)
		return -1;
	input.vendor_data = (struct seed_blob){vendor.data, vendor.len};
	input.network_config = (struct seed_blob){network.data, network.len};
	input.user_data = (struct seed_blob){member->spec->user_data, member->spec->user_data_len};
	if (seed_make(format, &input, &seed, err) < 0 ||
	    seed_iso(format, &seed, (int64_t)time(NULL), &iso, err) < 0 ||
	    open_medium(&iso, ret_fd, err) < 0)
		return err_wrap(err, "machine '%s'", member->spec->name);
	return 0;
}
