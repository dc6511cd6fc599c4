/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Account files. /etc is the image's again after each boot, so this runs at each boot: it takes no programs, locks
 * or time, and changes only what was asked for.
 */
#include "agent/provision/accounts.h"

#include "agent/provision/place.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX ((size_t)4 << 20)
#define NAME_MAX_BYTES 32
#define FIELD_MAX 255

/* shadow(5), third field: 0 would force a change at the next login, so it is left empty ("not known"). */
#define SHADOW_REST "::0:99999:7:::"

/* Fields of a line, from 0. */
enum { PASSWD_UID = 2, PASSWD_GID = 3, PASSWD_HOME = 5, GROUP_GID = 2, SHADOW_HASH = 1 };

int accounts_load(const struct agent *agent, struct accounts *ret, struct err *err)
{
	CLEANUP_FREE char *gshadow = agent_path(agent, "/etc/gshadow");

	*ret = (struct accounts){0};
	if (agent_read(agent, "/etc/passwd", FILE_MAX, &ret->passwd, err) < 0 ||
	    agent_read(agent, "/etc/group", FILE_MAX, &ret->group, err) < 0 ||
	    agent_read(agent, "/etc/shadow", FILE_MAX, &ret->shadow, err) < 0)
		return -1;
	ret->has_gshadow = access(gshadow, F_OK) == 0;
	if (ret->has_gshadow && agent_read(agent, "/etc/gshadow", FILE_MAX, &ret->gshadow, err) < 0)
		return -1;
	return 0;
}

static int save(const struct agent *agent, const char *path, const struct str *text,
		const struct place *place, struct err *err)
{
	return place_write(agent, path, text->data, text->len, place, err);
}

int accounts_save(const struct agent *agent, const struct accounts *accounts, struct err *err)
{
	struct place secret = {.mode = 0640}, plain = {.mode = 0644};
	uint32_t gid;

	if (accounts_group(accounts, "shadow", &gid))
		secret.gid = gid;
	if (save(agent, "/etc/group", &accounts->group, &plain, err) < 0 ||
	    save(agent, "/etc/shadow", &accounts->shadow, &secret, err) < 0 ||
	    save(agent, "/etc/passwd", &accounts->passwd, &plain, err) < 0)
		return -1;
	return accounts->has_gshadow ? save(agent, "/etc/gshadow", &accounts->gshadow, &secret, err)
				     : 0;
}

static void wipe(struct str *text)
{
	if (text->data)
		mem_wipe(text->data, text->room);
	str_free(text);
}

void accounts_free(struct accounts *accounts)
{
	wipe(&accounts->passwd);
	wipe(&accounts->shadow);
	wipe(&accounts->group);
	wipe(&accounts->gshadow);
}

bool accounts_name_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= NAME_MAX_BYTES && *name != '-' && (*name < '0' || *name > '9') &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

bool accounts_hash_valid(const char *hash)
{
	static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789./$=,_-";
	size_t len = strlen(hash);

	if (strcmp(hash, "!") == 0 || strcmp(hash, "*") == 0)
		return true;
	return *hash == '$' && len > 8 && len <= FIELD_MAX && strspn(hash, legal) == len &&
	       strchr(hash + 1, '$');
}

bool accounts_field_valid(const char *text)
{
	if (strlen(text) > FIELD_MAX)
		return false;
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f || *p == ':')
			return false;
	return true;
}

/* The line of name, or NULL; *ret_len without its newline. */
static char *find_line(const struct str *text, const char *name, size_t *ret_len)
{
	size_t name_len = strlen(name);

	for (char *line = text->data; line && *line;) {
		size_t len = strcspn(line, "\n");

		if (len > name_len && line[name_len] == ':' && strncmp(line, name, name_len) == 0) {
			*ret_len = len;
			return line;
		}
		line += len + (line[len] == '\n');
	}
	return NULL;
}

/* Start and length of a field of a line. */
static const char *field_of(const char *line, size_t len, unsigned field, size_t *ret_len)
{
	const char *end = line + len;

	for (; field > 0; field--) {
		line = memchr(line, ':', (size_t)(end - line));
		if (!line)
			return NULL;
		line++;
	}
	*ret_len = 0;
	while (line + *ret_len < end && line[*ret_len] != ':')
		++*ret_len;
	return line;
}

