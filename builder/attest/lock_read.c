/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading locks. One may come from a stranger's branch: nothing in it is believed before it was looked at.
 */
#include "attest/lock.h"

#include "attest/lock_parts.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOCK_MAX ((size_t)16 << 20)
#define ROWS_MAX 65536
#define LOCAL_MAX ((size_t)4200) /* "oci:" and a path */
#define SUITES_MAX 32
#define SIZE_LIMIT ((json_int_t)1 << 40) /* of a .deb */

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define DATE_SIZE 24

/* What a lock has. */
static const char *const members[] = {"lock",      "profile",  "base",           "repositories",
				      "requested", "packages", "build_packages", "containers"};

static const char *const base_names[] = {"distribution", "release", "architecture", "image"};

struct reader {
	const char *text, *name;
	size_t len;
	struct err *err;
};

/* Sets the error with the place of a member or of an element of it. Returns -1. */
__attribute__((format(printf, 4, 5))) static int fault(const struct reader *r, const char *member,
						       size_t index, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(r->err, ERR_VERIFY, "%s:%zu: %s", r->name,
		       lock_line(r->text, r->len, member, index), what);
}

/* Text that is short, not empty and of these characters only. */
static const char *word(const json_t *object, const char *name, const char *allowed)
{
	const json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);

	return text && len > 0 && len < 256 && strspn(text, allowed) == len ? text : NULL;
}

/* The object has exactly these members. */
static int check_members(const struct reader *r, const char *member, size_t index,
			 const json_t *object, const char *const *names, size_t count)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return fault(r, member, index, "expected an object");
	json_object_foreach((json_t *)object, key, value)
	{
		bool known = false;

		for (size_t i = 0; i < count; i++)
			known |= strcmp(key, names[i]) == 0;
		if (!known && key[strspn(key, LOWER UPPER DIGITS "_-")] == '\0')
			return fault(r, member, index, "unknown member '%.60s'", key);
		if (!known)
			return fault(r, member, index, "a member with a strange name");
	}
	for (size_t i = 0; i < count; i++)
		if (!json_object_get(object, names[i]))
			return fault(r, member, index, "member '%s' is missing", names[i]);
	return 0;
}

static int check_array(const struct reader *r, const char *member, const json_t *array, size_t max)
{
	if (!json_is_array(array))
		return fault(r, member, SIZE_MAX, "'%s' must be an array", member);
	if (json_array_size(array) > max)
		return fault(r, member, SIZE_MAX, "'%s' has more than %zu entries", member, max);
	return 0;
}

static bool is_digest(const char *text)
{
	struct digest digest;

	return text && strlen(text) == DIGEST_HEX_SIZE - 1 &&
	       !text[strspn(text, DIGITS "abcdef")] && digest_parse(text, &digest, NULL) == 0;
}

/* Printable text without quotes, which may be empty. */
static bool is_label(const json_t *value)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);

	if (!text || len > 128)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

/* The four members that say where a package came from. */
static bool is_origin(const json_t *row)
{
	const char *path = json_member_string(row, "path");
	size_t nulls = 0;

	for (size_t i = LOCK_ROW_ORIGIN; i < LOCK_ROW_COUNT; i++)
		nulls += json_is_null(json_object_get(row, lock_row_names[i]));
	if (nulls == 4)
		return true;
	return is_label(json_object_get(row, "origin")) &&
	       is_label(json_object_get(row, "component")) &&
	       word(row, "suite", LOWER UPPER DIGITS "._/-") && path &&
	       strlen(path) == json_string_length(json_object_get(row, "path")) &&
	       path_is_clean(path) && path[0] != '/' && !strstr(path, "://");
}

static int check_row(const struct reader *r, const char *member, size_t i, const json_t *row)
{
	const json_t *size = json_object_get(row, "size");
	bool brought = true;

	if (check_members(r, member, i, row, lock_row_names, LOCK_ROW_COUNT) < 0)
		return -1;
	for (size_t k = LOCK_ROW_DIGEST; k < LOCK_ROW_COUNT; k++)
		brought &= json_is_null(json_object_get(row, lock_row_names[k]));
	if (!word(row, "name", LOWER DIGITS "+.-"))
		return fault(r, member, i, "'name' is no name of a package");
	if (!word(row, "version", LOWER UPPER DIGITS ".+~:-"))
		return fault(r, member, i, "'version' is no version of a package");
	if (!word(row, "architecture", LOWER DIGITS "-"))
		return fault(r, member, i, "'architecture' is none");
	if (brought)
		return 0;
	if (!is_digest(word(row, "sha256", DIGITS "abcdef")))
		return fault(r, member, i, "'sha256' is no digest");
	if (!json_is_integer(size) || json_integer_value(size) < 1 ||
	    json_integer_value(size) > SIZE_LIMIT)
		return fault(r, member, i, "'size' is no size of a package");
	if (!is_origin(row))
		return fault(r, member, i, "'origin', 'suite', 'component' or 'path' is wrong");
	return 0;
}

