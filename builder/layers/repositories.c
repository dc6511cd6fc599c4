/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of the repositories: InRelease files, asked for by conditional requests and remembered.
 */
#include "layers/packages.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "layers/sources.h"
#include "net/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define INRELEASE_MAX ((size_t)8 << 20)
#define RECORD_MAX ((size_t)1 << 20)
/* What is remembered: {"sources": [line...], "checked": epoch, "suites": {url: {digest, date, etag,
 * modified}}}. */
static char *record_path(const struct cache *cache, const struct profile *profile,
			 const struct digest *program)
{
	struct cache_key key CLEANUP(cache_key_free) = {0};
	char hex[DIGEST_HEX_SIZE];
	struct digest d;

	cache_key_add(&key, "format", "1");
	cache_key_add_digest(&key, "mmdebstrap", program);
	cache_key_add(&key, "distribution", profile->base.distribution);
	cache_key_add(&key, "release", profile->base.release);
	cache_key_add(&key, "architecture", profile->base.architecture);
	cache_key_add(&key, "mirror", profile->base.mirror ? profile->base.mirror : "");
	cache_key_add(&key, "keyring", profile->base.keyring ? profile->base.keyring : "");
	for (size_t i = 0; i < profile->base.components.count; i++)
		cache_key_add(&key, "component", profile->base.components.items[i]);
	cache_key_digest(&key, "repositories", &d);
	digest_hex(&d, hex);
	return mem_printf("%s/remember/repositories.%.32s.json", cache_dir(cache), hex);
}

