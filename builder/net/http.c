/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests on one curl multi handle per call: a single request is a list of one. Retries wait in
 * the same loop, so that one slow server does not hold up the others.
 */
#include "net/http.h"

#include "base/clock.h"
#include "base/mem.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#ifndef INGOT_VERSION
#define INGOT_VERSION "0"
#endif

#define TIMEOUT_MS 30000L
#define CONNECT_TIMEOUT_MS 10000L
#define ANSWER_MAX ((size_t)16 << 20)
#define REDIRECTS_MAX 5L
#define WAIT_FIRST 0.2
#define WAIT_MAX 10.0
#define RETRY_AFTER_MAX 60.0

/* One request on its way. */
struct job {
	const struct http_request *request;
	struct http_answer *answer;
	CURL *curl;
	struct curl_slist *headers;
	char text[CURL_ERROR_SIZE];
	int tries;
	double not_before;  /* clock_monotonic() of the next try; 0: now */
	double retry_after; /* what the server asked for, seconds */
	bool running, done, too_large;
	CURLcode code;
};

static void http_init(void)
{
	/* A failure here makes curl_easy_init fail, which is reported there. */
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* The URL for messages: no user, password, query or fragment, for they may be secrets. */
static char *public_url(const char *url)
{
	size_t len = strcspn(url, "?#");
	const char *rest = strstr(url, "://"), *at;
	size_t host = rest ? (size_t)(rest + 3 - url) : 0;
	size_t host_len = strcspn(url + host, "/?#");

	at = memrchr(url + host, '@', host_len);
	if (!at)
		return mem_strndup(url, len);
	at++;
	return mem_printf("%.*s%.*s", (int)host, url, (int)(url + len - at), at);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
	struct job *job = context;
	size_t max = job->request->answer_max ? job->request->answer_max : ANSWER_MAX;

	if (count > max - job->answer->body.len) {
		job->too_large = true;
		return 0;
	}
	str_add_bytes(&job->answer->body, bytes, size * count);
	return count;
}

/* Copies a header's value when line is that header and the value fits; a longer one is left out. */
static void take_header(const char *line, size_t len, const char *name, char *value, size_t room)
{
	size_t name_len = strlen(name);

	if (len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
		return;
	line += name_len + 1;
	len -= name_len + 1;
	while (len && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	while (len && strchr("\r\n \t", line[len - 1]))
		len--;
	if (len >= room || memchr(line, '\0', len))
		return;
	memcpy(value, line, len);
	value[len] = '\0';
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
	struct job *job = context;
	size_t len = size * count;
	char wait[16] = "";

	if (len >= 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		/* A new answer begins: after a redirect only the last one counts. */
		job->answer->etag[0] = job->answer->last_modified[0] = '\0';
		job->answer->body.len = 0;
		job->retry_after = 0;
		return len;
	}
	take_header(line, len, "ETag", job->answer->etag, sizeof(job->answer->etag));
	take_header(line, len, "Last-Modified", job->answer->last_modified,
		    sizeof(job->answer->last_modified));
	take_header(line, len, "Retry-After", wait, sizeof(wait));
	if (wait[0] >= '0' && wait[0] <= '9')
		job->retry_after = strtod(wait, NULL);
	return len;
}

static int add_header(struct job *job, const char *line, struct err *err)
{
	struct curl_slist *longer;

	if (strpbrk(line, "\r\n"))
		return err_set(err, ERR_OTHER, "header '%.40s' has a line break", line);
	longer = curl_slist_append(job->headers, line);
	if (!longer)
		return err_set(err, ERR_OTHER, "cannot add a header: no memory");
	job->headers = longer;
	return 0;
}

static int add_headers(struct job *job, struct err *err)
{
	const struct http_request *r = job->request;
	CLEANUP_FREE char *match = NULL;
	CLEANUP_FREE char *since = NULL;

	/* "Expect: 100-continue" costs a second with servers that do not know it. */
	if (add_header(job, "Expect:", err) < 0)
		return -1;
	for (const char *const *h = r->headers; h && *h; h++)
		if (add_header(job, *h, err) < 0)
			return -1;
	if (r->if_none_match && r->if_none_match[0]) {
		match = mem_printf("If-None-Match: %s", r->if_none_match);
		if (add_header(job, match, err) < 0)
			return -1;
	}
	if (r->if_modified_since && r->if_modified_since[0]) {
		since = mem_printf("If-Modified-Since: %s", r->if_modified_since);
		if (add_header(job, since, err) < 0)
			return -1;
	}
	return 0;
}

/* Sets what follows from the method and the body. */
static CURLcode set_method(CURL *c, const struct http_request *r)
{
	const char *method = r->method ? r->method : r->body ? "POST" : "GET";
	CURLcode code = CURLE_OK;

	if (strcmp(method, "HEAD") == 0)
		return curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	if (r->body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
		code |= curl_easy_setopt(c, CURLOPT_POST, 1L);
		code |= curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		code |= curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body ? r->body : "");
		if (strcmp(method, "POST") == 0)
			return code;
	}
	/* GET is curl's own; a fixed method would be repeated after a 303. */
	if (strcmp(method, "GET") != 0)
		code |= curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	return code;
}

static CURLcode set_options(struct job *job)
{
	const struct http_request *r = job->request;
	CURL *c = job->curl;
	CURLcode code = CURLE_OK;

	code |= curl_easy_setopt(c, CURLOPT_URL, r->url);
	code |= curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	code |= curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	code |= curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	code |= curl_easy_setopt(c, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
	code |= curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	code |= curl_easy_setopt(c, CURLOPT_USERAGENT, "ingot/" INGOT_VERSION);
	code |= curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, r->timeout_ms ? r->timeout_ms : TIMEOUT_MS);
	code |= curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
				 r->connect_timeout_ms ? r->connect_timeout_ms
						       : CONNECT_TIMEOUT_MS);
	code |= curl_easy_setopt(c, CURLOPT_HTTPHEADER, job->headers);
	code |= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	code |= curl_easy_setopt(c, CURLOPT_WRITEDATA, job);
	code |= curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	code |= curl_easy_setopt(c, CURLOPT_HEADERDATA, job);
	code |= curl_easy_setopt(c, CURLOPT_ERRORBUFFER, job->text);
	code |= curl_easy_setopt(c, CURLOPT_PRIVATE, job);
	if (r->unix_socket) {
		code |= curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, r->unix_socket);
		code |= curl_easy_setopt(c, CURLOPT_PROXY, "");
	}
	return code | set_method(c, r);
}

