/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of cloud-config's keys, and what walks over it. Keys of cloud-init that make no sense on an immutable
 * root are rows, too: each says what to do instead.
 */
#include "agent/provision/cloudconfig.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define PACKAGES "packages are part of the image: name them in its profile"
#define OWN_TOOL "this image is set up by its profile: put the files into it, or use write_files"

const struct cc_row cc_rows[] = {
	/* Users before files, which may belong to them; disks before files that lie on them. */
	{.key = "hostname", .also = true, .apply = cc_hostname},
	{.key = "fqdn"},
	{.key = "preserve_hostname"},
	{.key = "prefer_fqdn_over_hostname"},
	{.key = "manage_etc_hosts"},
	{.key = "bootcmd", .apply = cc_bootcmd},
	{.key = "timezone", .apply = cc_timezone},
	{.key = "disk_setup", .apply = cc_disk_setup},
	{.key = "fs_setup", .apply = cc_fs_setup},
	{.key = "mounts", .apply = cc_mounts},
	{.key = "groups", .apply = cc_groups},
	{.key = "users", .also = true, .apply = cc_users},
	{.key = "user"},
	{.key = "chpasswd", .apply = cc_chpasswd},
	{.key = "ssh_authorized_keys", .also = true, .apply = cc_ssh_authorized_keys},
	{.key = "disable_root"},
	{.key = "ssh_pwauth", .apply = cc_ssh_pwauth},
	{.key = "ssh_keys", .apply = cc_ssh_keys},
	{.key = "write_files", .apply = cc_write_files},
	{.key = "ca_certs", .apply = cc_ca_certs},
	{.key = "ca-certs", .apply = cc_ca_certs},
	{.key = "ntp", .apply = cc_ntp},
	{.key = "write_files", .stage = CC_FINAL, .apply = cc_write_files_deferred},
	{.key = "runcmd", .stage = CC_LAST, .once = true, .apply = cc_runcmd},
	{.key = "final_message", .stage = CC_LAST, .apply = cc_final_message},
	{.key = "power_state", .stage = CC_LAST, .apply = cc_power_state},
	{.key = "ingot"},

	{.key = "growpart", .ignored = true, .instead = "/var grows to the disk's end by itself"},
	{.key = "resize_rootfs", .ignored = true, .instead = "the root is read-only and complete"},
	{.key = "ssh_deletekeys", .ignored = true, .instead = "images have no host keys"},
	{.key = "ssh_genkeytypes",
	 .ignored = true,
	 .instead = "ed25519 and ECDSA keys are made at the first boot"},
	{.key = "ssh_quiet_keygen", .ignored = true, .instead = "host keys are made quietly"},
	{.key = "output", .ignored = true, .instead = "output goes to the journal"},
	{.key = "merge_how", .ignored = true, .instead = "parts are merged before this"},
	{.key = "merge_type", .ignored = true, .instead = "parts are merged before this"},
	{.key = "datasource_list", .ignored = true, .instead = "the source is detected"},
	{.key = "network",
	 .instead = "the network is set up before user-data is read: use network-config of the "
		    "seed, or write_files below /etc/systemd/network"},
	{.key = "apt", .instead = PACKAGES},
	{.key = "apt_pipelining", .instead = PACKAGES},
	{.key = "apk_repos", .instead = PACKAGES},
	{.key = "packages", .instead = PACKAGES},
	{.key = "package_update", .instead = PACKAGES},
	{.key = "package_upgrade", .instead = PACKAGES},
	{.key = "package_reboot_if_required", .instead = PACKAGES},
	{.key = "snap", .instead = PACKAGES},
	{.key = "yum_repos", .instead = PACKAGES},
	{.key = "yum_repo_dir", .instead = PACKAGES},
	{.key = "zypper", .instead = PACKAGES},
	{.key = "drivers", .instead = PACKAGES},
	{.key = "ansible", .instead = OWN_TOOL},
	{.key = "chef", .instead = OWN_TOOL},
	{.key = "puppet", .instead = OWN_TOOL},
	{.key = "salt_minion", .instead = OWN_TOOL},
	{.key = "mcollective", .instead = OWN_TOOL},
	{.key = "landscape", .instead = OWN_TOOL},
	{.key = "lxd", .instead = OWN_TOOL},
	{.key = "fan", .instead = OWN_TOOL},
	{.key = "rsyslog",
	 .instead = "write_files below /etc/systemd/journal-upload.conf.d, or bring "
		    "it with the image"},
	{.key = "wireguard", .instead = "write_files below /etc/systemd/network does this"},
	{.key = "resolv_conf",
	 .instead = "write_files below /etc/systemd/resolved.conf.d does this"},
	{.key = "manage_resolv_conf", .instead = "systemd-resolved writes resolv.conf"},
	{.key = "locale", .instead = "set 'locale' in the image's profile"},
	{.key = "keyboard", .instead = "write_files to /etc/vconsole.conf does this"},
	{.key = "byobu_by_default", .instead = "call it from runcmd"},
	{.key = "grub_dpkg", .instead = "the boot loader belongs to the image"},
	{.key = "swap", .instead = "make a swap partition with disk_setup, fs_setup and mounts"},
	{.key = "phone_home", .instead = "call the address from runcmd"},
	{.key = "ssh_import_id", .instead = "write the keys into ssh_authorized_keys"},
	{.key = "ssh_publish_hostkeys", .instead = "give the machine its keys with ssh_keys"},
	{.key = "no_ssh_fingerprints", .ignored = true, .instead = "none are printed"},
	{.key = "ssh_fp_console_blacklist", .ignored = true, .instead = "none are printed"},
	{.key = "ssh_key_console_blacklist", .ignored = true, .instead = "none are printed"},
	{.key = "random_seed", .instead = "give the machine a random number generator"},
	{.key = "system_info", .instead = "name the default user with 'user'"},
	{.key = "password", .instead = "give a user 'passwd' (a hash) and lock_passwd: false"},
	{.key = "vendor_data", .instead = "vendor-data is read, and user-data wins"},
	{.key = "updates", .instead = "user-data is read at each boot"},
	{.key = "autoinstall", .instead = "an image needs no installer"},
	{0},
};

