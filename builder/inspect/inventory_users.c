/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who can log in: users, their groups, whether a password opens the account, and their SSH keys. Hashes of
 * passwords never leave this file: only a digest that tells whether they are the same.
 */
#include "inspect/inventory_parts.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 9
#define DIGITS 16 /* of a digest that only tells whether two values are the same */

struct fields {
	const char *start[FIELDS_MAX];
	size_t len[FIELDS_MAX], count;
};

/* Splits a line of passwd(5), group(5) or shadow(5). */
static void split(const char *line, size_t len, struct fields *ret)
{
	const char *end = line + len;

	*ret = (struct fields){0};
	for (const char *from = line; ret->count < FIELDS_MAX;) {
		const char *colon = memchr(from, ':', (size_t)(end - from));

		ret->start[ret->count] = from;
		ret->len[ret->count++] = (size_t)((colon ? colon : end) - from);
		if (!colon)
			break;
		from = colon + 1;
	}
}

static json_t *field(const struct fields *fields, size_t i)
{
	return inventory_string_n(i < fields->count ? fields->start[i] : "", fields->len[i]);
}

/* Numbers that are none stay what they are. */
static json_t *number(const struct fields *fields, size_t i)
{
	CLEANUP_JSON json_t *text = field(fields, i);
	const char *digits = json_string_value(text);

	return *digits && strlen(digits) <= 10 && digits[strspn(digits, "0123456789")] == 0
		       ? json_integer(strtoll(digits, NULL, 10))
		       : json_incref(text);
}

static json_t *short_digest(const char *kind, const char *text, size_t len)
{
	char hex[DIGEST_HEX_SIZE];
	struct digest digest;

	digest_bytes(text, len, &digest);
	return json_sprintf("%s %.*s", kind, DIGITS, digest_hex(&digest, hex));
}

/* What the second field of shadow(5) means. */
static json_t *password(const char *hash, size_t len)
{
	if (len == 0)
		return json_string("none needed");
	if (strchr("!*", hash[0]))
		return json_string("locked");
	return short_digest("set", hash, len);
}

/* Calls visit for each line of an account file. */
static int each_line(struct inventory *inv, const char *path,
		     int (*visit)(struct inventory *inv, const struct fields *fields,
				  struct err *err),
		     struct err *err)
{
	const struct inventory_text *text = inventory_text(inv, path);
	const char *at = text ? text->text : "", *line;
	struct fields fields;
	size_t len;

	while ((line = inventory_line(&at, &len))) {
		split(line, len, &fields);
		if (fields.count > 1 && fields.len[0] && visit(inv, &fields, err) < 0)
			return -1;
	}
	return 0;
}

static int add_user(struct inventory *inv, const struct fields *fields, struct err *err)
{
	CLEANUP_JSON json_t *name = field(fields, 0);
	json_t *row = json_object();

	json_object_set_new(row, "uid", number(fields, 2));
	json_object_set_new(row, "gid", number(fields, 3));
	json_object_set_new(row, "home", field(fields, 5));
	json_object_set_new(row, "shell", field(fields, 6));
	json_object_set_new(row, "groups", json_array());
	json_object_set_new(row, "ssh_keys", json_array());
	json_object_set_new(row, "password",
			    fields->len[1] == 1 && *fields->start[1] == 'x'
				    ? json_string("locked")
				    : password(fields->start[1], fields->len[1]));
	return inventory_set(inv, "users", json_string_value(name), row, err);
}

static json_t *find_user(struct inventory *inv, const char *name, size_t len)
{
	CLEANUP_JSON json_t *key = inventory_string_n(name, len);

	return json_object_get(inventory_category(inv, "users"), json_string_value(key));
}

static int add_shadow(struct inventory *inv, const struct fields *fields, struct err *err)
{
	json_t *user = find_user(inv, fields->start[0], fields->len[0]);

	(void)err;
	if (user)
		json_object_set_new(user, "password", password(fields->start[1], fields->len[1]));
	return 0;
}

