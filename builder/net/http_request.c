/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request to the options of a curl handle, and from curl's codes to messages.
 */
#include "net/http_parts.h"

#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_MS 30000L
#define CONNECT_TIMEOUT_MS 10000L
#define REDIRECTS_MAX 5L
#define STALL_BYTES 1024L /* per second */
#define SINK_BUFFER (256L << 10)

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

static bool is_https(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0;
}

static int add_header(struct http_job *job, const char *line, struct err *err)
{
	struct curl_slist *longer;

	if (strpbrk(line, "\r\n"))
		return err_set(err, ERR_OTHER, "header '%.*s' has a line break",
			       (int)strcspn(line, ":\r\n"), line);
	longer = http_curl.slist_append(job->headers, line);
	if (!longer)
		return err_set(err, ERR_OTHER, "cannot add a header: no memory");
	job->headers = longer;
	return 0;
}

static int add_headers(struct http_job *job, struct err *err)
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
		return http_curl.easy_setopt(c, CURLOPT_NOBODY, 1L);
	if (r->body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
		code |= http_curl.easy_setopt(c, CURLOPT_POST, 1L);
		code |= http_curl.easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
					      (curl_off_t)r->body_len);
		code |= http_curl.easy_setopt(c, CURLOPT_POSTFIELDS, r->body ? r->body : "");
		if (strcmp(method, "POST") == 0)
			return code;
	}
	/* GET is curl's own; a fixed method would be repeated after a 303. */
	if (strcmp(method, "GET") != 0)
		code |= http_curl.easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	return code;
}

/* Who may be asked: by what protocols, how often sent on, whose certificates are good. */
static CURLcode set_trust(CURL *c, const struct http_request *r)
{
	CURLcode code = CURLE_OK;

	code |= http_curl.easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	/* What began protected stays so. */
	code |= http_curl.easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR,
				      is_https(r->url) ? "https" : "http,https");
	code |= http_curl.easy_setopt(c, CURLOPT_FOLLOWLOCATION, r->redirects >= 0 ? 1L : 0L);
	code |= http_curl.easy_setopt(c, CURLOPT_MAXREDIRS,
				      r->redirects > 0 ? r->redirects : REDIRECTS_MAX);
	/* This replaces the system's file; the system's folder, which Debian fills with the same
	 * certificates, stays. */
	if (r->ca)
		code |= http_curl.easy_setopt(c, CURLOPT_CAINFO, r->ca);
	if (r->ca_pem) {
		struct curl_blob blob = {(void *)(uintptr_t)r->ca_pem, strlen(r->ca_pem),
					 CURL_BLOB_COPY};

		code |= http_curl.easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
	}
	return code;
}

static CURLcode set_times(CURL *c, const struct http_request *r)
{
	long timeout = r->timeout_ms ? r->timeout_ms : r->stall_s ? 0 : TIMEOUT_MS;
	CURLcode code = CURLE_OK;

	code |= http_curl.easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout);
	code |= http_curl.easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
				      r->connect_timeout_ms ? r->connect_timeout_ms
							    : CONNECT_TIMEOUT_MS);
	if (r->stall_s) {
		code |= http_curl.easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES);
		code |= http_curl.easy_setopt(c, CURLOPT_LOW_SPEED_TIME, r->stall_s);
	}
	return code;
}

static CURLcode set_options(struct http_job *job)
{
	const struct http_request *r = job->request;
	CURL *c = job->curl;
	CURLcode code = CURLE_OK;

	code |= http_curl.easy_setopt(c, CURLOPT_URL, r->url);
	code |= http_curl.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	code |= http_curl.easy_setopt(c, CURLOPT_USERAGENT, "ingot/" INGOT_VERSION);
	code |= http_curl.easy_setopt(c, CURLOPT_HTTPHEADER, job->headers);
	code |= http_curl.easy_setopt(c, CURLOPT_WRITEFUNCTION, http_job_body);
	code |= http_curl.easy_setopt(c, CURLOPT_WRITEDATA, job);
	code |= http_curl.easy_setopt(c, CURLOPT_HEADERFUNCTION, http_job_header);
	code |= http_curl.easy_setopt(c, CURLOPT_HEADERDATA, job);
	code |= http_curl.easy_setopt(c, CURLOPT_ERRORBUFFER, job->text);
	code |= http_curl.easy_setopt(c, CURLOPT_PRIVATE, job);
	if (r->sink)
		code |= http_curl.easy_setopt(c, CURLOPT_BUFFERSIZE, SINK_BUFFER);
	if (r->direct)
		code |= http_curl.easy_setopt(c, CURLOPT_PROXY, "");
	code |= set_method(c, r);
	return code | set_trust(c, r) | set_times(c, r);
}

