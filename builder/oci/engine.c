/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engines whose stores the agent can write. A store's format belongs to an engine's version; only versions that
 * were tried with the real engine are in the table.
 */
#include "oci/pull.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

const struct oci_engine oci_engines[] = {
	/* moby layer/layer_store.go: maxLayerDepth. From 29 on new installations have no overlay2 store. */
	{"docker", "docker.io", NULL, 125, {"20.10", "26.1"}},
	{"containerd", "containerd", "k8s.io", 0, {"1.6", "1.7"}},
	{0},
};

const struct oci_engine *oci_engine_find(const char *name)
{
	for (const struct oci_engine *e = oci_engines; e->name; e++)
		if (strcmp(e->name, name) == 0)
			return e;
	return NULL;
}

/* The upstream version in a package's: without epoch and revision. */
static const char *upstream(const char *version)
{
	const char *colon = strchr(version, ':');

	return colon ? colon + 1 : version;
}

static bool is_known(const struct oci_engine *engine, const char *version)
{
	const char *have = upstream(version);

	for (const char *const *known = engine->versions; *known; known++) {
		size_t len = strlen(*known);

		/* "1.7" is no "1.70". */
		if (strncmp(have, *known, len) == 0 && (have[len] < '0' || have[len] > '9'))
			return true;
	}
	return false;
}

static int not_known(const struct oci_engine *engine, const char *version, struct err *err)
{
	CLEANUP(str_free) struct str known = {0};

	for (const char *const *v = engine->versions; *v; v++)
		str_addf(&known, "%s%s", v == engine->versions ? "" : ", ", *v);
	err_set(err, ERR_PROFILE,
		"cannot preload containers for %s %.60s: the format of its store is not known",
		engine->name, version);
	return err_hint(err, "known are its versions %s", known.data);
}

static const char *image_name(const json_t *image)
{
	const char *name = json_string_value(json_array_get(json_object_get(image, "names"), 0));

	return name ? name : json_member_string(json_object_get(image, "target"), "digest");
}

static int check_layers(const struct oci_engine *engine, const json_t *images, struct err *err)
{
	json_t *image;
	size_t i;

	json_array_foreach(json_object_get(images, "images"), i, image)
	{
		size_t count = json_array_size(json_object_get(image, "layers"));

		if (count > engine->layers_max)
			return err_set(err, ERR_PROFILE,
				       "container image '%s' has %zu layers, %s takes %zu",
				       image_name(image), count, engine->name, engine->layers_max);
	}
	return 0;
}

int oci_engine_check(const struct oci_engine *engine, const char *version, const json_t *images,
		     struct err *err)
{
	if (!is_known(engine, version))
		return not_known(engine, version, err);
	return engine->layers_max ? check_layers(engine, images, err) : 0;
}