static const struct cc_row *find_row(const char *key)
{
	for (const struct cc_row *row = cc_rows; row->key; row++)
		if (strcmp(row->key, key) == 0)
			return row;
	return NULL;
}

static void check_key(const struct doc_pair *pair, struct mem_arena *arena,
		      struct doc_report *report, json_t *notes)
{
	const char *names[sizeof(cc_rows) / sizeof(cc_rows[0])];
	const struct cc_row *row = find_row(pair->key);
	size_t count = 0;

	if (!row) {
		for (row = cc_rows; row->key; row++)
			names[count++] = row->key;
		doc_error(report, &pair->place, "unknown key '%s'", doc_show(arena, pair->key));
		doc_note_nearest(report, &pair->place, pair->key, names, count, false);
	} else if (row->instead && !row->ignored) {
		doc_error(report, &pair->place, "'%s' is not supported: %s", row->key,
			  row->instead);
	} else if (row->instead && notes) {
		CLEANUP_FREE char *text =
			mem_printf("%s: nothing to do: %s", row->key, row->instead);

		json_array_append_new(notes, json_string(text));
	}
}

void cc_check(const struct doc_node *config, struct mem_arena *arena, struct doc_report *report,
	      json_t *notes)
{
	for (size_t i = 0; config->kind == DOC_MAP && i < config->count; i++)
		check_key(&config->pairs[i], arena, report, notes);
}

/* Returns the outcome of one row. */
static const char *apply_row(struct cc *cc, const struct cc_row *row, const struct doc_pair *pair)
{
	static const struct doc_place nowhere = {.file = "metadata", .line = 1, .column = 1};
	size_t before = cc->problems.count;
	struct err err = {0};

	if (row->once && cc_was(cc, "done", row->key)) {
		if (cc_was(cc, "failed", row->key))
			cc_remark(cc, "%s failed at an earlier boot of this instance", row->key);
		return "kept";
	}
	if (row->apply(cc, pair ? pair->value : NULL, &err) < 0) {
		err.msg[strcspn(err.msg, "\n")] = '\0';
		doc_error(&cc->problems, pair ? &pair->place : &nowhere, "%s: %s", row->key,
			  err.msg);
		cc->broken = true;
		return "failed";
	}
	if (row->once &&
	    ((cc->problems.count > before && cc_note(cc, "failed", row->key, &err) < 0) ||
	     cc_note(cc, "done", row->key, &err) < 0)) {
		doc_error(&cc->problems, pair ? &pair->place : &nowhere, "%s: %s", row->key,
			  err.msg);
		cc->broken = true;
	}
	return cc->problems.count > before ? "failed" : "done";
}

void cc_apply(struct cc *cc, enum cc_stage stage, json_t *results)
{
	for (const struct cc_row *row = cc_rows; row->key; row++) {
		const struct doc_pair *pair = doc_node_pair(cc->config, row->key);
		const char *outcome = NULL;

		if (!pair && !row->also)
			continue;
		if (row->apply && row->stage == stage)
			outcome = apply_row(cc, row, pair);
		else if (!row->apply && row->instead && stage == CC_EARLY)
			outcome = row->ignored ? "ignored" : "unsupported";
		if (outcome && pair)
			json_object_set_new(results, row->key, json_string(outcome));
	}
}

void cc_free(struct cc *cc)
{
	str_free(&cc->text);
	strv_free(&cc->restart);
}

json_t *cc_kept_load(const struct agent *agent, const char *instance_id)
{
	json_t *kept = agent_read_json(agent, CC_KEPT, NULL);
	const char *instance = kept ? json_member_string(kept, "instance") : NULL;

	if (!kept)
		kept = json_object();
	json_object_set_new(kept, "v", json_integer(1));
	if (!instance || strcmp(instance, instance_id) != 0) {
		json_object_set_new(kept, "instance", json_string(instance_id));
		json_object_del(kept, "done");
		json_object_del(kept, "begun");
		json_object_del(kept, "failed");
	}
	return kept;
}

bool cc_was(const struct cc *cc, const char *state, const char *name)
{
	return json_object_get(json_object_get(cc->kept, state), name) != NULL;
}

int cc_note(struct cc *cc, const char *state, const char *name, struct err *err)
{
	json_t *list = json_object_get(cc->kept, state);

	if (!json_is_object(list)) {
		list = json_object();
		json_object_set_new(cc->kept, state, list);
	}
	json_object_set_new(list, name, json_real(agent_uptime(cc->agent)));
	return agent_write_json(cc->agent, CC_KEPT, cc->kept, true, err);
}
