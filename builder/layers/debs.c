/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Downloads by the names that apt gives them.
 */
#include "layers/debs.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *debs_folder(const struct cache *cache, const struct profile *profile)
{
	return mem_printf("%s/debs/%s-%s-%s", cache_dir(cache), profile->base.distribution,
			  profile->base.release, profile->base.architecture);
}

/* As apt's QuoteString does with "_:" for a name. */
static void add_quoted(struct str *s, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c <= ' ' || c >= 0x7f || strchr("_:%/", c))
			str_addf(s, "%%%02x", c);
		else
			str_add_bytes(s, text, 1);
	}
}

char *debs_name(const json_t *package)
{
	static const char *const fields[] = {"name", "version", "architecture"};
	struct str name = {0};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *text = json_member_string(package, fields[i]);

		str_add(&name, i ? "_" : "");
		add_quoted(&name, text ? text : "");
	}
	str_add(&name, ".deb");
	return str_steal(&name);
}

int debs_digest(const char *folder, json_t *packages, struct err *err)
{
	json_t *package;
	size_t i;

	json_array_foreach(packages, i, package)
	{
		CLEANUP_FREE char *name = debs_name(package);
		CLEANUP_FREE char *path = path_join(folder, name);
		char hex[DIGEST_HEX_SIZE];
		struct digest digest;
		struct stat st;

		if (lstat(path, &st) < 0)
			return err_sys(err, errno, "cannot find the .deb of package '%s' (%s)",
				       json_member_string(package, "name"), name);
		if (!S_ISREG(st.st_mode))
			return err_set(err, ERR_OTHER, "the download '%s' is no file", name);
		if (digest_file(path, &digest, err) < 0)
			return -1;
		json_object_set_new(package, "sha256", json_string(digest_hex(&digest, hex)));
		json_object_set_new(package, "size", json_integer(st.st_size));
	}
	return 0;
}

void debs_keep(const char *from_folder, const char *to_folder)
{
	DIR *d = opendir(from_folder);

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		CLEANUP_FREE char *from = path_join(from_folder, e->d_name);
		CLEANUP_FREE char *to = path_join(to_folder, e->d_name);

		if (!str_has_suffix(e->d_name, ".deb"))
			continue;
		if (access(to, F_OK) == 0)
			utimensat(AT_FDCWD, to, NULL, 0); /* "used now" for gc */
		else if (rename(from, to) < 0)
			log_debug("cannot keep '%s'", e->d_name);
	}
	closedir(d);
}

void debs_forget(const char *folder, const json_t *packages)
{
	json_t *package;
	size_t i;

	json_array_foreach(packages, i, package)
	{
		CLEANUP_FREE char *name = debs_name(package);
		CLEANUP_FREE char *path = path_join(folder, name);

		if (unlink(path) == 0)
			log_debug("removed the kept download '%s'", name);
	}
}
