/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image lint. A new rule is one function and one row.
 */
#include "layers/lint.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

#define LISTED_MAX 20
#define CONTAINER_LAYERS "/usr/share/ingot/containers/layers"
#define SMALL_FILE ((size_t)64 << 10) /* larger files are no keys */

struct lint {
	const struct tree *tree;
	const struct profile *profile;
};

static bool is_file(const struct tree_node *node)
{
	return node->inode->type == TREE_FILE;
}

static bool below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && path[len] == '/';
}

/* The content of a small file, or NULL; the caller frees it. */
static char *content(const struct tree_node *node)
{
	char *text = NULL;
	size_t len;

	if (!is_file(node) || tree_read(node, SMALL_FILE, &text, &len, NULL) < 0)
		return NULL;
	return text;
}

static bool ssh_host_key(const struct lint *lint, const struct tree_node *node, const char *path)
{
	(void)lint;
	return is_file(node) && strncmp(node->name, "ssh_host_", 9) == 0 &&
	       strstr(node->name, "_key") && strstr(path, "/ssh/");
}

static bool machine_id(const struct lint *lint, const struct tree_node *node, const char *path)
{
	(void)lint;
	if (strcmp(path, "/etc/machine-id") == 0 && is_file(node) && node->inode->data.size) {
		CLEANUP_FREE char *text = content(node);

		return !text || strcmp(text, "uninitialized\n") != 0;
	}
	return strcmp(path, "/var/lib/dbus/machine-id") == 0 && is_file(node);
}

static bool random_seed(const struct lint *lint, const struct tree_node *node, const char *path)
{
	(void)lint;
	return is_file(node) && (strcmp(path, "/var/lib/systemd/random-seed") == 0 ||
				 strcmp(path, "/var/lib/urandom/random-seed") == 0 ||
				 strcmp(path, "/var/lib/systemd/credential.secret") == 0);
}

static bool engine_state(const struct lint *lint, const struct tree_node *node, const char *path)
{
	(void)lint;
	(void)node;
	return strcmp(path, "/var/lib/docker/swarm") == 0 ||
	       strcmp(path, "/var/lib/docker/engine-id") == 0 ||
	       strcmp(path, "/etc/docker/key.json") == 0;
}

/* The markers are put together here so that this program's own text is no key. */
static bool private_key(const struct lint *lint, const struct tree_node *node, const char *path)
{
	static const char *const folders[] = {"/etc", "/root", "/home",      "/var",
					      "/opt", "/srv",  "/usr/local", "/usr/lib/ingot"};
	static const char *const kinds[] = {"", "RSA ", "EC ", "DSA ", "ENCRYPTED ", "OPENSSH "};
	CLEANUP_FREE char *text = NULL;
	bool place = false;

	(void)lint;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		place |= below(path, folders[i]);
	if (!place || !is_file(node) || !(text = content(node)))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		CLEANUP_FREE char *marker = mem_printf("-----BEGIN %sPRIVATE KEY-----", kinds[i]);

		if (strstr(text, marker))
			return true;
	}
	return false;
}

static bool world_writable(const struct lint *lint, const struct tree_node *node, const char *path)
{
	uint32_t mode = node->inode->mode;

	(void)lint;
	(void)path;
	if (node->inode->type == TREE_DIR)
		return (mode & 0002) && !(mode & 01000);
	return is_file(node) && (mode & 0002);
}

static bool setuid(const struct lint *lint, const struct tree_node *node, const char *path)
{
	const struct profile_list *allowed = &lint->profile->setuid;

	if (!is_file(node) || !(node->inode->mode & 06000))
		return false;
	for (size_t i = 0; i < allowed->count; i++)
		if (strcmp(allowed->items[i], path) == 0)
			return false;
	return true;
}

static bool dangling_unit(const struct lint *lint, const struct tree_node *node, const char *path)
{
	const char *target = node->inode->target;

	if (node->inode->type != TREE_SYMLINK ||
	    (!below(path, "/etc/systemd/system") && !below(path, "/usr/lib/systemd/system")))
		return false;
	if (strcmp(target, "/dev/null") == 0 || below(target, "/run"))
		return false;
	return !tree_resolve(lint->tree, path);
}

static bool build_leftover(const struct lint *lint, const struct tree_node *node, const char *path)
{
	(void)lint;
	if (strcmp(path, "/usr/sbin/policy-rc.d") == 0)
		return true;
	if (!is_file(node))
		return false;
	return below(path, "/var/lib/apt/lists") || below(path, "/var/cache/apt") ||
	       (below(path, "/var/log") && node->inode->data.size) ||
	       strcmp(path, "/etc/resolv.conf") == 0 || strcmp(path, "/etc/hostname") == 0;
}

