/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and groups. /etc forgets them at each boot, so they are made again at each boot, with the numbers that they
 * had before: their files on /var stay theirs.
 */
#include "agent/provision/accounts.h"
#include "agent/provision/cc_login.h"
#include "agent/provision/cloudconfig.h"
#include "agent/provision/place.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USERS_MAX 256
#define GROUPS_MAX 64
#define SKEL_MAX ((size_t)1 << 20)

static const char *const user_keys[] = {
	"name",
	"gecos",
	"primary_group",
	"groups",
	"no_user_group",
	"homedir",
	"no_create_home",
	"shell",
	"sudo",
	"lock_passwd",
	"lock-passwd",
	"passwd",
	"hashed_passwd",
	"plain_text_passwd",
	"ssh_authorized_keys",
	"ssh-authorized-keys",
	"uid",
	"system",
	"no_log_init",
	"inactive",
	"expiredate",
	"ssh_import_id",
	"ssh_redirect_user",
	"selinux_user",
	"snapuser",
	"doas",
	"create_groups",
};

/* Keys of a user that cannot be had, and what to do. */
static const struct {
	const char *key, *instead;
} not_supported[] = {
	{"plain_text_passwd", "give 'passwd' a hash (openssl passwd -6)"},
	{"ssh_import_id", "write the keys into ssh_authorized_keys"},
	{"ssh_redirect_user", "leave out the keys of who may not log in"},
	{"inactive", "accounts are made at each boot"},
	{"expiredate", "take the user out of user-data"},
	{"selinux_user", "the image has no SELinux"},
	{"snapuser", "the image has no snaps"},
	{"doas", "use 'sudo'"},
};

/* The number that a name had before, else the next free one of its range, which no other name had either. */
static bool choose_id(struct cc *cc, const struct accounts *accounts, const char *kind,
		      const char *name, bool system, uint32_t *ret)
{
	const uint32_t first = system ? 500 : 1000, last = system ? 899 : 59999;
	json_t *ids = json_object_get(cc->kept, kind), *value;
	json_int_t had = json_integer_value(json_object_get(ids, name));
	const char *other;

	if (had > 0 && had < UINT32_MAX && !accounts_id_taken(accounts, (uint32_t)had)) {
		*ret = (uint32_t)had;
		return true;
	}
	for (uint32_t id = first; id <= last; id++) {
		bool taken = accounts_id_taken(accounts, id);

		json_object_foreach(json_object_get(cc->kept, "users"), other, value) taken |=
			json_integer_value(value) == id;
		json_object_foreach(json_object_get(cc->kept, "groups"), other, value) taken |=
			json_integer_value(value) == id;
		if (taken)
			continue;
		*ret = id;
		return true;
	}
	return false;
}

static void keep_id(struct cc *cc, const char *kind, const char *name, uint32_t id)
{
	json_t *ids = json_object_get(cc->kept, kind);

	if (!json_is_object(ids)) {
		ids = json_object();
		json_object_set_new(cc->kept, kind, ids);
	}
	if (json_integer_value(json_object_get(ids, name)) == id)
		return;
	json_object_set_new(ids, name, json_integer(id));
	cc->ids_changed = true;
}

/* Numbers are on the disk before the first file that belongs to one of them. */
static int save_ids(struct cc *cc, struct err *err)
{
	if (!cc->ids_changed)
		return 0;
	if (agent_write_json(cc->agent, CC_KEPT, cc->kept, true, err) < 0)
		return -1;
	cc->ids_changed = false;
	return 0;
}

/* Finds or makes a group. */
static bool have_group(struct cc *cc, struct accounts *accounts, const struct doc_node *node,
		       const char *name, uint32_t *ret)
{
	if (!accounts_name_valid(name)) {
		cc_problem(cc, node, "'%s' cannot be the name of a group", cc_show(cc, name));
		return false;
	}
	if (accounts_group(accounts, name, ret))
		return true;
	if (!choose_id(cc, accounts, "groups", name, false, ret)) {
		cc_problem(cc, node, "no number is left for the group '%s'", name);
		return false;
	}
	accounts_add_group(accounts, name, *ret);
	keep_id(cc, "groups", name, *ret);
	return true;
}

