/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.image: the files of a foreign disk, once per image in the cache, before packages are installed on
 * top of them.
 */
#include "build_job.h"

#include "base/mem.h"
#include "base/path.h"
#include "disk/guest.h"
#include "layers/guestroot.h"
#include "vm/probe.h"

#include <string.h>

struct base {
	const char *dir;
	struct log_step *step;
};

static int consume(int tar_fd, void *context, struct err *err)
{
	const struct base *base = context;

	return guestroot_import(tar_fd, base->dir, base->step, err);
}

static int check_digest(const struct profile *p, struct log_step *step, struct err *err)
{
	struct digest digest;
	char hex[DIGEST_HEX_SIZE];

	log_step_progress(step, 0, 0, "checking the digest of the image");
	if (digest_file(p->base.image, &digest, err) < 0)
		return -1;
	if (strcmp(digest_hex(&digest, hex), p->base.sha256) == 0)
		return 0;
	err_set(err, ERR_VERIFY, "the SHA-256 of '%s' is %s, the profile says %s", p->base.image,
		hex, p->base.sha256);
	return err_hint(err, "it is another image, or was damaged or changed on its way");
}

static int make_entry(struct job *job, const char *dir, struct log_step *step, struct err *err)
{
	CLEANUP(str_free) struct str why = {0};
	struct base base = {dir, step};
	const struct guest_request request = {
		.path = job->profile->base.image,
		.kvm = vm_probe_works(cache_dir(job->cache), &why),
		.step = step,
		.consume = consume,
		.context = &base,
	};

	if (check_digest(job->profile, step, err) < 0)
		return -1;
	return guest_read(&request, NULL, err);
}

int build_base(struct job *job, struct log_step *step, struct err *err)
{
	CLEANUP(cache_abandon) struct cache_entry entry = {.lock_fd = -1};
	CLEANUP_FREE char *dir = NULL;
	struct digest key;

	if (!job->profile->base.image)
		return 0;
	guestroot_key(job->profile, &key);
	dir = cache_find(job->cache, GUESTROOT_KIND, &key);
	if (!dir) {
		if (cache_begin(job->cache, GUESTROOT_KIND, &key, &entry, err) < 0)
			return -1;
		if (entry.dir && make_entry(job, entry.dir, step, err) < 0)
			return err_wrap(err, "cannot start from '%s'", job->profile->base.image);
		dir = mem_strdup(entry.final);
		if (entry.dir && cache_commit(&entry, err) < 0)
			return -1;
	}
	return guestroot_check(dir, job->profile, err);
}
