/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_files: what lies in /etc, /run and /tmp is written at every boot, what lies on /var once per instance, because
 * it may have changed since.
 */
#include "agent/gunzip.h"
#include "agent/provision/accounts.h"
#include "agent/provision/cloudconfig.h"
#include "agent/provision/place.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/proc.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 1000
#define CONTENT_MAX PLACE_FILE_MAX

static void drop_spaces(const char *text, struct str *ret)
{
	for (const char *p = text; *p; p++)
		if (!strchr(" \t\r\n", *p))
			str_add_bytes(ret, p, 1);
	str_add_bytes(ret, "", 0);
}

static bool gunzip(const struct str *packed, struct str *ret)
{
	size_t len = gunzip_all(packed->data, packed->len, NULL, CONTENT_MAX);

	if (len > CONTENT_MAX)
		return false;
	str_reserve(ret, len);
	if (gunzip_all(packed->data, packed->len, ret->data, len) != len)
		return false;
	ret->len = len;
	ret->data[len] = '\0';
	return true;
}

/* The bytes of an entry; false, and told, when they cannot be had. */
static bool decode(struct cc *cc, const struct doc_node *entry, struct str *ret)
{
	static const struct {
		const char *name;
		bool base64, gzip;
	} encodings[] = {
		{"text/plain", false, false}, {"text", false, false},    {"b64", true, false},
		{"base64", true, false},      {"gz", true, true},        {"gzip", true, true},
		{"gz+b64", true, true},       {"gz+base64", true, true}, {"gzip+b64", true, true},
		{"gzip+base64", true, true},
	};
	const struct doc_node *node = doc_node_get(entry, "content");
	const struct doc_node *how = doc_node_get(entry, "encoding");
	const char *encoding =
		how && !doc_node_is_null(how) ? cc_text(cc, how, "encoding") : "text/plain";
	CLEANUP(str_free) struct str text = {0}, packed = {0};
	size_t i = 0;

	str_add_bytes(ret, "", 0);
	if (!encoding || (node && node->kind != DOC_SCALAR)) {
		if (encoding)
			cc_problem(cc, node, "content must be text");
		return false;
	}
	if (!node)
		return true;
	while (i < ARRAY_SIZE(encodings) && strcmp(encodings[i].name, encoding) != 0)
		i++;
	if (i == ARRAY_SIZE(encodings)) {
		cc_problem(cc, how, "unknown encoding '%s'", cc_show(cc, encoding));
		doc_note(&cc->problems, &how->place, "expected one of text/plain, b64, gz+b64, gz");
		return false;
	}
	/* YAML itself holds no bytes: what is compressed is base64, too, whatever the entry calls it. */
	if (!encodings[i].base64) {
		str_add(ret, node->text);
		return true;
	}
	drop_spaces(node->text, &text);
	if (base64_decode(text.data, text.len, encodings[i].gzip ? &packed : ret) < 0) {
		cc_problem(cc, node, "content is not base64");
		return false;
	}
	if (encodings[i].gzip && !gunzip(&packed, ret)) {
		cc_problem(cc, node, "content is not gzip, damaged, or more than %zu MiB",
			   CONTENT_MAX >> 20);
		return false;
	}
	return true;
}

/* "user", "user:group" or numbers. */
static bool read_owner(struct cc *cc, const struct accounts *accounts, const struct doc_node *node,
		       struct place *place)
{
	const char *text = cc_text(cc, node, "owner");
	CLEANUP_FREE char *user = NULL;
	const char *colon;
	uint32_t uid = 0, gid = 0;

	if (!text)
		return false;
	colon = strchr(text, ':');
	user = mem_strndup(text, colon ? (size_t)(colon - text) : strlen(text));
	if (strspn(user, "0123456789") == strlen(user) && *user && strlen(user) < 10)
		uid = (uint32_t)strtoul(user, NULL, 10);
	else if (!accounts_user(accounts, user, &uid, &gid, NULL)) {
		cc_problem(cc, node, "owner: there is no user '%s'", cc_show(cc, user));
		return false;
	}
	if (colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) && colon[1] &&
	    strlen(colon + 1) < 10)
		gid = (uint32_t)strtoul(colon + 1, NULL, 10);
	else if (colon && !accounts_group(accounts, colon + 1, &gid)) {
		cc_problem(cc, node, "owner: there is no group '%s'", cc_show(cc, colon + 1));
		return false;
	}
	place->uid = uid;
	place->gid = gid;
	return true;
}

static bool read_mode(struct cc *cc, const struct doc_node *node, struct place *place)
{
	const char *text = cc_text(cc, node, "permissions");
	const char *digits = text && str_has_prefix(text, "0o") ? text + 2 : text;
	size_t len = digits ? strlen(digits) : 0;

	if (!text)
		return false;
	if (!len || len > 5 || strspn(digits, "01234567") != len ||
	    strtoul(digits, NULL, 8) > 07777) {
		cc_problem(cc, node, "permissions: '%s' is no octal mode such as '0644'",
			   cc_show(cc, text));
		return false;
	}
	place->mode = (mode_t)strtoul(digits, NULL, 8);
	/* Only the verified image brings programs that run as somebody else. */
	if (place->mode & (S_ISUID | S_ISGID)) {
		cc_problem(cc, node, "permissions: no file may be setuid or setgid");
		return false;
	}
	return true;
}

