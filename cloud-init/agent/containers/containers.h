/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded containers: what the image says about them (/usr/share/ingot/containers), parsed and checked once for
 * all engines, and what is done with it at boot.
 */
#ifndef INGOT_AGENT_CONTAINERS_H
#define INGOT_AGENT_CONTAINERS_H

#include "agent/agent.h"
#include "agent/report.h"

#include "base/digest.h"

#include <stdint.h>

#define CONTAINERS_DIR "/usr/share/ingot/containers"
#define CONTAINERS_LIST CONTAINERS_DIR "/images.json"
#define CONTAINERS_LIVE AGENT_RUN "/containers.json" /* what this boot did, for `status` */

#define CONTAINERS_DOCUMENT_MAX ((size_t)4 << 20) /* bytes of an index, manifest or configuration */

/* A blob as the registry called it. */
struct containers_blob {
	char media_type[128];
	struct digest digest;
	uint64_t size; /* bytes */
};

/* An unpacked layer of this root. */
struct containers_layer {
	struct digest diff_id;
	uint64_t size;    /* bytes of its regular files */
	uint64_t tar;     /* bytes of its uncompressed tar */
	uint64_t entries; /* of its tar */
	bool present;     /* its tree and split data were there when the list was read */
};

struct containers_image {
	struct strv names;               /* canonical with tag; may be empty */
	struct strv repositories;        /* canonical without tag */
	struct containers_blob target;   /* index or manifest: what the references stand for */
	struct containers_blob manifest; /* of our platform; the same as target without an index */
	struct containers_blob config;
	size_t layer_count;
	struct containers_blob *blobs;          /* compressed layers, bottom first */
	const struct containers_layer **layers; /* the same, unpacked; into struct containers */
	struct digest *chains; /* chain ID of each (OCI image specification, config.md) */
};

struct containers {
	char docker[64];     /* version of the engine that is wanted; "" when it is not */
	char containerd[64]; /* likewise */
	char namespace[64];  /* of containerd's images */
	struct containers_image *images; /* each manifest once */
	size_t image_count;
	struct containers_layer *layers; /* sorted by diff_id, each once */
	size_t layer_count;
};

/* Reads and checks CONTAINERS_LIST below the agent's root. An image without such a file has none: everything in
 * *ret is empty. ERR_VERIFY when the file is damaged or beyond a limit. Free with containers_free, also after an error.
 * Reads no tree. */
int containers_load(const struct agent *agent, struct containers *ret, struct err *err);

/* The same from len bytes of JSON. */
int containers_parse(const struct agent *agent, const char *text, size_t len,
		     struct containers *ret, struct err *err);

/* Frees it; usable with CLEANUP() on a zeroed one. */
void containers_free(struct containers *containers);

/* The layer with this diff_id, or NULL; borrowed. */
const struct containers_layer *containers_layer_find(const struct containers *containers,
						     const struct digest *diff_id);

/* Chain ID of a layer on the chain below (NULL: it is the bottom). OCI image specification, config.md. */
void containers_chain_next(const struct digest *below, const struct digest *diff_id,
			   struct digest *ret);

/* Path of a layer's tree on the machine (without the agent's root): what links point to. Caller frees. */
char *containers_layer_path(const struct digest *diff_id);

/* Path of the tree for layers[index] of an image, likewise: a layer that an image has again has another folder of the
 * same contents for that, since overlayfs mounts none twice. Caller frees. */
char *containers_layer_nth_path(const struct containers_layer *const *layers, size_t index);

/* Path of a layer's tar-split data, likewise. Caller frees. */
char *containers_split_path(const struct digest *diff_id);

/* Path of a blob (index, manifest, configuration), likewise. Caller frees. */
char *containers_blob_path(const struct digest *digest);

/* Reads an index, manifest or configuration of the image into text (replaced) and checks size and SHA-256;
 * ERR_VERIFY. */
int containers_blob_read(const struct agent *agent, const struct containers_blob *blob,
			 struct str *text, struct err *err);

/* Writes the images with these indexes (into containers->images; NULL: all of them) as one archive to fd: an OCI
 * image layout (index.json with the names as io.containerd.image.name, uncompressed layers) that has docker's
 * manifest.json too, so that `docker load` and `ctr images import` take it. Layers are assembled from tree and split
 * data and checked against their diff_ids; ERR_VERIFY when one is damaged, then the archive is not complete. Blocks. */
int containers_archive_write(const struct agent *agent, const struct containers *containers,
			     const size_t *indexes, size_t count, int fd, struct err *err);

/* What an engine's store writer did; goes to CONTAINERS_LIVE below the engine's name. */
struct containers_done {
	size_t images;       /* that the engine will find */
	size_t written;      /* files, links and folders that were not right before */
	struct strv missing; /* "NAME: why": images that the engine will not find */
	struct strv kept;    /* names of images of an earlier image that somebody still uses */
	struct strv removed; /* names of images of an earlier image that are gone now */
	bool fallback;       /* the store cannot be written: load through the engine when it runs */
	char why[512];       /* the reason for that, or "" */
};

/* Frees it; usable with CLEANUP() on a zeroed one. */
void containers_done_free(struct containers_done *done);

/* Writes docker's store (image store and overlay2) so that the engine finds the images of this root, and takes out
 * what earlier images left and nobody uses. Never touches what the user pulled, built or tagged. The engine must not
 * run. A store that cannot be written sets done->fallback and is no error. Free done also after an error. */
int containers_docker_write(const struct agent *agent, const struct containers *containers,
			    const struct report *report, struct containers_done *done,
			    struct err *err);

#endif
