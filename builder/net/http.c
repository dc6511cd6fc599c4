/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests on one curl multi handle per call: a single request is a list of one. Retries wait in
 * the same loop, so that one slow server does not hold up the others.
 */
#include "net/http_parts.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define WAIT_FIRST 0.2
#define WAIT_MAX 10.0
#define RETRY_AFTER_MAX 60.0
/* So much of a body is worth new tries: a server that cuts each answer earlier comes to its end. */
#define PROGRESS ((uint64_t)1 << 20)

struct http_session {
	CURLM *multi;
};

static bool is_worth_retrying(const struct http_job *job)
{
	switch (job->code) {
	case CURLE_OK:
		return job->answer->status == 429 ||
		       (job->answer->status >= 500 && job->answer->status <= 599);
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	case CURLE_SSL_CONNECT_ERROR:
		return http_job_fault(job) != HTTP_FAULT_PLAIN;
	default:
		return false;
	}
}

/* Seconds before the next try: doubling, and between half and all of it by chance, so that a rack
 * that boots does not ask in step. */
static double backoff(const struct http_job *job)
{
	double wait = WAIT_FIRST, asked = job->answer->retry_after;
	uint32_t chance = 0;

	if (asked > 0)
		return asked < RETRY_AFTER_MAX ? asked : RETRY_AFTER_MAX;
	for (int i = 1; i < job->tries && wait < WAIT_MAX; i++)
		wait *= 2;
	if (wait > WAIT_MAX)
		wait = WAIT_MAX;
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != (ssize_t)sizeof(chance))
		chance = UINT32_MAX / 2;
	return wait * (0.5 + 0.5 * (double)chance / (double)UINT32_MAX);
}

/* Takes the result of a try: done, or again later. */
static void settle(struct http_job *job, CURLcode code)
{
	curl_off_t asked = 0;
	double wait;

	job->running = false;
	job->code = code;
	job->answer->status = 0;
	if (code == CURLE_OK)
		http_curl.easy_getinfo(job->curl, CURLINFO_RESPONSE_CODE, &job->answer->status);
	/* Seconds, or a date, which curl turns into seconds (RFC 9110, 10.2.3). */
	if (http_curl.easy_getinfo(job->curl, CURLINFO_RETRY_AFTER, &asked) == CURLE_OK &&
	    asked > 0)
		job->answer->retry_after = (double)asked;
	if (job->given - job->mark >= PROGRESS) {
		job->mark = job->given;
		job->tries = 1;
	}
	if (job->tries > job->request->retries || !is_worth_retrying(job)) {
		job->done = true;
		return;
	}
	wait = backoff(job);
	http_job_log(job, wait);
	job->not_before = clock_monotonic() + wait;
}

static int begin(CURLM *multi, struct http_job *job, struct err *err)
{
	http_job_forget(job);
	job->too_large = job->other_range = false;
	job->text[0] = '\0';
	job->tries++;
	if (http_job_range(job, err) < 0)
		return -1;
	if (http_curl.multi_add_handle(multi, job->curl) != CURLM_OK)
		return err_set(err, ERR_OTHER, "libcurl refuses a request");
	job->running = true;
	return 0;
}

/* Returns how many tries have ended. */
static size_t collect(CURLM *multi)
{
	size_t ended = 0;
	int left;

	for (CURLMsg *m; (m = http_curl.multi_info_read(multi, &left));) {
		struct http_job *job = NULL;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		http_curl.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&job);
		http_curl.multi_remove_handle(multi, m->easy_handle);
		settle(job, code);
		ended++;
	}
	return ended;
}

/* Starts what is due. Returns the milliseconds until something else is, -1 when all jobs are done, -2
 * on error. */
static int start_due(CURLM *multi, struct http_job *jobs, size_t count, struct err *err)
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
static int drive(CURLM *multi, struct http_job *jobs, size_t count, struct err *err)
{
	for (int wait; (wait = start_due(multi, jobs, count, err)) != -1;) {
		int running;

		if (wait == -2)
			return -1;
		if (http_curl.multi_perform(multi, &running) != CURLM_OK)
			return err_set(err, ERR_OTHER, "libcurl cannot go on");
		/* Those that have ended are looked at before anything is waited for. */
		if (collect(multi) > 0)
			continue;
		if (http_curl.multi_poll(multi, NULL, 0, wait, NULL) != CURLM_OK)
			return err_set(err, ERR_OTHER, "libcurl cannot wait");
	}
	return 0;
}

/* Headers may hold secrets. */
static void free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *h = headers; h; h = h->next)
		mem_wipe(h->data, strlen(h->data));
	http_curl.slist_free_all(headers);
}

static int do_all(CURLM *multi, const struct http_request *requests, struct http_answer *answers,
		  size_t count, struct err *err)
{
	struct http_job *jobs = mem_alloc_array(count, sizeof(*jobs));
	struct err *first = err;
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		jobs[i].request = &requests[i];
		jobs[i].answer = &answers[i];
		r = http_job_prepare(&jobs[i], err);
	}
	if (r == 0)
		r = drive(multi, jobs, count, err);
	for (size_t i = 0; i < count && (r == 0 || !first); i++) {
		if (jobs[i].code == CURLE_OK)
			continue;
		r = http_job_error(&jobs[i], first);
		/* The others get their fault, not the message. */
		first = NULL;
	}
	for (size_t i = 0; i < count; i++) {
		if (jobs[i].running)
			http_curl.multi_remove_handle(multi, jobs[i].curl);
		if (jobs[i].curl)
			http_curl.easy_cleanup(jobs[i].curl);
		free_headers(jobs[i].headers);
	}
	free(jobs);
	return r;
}

int http_do_all(const struct http_request *requests, struct http_answer *answers, size_t count,
		struct err *err)
{
	struct http_session *session = count ? requests[0].session : NULL;
	CURLM *multi;
	int r;

	memset(answers, 0, count * sizeof(*answers));
	for (size_t i = 0; i < count; i++)
		if (requests[i].unix_socket || requests[i].body_read)
			return err_set(err, ERR_OTHER,
				       "requests by way of a unix socket are done one by one");
	if (http_curl_load(err) < 0)
		return -1;
	if (session)
		return do_all(session->multi, requests, answers, count, err);
	multi = http_curl.multi_init();
	if (!multi)
		return err_set(err, ERR_OTHER, "cannot start libcurl");
	r = do_all(multi, requests, answers, count, err);
	http_curl.multi_cleanup(multi);
	return r;
}

int http_do(const struct http_request *request, struct http_answer *answer, struct err *err)
{
	if (request->unix_socket)
		return http_unix_do(request, answer, err);
	return http_do_all(request, answer, 1, err);
}

struct http_session *http_session_new(void)
{
	struct http_session *session;

	if (http_curl_load(NULL) < 0)
		return NULL;
	session = mem_alloc(sizeof(*session));
	session->multi = http_curl.multi_init();
	if (!session->multi) {
		free(session);
		return NULL;
	}
	return session;
}

void http_session_free(struct http_session *session)
{
	if (!session)
		return;
	http_curl.multi_cleanup(session->multi);
	free(session);
}