/* Reads the Date field (RFC 5322 with "UTC"), of the signed part of an InRelease file. */
static int parse_date(const char *text, const char *suite, int64_t *ret, struct err *err)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const char *line = strstr(text, "\nDate:"), *at;
	struct tm tm = {0};
	char month[4] = "";

	if (!line || sscanf(line + 6, " %*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d", &tm.tm_mday,
			    month, &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return err_set(err, ERR_VERIFY, "the InRelease file of suite '%s' has no date",
			       suite);
	at = strlen(month) == 3 ? strstr(months, month) : NULL;
	if (!at || (at - months) % 3 || tm.tm_year < 1990 || tm.tm_year > 2200)
		return err_set(err, ERR_VERIFY, "the InRelease file of suite '%s' has a bad date",
			       suite);
	tm.tm_mon = (int)(at - months) / 3;
	tm.tm_year -= 1900;
	*ret = timegm(&tm);
	return 0;
}

/* Takes the content of an InRelease file into the record of its URL. */
static int take_content(const char *text, size_t len, const struct repository *repository,
			json_t *state, struct err *err)
{
	char hex[DIGEST_HEX_SIZE];
	struct digest d;
	int64_t date = 0;

	if (len == 0 || memchr(text, '\0', len) || !strstr(text, "BEGIN PGP SIGNED MESSAGE"))
		return err_set(err, ERR_VERIFY, "what suite '%s' has for InRelease is not signed",
			       repository->suite);
	if (parse_date(text, repository->suite, &date, err) < 0)
		return -1;
	digest_bytes(text, len, &d);
	json_object_set_new(state, "digest", json_string(digest_hex(&d, hex)));
	json_object_set_new(state, "date", json_integer(date));
	return 0;
}

/* The remembered state of an URL; made when absent. Borrowed. */
static json_t *state_of(json_t *suites, const char *url)
{
	json_t *state = json_object_get(suites, url);

	if (!json_is_object(state)) {
		state = json_object();
		json_object_set_new(suites, url, state);
	}
	return state;
}

static bool is_http(const char *uri)
{
	return str_has_prefix(uri, "http://") || str_has_prefix(uri, "https://");
}

static char *inrelease_url(const struct repository *r)
{
	size_t len = strlen(r->uri);

	return mem_printf("%s%sdists/%s/InRelease", r->uri,
			  len && r->uri[len - 1] == '/' ? "" : "/", r->suite);
}

static int read_local(const struct repository *r, const char *url, json_t *state, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	const char *path = strstr(url, "://") + 3;

	if (!str_has_prefix(url, "file://") && !str_has_prefix(url, "copy://"))
		return err_set(
			err, ERR_PROFILE,
			"cannot watch suite '%s': only http, https, file and copy mirrors can be "
			"used",
			r->suite);
	if (fd_read_file(path, INRELEASE_MAX, &text, err) < 0)
		return -1;
	return take_content(text.data ? text.data : "", text.len, r, state, err);
}

static int take_answer(const struct repository *r, const struct http_answer *answer, json_t *state,
		       struct err *err)
{
	if (answer->status == 304 && json_member_string(state, "digest"))
		return 0;
	if (answer->status != 200)
		return err_set(err, ERR_NETWORK, "cannot read suite '%s': the server says %ld",
			       r->suite, answer->status);
	if (take_content(answer->body.data ? answer->body.data : "", answer->body.len, r, state,
			 err) < 0)
		return -1;
	json_object_set_new(state, "etag", json_string(answer->etag));
	json_object_set_new(state, "modified", json_string(answer->last_modified));
	return 0;
}

/* Asks all servers at once. */
static int refresh(const struct repositories *list, json_t *suites, struct err *err)
{
	struct http_request requests[SOURCES_MAX] = {0};
	struct http_answer answers[SOURCES_MAX] = {0};
	const struct repository *asked[SOURCES_MAX];
	char *urls[SOURCES_MAX];
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < list->count && r == 0; i++) {
		CLEANUP_FREE char *url = inrelease_url(&list->items[i]);
		json_t *state = state_of(suites, url);
		bool known = json_member_string(state, "digest") != NULL;

		if (!is_http(list->items[i].uri)) {
			r = read_local(&list->items[i], url, state, err);
			continue;
		}
		asked[count] = &list->items[i];
		requests[count] = (struct http_request){
			.url = url,
			.if_none_match = known ? json_member_string(state, "etag") : NULL,
			.if_modified_since = known ? json_member_string(state, "modified") : NULL,
			.answer_max = INRELEASE_MAX,
			.retries = 3,
		};
		urls[count++] = MEM_STEAL(url);
	}
	if (r == 0 && http_do_all(requests, answers, count, err) < 0) {
		err_hint(err, "with --offline the state that the cache remembers is used");
		r = -1;
	}
	for (size_t i = 0; i < count; i++) {
		if (r == 0)
			r = take_answer(asked[i], &answers[i], state_of(suites, urls[i]), err);
		http_answer_free(&answers[i]);
		free(urls[i]);
	}
	return r;
}

/* Fills digests and dates from the record. */
static int apply(const json_t *record, struct repositories *list, struct err *err)
{
	const json_t *suites = json_object_get(record, "suites");

	list->checked = json_integer_value(json_object_get(record, "checked"));
	list->epoch = 0;
	for (size_t i = 0; i < list->count; i++) {
		CLEANUP_FREE char *url = inrelease_url(&list->items[i]);
		const json_t *state = json_object_get(suites, url);
		const char *hex = json_member_string(state, "digest");

		if (!hex)
			return err_set(err, ERR_NETWORK,
				       "cannot work offline: suite '%s' was never asked",
				       list->items[i].suite);
		if (digest_parse(hex, &list->items[i].digest, err) < 0)
			return -1;
		list->items[i].date = json_integer_value(json_object_get(state, "date"));
		if (list->items[i].date > list->epoch)
			list->epoch = list->items[i].date;
	}
	return 0;
}

static void tell_age(const struct repositories *list)
{
	double hours = (double)(time(NULL) - list->checked) / 3600;

	if (hours < 48)
		log_info("offline: the repositories were asked %.1f hours ago", hours);
	else
		log_info("offline: the repositories were asked %.0f days ago", hours / 24);
}

