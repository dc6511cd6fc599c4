/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the HTTP client share: one request of libcurl on its way, and those that need no libcurl.
 */
#ifndef INGOT_NET_HTTP_PARTS_H
#define INGOT_NET_HTTP_PARTS_H

#include "net/http.h"
#include "net/http_reader.h"

#include <curl/curl.h>
#include <stdbool.h>

/* What is used of libcurl, without the prefix curl_. */
#define HTTP_CURL_FUNCTIONS(X) \
	X(easy_cleanup)        \
	X(easy_getinfo)        \
	X(easy_init)           \
	X(easy_setopt)         \
	X(easy_strerror)       \
	X(free)                \
	X(global_init_mem)     \
	X(multi_add_handle)    \
	X(multi_cleanup)       \
	X(multi_info_read)     \
	X(multi_init)          \
	X(multi_perform)       \
	X(multi_poll)          \
	X(multi_remove_handle) \
	X(slist_append)        \
	X(slist_free_all)      \
	X(url)                 \
	X(url_cleanup)         \
	X(url_get)             \
	X(url_set)

struct http_curl {
#define HTTP_CURL_MEMBER(name) __typeof__(curl_##name) *name;
	HTTP_CURL_FUNCTIONS(HTTP_CURL_MEMBER)
#undef HTTP_CURL_MEMBER
};

/* Its functions, after http_curl_load. */
extern struct http_curl http_curl;

/* Loads and initialises libcurl, once. Sets err when it is not there. May be called from several threads. */
int http_curl_load(struct err *err);

/* One request on its way. */
struct http_job {
	const struct http_request *request;
	struct http_answer *answer;
	CURL *curl;
	struct curl_slist *headers;
	char text[CURL_ERROR_SIZE];
	int tries;
	double not_before; /* clock_monotonic() of the next try; 0: now */
	bool running, done, too_large, other_range, sink_failed;
	CURLcode code;
	/* Of a body that goes to the sink. */
	uint64_t given; /* bytes that the sink has, with those that it had before */
	uint64_t mark;  /* given, when the tries were last counted from the start */
	uint64_t skip;  /* bytes of this answer that it has already */
	bool begun;     /* this answer's first byte has come */
	char content_range[80];
	struct err sink_err;
};

/* Makes the curl handle with all options of the request. */
int http_job_prepare(struct http_job *job, struct err *err);

/* Sets the range for the next try, by what the sink has. */
int http_job_range(struct http_job *job, struct err *err);

/* curl's callback for header lines; context is the job. */
size_t http_job_header(char *line, size_t size, size_t count, void *context);

/* curl's callback for the body; context is the job. */
size_t http_job_body(char *bytes, size_t size, size_t count, void *context);

/* Forgets the answer of the last try. */
void http_job_forget(struct http_job *job);

/* Why the job's last try got no answer; HTTP_FAULT_OTHER when it got one. */
enum http_fault http_job_fault(const struct http_job *job);

/* Tells with -v why there is another try, and in how many seconds. */
void http_job_log(const struct http_job *job, double wait);

/* Sets the error of a job that got no answer, and the answer's fault. Returns -1. */
int http_job_error(const struct http_job *job, struct err *err);

/* Adds a header line of len bytes (a line end may be there) to the answer when the request wants it. */
void http_keep_wanted(const struct http_request *request, struct http_answer *answer,
		      const char *line, size_t len);

/* Does a request that has a unix_socket, as http_do says, without libcurl (RFC 9112). The answer is the caller's,
 * who frees it by http_answer_free; without one it is empty but for its fault. ERR_NETWORK when there is no answer,
 * the error of body_read when that fails, ERR_OTHER for a request that cannot be sent. Blocks, at most until the
 * request's time limit and for as long as its body_read does. */
int http_unix_do(const struct http_request *request, struct http_answer *answer, struct err *err);

#endif
