/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users of the profile: lines in the account files of the tree, homes on /var, keys where sshd reads them
 * from the verified image.
 */
#include "layers/settings_parts.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNTS_MAX ((size_t)1 << 20) /* bytes of an account file */
#define SECONDS_PER_DAY 86400
#define FIRST_UID 1000
#define LAST_UID 59999

static int read_text(const struct tree *tree, const char *path, char **ret, struct err *err)
{
	const struct tree_node *node = tree_resolve(tree, path);
	size_t len;

	if (!node)
		return err_set(err, ERR_PROFILE, "the image has no '%s'", path);
	return tree_read(node, ACCOUNTS_MAX, ret, &len, err);
}

/* The line of an account file whose first field is name; *ret_len without the newline. */
static const char *find_line(const char *text, const char *name, size_t *ret_len)
{
	size_t name_len = strlen(name);

	for (const char *line = text; line && *line;) {
		size_t len = strcspn(line, "\n");

		if (len > name_len && line[name_len] == ':' && strncmp(line, name, name_len) == 0) {
			*ret_len = len;
			return line;
		}
		line += len + (line[len] == '\n');
	}
	return NULL;
}

/* The third field of a line of passwd or group. */
static bool line_id(const char *line, size_t len, uint32_t *ret)
{
	const char *end = line + len;
	char *stop;
	unsigned long value;

	for (int colons = 0; colons < 2; colons++) {
		line = memchr(line, ':', (size_t)(end - line));
		if (!line)
			return false;
		line++;
	}
	value = strtoul(line, &stop, 10);
	if (stop == line || *stop != ':' || value > UINT32_MAX - 1)
		return false;
	*ret = (uint32_t)value;
	return true;
}

int settings_id(const struct tree *tree, const char *file, const char *name, uint32_t *ret,
		struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	const char *line;
	size_t len;

	if (*name && strspn(name, "0123456789") == strlen(name)) {
		*ret = (uint32_t)strtoul(name, NULL, 10);
		return 0;
	}
	if (read_text(tree, file, &text, err) < 0)
		return -1;
	line = find_line(text, name, &len);
	if (!line || !line_id(line, len, ret))
		return err_set(err, ERR_PROFILE, "'%s' of the image has no entry '%s'", file, name);
	return 0;
}

static bool id_taken(const char *text, uint32_t id)
{
	for (const char *line = text; line && *line;) {
		size_t len = strcspn(line, "\n");
		uint32_t found;

		if (line_id(line, len, &found) && found == id)
			return true;
		line += len + (line[len] == '\n');
	}
	return false;
}

static int append(struct tree *tree, const char *path, const char *line, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_FREE char *old = NULL;

	if (read_text(tree, path, &old, err) < 0)
		return -1;
	str_add(&text, old);
	if (text.len && text.data[text.len - 1] != '\n')
		str_add(&text, "\n");
	str_add(&text, line);
	return settings_rewrite(tree, path, text.data, err);
}

/* Adds user to the member list, the last field, of a line of group or gshadow. */
static int add_member(struct tree *tree, const char *path, const char *group, const char *user,
		      struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_FREE char *old = NULL;
	const char *line;
	size_t len;

	if (read_text(tree, path, &old, err) < 0)
		return -1;
	line = find_line(old, group, &len);
	if (!line)
		return err_set(err, ERR_PROFILE, "the image has no group '%s'", group);
	str_add_bytes(&text, old, (size_t)(line - old) + len);
	str_addf(&text, "%s%s", line[len - 1] == ':' ? "" : ",", user);
	str_add(&text, line + len);
	return settings_rewrite(tree, path, text.data, err);
}

static int set_password(struct tree *tree, const struct profile_user *user, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_FREE char *old = NULL;
	const char *line, *rest;
	size_t len;

	if (read_text(tree, "/etc/shadow", &old, err) < 0)
		return -1;
	line = find_line(old, user->name, &len);
	rest = line ? strchr(line + strlen(user->name) + 1, ':') : NULL;
	if (!rest)
		return err_set(err, ERR_PROFILE, "/etc/shadow of the image has no entry '%s'",
			       user->name);
	str_add_bytes(&text, old, (size_t)(line - old));
	str_addf(&text, "%s:%s%s", user->name, user->password, rest);
	return settings_rewrite(tree, "/etc/shadow", text.data, err);
}

static int choose_id(const struct tree *tree, const struct profile_user *user, uint32_t *ret,
		     struct err *err)
{
	CLEANUP_FREE char *passwd = NULL;
	CLEANUP_FREE char *group = NULL;

