/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl, loaded by the first request over the network: it brings some thirty libraries, and most runs of ingot and
 * the agent's waiting processes never make one.
 */
#include "net/http_parts.h"

#include "base/mem.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http_curl http_curl;

static char cause[200]; /* why it could not be loaded, or "" */

/* What curl frees had requests in it, and these have secrets. */
static void free_wiped(void *ptr)
{
	if (ptr)
		mem_wipe(ptr, malloc_usable_size(ptr));
	free(ptr);
}

static void *resize_wiped(void *ptr, size_t size)
{
	size_t old = ptr ? malloc_usable_size(ptr) : 0;
	void *larger = malloc(size);

	if (!larger)
		return NULL;
	if (old)
		memcpy(larger, ptr, old < size ? old : size);
	free_wiped(ptr);
	return larger;
}

static void load(void)
{
	void *library = dlopen(HTTP_LIBRARY, RTLD_LAZY | RTLD_LOCAL);

	if (!library) {
		snprintf(cause, sizeof(cause), "%s", dlerror());
		return;
	}
#define RESOLVE(name)                                                              \
	http_curl.name = (__typeof__(curl_##name) *)dlsym(library, "curl_" #name); \
	if (!http_curl.name)                                                       \
		snprintf(cause, sizeof(cause), HTTP_LIBRARY " has no curl_" #name);
	HTTP_CURL_FUNCTIONS(RESOLVE)
#undef RESOLVE
	if (!*cause)
		/* A failure here makes easy_init fail, which is reported there. */
		(void)http_curl.global_init_mem(CURL_GLOBAL_DEFAULT, malloc, free_wiped,
						resize_wiped, strdup, calloc);
}

int http_curl_load(struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	if (!*cause)
		return 0;
	err_set(err, ERR_TOOL, "cannot use the network: libcurl cannot be loaded: %s", cause);
	err_hint(err, "install the package libcurl4t64 (Debian 12: libcurl4)");
	return -1;
}