/* What was written once is known by path and entry, so that a changed entry of the same instance is written. */
static char *mark_of(const char *path, const struct str *content, const struct place *place)
{
	struct digest_ctx *ctx = digest_start();
	char hex[DIGEST_HEX_SIZE];
	struct digest digest;
	CLEANUP_FREE char *more =
		mem_printf("%o %u %u %d", place->mode, place->uid, place->gid, place->append);

	digest_add(ctx, path, strlen(path) + 1);
	digest_add(ctx, more, strlen(more) + 1);
	digest_add(ctx, content->data, content->len);
	digest_finish(ctx, &digest);
	return mem_printf("file %.16s", digest_hex(&digest, hex));
}

/* True when sshd can read its settings. False, too, when it cannot be asked. */
static bool sshd_reads(const struct cc *cc)
{
	const char *inside[] = {"chroot", cc->agent->root, "/usr/sbin/sshd", "-G", NULL};
	CLEANUP(str_free) struct str output = {0};
	struct err err = {0};
	const struct proc proc = {.argv = cc->live ? inside + 2 : inside, .output = &output};

	return proc_run(&proc, &err) == 0;
}

/* sshd does not start with a setting that it does not know, and then nobody could repair it: what it had before comes
 * back. */
static int write_guarded(struct cc *cc, const struct doc_node *node, const char *path,
			 const struct str *content, const struct place *place, struct err *err)
{
	const struct place was = {.mode = 0644};
	CLEANUP_FREE char *full = agent_path(cc->agent, path);
	CLEANUP(str_free) struct str old = {0};
	bool had = agent_read(cc->agent, path, PLACE_FILE_MAX, &old, NULL) == 0;
	bool guard = str_has_prefix(path, "/etc/ssh/") && sshd_reads(cc);

	if (place_write(cc->agent, path, content->data, content->len, place, err) < 0)
		return -1;
	if (!guard || sshd_reads(cc))
		return 0;
	cc_problem(cc, node, "'%s' is not written: sshd would not start with it", path);
	if (had)
		return place_write(cc->agent, path, old.data, old.len, &was, err);
	return unlink(full) < 0 ? err_sys(err, errno, "cannot remove '%s'", full) : 0;
}

static int write_entry(struct cc *cc, const struct accounts *accounts, const struct doc_node *entry,
		       struct err *err)
{
	static const char *const known[] = {"path",        "content", "encoding", "owner",
					    "permissions", "append",  "defer",    "source"};
	const struct doc_node *node = doc_node_get(entry, "path");
	const struct doc_node *owner = doc_node_get(entry, "owner");
	const struct doc_node *mode = doc_node_get(entry, "permissions");
	const char *path = node ? cc_text(cc, node, "path") : NULL, *why;
	struct place place = {.mode = 0644};
	CLEANUP(str_free) struct str content = {0};
	CLEANUP_FREE char *mark = NULL;
	bool once;
	int r;

	cc_check_keys(cc, entry, "write_files", known, ARRAY_SIZE(known));
	if (!path) {
		if (!node)
			cc_problem(cc, entry, "write_files: an entry needs a path");
		return 0;
	}
	if (!place_allowed(path, &why)) {
		cc_problem(cc, node, "cannot write '%s': %s", cc_show(cc, path), why);
		return 0;
	}
	if (doc_node_get(entry, "source")) {
		cc_problem(cc, doc_node_get(entry, "source"),
			   "'source' is not supported: put the text into content, or use #include");
		return 0;
	}
	if ((mode && !read_mode(cc, mode, &place)) ||
	    (owner && !read_owner(cc, accounts, owner, &place)) || !decode(cc, entry, &content))
		return 0;
	place.append = cc_flag(cc, entry, "append", false);
	once = !place_transient(cc->agent, path);
	place.sync = once;
	mark = mark_of(path, &content, &place);
	if (once && cc_was(cc, "done", mark))
		return 0;
	r = write_guarded(cc, node, path, &content, &place, err);
	if (r == 0 && once)
		r = cc_note(cc, "done", mark, err);
	mem_wipe(content.data, content.room);
	return r;
}

static int write_all(struct cc *cc, const struct doc_node *value, bool deferred, struct err *err)
{
	CLEANUP(accounts_free) struct accounts accounts = {0};

	if (doc_node_is_null(value) || !cc_is(cc, value, DOC_LIST, "write_files"))
		return 0;
	if (accounts_load(cc->agent, &accounts, err) < 0)
		return -1;
	for (size_t i = 0; i < value->count && i < FILES_MAX; i++) {
		const struct doc_node *entry = value->items[i];
		struct err own = {0};

		if (entry->kind != DOC_MAP) {
			if (!deferred)
				cc_problem(cc, entry, "an entry of write_files must be a map");
			continue;
		}
		if (cc_flag(cc, entry, "defer", false) != deferred)
			continue;
		if (write_entry(cc, &accounts, entry, &own) < 0)
			cc_failed(cc, entry, &own);
	}
	return 0;
}

int cc_write_files(struct cc *cc, const struct doc_node *value, struct err *err)
{
	return write_all(cc, value, false, err);
}

int cc_write_files_deferred(struct cc *cc, const struct doc_node *value, struct err *err)
{
	return write_all(cc, value, true, err);
}
