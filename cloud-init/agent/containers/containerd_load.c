/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded containers for a containerd whose store we do not write: when it runs, `ctr images import` gets what it
 * lacks as an archive, assembled while it is sent.
 */
#include "agent/containers/containerd_parts.h"
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LIST_MAX ((size_t)4 << 20) /* bytes of names */

/* What writes the archive into the pipe, beside the program that reads it. */
struct sender {
	const struct agent *agent;
	const struct containers *containers;
	const size_t *indexes;
	size_t count;
	int fd;
	int result;
	struct err err;
};

static void *send_archive(void *context)
{
	struct sender *sender = context;
	sigset_t pipe_signal;

	/* A reader that ends early is an error of writing, not our end. */
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
	sender->result =
		containers_archive_write(sender->agent, sender->containers, sender->indexes,
					 sender->count, sender->fd, &sender->err);
	fd_close(&sender->fd);
	return NULL;
}

/* Runs ctr with the archive as its input. */
static int import(const struct agent *agent, const struct containers *containers,
		  const size_t *indexes, size_t count, struct err *err)
{
	const char *const argv[] = {"ctr",    "--namespace", containers->namespace,     "images",
				    "import", "--digests",   "--skip-digest-for-named", "-",
				    NULL};
	CLEANUP(str_free) struct str output = {0};
	struct sender sender = {
		.agent = agent, .containers = containers, .indexes = indexes, .count = count};
	CLEANUP_FD int input = -1;
	struct proc proc = {.argv = argv, .output = &output, .output_max = LIST_MAX};
	pthread_t thread;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, errno, "cannot make a pipe");
	input = proc.stdin_fd = fds[0];
	sender.fd = fds[1];
	r = pthread_create(&thread, NULL, send_archive, &sender);
	if (r != 0) {
		fd_close(&sender.fd);
		return err_sys(err, r, "cannot start a thread");
	}
	r = proc_run(&proc, err);
	fd_close(&input);
	pthread_join(thread, NULL);
	/* An archive that could not be assembled is why the import failed. */
	if (sender.result < 0 && sender.err.code == ERR_VERIFY) {
		if (err)
			*err = sender.err;
		return -1;
	}
	return r;
}

/* Labels names, so that the kubelet keeps the images. */
static int pin(const char *namespace, const struct containers_image *image, struct err *err)
{
	CLEANUP(str_free) struct str output = {0};

	for (size_t i = 0; i < image->names.count; i++) {
		const char *const argv[] = {"ctr",
					    "--namespace",
					    namespace,
					    "images",
					    "label",
					    image->names.items[i],
					    "io.cri-containerd.pinned=pinned",
					    NULL};
		struct proc proc = {.argv = argv, .output = &output, .output_max = LIST_MAX};

		if (proc_run(&proc, err) < 0)
			return -1;
	}
	return 0;
}

/* Names of the images that containerd has, with the digests of their targets. */
static json_t *list_images(const struct containers *containers, struct err *err)
{
	const char *const argv[] = {"ctr",    "--namespace", containers->namespace,
				    "images", "ls",          NULL};
	CLEANUP(str_free) struct str text = {0};
	struct proc proc = {.argv = argv, .output = &text, .output_max = LIST_MAX};
	json_t *images = json_object();
	char *save = NULL;

	if (proc_run(&proc, err) < 0) {
		json_decref(images);
		return NULL;
	}
	/* Columns: REF TYPE DIGEST and others. */
	for (char *line = text.data ? strtok_r(text.data, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *fields = NULL, *name = strtok_r(line, " ", &fields);
		char *type = strtok_r(NULL, " ", &fields), *digest = strtok_r(NULL, " ", &fields);

		if (name && type && digest && str_has_prefix(digest, "sha256:"))
			json_object_set_new(images, name, json_string(digest));
	}
	return images;
}

enum want { HAVE, IMPORT, THEIRS };

/* What is to be done with an image whose archive's manifest has that digest. Names that we did not write, or that
 * somebody moved, are not ours. */
static enum want decide(const struct containers_image *image, const char *digest, const json_t *has,
			const json_t *old)
{
	char id[CONTAINERD_DIGEST_SIZE];
	enum want want = HAVE;

	for (size_t i = 0; i < image->names.count; i++) {
		const char *name = image->names.items[i];
		const char *now = json_member_string(has, name);
		const char *wrote = json_member_string(old, name);

		if (now && strcmp(now, digest) == 0)
			continue;
		if (now && !(wrote && strcmp(wrote, now) == 0))
			return THEIRS;
		want = IMPORT;
	}
	if (image->names.count == 0 &&
	    !json_object_get(has, containerd_digest(&image->config.digest, id)))
		return IMPORT;
	return want;
}

int containers_containerd_load(const struct agent *agent, const struct containers *containers,
			       const struct report *report, struct containers_done *done,
			       struct err *err)
{
	CLEANUP_JSON json_t *has = NULL, *old = NULL, *ours = json_object();
	CLEANUP_FREE size_t *indexes = mem_alloc_array(containers->image_count, sizeof(*indexes));
	size_t count = 0;

	(void)report;
	if (!*containers->containerd || containers->image_count == 0)
		return 0;
	old = containerd_state_read(agent, containers->namespace);
	has = list_images(containers, err);
	if (!has)
		return err_wrap(err, "cannot ask containerd");
	for (size_t i = 0; i < containers->image_count; i++) {
		const struct containers_image *image = &containers->images[i];
		CLEANUP_FREE char *manifest = containers_archive_manifest(image);
		char digest[CONTAINERD_DIGEST_SIZE], label[DIGEST_HEX_SIZE];
		struct digest sum;
		enum want want;

		digest_bytes(manifest, strlen(manifest), &sum);
		want = decide(image, containerd_digest(&sum, digest), has, old);
		if (want == THEIRS) {
			strv_addf(&done->missing, "%s: the machine has another image of that name",
				  containers_image_label(image, label));
			continue;
		}
		if (want == IMPORT)
			indexes[count++] = i;
		for (size_t j = 0; j < image->names.count; j++)
			json_object_set_new(ours, image->names.items[j], json_string(digest));
		done->images++;
	}
	if (count > 0 && import(agent, containers, indexes, count, err) < 0)
		return err_wrap(err, "cannot import images into containerd");
	for (size_t i = 0; i < count; i++)
		if (pin(containers->namespace, &containers->images[indexes[i]], err) < 0)
			return err_wrap(err, "cannot pin images");
	done->written = count;
	return containerd_state_write(agent, containers->namespace, ours, err);
}