static bool backup(const struct lint *lint, const struct tree_node *node, const char *path)
{
	static const char *const suffixes[] = {".dpkg-old", ".dpkg-new", ".dpkg-dist", ".dpkg-tmp",
					       ".dpkg-bak", ".ucf-old",  ".ucf-dist"};
	static const char *const files[] = {"/etc/passwd-",  "/etc/group-",  "/etc/shadow-",
					    "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-"};

	(void)lint;
	if (!is_file(node))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (str_has_suffix(path, suffixes[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strcmp(path, files[i]) == 0)
			return true;
	return false;
}

/* Calls check for the fields of each line of an account file. */
static bool any_line(const struct tree_node *node,
		     bool (*check)(const char *name, const char *second, const char *third))
{
	CLEANUP_FREE char *text = content(node);
	char *save = NULL;

	if (!text)
		return false;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *second = strchr(line, ':');
		char *third = second ? strchr(second + 1, ':') : NULL;
		char *end = third ? strchr(third + 1, ':') : NULL;

		if (!end)
			continue;
		*second = *third = *end = '\0';
		if (check(line, second + 1, third + 1))
			return true;
	}
	return false;
}

static bool empty_second(const char *name, const char *second, const char *third)
{
	(void)name;
	(void)third;
	return !*second;
}

static bool other_root(const char *name, const char *second, const char *third)
{
	(void)second;
	return strcmp(third, "0") == 0 && strcmp(name, "root") != 0;
}

static bool empty_password(const struct lint *lint, const struct tree_node *node, const char *path)
{
	(void)lint;
	return strcmp(path, "/etc/shadow") == 0 && any_line(node, empty_second);
}

static bool second_root(const struct lint *lint, const struct tree_node *node, const char *path)
{
	(void)lint;
	return strcmp(path, "/etc/passwd") == 0 && any_line(node, other_root);
}

/* Layers have setuid programs of their own, which users of the host must not reach. */
static bool container_layers(const struct lint *lint, const struct tree_node *node,
			     const char *path)
{
	const struct tree_inode *inode = node->inode;

	(void)lint;
	return strcmp(path, CONTAINER_LAYERS) == 0 &&
	       (inode->type != TREE_DIR || inode->mode != 0700 || inode->uid || inode->gid);
}

const struct lint_rule lint_rules[] = {
	{"ssh-host-key", "a host key that every machine would share", ssh_host_key},
	{"machine-id", "a machine-id that every machine would share", machine_id},
	{"random-seed", "a random seed or credential secret", random_seed},
	{"engine-state", "state of a container engine or a swarm", engine_state},
	{"private-key", "a private key", private_key},
	{"world-writable", "anybody may write it", world_writable},
	{"setuid", "setuid or setgid, and not in the profile's list setuid", setuid},
	{"dangling-unit", "a unit link that leads nowhere", dangling_unit},
	{"build-leftover", "left over from the build", build_leftover},
	{"backup", "a backup file of dpkg, ucf or shadow", backup},
	{"empty-password", "an account without a password", empty_password},
	{"second-root", "another account with number 0", second_root},
	{"container-layers", "not a folder that only root may enter", container_layers},
	{0},
};

struct findings {
	struct lint lint;
	struct str text;
	size_t count;
};

static int check_node(const struct tree_node *node, const char *path, void *context,
		      struct err *err)
{
	struct findings *findings = context;

	(void)err;
	if (below(path, CONTAINER_LAYERS))
		return 0;
	for (const struct lint_rule *rule = lint_rules; rule->name; rule++) {
		if (!rule->breaks(&findings->lint, node, path))
			continue;
		if (findings->count++ < LISTED_MAX)
			str_addf(&findings->text, "\n    %s: %s: %s (from %s)", path, rule->name,
				 rule->summary, node->inode->origin ? node->inode->origin : "?");
	}
	return 0;
}

int lint_tree(const struct tree *tree, const struct profile *profile, struct err *err)
{
	struct findings findings = {.lint = {tree, profile}};
	int r = tree_walk(tree, check_node, &findings, err);

	if (r == 0 && findings.count)
		r = err_set(err, ERR_LINT, "the image breaks %zu rule%s of no image:%s%s",
			    findings.count, findings.count == 1 ? "" : "s", findings.text.data,
			    findings.count > LISTED_MAX ? "\n    ..." : "");
	str_free(&findings.text);
	return r;
}