static bool field_number(const char *line, size_t len, unsigned field, uint32_t *ret)
{
	size_t size;
	const char *text = field_of(line, len, field, &size);
	unsigned long long value;
	char *end;

	if (!text || !size || *text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (end != text + size || errno || value >= UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

bool accounts_user(const struct accounts *accounts, const char *name, uint32_t *ret_uid,
		   uint32_t *ret_gid, char **ret_home)
{
	size_t len, home_len;
	const char *line = find_line(&accounts->passwd, name, &len);
	const char *home;
	uint32_t uid, gid;

	if (!line || !field_number(line, len, PASSWD_UID, &uid) ||
	    !field_number(line, len, PASSWD_GID, &gid))
		return false;
	home = field_of(line, len, PASSWD_HOME, &home_len);
	if (!home)
		return false;
	if (ret_uid)
		*ret_uid = uid;
	if (ret_gid)
		*ret_gid = gid;
	if (ret_home)
		*ret_home = mem_strndup(home, home_len);
	return true;
}

bool accounts_group(const struct accounts *accounts, const char *name, uint32_t *ret_gid)
{
	size_t len;
	const char *line = find_line(&accounts->group, name, &len);

	return line && field_number(line, len, GROUP_GID, ret_gid);
}

static bool number_taken(const struct str *text, unsigned field, uint32_t id)
{
	for (const char *line = text->data; line && *line;) {
		size_t len = strcspn(line, "\n");
		uint32_t found;

		if (field_number(line, len, field, &found) && found == id)
			return true;
		line += len + (line[len] == '\n');
	}
	return false;
}

bool accounts_id_taken(const struct accounts *accounts, uint32_t id)
{
	return number_taken(&accounts->passwd, PASSWD_UID, id) ||
	       number_taken(&accounts->group, GROUP_GID, id);
}

static void end_line(struct str *text)
{
	if (text->len && text->data[text->len - 1] != '\n')
		str_add(text, "\n");
}

void accounts_add_user(struct accounts *accounts, const struct account *account)
{
	end_line(&accounts->passwd);
	end_line(&accounts->shadow);
	str_addf(&accounts->passwd, "%s:x:%" PRIu32 ":%" PRIu32 ":%s:%s:%s\n", account->name,
		 account->uid, account->gid, account->gecos, account->home, account->shell);
	str_addf(&accounts->shadow, "%s:!%s\n", account->name, SHADOW_REST);
}

void accounts_add_group(struct accounts *accounts, const char *name, uint32_t gid)
{
	end_line(&accounts->group);
	str_addf(&accounts->group, "%s:x:%" PRIu32 ":\n", name, gid);
	if (!accounts->has_gshadow)
		return;
	end_line(&accounts->gshadow);
	str_addf(&accounts->gshadow, "%s:!::\n", name);
}

/* Replaces len bytes at offset. */
static void splice(struct str *text, size_t offset, size_t len, const char *by)
{
	struct str changed = {0};

	str_add_bytes(&changed, text->data, offset);
	str_add(&changed, by);
	str_add(&changed, text->data + offset + len);
	wipe(text);
	*text = changed;
}

/* Adds user to the list that is the last field of a group's line. */
static void add_to_list(struct str *text, const char *group, const char *user)
{
	size_t len, size, user_len = strlen(user);
	const char *line = find_line(text, group, &len);
	const char *list = line ? field_of(line, len, 3, &size) : NULL;

	if (!list)
		return;
	for (const char *p = list; p < list + size;) {
		size_t one = strcspn(p, ",:\n");

		if (one == user_len && strncmp(p, user, one) == 0)
			return;
		p += one + 1;
	}
	{
		CLEANUP_FREE char *added = mem_printf("%s%s", size ? "," : "", user);

		splice(text, (size_t)(list - text->data) + size, 0, added);
	}
}

void accounts_add_member(struct accounts *accounts, const char *group, const char *user)
{
	add_to_list(&accounts->group, group, user);
	if (accounts->has_gshadow)
		add_to_list(&accounts->gshadow, group, user);
}

void accounts_set_password(struct accounts *accounts, const char *user, const char *hash,
			   bool locked)
{
	CLEANUP_FREE char *old = NULL;
	CLEANUP_FREE char *new = NULL;
	size_t len, size;
	const char *line = find_line(&accounts->shadow, user, &len);
	const char *field = line ? field_of(line, len, SHADOW_HASH, &size) : NULL;

	if (!field)
		return;
	old = mem_strndup(field, size);
	if (!hash)
		hash = *old == '!' ? old + 1 : old;
	/* An account without any hash stays one that no password opens. */
	if (!*hash || strcmp(hash, "!") == 0 || strcmp(hash, "*") == 0)
		new = mem_strdup(*hash ? hash : "!");
	else
		new = mem_printf("%s%s", locked ? "!" : "", hash);
	splice(&accounts->shadow, (size_t)(field - accounts->shadow.data), size, new);
	mem_wipe(old, strlen(old));
	mem_wipe(new, strlen(new));
}