static int compare(const json_t *a, const json_t *b, const char *first, const char *second)
{
	int order = strcmp(json_member_string(a, first), json_member_string(b, first));

	return order || !second
		       ? order
		       : strcmp(json_member_string(a, second), json_member_string(b, second));
}

static int take_packages(const struct reader *r, const char *member, const json_t *root,
			 json_t **ret)
{
	json_t *array = json_object_get(root, member), *row;
	size_t i;

	if (check_array(r, member, array, ROWS_MAX) < 0)
		return -1;
	json_array_foreach(array, i, row)
	{
		if (check_row(r, member, i, row) < 0)
			return -1;
		if (i && compare(json_array_get(array, i - 1), row, "name", "architecture") >= 0)
			return fault(r, member, i, "package '%s' is not in order, or twice there",
				     json_member_string(row, "name"));
	}
	*ret = json_incref(array);
	return 0;
}

/* A package is either in the image or not. */
static int check_twice(const struct reader *r, const struct lock *lock)
{
	CLEANUP_JSON json_t *seen = json_object();
	json_t *row;
	size_t i;

	json_array_foreach(lock->packages, i, row)
	{
		CLEANUP_FREE char *key = mem_printf("%s %s", json_member_string(row, "name"),
						    json_member_string(row, "architecture"));

		json_object_set_new(seen, key, json_true());
	}
	json_array_foreach(lock->build_packages, i, row)
	{
		CLEANUP_FREE char *key = mem_printf("%s %s", json_member_string(row, "name"),
						    json_member_string(row, "architecture"));

		if (json_object_get(seen, key))
			return fault(r, "build_packages", i, "package '%s' is in 'packages' too",
				     json_member_string(row, "name"));
	}
	return 0;
}

static int take_requested(const struct reader *r, const json_t *root, struct strv *names)
{
	const json_t *array = json_object_get(root, "requested");
	json_t *item;
	size_t i;

	if (check_array(r, "requested", array, ROWS_MAX) < 0)
		return -1;
	json_array_foreach(array, i, item)
	{
		CLEANUP_JSON json_t *boxed = json_pack("{s:O}", "name", item);
		const char *name = word(boxed, "name", LOWER UPPER DIGITS "+.:~=/_-");

		if (!name)
			return fault(r, "requested", i, "no name of a package");
		if (i && strcmp(names->items[i - 1], name) >= 0)
			return fault(r, "requested", i, "'%s' is not in order, or twice there",
				     name);
		strv_add(names, name);
	}
	return 0;
}

static int take_base(const struct reader *r, const json_t *root, struct lock *lock)
{
	const json_t *base = json_object_get(root, "base");
	const char *values[ARRAY_SIZE(base_names)];
	const char *profile = word(root, "profile", LOWER UPPER DIGITS "._+-");

	if (!profile)
		return fault(r, "profile", SIZE_MAX, "'profile' is no name of a profile");
	if (check_members(r, "base", SIZE_MAX, base, base_names, ARRAY_SIZE(base_names)) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(base_names) - 1; i++) {
		values[i] = word(base, base_names[i], LOWER UPPER DIGITS "._-");
		if (!values[i])
			return fault(r, "base", SIZE_MAX, "'%s' of the base is wrong",
				     base_names[i]);
	}
	if (!json_is_null(json_object_get(base, "image")) &&
	    !is_digest(word(base, "image", DIGITS "abcdef")))
		return fault(r, "base", SIZE_MAX, "'image' of the base is no digest");
	lock->image = mem_strdup(json_member_string(base, "image"));
	lock->profile = mem_strdup(profile);
	lock->distribution = mem_strdup(values[0]);
	lock->release = mem_strdup(values[1]);
	lock->architecture = mem_strdup(values[2]);
	return 0;
}

static bool parse_date(const char *text, int64_t *ret)
{
	char again[DATE_SIZE];
	struct tm tm = {0};

	if (!text || strlen(text) != 20 ||
	    sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6 ||
	    tm.tm_year < 1990)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ret = timegm(&tm);
	/* No 31st of February. */
	return strcmp(clock_format(*ret, again), text) == 0;
}

