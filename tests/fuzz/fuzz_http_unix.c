/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: what a server on a unix socket answers. The first byte tells in what steps it comes: the answer must
 * not depend on them.
 */
#include "demand.h"
#include "base/mem.h"
#include "net/http_reader.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MAX ((size_t)4096)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Feeds copies of the steps' very size, so that reading behind one is seen. */
static int feed(struct http_reader *reader, const uint8_t *data, size_t size, size_t step)
{
	int r = 0;

	for (size_t n; size && r == 0; data += n, size -= n) {
		CLEANUP_FREE char *copy = NULL;

		n = size < step ? size : step;
		copy = mem_strndup((const char *)data, n);
		r = http_reader_feed(reader, copy, n);
	}
	return r ? r : http_reader_end(reader);
}

static void check_answer(const struct http_answer *a, const struct http_reader *reader, int r)
{
	demand(r == 1 || r == -1, "an answer is one or none");
	demand((r == 1) == (a->status != 0), "an answer has a status");
	demand(r < 0 || (a->status >= 200 && a->status <= 999), "the status is final");
	demand((r < 0) == (reader->fault != HTTP_FAULT_NONE), "no answer has its fault");
	demand(r > 0 || reader->cause || reader->fault == HTTP_FAULT_SIZE, "a fault has its cause");
	demand(a->body.len <= MAX, "the body is bounded");
	for (size_t i = 0; i < a->headers.count; i++)
		demand(!strpbrk(a->headers.items[i], "\r\n"), "a header is one line");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const want[] = {"Location", "Link", NULL};
	struct http_request request = {.answer_max = MAX, .want = want};
	CLEANUP(http_answer_free) struct http_answer a = {0};
	CLEANUP(http_answer_free) struct http_answer b = {0};
	CLEANUP(http_reader_free) struct http_reader whole = {0};
	CLEANUP(http_reader_free) struct http_reader steps = {0};
	int r;

	if (size < 1)
		return 0;
	request.method = data[0] & 0x80 ? "HEAD" : "GET";
	http_reader_begin(&whole, &request, &a);
	http_reader_begin(&steps, &request, &b);
	r = feed(&whole, data + 1, size - 1, size);
	check_answer(&a, &whole, r);
	demand(feed(&steps, data + 1, size - 1, (data[0] & 0x7f) + 1u) == r &&
		       steps.fault == whole.fault && a.status == b.status,
	       "steps do not matter");
	check_answer(&b, &steps, r);
	demand(a.headers.count == b.headers.count, "nor for headers");
	demand(r < 0 || (a.body.len == b.body.len &&
			 (!a.body.len || memcmp(a.body.data, b.body.data, a.body.len) == 0)),
	       "nor for the body");
	return 0;
}