/* Reads or makes the record; *ret_path is where it goes. Caller decrefs. */
static json_t *open_record(struct cache *cache, const struct profile *profile, bool offline,
			   char **ret_path, struct err *err)
{
	CLEANUP_FREE char *program = proc_find("mmdebstrap");
	CLEANUP_JSON json_t *record = NULL;
	struct digest d;
	json_t *lines;

	if (!program) {
		err_set(err, ERR_TOOL,
			"cannot learn the repositories: 'mmdebstrap' is not installed");
		err_hint(err, "install the package mmdebstrap");
		return NULL;
	}
	if (digest_file(program, &d, err) < 0)
		return NULL;
	*ret_path = record_path(cache, profile, &d);
	record = json_read_file(*ret_path, RECORD_MAX, NULL);
	if (json_is_array(json_object_get(record, "sources")) &&
	    json_is_object(json_object_get(record, "suites")))
		return MEM_STEAL(record);
	if (offline) {
		err_set(err, ERR_NETWORK,
			"cannot work offline: the repositories of %s %s were never asked",
			profile->base.distribution, profile->base.release);
		return NULL;
	}
	lines = sources_learn(program, profile, err);
	return lines ? json_pack("{s:o, s:{}}", "sources", lines, "suites") : NULL;
}

static int write_record(const char *path, const json_t *record, struct err *err)
{
	CLEANUP_FREE char *folder = path_parent(path);

	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "cannot make folder '%s'", folder);
	return json_write_file(path, record, false, err);
}

int packages_repositories(struct cache *cache, const struct profile *profile, bool offline,
			  struct repositories *ret, struct err *err)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_JSON json_t *record = open_record(cache, profile, offline, &path, err);
	int r;

	*ret = (struct repositories){0};
	r = record ? sources_parse(json_object_get(record, "sources"), profile->base.mirror, ret,
				   err)
		   : -1;
	if (r == 0 && !offline) {
		r = refresh(ret, json_object_get(record, "suites"), err);
		json_object_set_new(record, "checked", json_integer(time(NULL)));
		if (r == 0)
			r = write_record(path, record, err);
	}
	if (r == 0)
		r = apply(record, ret, err);
	if (r == 0 && offline)
		tell_age(ret);
	if (r < 0)
		packages_repositories_free(ret);
	return r;
}

/* Learns the suites, without asking them for their state. */
static int learn(struct cache *cache, const struct profile *profile, struct repositories *ret,
		 struct err *err)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_JSON json_t *record = open_record(cache, profile, false, &path, err);

	if (!record ||
	    sources_parse(json_object_get(record, "sources"), profile->base.mirror, ret, err) < 0)
		return -1;
	return json_object_get(record, "checked") ? 0 : write_record(path, record, err);
}

int packages_repositories_locked(struct cache *cache, const struct profile *profile,
				 const struct repositories *locked, struct repositories *ret,
				 struct err *err)
{
	bool same;

	*ret = (struct repositories){0};
	if (learn(cache, profile, ret, err) < 0) {
		packages_repositories_free(ret);
		return -1;
	}
	same = ret->count == locked->count;
	for (size_t i = 0; i < ret->count && same; i++) {
		same = strcmp(ret->items[i].suite, locked->items[i].suite) == 0;
		ret->items[i].digest = locked->items[i].digest;
		ret->items[i].date = locked->items[i].date;
		if (locked->items[i].date > ret->epoch)
			ret->epoch = locked->items[i].date;
	}
	if (same)
		return 0;
	packages_repositories_free(ret);
	return err_set(err, ERR_VERIFY, "the profile uses other suites than the lock");
}

void packages_repositories_free(struct repositories *repositories)
{
	for (size_t i = 0; i < repositories->count; i++) {
		free(repositories->items[i].line);
		free(repositories->items[i].uri);
		free(repositories->items[i].suite);
	}
	free(repositories->items);
	*repositories = (struct repositories){0};
}
