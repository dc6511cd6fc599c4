/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network configuration: which format it is, and its files on the machine.
 */
#include "agent/provision/netconfig.h"

#include "agent/provision/place.h"

#include "base/fd.h"
#include "base/proc.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define FOLDER "/run/systemd/network"
#define PREFIX "10-ingot-"

static void choose_reader(struct netconfig_reader *reader, const struct doc_node *root)
{
	const struct doc_node *inner = doc_node_get(root, "network");
	const char *version;

	if (root->kind != DOC_MAP) {
		if (!doc_node_is_null(root))
			doc_error(reader->report, &root->place,
				  "network-config must be a map, not %s", doc_node_what(root));
		return;
	}
	if (inner && inner->kind == DOC_MAP)
		root = inner;
	version = doc_node_string(root, "version");
	if (version && strcmp(version, "2") == 0)
		netconfig_read_v2(reader, root);
	else if (version && strcmp(version, "1") == 0)
		netconfig_read_v1(reader, root);
	else if (doc_node_get(root, "links") || doc_node_get(root, "networks"))
		netconfig_read_openstack(reader, root);
	else if (doc_node_get(root, "config") && doc_node_string(root, "config"))
		return; /* "config: disabled": the image's own stays */
	else
		doc_error(reader->report, &root->place,
			  "network-config has no version 1 or 2, and is no network_data.json");
}

void netconfig_read(const char *text, size_t len, const char *name, struct doc_report *report,
		    struct netconfig *ret)
{
	struct netconfig_reader reader = {.config = ret, .report = report};
	const struct doc_place origin = {.file = name, .line = 1, .column = 1};
	const struct doc_node *root = doc_parse(ret->arena, text, len, origin, report);

	if (root)
		choose_reader(&reader, root);
}

void netconfig_free(struct netconfig *config)
{
	for (size_t i = 0; i < config->count; i++) {
		struct net_link *link = &config->links[i];

		strv_free(&link->addresses);
		strv_free(&link->dns);
		strv_free(&link->search);
		strv_free(&link->netdev);
		free(link->routes);
	}
	free(config->links);
	config->links = NULL;
	config->count = config->room = 0;
}

void netconfig_files_free(struct netconfig_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		free(files->items[i].name);
		free(files->items[i].text);
	}
	free(files->items);
	files->items = NULL;
	files->count = files->room = 0;
}

/* What an earlier stage of this boot wrote from another configuration. */
static int remove_old(const struct agent *agent, struct err *err)
{
	int folder = place_open_folder(agent, FOLDER, true, err);
	DIR *dir = folder < 0 ? NULL : fdopendir(folder);
	int r = 0;

	if (!dir) {
		if (folder >= 0) {
			close(folder);
			err_sys(err, errno, "cannot read '%s'", FOLDER);
		}
		return -1;
	}
	for (struct dirent *entry; r == 0 && (entry = readdir(dir));)
		if (str_has_prefix(entry->d_name, PREFIX) &&
		    unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			r = err_sys(err, errno, "cannot remove '%s/%s'", FOLDER, entry->d_name);
	closedir(dir);
	return r;
}

static int tell(const char *const *argv, struct err *err)
{
	return proc_run(&(struct proc){.argv = argv}, err);
}

/* udev looked at the interfaces before their names were known. */
static int rename_links(struct err *err)
{
	static const char *const reload[] = {"udevadm", "control", "--reload", NULL};
	static const char *const trigger[] = {
		"udevadm", "trigger", "--action=add", "--subsystem-match=net", "--settle", NULL};

	return tell(reload, err) < 0 ? -1 : tell(trigger, err);
}

int netconfig_apply(struct cc *cc, const struct str *text, bool runs, struct err *err)
{
	static const char *const reload[] = {"networkctl", "reload", NULL};
	CLEANUP(netconfig_files_free) struct netconfig_files files = {0};
	CLEANUP(netconfig_free) struct netconfig config = {.arena = cc->arena};
	bool names = false;

	if (!text->len)
		return 0;
	netconfig_read(text->data, text->len, "network-config", &cc->problems, &config);
	netconfig_render(&config, &files);
	if (remove_old(cc->agent, err) < 0)
		return -1;
	for (size_t i = 0; i < files.count; i++) {
		CLEANUP_FREE char *path = mem_printf(FOLDER "/" PREFIX "%s", files.items[i].name);

		names |= str_has_suffix(files.items[i].name, ".link");
		if (place_text(cc->agent, path, files.items[i].text, 0644, err) < 0)
			return -1;
	}
	report_log(cc->report, LOG_INFO, "PROVISION", NULL,
		   "network-config: %zu interfaces described", config.count);
	if (!cc->live)
		return 0;
	if (names && rename_links(err) < 0)
		return -1;
	return runs ? tell(reload, err) : 0;
}
