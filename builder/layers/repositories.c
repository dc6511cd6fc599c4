/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which repositories a build uses, and their state. No mirror is named here: mmdebstrap is asked once
 * which sources.list it would write, by a hook that prints it and then ends the run.
 */
#include "layers/packages.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "net/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SUITES_MAX 32
#define LINE_MAX_BYTES 2048
#define INRELEASE_MAX ((size_t)8 << 20)
#define RECORD_MAX ((size_t)1 << 20)
#define MARK "ingot-source: "
#define MARK_END "ingot-source-end"

static const char print_sources[] =
	"sed 's/^/" MARK "/' \"$1\"/etc/apt/sources.list >&2 && echo " MARK_END " >&2; exit 1";

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

struct learned {
	json_t *lines;
	bool ended;
};

static void take_line(const char *text, void *context)
{
	struct learned *learned = context;

	if (strcmp(text, MARK_END) == 0)
		learned->ended = true;
	else if (str_has_prefix(text, MARK) && json_array_size(learned->lines) < SUITES_MAX)
		json_array_append_new(learned->lines, json_string(text + strlen(MARK)));
}

/* Asks mmdebstrap which sources it would use. Caller decrefs. */
static json_t *learn_sources(const char *program, const struct profile *profile, struct err *err)
{
	CLEANUP(strv_free) struct strv argv = {0};
	CLEANUP_JSON json_t *lines = json_array();
	CLEANUP(str_free) struct str components = {0};
	struct learned learned = {lines, false};
	struct proc proc = {.line = take_line, .context = &learned};
	struct err ignored = {0};

	for (size_t i = 0; i < profile->base.components.count; i++)
		str_addf(&components, "%s%s", i ? "," : "", profile->base.components.items[i]);
	strv_add(&argv, program);
	strv_add(&argv, "--quiet");
	strv_add(&argv, "--mode=chrootless"); /* needs no rights, and nothing is installed */
	strv_add(&argv, "--variant=custom");
	strv_add(&argv, "--format=null");
	strv_addf(&argv, "--architectures=%s", profile->base.architecture);
	strv_addf(&argv, "--components=%s", components.data ? components.data : "main");
	if (profile->base.keyring)
		strv_addf(&argv, "--keyring=%s", profile->base.keyring);
	strv_addf(&argv, "--setup-hook=%s", print_sources);
	strv_add(&argv, profile->base.release);
	strv_add(&argv, "/dev/null");
	proc.argv = (const char *const *)argv.items;
	/* The hook ends the run with an error; whether it came to print is what counts. */
	if (proc_run(&proc, &ignored) < 0 && !learned.ended) {
		if (err)
			*err = ignored;
		err_wrap(err, "cannot learn the repositories of %s %s", profile->base.distribution,
			 profile->base.release);
		return NULL;
	}
	if (json_array_size(lines) == 0) {
		err_set(err, ERR_PROFILE, "mmdebstrap knows no repositories for %s %s",
			profile->base.distribution, profile->base.release);
		return NULL;
	}
	return MEM_STEAL(lines);
}

/* Splits "deb [options] URI SUITE COMPONENTS"; mirror, if any, takes the place of the URI of all but the
 * security suites, which have a place of their own. */
static int parse_line(const char *line, const char *mirror, struct repository *ret, struct err *err)
{
	CLEANUP_FREE char *copy = mem_strdup(line);
	char *rest = copy + strspn(copy, " \t"), *options = NULL, *uri, *suite;

	if (strlen(line) > LINE_MAX_BYTES || strncmp(rest, "deb", 3) != 0 ||
	    !strchr(" \t[", rest[3]))
		return err_set(err, ERR_OTHER, "cannot read repository '%.200s'", line);
	rest += 3;
	rest += strspn(rest, " \t");
	if (*rest == '[') {
		options = rest;
		rest = strchr(rest, ']');
		if (!rest)
			return err_set(err, ERR_OTHER, "cannot read repository '%.200s'", line);
		rest++;
		if (*rest)
			*rest++ = '\0';
	}
	uri = strsep(&rest, " \t");
	while (uri && !*uri)
		uri = strsep(&rest, " \t");
	suite = strsep(&rest, " \t");
	if (!uri || !suite || !rest || !*suite || !strstr(uri, "://"))
		return err_set(err, ERR_OTHER, "cannot read repository '%.200s'", line);
	if (mirror && !str_has_suffix(suite, "-security") && !strstr(suite, "/updates"))
		uri = (char *)mirror;
	ret->uri = mem_strdup(uri);
	ret->suite = mem_strdup(suite);
	ret->line = mem_printf("deb %s%s%s %s %s", options ? options : "", options ? " " : "", uri,
			       suite, rest);
	return 0;
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
	struct http_request requests[SUITES_MAX] = {0};
	struct http_answer answers[SUITES_MAX] = {0};
	const struct repository *asked[SUITES_MAX];
	char *urls[SUITES_MAX];
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

static int parse_sources(const json_t *lines, const char *mirror, struct repositories *ret,
			 struct err *err)
{
	json_t *line;
	size_t i;

	ret->items = mem_alloc_array(json_array_size(lines), sizeof(*ret->items));
	json_array_foreach(lines, i, line)
	{
		const char *text = json_string_value(line);

		if (!text || i >= SUITES_MAX)
			return err_set(err, ERR_VERIFY,
				       "the record of the repositories is damaged");
		if (!text[strspn(text, " \t")] || text[0] == '#')
			continue;
		/* Counted first: a line that was read halfway is freed as well. */
		if (parse_line(text, mirror, &ret->items[ret->count++], err) < 0)
			return -1;
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
	lines = learn_sources(program, profile, err);
	return lines ? json_pack("{s:o, s:{}}", "sources", lines, "suites") : NULL;
}

int packages_repositories(struct cache *cache, const struct profile *profile, bool offline,
			  struct repositories *ret, struct err *err)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *folder = NULL;
	CLEANUP_JSON json_t *record = open_record(cache, profile, offline, &path, err);
	int r;

	*ret = (struct repositories){0};
	r = record ? parse_sources(json_object_get(record, "sources"), profile->base.mirror, ret,
				   err)
		   : -1;
	if (r == 0 && !offline) {
		r = refresh(ret, json_object_get(record, "suites"), err);
		json_object_set_new(record, "checked", json_integer(time(NULL)));
		folder = path_parent(path);
		if (r == 0 && mkdir(folder, 0700) < 0 && errno != EEXIST)
			r = err_sys(err, errno, "cannot make folder '%s'", folder);
		if (r == 0)
			r = json_write_file(path, record, false, err);
	}
	if (r == 0)
		r = apply(record, ret, err);
	if (r == 0 && offline)
		tell_age(ret);
	if (r < 0)
		packages_repositories_free(ret);
	return r;
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
