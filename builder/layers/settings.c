/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the merged tree to the image's: what the profile says as files, the agent, and the few places that
 * an immutable root needs to look different from a Debian that is installed.
 */
#include "layers/settings_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#define FORMAT_VERSION "3"
#define AGENT_MAX ((size_t)64 << 20)
#define SOURCE_MAX ((size_t)256 << 20)
#define UNIT_MAX ((size_t)256 << 10)
#define OS_RELEASE_MAX ((size_t)64 << 10)

int settings_put(struct tree *tree, const char *path, uint32_t mode, const char *text,
		 int64_t epoch, struct err *err)
{
	const struct tree_inode inode = {
		.type = TREE_FILE,
		.mode = mode,
		.mtime = epoch,
		.data = {.size = strlen(text),
			 .bytes = tree_keep(tree, text, strlen(text)),
			 .fd = -1},
		.origin = SETTINGS_ORIGIN,
	};

	return tree_put(tree, path, &inode, err) ? 0 : -1;
}

int settings_rewrite(struct tree *tree, const char *path, const char *text, struct err *err)
{
	struct tree_node *node = tree_resolve(tree, path);
	struct tree_inode inode;
	CLEANUP_FREE char *real = NULL;

	if (!node || node->inode->type != TREE_FILE)
		return err_set(err, ERR_PROFILE, "the image has no file '%s'", path);
	real = tree_path(node);
	inode = *node->inode;
	inode.data = (struct tree_data){
		.size = strlen(text), .bytes = tree_keep(tree, text, strlen(text)), .fd = -1};
	return tree_put(tree, real, &inode, err) ? 0 : -1;
}

/* Names of the agent's units, sorted: the folder's order must not show in the image. */
static int list_units(const struct settings_input *input, struct strv *names, char **ret_dir,
		      struct err *err)
{
	char *dir = path_join(input->data, "cloud-init/units");
	DIR *open = opendir(dir);

	*ret_dir = dir;
	if (!open)
		return err_sys(err, errno, "cannot read folder '%s'", dir);
	for (struct dirent *entry; (entry = readdir(open));)
		if (str_has_suffix(entry->d_name, ".service") ||
		    str_has_suffix(entry->d_name, ".target"))
			strv_add(names, entry->d_name);
	closedir(open);
	strv_sort(names);
	return 0;
}

