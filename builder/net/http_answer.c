/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes back: header lines, and the body, which is kept or handed to a sink. A body that is asked for a
 * second time goes on where the sink is.
 */
#include "net/http_parts.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ERROR_BODY_MAX ((size_t)64 << 10)
#define HEADERS_MAX 64
#define HEADER_MAX 8192

/* The value of a header line, without spaces around it, when it has this name. */
static const char *header_value(const char *line, size_t *len, const char *name)
{
	size_t name_len = strlen(name);

	if (*len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
		return NULL;
	line += name_len + 1;
	*len -= name_len + 1;
	while (*len && (*line == ' ' || *line == '\t')) {
		line++;
		(*len)--;
	}
	while (*len && strchr("\r\n \t", line[*len - 1]))
		(*len)--;
	return memchr(line, '\0', *len) ? NULL : line;
}

/* Copies a header's value when line is that header and the value fits; a longer one is left out. */
static void take_header(const char *line, size_t len, const char *name, char *value, size_t room)
{
	const char *found = header_value(line, &len, name);

	if (!found || len >= room)
		return;
	memcpy(value, found, len);
	value[len] = '\0';
}

void http_keep_wanted(const struct http_request *request, struct http_answer *answer,
		      const char *line, size_t len)
{
	struct strv *kept = &answer->headers;

	for (const char *const *name = request->want; name && *name; name++) {
		size_t value_len = len;
		const char *value = header_value(line, &value_len, *name);

		if (value && value_len <= HEADER_MAX && kept->count < HEADERS_MAX)
			strv_addf(kept, "%s: %.*s", *name, (int)value_len, value);
	}
}

void http_job_forget(struct http_job *job)
{
	struct http_answer *a = job->answer;

	a->etag[0] = a->last_modified[0] = job->content_range[0] = '\0';
	a->body.len = 0;
	if (a->body.data)
		a->body.data[0] = '\0';
	a->retry_after = 0;
	a->status = 0;
	strv_free(&a->headers);
	job->begun = false;
	job->skip = 0;
}

size_t http_job_header(char *line, size_t size, size_t count, void *context)
{
	struct http_job *job = context;
	size_t len = size * count;

	/* A new answer begins: after a redirect only the last one counts. */
	if (len >= 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		http_job_forget(job);
		return len;
	}
	take_header(line, len, "ETag", job->answer->etag, sizeof(job->answer->etag));
	take_header(line, len, "Last-Modified", job->answer->last_modified,
		    sizeof(job->answer->last_modified));
	take_header(line, len, "Content-Range", job->content_range, sizeof(job->content_range));
	http_keep_wanted(job->request, job->answer, line, len);
	return len;
}

/* Before the first byte for the sink: where in the whole is it? */
static bool begin_body(struct http_job *job, long status)
{
	uint64_t first;

	job->begun = true;
	if (status == 200) {
		job->skip = job->given;
		return true;
	}
	/* RFC 9110, 14.4. Part 15.3.7 demands it of every 206 with one range. */
	if (sscanf(job->content_range, "bytes %" SCNu64 "-", &first) == 1 && first == job->given)
		return true;
	job->other_range = true;
	return false;
}

static size_t to_sink(struct http_job *job, long status, const char *bytes, size_t len)
{
	const struct http_sink *sink = job->request->sink;
	size_t left = len;

	if (!job->begun && !begin_body(job, status))
		return 0;
	if (job->skip) {
		size_t skipped = left < job->skip ? left : (size_t)job->skip;

		job->skip -= skipped;
		bytes += skipped;
		left -= skipped;
	}
	if (left && sink->write(sink->context, bytes, left, &job->sink_err) < 0) {
		job->sink_failed = true;
		return 0;
	}
	job->given += left;
	return len;
}

size_t http_job_body(char *bytes, size_t size, size_t count, void *context)
{
	struct http_job *job = context;
	size_t max = http_answer_max(job->request);
	struct str *body = &job->answer->body;
	size_t len = size * count, room;
	long status = 0;

	if (!job->request->sink) {
		if (len > max - body->len) {
			job->too_large = true;
			return 0;
		}
		str_add_bytes(body, bytes, len);
		return len;
	}
	http_curl.easy_getinfo(job->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200 || status == 206)
		return len ? to_sink(job, status, bytes, len) : 0;
	room = ERROR_BODY_MAX - body->len;
	str_add_bytes(body, bytes, len < room ? len : room);
	return len;
}

const char *http_header(const struct http_answer *answer, const char *name, size_t n)
{
	for (size_t i = 0; i < answer->headers.count; i++) {
		const char *line = answer->headers.items[i];
		size_t len = strlen(line);
		const char *value = header_value(line, &len, name);

		if (value && n-- == 0)
			return value;
	}
	return NULL;
}

void http_answer_free(struct http_answer *answer)
{
	if (answer->body.data)
		mem_wipe(answer->body.data, answer->body.room);
	str_free(&answer->body);
	strv_free(&answer->headers);
}