static int prepare(struct job *job, struct err *err)
{
	job->curl = curl_easy_init();
	if (!job->curl)
		return err_set(err, ERR_OTHER, "cannot start libcurl");
	if (add_headers(job, err) < 0)
		return -1;
	if (set_options(job) != CURLE_OK)
		return err_set(err, ERR_OTHER, "libcurl refuses the options of a request");
	return 0;
}

static bool is_worth_retrying(const struct job *job)
{
	switch (job->code) {
	case CURLE_OK:
		return job->answer->status == 429 ||
		       (job->answer->status >= 500 && job->answer->status <= 599);
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	default:
		return false;
	}
}

/* Seconds before the next try: doubling, and between half and all of it by chance, so that a rack
 * that boots does not ask in step. */
static double backoff(const struct job *job)
{
	double wait = WAIT_FIRST;
	uint32_t chance = 0;

	if (job->retry_after > 0)
		return job->retry_after < RETRY_AFTER_MAX ? job->retry_after : RETRY_AFTER_MAX;
	for (int i = 1; i < job->tries && wait < WAIT_MAX; i++)
		wait *= 2;
	if (wait > WAIT_MAX)
		wait = WAIT_MAX;
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != (ssize_t)sizeof(chance))
		chance = UINT32_MAX / 2;
	return wait * (0.5 + 0.5 * (double)chance / (double)UINT32_MAX);
}

/* Takes the result of a try: done, or again later. */
static void settle(struct job *job, CURLcode code)
{
	job->running = false;
	job->code = code;
	job->answer->status = 0;
	if (code == CURLE_OK)
		curl_easy_getinfo(job->curl, CURLINFO_RESPONSE_CODE, &job->answer->status);
	if (job->tries <= job->request->retries && is_worth_retrying(job))
		job->not_before = clock_monotonic() + backoff(job);
	else
		job->done = true;
}

static int begin(CURLM *multi, struct job *job, struct err *err)
{
	job->answer->body.len = 0;
	if (job->answer->body.data)
		job->answer->body.data[0] = '\0';
	job->too_large = false;
	job->retry_after = 0;
	job->text[0] = '\0';
	job->tries++;
	if (curl_multi_add_handle(multi, job->curl) != CURLM_OK)
		return err_set(err, ERR_OTHER, "libcurl refuses a request");
	job->running = true;
	return 0;
}

