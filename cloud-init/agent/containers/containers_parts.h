/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files containers*.c share: files that are written only when they are not right, how the engine is set up,
 * what we wrote earlier, who uses what.
 */
#ifndef INGOT_AGENT_CONTAINERS_PARTS_H
#define INGOT_AGENT_CONTAINERS_PARTS_H

#include "agent/containers/containers.h"

#include <sys/types.h>

/* ---- containers_put.c ------------------------------------------------------------------------ */

/* Sees to it that the folder has a file with just these bytes. One that has them is not touched; one that has others is
 * replaced by way of a temporary name. Nothing is synced: the next boot compares again. Adds 1 to *written when it
 * wrote. mode is taken less the umask, which must let the owner in. */
int containers_put_file(int dir, const char *name, const void *bytes, size_t len, mode_t mode,
			size_t *written, struct err *err);

/* The same for a symbolic link. */
int containers_put_link(int dir, const char *name, const char *target, size_t *written,
			struct err *err);

/* Opens the folder name in dir, made with mode when it is absent; *ret is the caller's to close. */
int containers_put_folder(int dir, const char *name, mode_t mode, int *ret, size_t *written,
			  struct err *err);

/* Opens the folder path (absolute) in the same way; its parents are made with 0755. */
int containers_put_path(const char *path, mode_t mode, int *ret, size_t *written, struct err *err);

/* Opens folder name in dir to be filled: the folder itself when it is there, else one with a temporary name that
 * containers_put_done gives its own. *ret_new says which. */
int containers_put_begin(int dir, const char *name, mode_t mode, int *ret, bool *ret_new,
			 struct err *err);

/* Gives a new folder its name. */
int containers_put_done(int dir, const char *name, struct err *err);

/* Removes what is called name in dir, with all that is in it, and an unfinished folder of that name. *removed gets 1
 * more when there was something. path is that of dir. */
int containers_put_remove(int dir, const char *path, const char *name, size_t *removed,
			  struct err *err);

/* ---- containers_setup.c ---------------------------------------------------------------------- */

struct containers_setup {
	char *data_root; /* of docker, without the agent's root */
	char why[512];   /* "" or why its store cannot be written: it is set up in another way */
};

/* Finds out how docker is set up: daemon.json, options of its unit, its file system. Free ret->data_root. */
void containers_setup_read(const struct agent *agent, const char *version,
			   struct containers_setup *ret);

/* ---- containers_state.c ---------------------------------------------------------------------- */

#define CONTAINERS_STATE "/var/lib/ingot/containers.json"

/* What we wrote. Three JSON objects as sets: references (as the engine shows them) to image IDs, images (hex of ID) to
 * true, chains (hex of chain ID) to hex of diff_id. */
struct containers_state {
	json_t *references, *images, *chains;
};

/* Reads what was written to the store at data_root. None for another store, or when the file is damaged (*ret_lost). */
void containers_state_read(const struct agent *agent, const char *data_root,
			   struct containers_state *ret, bool *ret_lost);

/* Makes an empty one. */
void containers_state_new(struct containers_state *ret);

/* Adds everything that from has and into lacks. */
void containers_state_add(struct containers_state *into, const struct containers_state *from);

/* Writes it with sync, unless the file says just this already. */
int containers_state_save(const struct agent *agent, const char *data_root,
			  const struct containers_state *state, struct err *err);

/* Frees it; usable with CLEANUP(). */
void containers_state_free(struct containers_state *state);

/* ---- containers_wanted.c --------------------------------------------------------------------- */

/* What docker calls a name: without "docker.io/", and without "library/" there. Caller frees. */
char *containers_familiar(const char *name);

/* What this root wants the store to have; images that cannot be had go to done->missing. The array ret_ready
 * (image_count of them, the caller's to free) says which images are complete. */
void containers_wanted(const struct agent *agent, const struct containers *containers,
		       struct containers_state *ret, bool **ret_ready,
		       struct containers_done *done);

/* True when this root has the tree for layers[index] of an image, and its split data. */
bool containers_layer_there(const struct agent *agent, const struct containers_layer *const *layers,
			    size_t index);