int http_job_prepare(struct http_job *job, struct err *err)
{
	job->curl = http_curl.easy_init();
	if (!job->curl)
		return err_set(err, ERR_OTHER, "cannot start libcurl");
	if (add_headers(job, err) < 0)
		return -1;
	if (set_options(job) != CURLE_OK)
		return err_set(err, ERR_OTHER, "libcurl refuses the options of a request");
	job->given = job->mark = job->request->sink ? job->request->offset : 0;
	return 0;
}

int http_job_range(struct http_job *job, struct err *err)
{
	char range[32];

	if (!job->request->sink)
		return 0;
	snprintf(range, sizeof(range), "%" PRIu64 "-", job->given);
	if (http_curl.easy_setopt(job->curl, CURLOPT_RANGE, job->given ? range : NULL) != CURLE_OK)
		return err_set(err, ERR_OTHER, "libcurl refuses a range");
	return 0;
}

/* A time limit: was the server there at all? */
static enum http_fault timeout_fault(const struct http_job *job)
{
	curl_off_t ready = 0;

	if (http_curl.easy_getinfo(job->curl, CURLINFO_PRETRANSFER_TIME_T, &ready) == CURLE_OK &&
	    ready == 0)
		return HTTP_FAULT_CONNECT;
	return HTTP_FAULT_SLOW;
}

enum http_fault http_job_fault(const struct http_job *job)
{
	if (job->sink_failed)
		return HTTP_FAULT_SINK;
	if (job->too_large)
		return HTTP_FAULT_SIZE;
	if (job->other_range)
		return HTTP_FAULT_OTHER;
	switch (job->code) {
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
		return HTTP_FAULT_NAME;
	case CURLE_COULDNT_CONNECT:
		return HTTP_FAULT_CONNECT;
	case CURLE_PEER_FAILED_VERIFICATION:
		return HTTP_FAULT_TRUST;
	case CURLE_SSL_CONNECT_ERROR:
		/* OpenSSL's words for bytes that are no TLS record. */
		return strstr(job->text, "wrong version number") ||
				       strstr(job->text, "http request")
			       ? HTTP_FAULT_PLAIN
			       : HTTP_FAULT_OTHER;
	case CURLE_TOO_MANY_REDIRECTS:
		return HTTP_FAULT_REDIRECT;
	case CURLE_UNSUPPORTED_PROTOCOL:
		return strncasecmp(job->request->url, "http", 4) == 0 ? HTTP_FAULT_REDIRECT
								      : HTTP_FAULT_OTHER;
	case CURLE_OPERATION_TIMEDOUT:
		return timeout_fault(job);
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return HTTP_FAULT_CUT;
	default:
		return HTTP_FAULT_OTHER;
	}
}

void http_job_log(const struct http_job *job, double wait)
{
	CLEANUP_FREE char *url = public_url(job->request->url);

	if (job->code == CURLE_OK)
		log_debug("'%s' answers %ld: asking again in %.1f s", url, job->answer->status,
			  wait);
	else
		log_debug("cannot fetch '%s': %s: asking again in %.1f s", url,
			  job->text[0] ? job->text : http_curl.easy_strerror(job->code), wait);
}

int http_job_error(const struct http_job *job, struct err *err)
{
	CLEANUP_FREE char *url = public_url(job->request->url);
	const struct http_request *r = job->request;
	const char *cause = job->text[0] ? job->text : http_curl.easy_strerror(job->code);

	job->answer->fault = http_job_fault(job);
	switch (job->answer->fault) {
	case HTTP_FAULT_SINK:
		if (err)
			*err = job->sink_err;
		return -1;
	case HTTP_FAULT_SIZE:
		return err_set(err, ERR_NETWORK,
			       "cannot fetch '%s': the answer is larger than %zu bytes", url,
			       http_answer_max(r));
	case HTTP_FAULT_REDIRECT:
		if (job->code == CURLE_UNSUPPORTED_PROTOCOL)
			cause = "it redirects from https to another protocol, or to one that is "
				"not known";
		break;
	default:
		break;
	}
	if (job->other_range)
		cause = "the server sent another range than was asked for";
	err_set(err, ERR_NETWORK, "cannot fetch '%s': %s", url, cause);
	if (job->answer->fault == HTTP_FAULT_NAME || job->answer->fault == HTTP_FAULT_CONNECT)
		err_hint(err,
			 "check the network, and the proxy in the environment if one is needed");
	return -1;
}