static int add_group(struct inventory *inv, const struct fields *fields, struct err *err)
{
	CLEANUP_JSON json_t *name = field(fields, 0);
	CLEANUP_FREE char *key = mem_printf("group %s", json_string_value(name));
	const char *member = fields->count > 3 ? fields->start[3] : NULL;
	const char *end = member ? member + fields->len[3] : NULL;
	json_t *row = json_object();

	json_object_set_new(row, "gid", number(fields, 2));
	while (member && member < end) {
		const char *comma = memchr(member, ',', (size_t)(end - member));
		json_t *user = find_user(inv, member, (size_t)((comma ? comma : end) - member));

		if (user)
			json_array_append(json_object_get(user, "groups"), name);
		member = comma ? comma + 1 : end;
	}
	return inventory_set(inv, "users", key, row, err);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(json_string_value(*(json_t *const *)a),
		      json_string_value(*(json_t *const *)b));
}

/* The same list in bytewise order: the order of lines says nothing. */
static json_t *sorted(const json_t *list)
{
	size_t count = json_array_size(list);
	CLEANUP_FREE json_t **items = mem_alloc_array(count, sizeof(json_t *));
	json_t *ret = json_array();

	for (size_t i = 0; i < count; i++)
		items[i] = json_array_get(list, i);
	qsort(items, count, sizeof(json_t *), compare_strings);
	for (size_t i = 0; i < count; i++)
		json_array_append(ret, items[i]);
	return ret;
}

/* One key by its last word, the comment, and its digest. */
static json_t *key_json(const char *line, size_t len)
{
	CLEANUP_JSON json_t *comment = NULL;
	size_t last = len;

	while (last > 0 && !strchr(" \t", line[last - 1]))
		last--;
	comment = inventory_string_n(line + last, len - last);
	return short_digest(json_string_value(comment), line, len);
}

/* The keys of a file as authorized_keys in sshd(8). */
static void add_keys(const struct inventory_text *text, json_t *list)
{
	const char *at = text ? text->text : "", *line;
	size_t len;

	while ((line = inventory_line(&at, &len))) {
		for (; len && strchr(" \t", *line); line++)
			len--;
		while (len && strchr(" \t\r", line[len - 1]))
			len--;
		if (len && *line != '#')
			json_array_append_new(list, key_json(line, len));
	}
}

/* Keys where sshd looks for them by default and where ours are (layers/settings_users.c). */
static void finish_user(struct inventory *inv, const char *name, json_t *user)
{
	static const char *const names[] = {"authorized_keys", "authorized_keys2"};
	const char *home = json_member_string(user, "home");
	CLEANUP_FREE char *central = mem_printf("/etc/ssh/authorized_keys.d/%s", name);
	json_t *keys = json_object_get(user, "ssh_keys");

	for (size_t i = 0; home && i < ARRAY_SIZE(names); i++) {
		CLEANUP_FREE char *path = mem_printf("%s/.ssh/%s", home, names[i]);

		add_keys(inventory_text(inv, path), keys);
	}
	add_keys(inventory_text(inv, central), keys);
	json_object_set_new(user, "ssh_keys", sorted(keys));
	json_object_set_new(user, "groups", sorted(json_object_get(user, "groups")));
}

int inventory_add_users(struct inventory *inv, struct err *err)
{
	const char *name;
	json_t *user;

	inventory_category(inv, "users");
	if (each_line(inv, "/etc/passwd", add_user, err) < 0 ||
	    each_line(inv, "/etc/shadow", add_shadow, err) < 0 ||
	    each_line(inv, "/etc/group", add_group, err) < 0)
		return -1;
	json_object_foreach(inventory_category(inv, "users"), name, user)
	{
		if (json_object_get(user, "ssh_keys"))
			finish_user(inv, name, user);
	}
	return 0;
}
