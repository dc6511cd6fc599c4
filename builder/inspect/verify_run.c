/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks on threads. They share nothing but counters; all of them run, so that the error that is told does
 * not depend on who was faster.
 */
#include "inspect/verify_parts.h"

#include "base/mem.h"

#include <pthread.h>
#include <string.h>

struct pool {
	struct verify_task **order;
	size_t count;
	atomic_size_t next;
};

static void *work(void *context)
{
	struct pool *pool = context;
	size_t i;

	while ((i = atomic_fetch_add(&pool->next, 1)) < pool->count) {
		struct verify_task *task = pool->order[i];

		task->result = task->run(task, &task->err);
	}
	return NULL;
}

static int by_cost(const void *a, const void *b)
{
	const struct verify_task *x = *(struct verify_task *const *)a;
	const struct verify_task *y = *(struct verify_task *const *)b;

	return (x->cost < y->cost) - (x->cost > y->cost);
}

int verify_run(struct verify *v, struct verify_task *tasks, size_t count, struct err *err)
{
	CLEANUP_FREE struct verify_task **order =
		mem_alloc_array(count, sizeof(struct verify_task *));
	struct pool pool = {.order = order, .count = count};
	CLEANUP_FREE pthread_t *threads = NULL;
	size_t started = 0, wanted = v->options->jobs < count ? v->options->jobs : count;

	for (size_t i = 0; i < count; i++) {
		order[i] = &tasks[i];
		tasks[i].verify = v;
		v->total += tasks[i].cost;
	}
	qsort(order, count, sizeof(struct verify_task *), by_cost);
	threads = mem_alloc_array(wanted, sizeof(*threads));
	/* This thread works too, so it works without any other. */
	while (started + 1 < wanted && pthread_create(&threads[started], NULL, work, &pool) == 0)
		started++;
	work(&pool);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	for (size_t i = 0; i < count; i++) {
		if (tasks[i].result == 0)
			continue;
		if (err)
			*err = tasks[i].err;
		return -1;
	}
	return 0;
}

void verify_progress(struct verify *v, uint64_t bytes)
{
	uint64_t done = atomic_fetch_add(&v->done, bytes) + bytes;

	if (v->options->progress)
		v->options->progress(done, v->total, v->options->context);
}