	if (read_text(tree, "/etc/passwd", &passwd, err) < 0 ||
	    read_text(tree, "/etc/group", &group, err) < 0)
		return -1;
	if (user->uid >= 0) {
		*ret = (uint32_t)user->uid;
		if (id_taken(passwd, *ret) || id_taken(group, *ret))
			return err_set(err, ERR_PROFILE, "the number %" PRIu32 " is taken", *ret);
		return 0;
	}
	for (*ret = FIRST_UID; *ret <= LAST_UID; ++*ret)
		if (!id_taken(passwd, *ret) && !id_taken(group, *ret))
			return 0;
	return err_set(err, ERR_PROFILE, "no number for a user is left");
}

static int create(const struct settings_input *input, const struct profile_user *user,
		  struct tree *tree, struct str *tmpfiles, struct err *err)
{
	long day = (long)(input->epoch / SECONDS_PER_DAY);
	/* /home is a link to /var/home, see settings.c. */
	bool in_home = str_has_prefix(user->home, "/home/");
	CLEANUP_FREE char *passwd = NULL;
	CLEANUP_FREE char *group = NULL;
	CLEANUP_FREE char *shadow = NULL;
	CLEANUP_FREE char *gshadow = NULL;
	uint32_t id;

	if (choose_id(tree, user, &id, err) < 0)
		return -1;
	passwd = mem_printf("%s:x:%" PRIu32 ":%" PRIu32 "::%s:%s\n", user->name, id, id, user->home,
			    user->shell);
	group = mem_printf("%s:x:%" PRIu32 ":\n", user->name, id);
	shadow = mem_printf("%s:%s:%ld:0:99999:7:::\n", user->name,
			    user->password ? user->password : "!", day);
	gshadow = mem_printf("%s:!::\n", user->name);
	str_addf(tmpfiles, "d %s%s 0700 %s %s -\n", in_home ? "/var" : "", user->home, user->name,
		 user->name);
	if (append(tree, "/etc/passwd", passwd, err) < 0 ||
	    append(tree, "/etc/group", group, err) < 0 ||
	    append(tree, "/etc/shadow", shadow, err) < 0)
		return -1;
	return tree_resolve(tree, "/etc/gshadow") ? append(tree, "/etc/gshadow", gshadow, err) : 0;
}

static int add_keys(const struct settings_input *input, const struct profile_user *user,
		    struct tree *tree, struct err *err)
{
	CLEANUP_FREE char *path = mem_printf("/etc/ssh/authorized_keys.d/%s", user->name);
	CLEANUP(str_free) struct str text = {0};

	if (!user->ssh_keys.count)
		return 0;
	for (size_t i = 0; i < user->ssh_keys.count; i++)
		str_addf(&text, "%s\n", user->ssh_keys.items[i]);
	return settings_put(tree, path, 0644, text.data, input->epoch, err);
}

static int add_user(const struct settings_input *input, const struct profile_user *user,
		    struct tree *tree, struct str *tmpfiles, struct err *err)
{
	CLEANUP_FREE char *passwd = NULL;
	bool exists;
	size_t len;

	if (read_text(tree, "/etc/passwd", &passwd, err) < 0)
		return -1;
	exists = find_line(passwd, user->name, &len) != NULL;
	if (!exists && create(input, user, tree, tmpfiles, err) < 0)
		return -1;
	if (exists && user->password && set_password(tree, user, err) < 0)
		return -1;
	for (size_t i = 0; i < user->groups.count; i++) {
		const char *group = user->groups.items[i];

		if (add_member(tree, "/etc/group", group, user->name, err) < 0 ||
		    (tree_resolve(tree, "/etc/gshadow") &&
		     add_member(tree, "/etc/gshadow", group, user->name, err) < 0))
			return -1;
	}
	return add_keys(input, user, tree, err);
}

int settings_users(const struct settings_input *input, struct tree *tree, struct err *err)
{
	CLEANUP(str_free) struct str tmpfiles = {0};
	bool keys = false;

	str_add(&tmpfiles, "d /var/home 0755 root root -\n");
	for (size_t i = 0; i < input->profile->user_count; i++) {
		const struct profile_user *user = &input->profile->users[i];

		if (add_user(input, user, tree, &tmpfiles, err) < 0)
			return err_wrap(err, "user '%s'", user->name);
		keys |= user->ssh_keys.count > 0;
	}
	if (keys && settings_put(tree, "/etc/ssh/sshd_config.d/20-ingot-keys.conf", 0644,
				 "AuthorizedKeysFile .ssh/authorized_keys "
				 "/etc/ssh/authorized_keys.d/%u\n",
				 input->epoch, err) < 0)
		return -1;
	return settings_put(tree, "/usr/lib/tmpfiles.d/ingot-users.conf", 0644, tmpfiles.data,
			    input->epoch, err);
}