static void join_groups(struct cc *cc, struct accounts *accounts, const struct doc_node *user,
			const char *name)
{
	const struct doc_node *node = doc_node_get(user, "groups");
	CLEANUP(strv_free) struct strv groups = {0};
	uint32_t gid;

	if (!node || doc_node_is_null(node))
		return;
	cc_texts(cc, node, "groups", ',', &groups);
	for (size_t i = 0; i < groups.count && i < GROUPS_MAX; i++)
		if (have_group(cc, accounts, node, groups.items[i], &gid))
			accounts_add_member(accounts, groups.items[i], name);
}

/* Text of an optional field; otherwise when it is absent or cannot be used. */
static const char *field(struct cc *cc, const struct doc_node *user, const char *key,
			 const char *otherwise)
{
	const struct doc_node *node = doc_node_get(user, key);
	const char *text = node && !doc_node_is_null(node) ? cc_text(cc, node, key) : NULL;

	if (!text)
		return otherwise;
	if (accounts_field_valid(text))
		return text;
	cc_problem(cc, node, "%s: colons and control characters cannot be in it", key);
	return otherwise;
}

static const char *shell_of(struct cc *cc, const struct doc_node *user, bool system)
{
	const char *shell = field(cc, user, "shell", system ? "/usr/sbin/nologin" : "/bin/bash");
	CLEANUP_FREE char *full = agent_path(cc->agent, shell);

	if (access(full, X_OK) == 0)
		return shell;
	/* Nobody could log in with it. */
	cc_problem(cc, doc_node_get(user, "shell") ? doc_node_get(user, "shell") : user,
		   "the image has no shell '%s'", cc_show(cc, shell));
	return "/bin/sh";
}

static bool choose_uid(struct cc *cc, const struct accounts *accounts, const struct doc_node *user,
		       const char *name, bool system, uint32_t *ret)
{
	const struct doc_node *node = doc_node_get(user, "uid");
	uint64_t uid;

	if (node && cc_number(cc, node, "uid", 1, 4294967293, &uid)) {
		if (!accounts_id_taken(accounts, (uint32_t)uid)) {
			*ret = (uint32_t)uid;
			return true;
		}
		cc_problem(cc, node, "the number %" PRIu64 " is taken", uid);
	}
	if (choose_id(cc, accounts, "users", name, system, ret))
		return true;
	cc_problem(cc, user, "no number is left for the user '%s'", name);
	return false;
}

/* Files that a new home starts with: regular ones of /etc/skel, as useradd -m does. */
static int fill_home(struct cc *cc, const char *home, const struct account *account,
		     struct err *err)
{
	static const char *const names[] = {".bashrc", ".profile", ".bash_logout"};
	const struct place place = {.mode = 0644, .uid = account->uid, .gid = account->gid};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_FREE char *from = mem_printf("/etc/skel/%s", names[i]);
		CLEANUP_FREE char *to = mem_printf("%s/%s", home, names[i]);
		CLEANUP(str_free) struct str text = {0};
		struct err none = {0};

		if (agent_read(cc->agent, from, SKEL_MAX, &text, &none) < 0)
			continue;
		if (place_write(cc->agent, to, text.data, text.len, &place, err) < 0)
			return -1;
	}
	return 0;
}

/* Filled while it is root's, then given away: what an agent left that was killed can be told by that. */
static int prepare_home(struct cc *cc, const struct account *account, struct err *err)
{
	const struct place place = {.mode = 0700};
	CLEANUP_FD int fd = -1;
	struct stat st;

	if (place_folder(cc->agent, account->home, &place, NULL, err) < 0)
		return -1;
	fd = place_open_folder(cc->agent, account->home, false, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "cannot stat '%s'", account->home);
	if (st.st_uid != geteuid())
		return 0; /* it has been somebody's */
	if (fill_home(cc, account->home, account, err) < 0)
		return -1;
	if (geteuid() == 0 && fchown(fd, account->uid, account->gid) < 0)
		return err_sys(err, errno, "cannot give '%s' to its user", account->home);
	return 0;
}

