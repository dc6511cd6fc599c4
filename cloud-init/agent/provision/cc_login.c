/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, sudo and passwords of users. Keys lie in /run, where each stage writes all of them again: one that is no longer
 * in user-data opens nothing. Settings of sshd come before the image's by their file names: its first value counts.
 */
#include "agent/provision/cc_login.h"

#include "agent/provision/place.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"

#include <string.h>
#include <unistd.h>

#define KEYS_MAX 256
#define KEY_MAX ((size_t)16 << 10)
#define SSHD_KEYS "/etc/ssh/sshd_config.d/05-user-data-keys.conf"
#define SSHD_PASSWORDS "/etc/ssh/sshd_config.d/05-user-data-passwords.conf"
#define SSHD_HOST_KEYS "/etc/ssh/sshd_config.d/05-user-data-host-keys.conf"
#define SUDOERS "/etc/sudoers.d/90-user-data"
#define HOST_KEYS "/var/lib/ingot/etc/ssh"
#define HOST_KEY_MAX ((size_t)64 << 10)

/* Something that can be a line of authorized_keys: options, a type, a key. */
static bool key_valid(const char *key)
{
	static const char *const types[] = {"ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"};
	size_t len = strlen(key);

	if (!len || len > KEY_MAX || *key == '#')
		return false;
	for (const char *p = key; *p; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const char *at = strstr(key, types[i]);

		if (at && (at == key || at[-1] == ' ' || at[-1] == '\t') && strchr(at, ' '))
			return true;
	}
	return false;
}

static void add_keys(struct cc *cc, const struct doc_node *node, struct strv *keys)
{
	CLEANUP(strv_free) struct strv texts = {0};

	if (!node || doc_node_is_null(node))
		return;
	cc_texts(cc, node, "ssh_authorized_keys", 0, &texts);
	for (size_t i = 0; i < texts.count && keys->count < KEYS_MAX; i++) {
		char *key = texts.items[i];
		size_t len = strlen(key);

		while (len && (key[len - 1] == '\n' || key[len - 1] == '\r' || key[len - 1] == ' '))
			key[--len] = '\0';
		if (key_valid(key))
			strv_add(keys, key);
		else
			cc_problem(cc, node, "ssh_authorized_keys: entry %zu is no public key",
				   i + 1);
	}
}

static const struct doc_node *keys_node(const struct doc_node *user)
{
	const struct doc_node *node = doc_node_get(user, "ssh_authorized_keys");

	return node ? node : doc_node_get(user, "ssh-authorized-keys");
}

static const char *user_name(const struct doc_node *user)
{
	if (user->kind == DOC_SCALAR)
		return doc_node_is_null(user) || strcmp(user->text, "default") == 0 ? NULL
										    : user->text;
	return doc_node_string(user, "name");
}

/* All users of user-data: the list, then "user". */
static size_t list_users(const struct cc *cc, const struct doc_node **ret, size_t max)
{
	const struct doc_node *users = doc_node_get(cc->config, "users");
	const struct doc_node *extra = doc_node_get(cc->config, "user");
	size_t count = 0;

	for (size_t i = 0; users && users->kind == DOC_LIST && i < users->count; i++)
		if (user_name(users->items[i]) && count < max)
			ret[count++] = users->items[i];
	if (extra && user_name(extra) && count < max)
		ret[count++] = extra;
	return count;
}

const char *login_default_user(struct cc *cc)
{
	const struct doc_node *users[KEYS_MAX], *extra = doc_node_get(cc->config, "user");
	size_t count = list_users(cc, users, ARRAY_SIZE(users));

	if (extra && user_name(extra))
		return user_name(extra);
	if (count && cc_flag(cc, cc->config, "disable_root", false))
		return user_name(users[0]);
	return "root";
}

static int write_keys(struct cc *cc, const struct accounts *accounts, const char *name,
		      const struct strv *keys, struct err *err)
{
	CLEANUP_FREE char *path = mem_printf(CC_LOGIN_KEYS "/%s", name);
	CLEANUP(str_free) struct str text = {0};

	/* A name that was refused must not become a path. */
	if (!accounts_name_valid(name) || !accounts_user(accounts, name, NULL, NULL, NULL))
		return 0;
	for (size_t i = 0; i < keys->count; i++)
		str_addf(&text, "%s\n", keys->items[i]);
	return place_text(cc->agent, path, text.data ? text.data : "", 0644, err);
}