int settings_key(const struct settings_input *input, struct cache_key *key, struct err *err)
{
	CLEANUP(strv_free) struct strv names = {0};
	CLEANUP_FREE char *agent = path_join(input->programs, "ingot-agent");
	CLEANUP_FREE char *dir = NULL;
	struct digest d;

	cache_key_add(key, "settings", FORMAT_VERSION);
	if (digest_file(agent, &d, err) < 0)
		return err_hint(err, "build it with 'make', or install ingot completely");
	cache_key_add_digest(key, "ingot-agent", &d);
	if (list_units(input, &names, &dir, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		CLEANUP_FREE char *path = path_join(dir, names.items[i]);

		if (digest_file(path, &d, err) < 0)
			return -1;
		cache_key_add_digest(key, names.items[i], &d);
	}
	for (size_t i = 0; i < input->profile->file_count; i++) {
		const struct profile_file *file = &input->profile->files[i];
		CLEANUP_FREE char *name = mem_printf("file %s", file->path);

		if (!file->source)
			continue;
		if (digest_file(file->source, &d, err) < 0)
			return -1;
		cache_key_add_digest(key, name, &d);
	}
	return 0;
}

static int add_agent(const struct settings_input *input, struct tree *tree, struct err *err)
{
	CLEANUP(strv_free) struct strv names = {0};
	CLEANUP(str_free) struct str program = {0};
	CLEANUP_FREE char *agent = path_join(input->programs, "ingot-agent");
	CLEANUP_FREE char *dir = NULL;

	if (fd_read_file(agent, AGENT_MAX, &program, err) < 0 ||
	    tree_put_file(tree, "/usr/bin/ingot-agent", 0755, program.data, program.len,
			  "ingot-agent", err) < 0 ||
	    list_units(input, &names, &dir, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		CLEANUP(str_free) struct str text = {0};
		CLEANUP_FREE char *from = path_join(dir, names.items[i]);
		CLEANUP_FREE char *to = mem_printf("/usr/lib/systemd/system/%s", names.items[i]);

		if (fd_read_file(from, UNIT_MAX, &text, err) < 0 ||
		    settings_put(tree, to, 0644, text.data, input->epoch, err) < 0)
			return -1;
	}
	/* After all are there, since one may name another in Also=. */
	for (size_t i = 0; i < names.count; i++) {
		CLEANUP_FREE char *path = mem_printf("/usr/lib/systemd/system/%s", names.items[i]);
		CLEANUP_FREE char *text = NULL;
		size_t len;

		if (tree_read(tree_find(tree, path), UNIT_MAX, &text, &len, err) < 0)
			return -1;
		if (strstr(text, "\n[Install]") &&
		    settings_unit_enable(tree, names.items[i], err) < 0)
			return -1;
	}
	return 0;
}

/* What the agent and `ingot-agent status` know of the image. */
static int add_description(const struct settings_input *input, struct tree *tree, struct err *err)
{
	const struct profile *p = input->profile;
	CLEANUP_JSON json_t *json =
		json_pack("{s:i, s:s, s:s, s:s, s:s, s:O, s:b}", "schema", 1, "name", p->name,
			  "version", p->version, "architecture", p->base.architecture,
			  "description", p->description ? p->description : "", "join",
			  json_object_get(p->json, "join"), "firewall", p->firewall.enabled);
	CLEANUP_FREE char *line = NULL;
	CLEANUP_FREE char *text = NULL;
	json_t *services = json_array();

	if (!json) {
		json_decref(services);
		return err_set(err, ERR_PROFILE, "the profile's texts are not UTF-8");
	}
	for (size_t i = 0; i < p->services.enable.count; i++)
		json_array_append_new(services, json_string(p->services.enable.items[i]));
	json_object_set_new(json, "services", services);
	line = json_line(json);
	text = mem_printf("%s\n", line);
	return settings_put(tree, "/usr/lib/ingot/image.json", 0644, text, input->epoch, err);
}

static int add_os_release(const struct settings_input *input, struct tree *tree, struct err *err)
{
	const struct tree_node *node = tree_resolve(tree, "/etc/os-release");
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_FREE char *old = NULL;
	char *save = NULL;
	size_t len;

	if (!node)
		return err_set(err, ERR_PROFILE, "the image has no /etc/os-release");
	if (tree_read(node, OS_RELEASE_MAX, &old, &len, err) < 0)
		return -1;
	for (char *line = strtok_r(old, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!str_has_prefix(line, "IMAGE_ID=") && !str_has_prefix(line, "IMAGE_VERSION="))
			str_addf(&text, "%s\n", line);
	str_addf(&text, "IMAGE_ID=\"%s\"\nIMAGE_VERSION=\"%s\"\n", input->profile->name,
		 input->profile->version);
	return settings_rewrite(tree, "/etc/os-release", text.data, err);
}

static void add_lines(const struct profile_list *list, struct str *text)
{
	for (size_t i = 0; i < list->count; i++)
		str_addf(text, "%s\n", list->items[i]);
}

/* Files that are lists of values of the profile. */
static int add_generated(const struct settings_input *input, struct tree *tree, struct err *err)
{
	const struct profile *p = input->profile;
	struct str sysctl = {0}, modules = {0}, persist = {0}, firewall = {0}, ntp = {0};
	int r = 0;

	for (size_t i = 0; i < p->sysctl_count; i++)
		str_addf(&sysctl, "%s = %s\n", p->sysctl[i].key, p->sysctl[i].value);
	add_lines(&p->modules, &modules);
	add_lines(&p->etc.persist, &persist);
	settings_firewall(p, &firewall);
	if (p->ntp.count) {
		str_add(&ntp, "[Time]\nNTP=");
		for (size_t i = 0; i < p->ntp.count; i++)
			str_addf(&ntp, "%s%s", i ? " " : "", p->ntp.items[i]);
		str_add(&ntp, "\n");
	}
	const struct {
		const char *path;
		const struct str *text;
	} files[] = {
		{"/usr/lib/sysctl.d/60-ingot.conf", &sysctl},
		{"/usr/lib/modules-load.d/ingot.conf", &modules},
		{"/usr/lib/ingot/etc-persist", &persist},
		{"/usr/lib/ingot/firewall.nft", &firewall},
		{"/etc/systemd/timesyncd.conf.d/50-ingot.conf", &ntp},
	};

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		if (files[i].text->len)
			r = settings_put(tree, files[i].path, 0644, files[i].text->data,
					 input->epoch, err);
	str_free(&sysctl);
	str_free(&modules);
	str_free(&persist);
	str_free(&firewall);
	str_free(&ntp);
	return r;
}

static int add_locale_and_zone(const struct settings_input *input, struct tree *tree,
			       struct err *err)
{
	const struct profile *p = input->profile;
	CLEANUP_FREE char *locale = mem_printf("LANG=%s\n", p->locale);
	CLEANUP_FREE char *zone = mem_printf("/usr/share/zoneinfo/%s", p->timezone);
	CLEANUP_FREE char *name = mem_printf("%s\n", p->timezone);

	if (settings_put(tree, "/etc/locale.conf", 0644, locale, input->epoch, err) < 0 ||
	    tree_put_symlink(tree, "/etc/default/locale", "../locale.conf", SETTINGS_ORIGIN, err) <
		    0)
		return -1;
	if (!tree_resolve(tree, zone)) {
		/* Without a zone file the C library means UTC. */
		if (strcmp(p->timezone, "Etc/UTC") == 0 || strcmp(p->timezone, "UTC") == 0)
			return 0;
		err_set(err, ERR_PROFILE, "the image has no time zone '%s'", p->timezone);
		return err_hint(err, "add the package tzdata, or check the name");
	}
	if (tree_put_symlink(tree, "/etc/localtime", zone, SETTINGS_ORIGIN, err) < 0)
		return -1;
	return settings_put(tree, "/etc/timezone", 0644, name, input->epoch, err);
}

static int add_files(const struct settings_input *input, struct tree *tree, struct err *err)
{
	for (size_t i = 0; i < input->profile->file_count; i++) {
		const struct profile_file *file = &input->profile->files[i];
		CLEANUP(str_free) struct str content = {0};
		struct tree_inode inode = {
			.type = TREE_FILE,
			.mode = file->mode,
			.mtime = input->epoch,
			.origin = SETTINGS_ORIGIN,
		};

		if (file->content)
			str_add(&content, file->content);
		else if (fd_read_file(file->source, SOURCE_MAX, &content, err) < 0)
			return -1;
		inode.data = (struct tree_data){
			.size = content.len,
			.bytes = tree_keep(tree, content.data ? content.data : "", content.len),
			.fd = -1};
		if (settings_id(tree, "/etc/passwd", file->owner, &inode.uid, err) < 0 ||
		    settings_id(tree, "/etc/group", file->group, &inode.gid, err) < 0 ||
		    !tree_put(tree, file->path, &inode, err))
			return err_wrap(err, "files: '%s'", file->path);
	}
	return 0;
}

/* Folders that something is mounted on, and others that must be there for a root that nobody can write. */
static int add_folders(const struct settings_input *input, struct tree *tree, struct err *err)
{
	static const struct {
		const char *path;
		uint32_t mode;
		bool empty;
	} dirs[] = {
		{"/efi", 0755, true},      {"/proc", 0555, true},      {"/sys", 0555, true},
		{"/dev", 0755, true},      {"/run", 0755, true},       {"/tmp", 01777, true},
		{"/var/tmp", 01777, true}, {"/mnt", 0755, false},      {"/media", 0755, false},
		{"/srv", 0755, false},     {"/var/home", 0755, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		const struct tree_inode inode = {.type = TREE_DIR,
						 .mode = dirs[i].mode,
						 .mtime = input->epoch,
						 .origin = SETTINGS_ORIGIN};

		if (!tree_put(tree, dirs[i].path, &inode, err))
			return -1;
		if (dirs[i].empty)
			tree_clear(tree, dirs[i].path);
	}
	return 0;
}

/* squashfs cannot hold access control lists. Those of /var (journald's folder) are set again by
 * systemd-tmpfiles at boot; any other one fails the build when the root is written. */
static void drop_var_acls(struct tree_node *node)
{
	struct tree_inode *inode = node->inode;
	size_t kept = 0;

	for (size_t i = 0; i < inode->xattr_count; i++)
		if (!str_has_prefix(inode->xattrs[i].name, "system.posix_acl_"))
			inode->xattrs[kept++] = inode->xattrs[i];
	inode->xattr_count = kept;
	for (size_t i = 0; i < node->child_count; i++)
		drop_var_acls(node->children[i]);
}

/* Moves what changes with every image off /var, which is seeded once, and what people write onto it. */
static int shape_root(const struct settings_input *input, struct tree *tree, struct err *err)
{
	const struct tree_node *home = tree_find(tree, "/home");
	const struct tree_node *dpkg = tree_find(tree, "/var/lib/dpkg");

	if (dpkg && dpkg->inode->type == TREE_DIR &&
	    (tree_move(tree, "/var/lib/dpkg", "/usr/lib/sysimage/dpkg", err) < 0 ||
	     tree_put_symlink(tree, "/var/lib/dpkg", "../../usr/lib/sysimage/dpkg", SETTINGS_ORIGIN,
			      err) < 0))
		return -1;
	if (!home || (home->inode->type == TREE_DIR && home->child_count == 0)) {
		tree_remove(tree, "/home");
		if (tree_put_symlink(tree, "/home", "var/home", SETTINGS_ORIGIN, err) < 0)
			return -1;
	}
	if (tree_find(tree, "/var"))
		drop_var_acls(tree_find(tree, "/var"));
	/* The initrd puts each machine's own over it; empty means "not initialized". */
	if (settings_put(tree, "/etc/machine-id", 0444, "", input->epoch, err) < 0)
		return -1;
	/* Kernel and initrd are in the UKI. systemd-gpt-auto-generator takes /boot for the ESP when it is
	 * empty or missing (and fails on a missing one), and /efi only when /boot holds something. */
	tree_remove(tree, "/boot");
	if (settings_put(tree, "/boot/README", 0644,
			 "The kernel is on the EFI system partition, which is mounted on /efi.\n",
			 input->epoch, err) < 0)
		return -1;
	tree_remove(tree, "/etc/hostname");
	if (tree_find(tree, "/usr/lib/systemd/system/systemd-resolved.service") &&
	    tree_put_symlink(tree, "/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf",
			     SETTINGS_ORIGIN, err) < 0)
		return -1;
	return add_folders(input, tree, err);
}

int settings_apply(const struct settings_input *input, struct tree *tree, struct err *err)
{
	const char *mode = input->profile->etc.mode;
	CLEANUP_FREE char *etc_mode = mem_printf("%s\n", mode);

	if (shape_root(input, tree, err) < 0 || settings_users(input, tree, err) < 0 ||
	    add_generated(input, tree, err) < 0 || add_locale_and_zone(input, tree, err) < 0 ||
	    add_os_release(input, tree, err) < 0 || add_description(input, tree, err) < 0 ||
	    settings_put(tree, "/usr/lib/ingot/etc-mode", 0644, etc_mode, input->epoch, err) < 0)
		return -1;
	/* Files of the profile may be units, so they come before units are enabled. */
	if (add_files(input, tree, err) < 0 || settings_units(input, tree, err) < 0)
		return -1;
	return add_agent(input, tree, err);
}