static void make_home(struct cc *cc, const struct doc_node *user, const struct account *account)
{
	struct err err = {0};
	const char *why;

	if (!place_allowed(account->home, &why))
		cc_problem(cc, user, "cannot make the home '%s': %s", cc_show(cc, account->home),
			   why);
	else if (prepare_home(cc, account, &err) < 0)
		cc_failed(cc, user, &err);
}

/* Makes the account; false when it cannot be. */
static bool create(struct cc *cc, struct accounts *accounts, const struct doc_node *user,
		   const char *name)
{
	bool system = cc_flag(cc, user, "system", false);
	const struct doc_node *primary = doc_node_get(user, "primary_group");
	const char *group = primary ? cc_text(cc, primary, "primary_group") : NULL;
	CLEANUP_FREE char *home = mem_printf("/home/%s", name);
	struct account account = {.name = name};

	if (!choose_uid(cc, accounts, user, name, system, &account.uid))
		return false;
	account.gecos = field(cc, user, "gecos", "");
	account.home = field(cc, user, "homedir", home);
	if (*account.home != '/' || !path_is_clean(account.home)) {
		cc_problem(cc, doc_node_get(user, "homedir"), "homedir: no clean absolute path");
		account.home = home;
	}
	account.shell = shell_of(cc, user, system);
	if (group) {
		if (!have_group(cc, accounts, primary, group, &account.gid))
			return false;
	} else if (accounts_group(accounts, name, &account.gid)) {
		/* Its own group is there already. */
	} else if (cc_flag(cc, user, "no_user_group", false)) {
		if (!have_group(cc, accounts, user, "users", &account.gid))
			return false;
	} else {
		account.gid = account.uid;
		accounts_add_group(accounts, name, account.gid);
	}
	accounts_add_user(accounts, &account);
	keep_id(cc, "users", name, account.uid);
	if (!cc_flag(cc, user, "no_create_home", system)) {
		struct err err = {0};

		if (save_ids(cc, &err) < 0)
			cc_failed(cc, user, &err);
		make_home(cc, user, &account);
	}
	return true;
}

static void set_password(struct cc *cc, struct accounts *accounts, const struct doc_node *user,
			 const char *name, bool existed)
{
	const char *lock = doc_node_get(user, "lock-passwd") ? "lock-passwd" : "lock_passwd";
	bool locked = cc_flag(cc, user, lock, true);
	const struct doc_node *node = doc_node_get(user, "hashed_passwd");
	const char *hash;

	if (!node)
		node = doc_node_get(user, "passwd");
	hash = node && !doc_node_is_null(node) ? cc_text(cc, node, "passwd") : NULL;
	if (hash && !accounts_hash_valid(hash)) {
		cc_problem(cc, node, "passwd: no hash of crypt(5), as openssl passwd -6 makes it");
		hash = NULL;
	}
	if (hash || doc_node_get(user, lock) || !existed)
		accounts_set_password(accounts, name, hash, locked);
	if (hash && locked)
		cc_remark(cc,
			  "user '%s' has a password but is locked: lock_passwd is true unless "
			  "it is set",
			  name);
}

static void add_user(struct cc *cc, struct accounts *accounts, const struct doc_node *user)
{
	const struct doc_node *node = doc_node_get(user, "name");
	const char *name = node ? cc_text(cc, node, "name") : NULL;
	bool existed;

	cc_check_keys(cc, user, "user", user_keys, ARRAY_SIZE(user_keys));
	for (size_t i = 0; i < ARRAY_SIZE(not_supported); i++)
		if (doc_node_get(user, not_supported[i].key))
			cc_problem(cc, doc_node_get(user, not_supported[i].key),
				   "'%s' is not supported: %s", not_supported[i].key,
				   not_supported[i].instead);
	if (!name) {
		if (!node)
			cc_problem(cc, user, "a user needs a name");
		return;
	}
	if (!accounts_name_valid(name)) {
		cc_problem(cc, node, "'%s' cannot be the name of a user", cc_show(cc, name));
		return;
	}
	existed = accounts_user(accounts, name, NULL, NULL, NULL);
	if (!existed && !create(cc, accounts, user, name))
		return;
	set_password(cc, accounts, user, name, existed);
	join_groups(cc, accounts, user, name);
}