/* What root and the cloud may do: with disable_root only when somebody else has a key. */
static int write_settings(struct cc *cc, bool others, struct err *err)
{
	bool closed = cc_flag(cc, cc->config, "disable_root", false);
	CLEANUP_FREE char *text = NULL;

	if (closed && !others) {
		cc_problem(cc, doc_node_get(cc->config, "disable_root"),
			   "disable_root: nobody else has a key, so root's stay");
		closed = false;
	}
	text = mem_printf("# Made by ingot-agent from user-data.\n"
			  "AuthorizedKeysFile .ssh/authorized_keys " LOGIN_KEYS
			  "/%%u " CC_LOGIN_KEYS "/%%u\n%s",
			  closed ? "PermitRootLogin no\n" : "");
	cc_restart(cc, "ssh.service");
	return place_text(cc->agent, SSHD_KEYS, text, 0644, err);
}

int cc_ssh_authorized_keys(struct cc *cc, const struct doc_node *value, struct err *err)
{
	CLEANUP(accounts_free) struct accounts accounts = {0};
	CLEANUP(strv_free) struct strv common = {0};
	const struct doc_node *users[KEYS_MAX];
	size_t count = list_users(cc, users, ARRAY_SIZE(users));
	const char *first = login_default_user(cc);
	bool others = false, any = false, given = false;

	add_keys(cc, value, &common);
	for (size_t i = 0; i < cc->instance->ssh_keys.count && common.count < KEYS_MAX; i++)
		if (key_valid(cc->instance->ssh_keys.items[i]))
			strv_add(&common, cc->instance->ssh_keys.items[i]);
	if (accounts_load(cc->agent, &accounts, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		CLEANUP(strv_free) struct strv keys = {0};
		const char *name = user_name(users[i]);

		add_keys(cc, keys_node(users[i]), &keys);
		if (strcmp(name, first) == 0 && !given) {
			for (size_t k = 0; k < common.count; k++)
				strv_add(&keys, common.items[k]);
			given = true;
		}
		any |= keys.count > 0;
		others |= keys.count > 0 && strcmp(name, "root") != 0;
		if (keys.count && write_keys(cc, &accounts, name, &keys, err) < 0)
			return -1;
	}
	if (!given && common.count) {
		any = true;
		if (write_keys(cc, &accounts, first, &common, err) < 0)
			return -1;
	}
	return any ? write_settings(cc, others, err) : 0;
}

/* ---- sudo ------------------------------------------------------------------------------------------------- */
static bool rule_valid(const char *rule)
{
	size_t len = strlen(rule);

	for (const char *p = rule; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '#')
			return false;
	return len > 0 && len < 1024 && rule[len - 1] != '\\' && strchr(rule, '=');
}

static void add_rules(struct cc *cc, const struct doc_node *user, const char *name,
		      struct str *text)
{
	const struct doc_node *node = doc_node_get(user, "sudo");
	CLEANUP_FREE char *program = agent_path(cc->agent, "/usr/bin/sudo");
	CLEANUP(strv_free) struct strv rules = {0};

	if (!node || doc_node_is_null(node) ||
	    (node->kind == DOC_SCALAR && strcasecmp(node->text, "false") == 0))
		return;
	if (access(program, F_OK) < 0) {
		cc_problem(cc, node, "the image has no sudo: add the package to its profile");
		return;
	}
	cc_texts(cc, node, "sudo", 0, &rules);
	for (size_t i = 0; i < rules.count; i++)
		if (rule_valid(rules.items[i]))
			str_addf(text, "%s %s\n", name, rules.items[i]);
		else
			cc_problem(cc, node, "'%s' is no rule for sudo",
				   cc_show(cc, rules.items[i]));
}

/* One wrong line in any file and sudo does nothing for anybody. */
static bool rules_parse(struct cc *cc, const char *text, struct err *err)
{
	CLEANUP_FREE char *file = agent_path(cc->agent, AGENT_RUN "/sudoers.check");
	CLEANUP_FREE char *visudo = proc_find("visudo");
	const char *argv[] = {"visudo", "-c", "-q", "-f", file, NULL};
	const struct proc proc = {.argv = argv};
	bool right = true;

	if (!visudo)
		return true;
	if (place_text(cc->agent, AGENT_RUN "/sudoers.check", text, 0440, err) < 0)
		return false;
	right = proc_run(&proc, err) == 0;
	unlink(file);
	return right;
}

int login_users(struct cc *cc, const struct accounts *accounts, struct err *err)
{
	const struct doc_node *all[KEYS_MAX];
	size_t count = list_users(cc, all, ARRAY_SIZE(all));
	CLEANUP(str_free) struct str text = {0};

	str_add(&text, "# Made by ingot-agent from user-data.\n");
	for (size_t i = 0; i < count; i++) {
		CLEANUP(str_free) struct str mine = {0};
		const char *name = user_name(all[i]);
		struct err own = {0};

		if (!accounts_name_valid(name) || !accounts_user(accounts, name, NULL, NULL, NULL))
			continue;
		add_rules(cc, all[i], name, &mine);
		if (!mine.len)
			continue;
		if (!rules_parse(cc, mine.data, &own))
			cc_failed(cc, all[i], &own);
		else
			str_add(&text, mine.data);
	}
	if (!strchr(text.data, '=')) /* there is no rule */
		return 0;
	return place_text(cc->agent, SUDOERS, text.data, 0440, err);
}

/* ---- passwords -------------------------------------------------------------------------------------------- */
static void set_hash(struct cc *cc, struct accounts *accounts, const struct doc_node *node,
		     const char *name, const char *hash)
{
	if (!accounts_user(accounts, name, NULL, NULL, NULL))
		cc_problem(cc, node, "chpasswd: there is no user '%s'", cc_show(cc, name));
	else if (!accounts_hash_valid(hash))
		cc_problem(
			cc, node,
			"chpasswd: the password of '%s' is no hash: whoever reads user-data would know "
			"it; use openssl passwd -6",
			cc_show(cc, name));
	else
		accounts_set_password(accounts, name, hash, false);
}

/* "name:hash" lines, or a list of them: the old form. */
static void set_lines(struct cc *cc, struct accounts *accounts, const struct doc_node *node)
{
	CLEANUP(strv_free) struct strv lines = {0};

	cc_texts(cc, node, "chpasswd.list", '\n', &lines);
	for (size_t i = 0; i < lines.count; i++) {
		char *colon = strchr(lines.items[i], ':');

		if (!colon) {
			cc_problem(cc, node, "chpasswd.list: line %zu is not 'name:hash'", i + 1);
		} else {
			*colon = '\0';
			set_hash(cc, accounts, node, lines.items[i], colon + 1);
			mem_wipe(colon + 1, strlen(colon + 1));
		}
	}
}

static void set_entry(struct cc *cc, struct accounts *accounts, const struct doc_node *entry)
{
	static const char *const known[] = {"name", "password", "type"};
	const char *name, *password, *type;

	if (!cc_is(cc, entry, DOC_MAP, "an entry of chpasswd.users"))
		return;
	cc_check_keys(cc, entry, "chpasswd.users", known, ARRAY_SIZE(known));
	name = doc_node_string(entry, "name");
	password = doc_node_string(entry, "password");
	type = doc_node_string(entry, "type");
	if (!name)
		cc_problem(cc, entry, "chpasswd.users: an entry needs a name");
	else if (type && strcmp(type, "hash") != 0)
		cc_problem(
			cc, doc_node_get(entry, "type"),
			"chpasswd.users: only type 'hash' is supported: whoever reads user-data would "
			"know the password");
	else if (!password)
		cc_problem(cc, entry, "chpasswd.users: '%s' needs a password", cc_show(cc, name));
	else
		set_hash(cc, accounts, entry, name, password);
}

int cc_chpasswd(struct cc *cc, const struct doc_node *value, struct err *err)
{
	static const char *const known[] = {"list", "users", "expire"};
	CLEANUP(accounts_free) struct accounts accounts = {0};
	const struct doc_node *list, *users;

	if (!cc_is(cc, value, DOC_MAP, "chpasswd"))
		return 0;
	cc_check_keys(cc, value, "chpasswd", known, ARRAY_SIZE(known));
	if (doc_node_get(value, "expire") && cc_flag(cc, value, "expire", false))
		cc_problem(cc, doc_node_get(value, "expire"),
			   "chpasswd: passwords cannot expire: a new one would be gone after a "
			   "reboot");
	if (accounts_load(cc->agent, &accounts, err) < 0)
		return -1;
	list = doc_node_get(value, "list");
	users = doc_node_get(value, "users");
	if (list)
		set_lines(cc, &accounts, list);
	if (users && cc_is(cc, users, DOC_LIST, "chpasswd.users"))
		for (size_t i = 0; i < users->count; i++)
			set_entry(cc, &accounts, users->items[i]);
	return accounts_save(cc->agent, &accounts, err);
}

int cc_ssh_pwauth(struct cc *cc, const struct doc_node *value, struct err *err)
{
	bool on = false;

	if (doc_node_is_null(value) ||
	    (value->kind == DOC_SCALAR && strcmp(value->text, "unchanged") == 0))
		return 0;
	if (!cc_bool(cc, value, "ssh_pwauth", &on))
		return 0;
	cc_restart(cc, "ssh.service");
	return place_text(cc->agent, SSHD_PASSWORDS,
			  on ? "# Made by ingot-agent from user-data.\nPasswordAuthentication yes\n"
			     : "# Made by ingot-agent from user-data.\nPasswordAuthentication no\n",
			  0644, err);
}

/* ---- host keys -------------------------------------------------------------------------------------------- */
/* sshd ends when none of its keys can be read: what ssh-keygen does not read is not taken. public gets its other half. */
static bool host_key_parses(struct cc *cc, const char *key, struct str *public, struct err *err)
{
	static const char file[] = AGENT_RUN "/host-key.check";
	CLEANUP_FREE char *full = agent_path(cc->agent, file);
	CLEANUP_FREE char *program = proc_find("ssh-keygen");
	const char *argv[] = {"ssh-keygen", "-y", "-P", "", "-f", full, NULL};
	const struct proc proc = {.argv = argv, .output = public};
	bool right;

	if (!program)
		return str_has_prefix(key, "-----BEGIN ");
	if (place_text(cc->agent, file, key, 0600, err) < 0)
		return false;
	right = proc_run(&proc, err) == 0;
	unlink(full);
	if (!right)
		err_set(err, ERR_PROFILE, "it is no private key that ssh-keygen can read");
	return right;
}

static int put_host_key(struct cc *cc, const struct doc_node *keys, const char *type,
			struct str *settings, struct err *err)
{
	CLEANUP_FREE char *private = mem_printf("%s_private", type);
	CLEANUP_FREE char *public = mem_printf("%s_public", type);
	CLEANUP_FREE char *path = mem_printf(HOST_KEYS "/ssh_host_%s_key", type);
	CLEANUP_FREE char *public_path = mem_printf("%s.pub", path);
	const struct doc_node *node = doc_node_get(keys, private);
	const struct place secret = {.mode = 0600, .sync = true};
	const char *text = node ? cc_text(cc, node, private) : NULL;
	const char *other = doc_node_string(keys, public);
	CLEANUP(str_free) struct str line = {0};
	struct err why = {0};

	if (!text)
		return 0;
	if (strlen(text) > HOST_KEY_MAX || !host_key_parses(cc, text, &line, &why)) {
		cc_problem(cc, node, "%s: %s", private, *why.msg ? why.msg : "too long");
		return 0;
	}
	if (place_write(cc->agent, path, text, strlen(text), &secret, err) < 0)
		return -1;
	/* The image's own settings name the other two. */
	if (strcmp(type, "rsa") == 0)
		str_addf(settings, "HostKey %s\n", path);
	if (other) {
		line.len = 0;
		str_addf(&line, "%s\n", other);
	}
	return line.len ? place_text(cc->agent, public_path, line.data, 0644, err) : 0;
}

int cc_ssh_keys(struct cc *cc, const struct doc_node *value, struct err *err)
{
	static const char *const types[] = {"rsa", "ecdsa", "ed25519"};
	static const char *const known[] = {"rsa_private",  "rsa_public",      "ecdsa_private",
					    "ecdsa_public", "ed25519_private", "ed25519_public"};
	CLEANUP(str_free) struct str settings = {0};

	if (!cc_is(cc, value, DOC_MAP, "ssh_keys"))
		return 0;
	cc_check_keys(cc, value, "ssh_keys", known, ARRAY_SIZE(known));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (put_host_key(cc, value, types[i], &settings, err) < 0)
			return -1;
	if (!settings.len)
		return 0;
	cc_restart(cc, "ssh.service");
	return place_text(cc->agent, SSHD_HOST_KEYS, settings.data, 0644, err);
}