static int take_suites(const struct reader *r, const json_t *root, struct lock *lock)
{
	const json_t *array = json_object_get(root, "repositories");
	json_t *row;
	size_t i;

	if (check_array(r, "repositories", array, SUITES_MAX) < 0)
		return -1;
	if (json_array_size(array) == 0)
		return fault(r, "repositories", SIZE_MAX, "'repositories' is empty");
	lock->suites = mem_alloc_array(json_array_size(array), sizeof(*lock->suites));
	json_array_foreach(array, i, row)
	{
		struct lock_suite *suite = &lock->suites[i];
		const char *name, *hex;

		if (check_members(r, "repositories", i, row, lock_suite_names, LOCK_SUITE_COUNT) <
		    0)
			return -1;
		name = word(row, "suite", LOWER UPPER DIGITS "._/-");
		hex = word(row, "inrelease", DIGITS "abcdef");
		if (!name || !is_digest(hex) ||
		    !parse_date(word(row, "date", DIGITS "TZ:-"), &suite->date))
			return fault(r, "repositories", i,
				     "'suite', 'date' or 'inrelease' is wrong");
		if (digest_parse(hex, &suite->inrelease, r->err) < 0)
			return -1;
		suite->name = mem_strdup(name);
		lock->suite_count++;
	}
	return 0;
}

/* "oci:" and a path: any text of one line without control characters, those of Unicode included. */
static bool is_local(const json_t *value)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);

	if (!text || len > LOCAL_MAX || !str_has_prefix(text, "oci:") || !text[4])
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f ||
		    ((unsigned char)text[i] == 0xc2 && (unsigned char)text[i + 1] < 0xa0))
			return false;
	return true;
}

static int take_containers(const struct reader *r, const json_t *root, struct lock *lock)
{
	json_t *array = json_object_get(root, "containers"), *row;
	size_t i;

	if (check_array(r, "containers", array, ROWS_MAX) < 0)
		return -1;
	json_array_foreach(array, i, row)
	{
		const char *digest, *reference;

		if (check_members(r, "containers", i, row, lock_container_names,
				  LOCK_CONTAINER_COUNT) < 0)
			return -1;
		digest = word(row, "digest", DIGITS LOWER ":");
		reference = word(row, "reference", LOWER UPPER DIGITS "._/:@-[]");
		/* A local image without a name is called by its path. */
		if (!reference && is_local(json_object_get(row, "reference")))
			reference = json_member_string(row, "reference");
		if (!reference || strcmp(reference, "oci:") == 0 || !digest ||
		    !str_has_prefix(digest, "sha256:") || !is_digest(digest + 7))
			return fault(r, "containers", i, "'reference' or 'digest' is wrong");
		/* Without tags there can be several of one reference. */
		if (i && compare(json_array_get(array, i - 1), row, "reference", "digest") >= 0)
			return fault(r, "containers", i, "not in order, or twice there");
	}
	lock->containers = json_incref(array);
	return 0;
}

static int take(const struct reader *r, const json_t *root, struct lock *lock)
{
	const json_t *schema = json_object_get(root, "lock");

	/* The version first: a later one may have other members. */
	if (json_is_object(root) &&
	    (!json_is_integer(schema) || json_integer_value(schema) != LOCK_SCHEMA))
		return fault(r, "lock", SIZE_MAX, "'lock' must be %d, the version of the format",
			     LOCK_SCHEMA);
	if (check_members(r, "", SIZE_MAX, root, members, ARRAY_SIZE(members)) < 0 ||
	    take_base(r, root, lock) < 0 || take_suites(r, root, lock) < 0 ||
	    take_requested(r, root, &lock->requested) < 0 ||
	    take_packages(r, "packages", root, &lock->packages) < 0 ||
	    take_packages(r, "build_packages", root, &lock->build_packages) < 0 ||
	    check_twice(r, lock) < 0)
		return -1;
	return take_containers(r, root, lock);
}

int lock_parse(const char *text, size_t len, const char *name, struct lock *lock, struct err *err)
{
	CLEANUP_JSON json_t *root = json_parse(text, len, name, err);
	const struct reader reader = {.text = text, .len = len, .name = name, .err = err};

	*lock = (struct lock){0};
	if (!root) {
		if (err)
			err->code = ERR_VERIFY;
		/* jansson quotes what it does not like. */
		for (char *c = err ? err->msg : NULL; c && *c; c++)
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				*c = '?';
		return -1;
	}
	if (take(&reader, root, lock) < 0) {
		lock_free(lock);
		return -1;
	}
	return 0;
}

int lock_read(const char *path, struct lock *lock, struct digest *ret_digest, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};

	*lock = (struct lock){0};
	if (access(path, F_OK) < 0 && errno == ENOENT) {
		err_set(err, ERR_VERIFY, "there is no lock '%s'", path);
		return err_hint(err, "'ingot lock' makes it");
	}
	if (fd_read_file(path, LOCK_MAX, &text, err) < 0)
		return -1;
	if (ret_digest)
		digest_bytes(text.data ? text.data : "", text.len, ret_digest);
	return lock_parse(text.data ? text.data : "", text.len, path, lock, err);
}