/* The list with entries that are maps; "default" and plain names are handled here. */
static void add_users(struct cc *cc, struct accounts *accounts, const struct doc_node *value)
{
	if (value->kind == DOC_MAP || value->kind == DOC_SCALAR) {
		if (!doc_node_is_null(value))
			cc_problem(cc, value, "users must be a list");
		return;
	}
	/* Those who ask for a number first, so that no other one takes it. */
	for (size_t i = 0; i < value->count && i < USERS_MAX; i++)
		if (doc_node_get(value->items[i], "uid"))
			add_user(cc, accounts, value->items[i]);
	for (size_t i = 0; i < value->count && i < USERS_MAX; i++) {
		const struct doc_node *item = value->items[i];
		struct doc_node plain = {.kind = DOC_MAP, .place = item->place};
		struct doc_pair name = {"name", item->place, value->items[i]};

		if (doc_node_get(item, "uid"))
			continue;
		if (item->kind == DOC_MAP) {
			add_user(cc, accounts, item);
			continue;
		}
		if (item->kind != DOC_SCALAR || doc_node_is_null(item)) {
			cc_problem(cc, item, "a user must be a map");
			continue;
		}
		if (strcmp(item->text, "default") == 0)
			continue; /* see login_default_user */
		plain.pairs = &name;
		plain.count = 1;
		add_user(cc, accounts, &plain);
	}
	if (value->count > USERS_MAX)
		cc_problem(cc, value, "users after the first %d are left out", USERS_MAX);
}

int cc_users(struct cc *cc, const struct doc_node *value, struct err *err)
{
	CLEANUP(accounts_free) struct accounts accounts = {0};
	const struct doc_node *extra = doc_node_get(cc->config, "user");

	if (!value && !extra)
		return 0;
	if (accounts_load(cc->agent, &accounts, err) < 0)
		return -1;
	if (value)
		add_users(cc, &accounts, value);
	/* "user: NAME" or a map: the default user. */
	if (extra) {
		struct doc_node list = {.kind = DOC_LIST, .place = extra->place, .count = 1};
		struct doc_node *items[1] = {(struct doc_node *)extra};

		list.items = items;
		add_users(cc, &accounts, &list);
	}
	if (accounts_save(cc->agent, &accounts, err) < 0 || save_ids(cc, err) < 0)
		return -1;
	return login_users(cc, &accounts, err);
}

int cc_groups(struct cc *cc, const struct doc_node *value, struct err *err)
{
	CLEANUP(accounts_free) struct accounts accounts = {0};
	CLEANUP(strv_free) struct strv plain = {0};
	uint32_t gid;

	if (doc_node_is_null(value))
		return 0;
	if (accounts_load(cc->agent, &accounts, err) < 0)
		return -1;
	for (size_t i = 0; value->kind == DOC_LIST && i < value->count; i++) {
		const struct doc_node *item = value->items[i];

		if (item->kind == DOC_SCALAR)
			have_group(cc, &accounts, item, item->text, &gid);
		for (size_t k = 0; item->kind == DOC_MAP && k < item->count; k++) {
			CLEANUP(strv_free) struct strv members = {0};
			const struct doc_pair *pair = &item->pairs[k];

			if (!have_group(cc, &accounts, item, pair->key, &gid))
				continue;
			/* Users come after groups: who is not there yet is a member by name. */
			if (!doc_node_is_null(pair->value))
				cc_texts(cc, pair->value, "members of a group", ',', &members);
			for (size_t m = 0; m < members.count; m++)
				if (accounts_name_valid(members.items[m]))
					accounts_add_member(&accounts, pair->key, members.items[m]);
				else
					cc_problem(cc, pair->value,
						   "'%s' cannot be the name of a user",
						   cc_show(cc, members.items[m]));
		}
	}
	if (value->kind != DOC_LIST)
		cc_texts(cc, value, "groups", ',', &plain);
	for (size_t i = 0; i < plain.count; i++)
		have_group(cc, &accounts, value, plain.items[i], &gid);
	if (accounts_save(cc->agent, &accounts, err) < 0)
		return -1;
	return save_ids(cc, err);
}