/* Returns how many tries have ended. */
static size_t collect(CURLM *multi)
{
	size_t ended = 0;
	int left;

	for (CURLMsg *m; (m = curl_multi_info_read(multi, &left));) {
		struct job *job = NULL;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&job);
		curl_multi_remove_handle(multi, m->easy_handle);
		settle(job, code);
		ended++;
	}
	return ended;
}

/* Starts what is due. Returns the milliseconds until something else is, -1 when all jobs are done, -2
 * on error. */
static int start_due(CURLM *multi, struct job *jobs, size_t count, struct err *err)
{
	double now = clock_monotonic(), next = now + 1;
	bool open = false;

	for (size_t i = 0; i < count; i++) {
		if (jobs[i].done)
			continue;
		open = true;
		if (jobs[i].running)
			continue;
		if (jobs[i].not_before > now)
			next = jobs[i].not_before < next ? jobs[i].not_before : next;
		else if (begin(multi, &jobs[i], err) < 0)
			return -2;
	}
	return open ? (int)((next - now) * 1000) + 1 : -1;
}

/* Runs all jobs to their end. */
static int drive(CURLM *multi, struct job *jobs, size_t count, struct err *err)
{
	for (int wait; (wait = start_due(multi, jobs, count, err)) != -1;) {
		int running;

		if (wait == -2)
			return -1;
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			return err_set(err, ERR_OTHER, "libcurl cannot go on");
		/* Those that have ended are looked at before anything is waited for. */
		if (collect(multi) > 0)
			continue;
		if (curl_multi_poll(multi, NULL, 0, wait, NULL) != CURLM_OK)
			return err_set(err, ERR_OTHER, "libcurl cannot wait");
	}
	return 0;
}

static int job_error(const struct job *job, struct err *err)
{
	CLEANUP_FREE char *url = public_url(job->request->url);
	const struct http_request *r = job->request;
	const char *cause = job->text[0] ? job->text : curl_easy_strerror(job->code);

	if (job->too_large)
		return err_set(err, ERR_NETWORK,
			       "cannot fetch '%s': the answer is larger than %zu bytes", url,
			       r->answer_max ? r->answer_max : ANSWER_MAX);
	if (r->unix_socket)
		return err_set(err, ERR_NETWORK, "cannot ask '%s' by way of '%s': %s", url,
			       r->unix_socket, cause);
	err_set(err, ERR_NETWORK, "cannot fetch '%s': %s", url, cause);
	if (job->code == CURLE_COULDNT_RESOLVE_HOST || job->code == CURLE_COULDNT_CONNECT)
		err_hint(err,
			 "check the network, and the proxy in the environment if one is needed");
	return -1;
}

int http_do_all(const struct http_request *requests, struct http_answer *answers, size_t count,
		struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct job *jobs;
	CURLM *multi;
	int r = 0;

	pthread_once(&once, http_init);
	memset(answers, 0, count * sizeof(*answers));
	multi = curl_multi_init();
	if (!multi)
		return err_set(err, ERR_OTHER, "cannot start libcurl");
	jobs = mem_alloc_array(count, sizeof(*jobs));
	for (size_t i = 0; i < count && r == 0; i++) {
		jobs[i].request = &requests[i];
		jobs[i].answer = &answers[i];
		r = prepare(&jobs[i], err);
	}
	if (r == 0)
		r = drive(multi, jobs, count, err);
	for (size_t i = 0; i < count && r == 0; i++)
		if (jobs[i].code != CURLE_OK)
			r = job_error(&jobs[i], err);
	for (size_t i = 0; i < count; i++) {
		if (jobs[i].running)
			curl_multi_remove_handle(multi, jobs[i].curl);
		if (jobs[i].curl)
			curl_easy_cleanup(jobs[i].curl);
		curl_slist_free_all(jobs[i].headers);
	}
	curl_multi_cleanup(multi);
	free(jobs);
	return r;
}

int http_do(const struct http_request *request, struct http_answer *answer, struct err *err)
{
	return http_do_all(request, answer, 1, err);
}

void http_answer_free(struct http_answer *answer)
{
	str_free(&answer->body);
}