/* A name for messages: the image's first, or the beginning of its ID in buffer. */
const char *containers_image_label(const struct containers_image *image,
				   char buffer[DIGEST_HEX_SIZE]);

/* Reads the diff_ids of an image's configuration (a JSON text); -1 when it is none that we understand, else their number.
 * Caller frees *ret. */
ssize_t containers_diff_ids(const char *text, size_t len, struct digest **ret);

/* ---- containers_used.c ----------------------------------------------------------------------- */

/* Goes through the images that old has and keep lacks. Those that somebody uses (a container, a tag that is not ours,
 * an image of the user that stands on it) are added to keep, with their references and chains, and to done->kept.
 * Chains that images of the user need are added to keep->chains, too, and those images to done->missing when a layer of
 * theirs is not in this root. data_root is a path of this process, repositories the store's references. */
int containers_used(const char *data_root, const struct containers *containers,
		    const json_t *repositories, const struct containers_state *old,
		    struct containers_state *keep, struct containers_done *done, struct err *err);

/* ---- containers_overlay.c -------------------------------------------------------------------- */

/* Our names for a chain in overlay2: folder (64 hex digits) and short link (26 letters), always the same. */
void containers_overlay_names(const struct digest *chain, char cache_id[DIGEST_HEX_SIZE],
			      char link_name[27]);

/* Folders of docker's store, open. */
struct containers_store {
	char *data_root; /* path of this process */
	char *overlay_path, *layerdb_path, *content_path, *metadata_path;
	int overlay, links, layerdb, content, image, by_digest, by_diff;
	size_t written;
};

/* Opens the folders, made as docker makes them where they are absent. Close also after an error. */
int containers_store_open(struct containers_store *store, const char *data_root, struct err *err);

/* Makes one in which nothing is open. */
void containers_store_none(struct containers_store *store);

/* Closes it; usable with CLEANUP() on one that was made by one of these two. */
void containers_store_close(struct containers_store *store);

/* Writes the count layers of one image from the bottom, whose chain IDs are chains. A layer that the user pulled before
 * stays the user's. done has the chains (hex) that were written before and get these. */
int containers_overlay_write(struct containers_store *store,
			     const struct containers_layer *const *layers,
			     const struct digest *chains, size_t count, json_t *done,
			     struct err *err);

/* True when the layer with this chain ID is in layerdb (a folder) and not ours. */
bool containers_overlay_foreign(int layerdb, const char *chain_hex);

/* Takes our layer with this chain ID out. With needed, what the user has on top of it finds the layer that the user
 * pulled in its place, if there is one. */
int containers_overlay_remove(struct containers_store *store, const char *chain_hex, bool needed,
			      struct err *err);

/* Adds our layers in the store to chains, as far as their names tell: for when the state is lost. */
int containers_overlay_find(struct containers_store *store, json_t *chains, struct err *err);

/* ---- containers_split.c ---------------------------------------------------------------------- */

/* Assembles a layer's tar (layer->tar bytes) from its tree and its tar-split data and writes it to fd. ERR_VERIFY
 * when it is not the layer that diff_id says; then it has written something else. Blocks. */
int containers_split_write(const struct agent *agent, const struct containers_layer *layer, int fd,
			   struct err *err);

/* ---- containers_archive.c -------------------------------------------------------------------- */

/* The manifest that an archive has for the image: JSON text. Its digest is the image's ID for an engine that keeps
 * images in containerd. Caller frees. */
char *containers_archive_manifest(const struct containers_image *image);

/* ---- containers_load.c ----------------------------------------------------------------------- */

#define CONTAINERS_ASK AGENT_RUN "/containers-load" /* asks for containers_docker_load */

/* Hands docker, which runs, the images that it lacks, by its API. Tags that the user moved stay. Free done also after
 * an error. Blocks, minutes for gigabytes. */
int containers_docker_load(const struct agent *agent, const struct containers *containers,
			   const struct report *report, struct containers_done *done,
			   struct err *err);

#endif
