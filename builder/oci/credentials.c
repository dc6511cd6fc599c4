/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials: files of docker and podman, the environment, helper programs. Whatever held a secret is wiped.
 */
#include "oci/credentials.h"

#include "base/base64.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/proc.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#define CONFIG_MAX ((size_t)1 << 20)
#define HELPER_OUTPUT_MAX ((size_t)64 << 10)
#define DEFAULT_REGISTRY "docker.io"
/* What `docker login` without a name writes. */
#define DEFAULT_SERVER "https://index.docker.io/v1/"
#define TOKEN_USER "<token>"

void oci_secret_free(char **secret)
{
	if (*secret)
		mem_wipe(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

char *oci_secret_join(const char *a, const char *b, const char *c)
{
	size_t room = strlen(a) + strlen(b) + strlen(c) + 1;
	struct str all = {.data = mem_alloc(room), .room = room};

	str_add(&all, a);
	str_add(&all, b);
	str_add(&all, c);
	return str_steal(&all);
}

void oci_credentials_free(struct oci_credentials *c)
{
	oci_secret_free(&c->user);
	oci_secret_free(&c->secret);
	oci_secret_free(&c->identity);
	oci_secret_free(&c->bearer);
}

void oci_helper_free(struct oci_helper *helper)
{
	free(helper->name);
	free(helper->server);
	*helper = (struct oci_helper){0};
}

static void wipe_text(struct str *text)
{
	if (text->data)
		mem_wipe(text->data, text->room);
	str_free(text);
}

/* What can stand in a header or a form without doing harm. */
static bool is_clean(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

/* A key without its scheme and what follows the host in addresses: length of what counts, and where it starts. */
static const char *plain_key(const char *key, size_t *ret_len)
{
	const char *rest = strstr(key, "://");
	size_t len;

	if (rest) {
		*ret_len = strcspn(rest + 3, "/");
		return rest + 3;
	}
	len = strlen(key);
	while (len && key[len - 1] == '/')
		len--;
	/* Some write the address of the API. */
	if (len > 3 &&
	    (strncmp(key + len - 3, "/v1", 3) == 0 || strncmp(key + len - 3, "/v2", 3) == 0))
		len -= 3;
	*ret_len = len;
	return key;
}

static bool is_key_for(const char *key, const char *want, size_t want_len)
{
	size_t len;
	const char *plain = plain_key(key, &len);

	return len == want_len && strncasecmp(plain, want, len) == 0;
}

/* The member for the registry whose key is the most special; NULL when there is none. */
static json_t *find_member(const json_t *object, const char *registry, const char *repository,
			   const char **ret_key)
{
	static const char *const hub[] = {"index.docker.io", "registry-1.docker.io"};
	CLEANUP_FREE char *path = mem_printf("%s/%s", registry, repository);
	size_t len = strlen(path), host = strlen(registry);
	const char *key;
	json_t *member;

	/* "host/a/b", "host/a", "host". */
	for (;;) {
		json_object_foreach((json_t *)object, key, member) if (is_key_for(key, path, len))
		{
			*ret_key = key;
			return member;
		}
		if (len <= host)
			break;
		while (path[--len] != '/')
			;
	}
	if (strcmp(registry, DEFAULT_REGISTRY) != 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(hub); i++)
		json_object_foreach((json_t *)object, key,
				    member) if (is_key_for(key, hub[i], strlen(hub[i])))
		{
			*ret_key = key;
			return member;
		}
	return NULL;
}

static bool has_text(const char *text)
{
	return text && *text;
}

/* "auth": base64 of "user:password". */
static int take_auth(const char *auth, struct oci_credentials *ret)
{
	CLEANUP(wipe_text)
	struct str plain = {.data = mem_alloc(strlen(auth) + 1), .room = strlen(auth) + 1};
	char *colon;

	if (base64_decode(auth, strlen(auth), &plain) < 0)
		return -1;
	colon = plain.data ? strchr(plain.data, ':') : NULL;
	if (!colon || colon == plain.data)
		return -1;
	*colon = '\0';
	/* Bytes behind a NUL are padding that docker leaves out too. */
	ret->user = mem_strdup(plain.data);
	ret->secret = mem_strdup(colon + 1);
	return 0;
}

/* Takes what one entry of "auths" has. Returns 1, 0 or -1. */
static int take_entry(const json_t *entry, struct oci_credentials *ret)
{
	const char *auth = json_member_string(entry, "auth");
	const char *user = json_member_string(entry, "username");
	const char *password = json_member_string(entry, "password");
	const char *identity = json_member_string(entry, "identitytoken");
	const char *bearer = json_member_string(entry, "registrytoken");

	if (has_text(identity)) {
		ret->identity = mem_strdup(identity);
	} else if (has_text(bearer)) {
		ret->bearer = mem_strdup(bearer);
	} else if (has_text(auth)) {
		if (take_auth(auth, ret) < 0)
			return -1;
	} else if (has_text(user) && password) {
		ret->user = mem_strdup(user);
		ret->secret = mem_strdup(password);
	} else {
		return 0;
	}
	if ((ret->user && !is_clean(ret->user)) || (ret->secret && !is_clean(ret->secret)) ||
	    (ret->identity && !is_clean(ret->identity)) || (ret->bearer && !is_clean(ret->bearer)))
		return -1;
	return 1;
}

/* Sets the helper when its name can be one. */
static int take_helper(const char *helper, const char *server, const char *name,
		       struct oci_helper *ret, struct err *err)
{
	for (const char *p = helper; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
			return err_set(err, ERR_OTHER,
				       "cannot use '%s': the name of a credential helper in it is "
				       "not one",
				       name);
	ret->name = mem_strdup(helper);
	ret->server = mem_strdup(server);
	return 2;
}

int oci_credentials_parse(const char *text, size_t len, const char *name, const char *registry,
			  const char *repository, struct oci_credentials *ret,
			  struct oci_helper *ret_helper, struct err *err)
{
	json_error_t why;
	/* Not json_parse: its message could have a piece of a secret in it. */
	CLEANUP_JSON json_t *config = json_loadb(text, len, 0, &why);
	const json_t *member;
	const char *key = "", *store;
	int r;

	if (!json_is_object(config))
		return err_set(err, ERR_OTHER,
			       "cannot read credentials from '%s': line %d is not JSON", name,
			       config ? 1 : why.line);
	member = find_member(json_object_get(config, "credHelpers"), registry, repository, &key);
	if (has_text(json_string_value(member)))
		return take_helper(json_string_value(member), key, name, ret_helper, err);
	member = find_member(json_object_get(config, "auths"), registry, repository, &key);
	r = take_entry(member, ret);
	if (r < 0) {
		oci_credentials_free(ret);
		return err_set(err, ERR_OTHER,
			       "cannot read credentials from '%s': the entry '%.100s' is damaged",
			       name, key);
	}
	if (r > 0)
		return r;
	store = json_member_string(config, "credsStore");
	if (!has_text(store))
		return 0;
	return take_helper(store,
			   strcmp(registry, DEFAULT_REGISTRY) == 0 ? DEFAULT_SERVER : registry,
			   name, ret_helper, err);
}

/* A file in memory with the text, to be read from its start. */
static int input_file(const char *text, struct err *err)
{
	int fd = memfd_create("credentials", MFD_CLOEXEC);

	if (fd < 0)
		return err_set(err, ERR_OTHER, "cannot make the input of a credential helper");
	if (fd_write(fd, text, strlen(text), "input of a credential helper", err) < 0 ||
	    lseek(fd, 0, SEEK_SET) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Reads what a helper says: {"ServerURL", "Username", "Secret"}. */
static int take_answer(const struct str *output, const char *program, struct oci_credentials *ret,
		       struct err *err)
{
	json_error_t why;
	CLEANUP_JSON json_t *answer =
		json_loadb(output->data ? output->data : "", output->len, 0, &why);
	const char *user = json_member_string(answer, "Username");
	const char *secret = json_member_string(answer, "Secret");

	if (!user || !has_text(secret) || !is_clean(user) || !is_clean(secret))
		return err_set(err, ERR_OTHER,
			       "cannot use what '%s' answers: no user and secret in it", program);
	if (strcmp(user, TOKEN_USER) == 0) {
		ret->identity = mem_strdup(secret);
		return 1;
	}
	ret->user = mem_strdup(user);
	ret->secret = mem_strdup(secret);
	return 1;
}

int oci_helper_ask(const struct oci_helper *helper, struct oci_credentials *ret, struct err *err)
{
	CLEANUP_FREE char *program = mem_printf("docker-credential-%s", helper->name);
	CLEANUP(wipe_text)
	struct str output = {.data = mem_alloc(HELPER_OUTPUT_MAX + 1),
			     .room = HELPER_OUTPUT_MAX + 1};
	CLEANUP_FD int input = input_file(helper->server, err);
	const char *const argv[] = {program, "get", NULL};
	struct proc proc = {.argv = argv,
			    .stdin_fd = input,
			    .output = &output,
			    .output_max = HELPER_OUTPUT_MAX};

	if (input < 0)
		return -1;
	if (proc_run(&proc, err) == 0)
		return take_answer(&output, program, ret, err);
	/* Helpers say on standard output what is wrong; this is what those of docker have for "nothing". */
	if (output.len && strstr(output.data, "credentials not found")) {
		err_clear(err);
		return 0;
	}
	return err_wrap(err, "cannot get credentials for '%s'", helper->server);
}

/* Reads one place that is there. Returns 1, 0 or -1. */
static int look_into(const char *text, size_t len, const char *name, const char *registry,
		     const char *repository, struct oci_credentials *ret, struct err *err)
{
	struct oci_helper helper CLEANUP(oci_helper_free) = {0};
	int r = oci_credentials_parse(text, len, name, registry, repository, ret, &helper, err);

	if (helper.server)
		r = oci_helper_ask(&helper, ret, err);
	return r;
}

/* Not fd_read_file: what it read lies on its stack afterwards. */
static int read_secret_file(int fd, const char *path, struct str *text, struct err *err)
{
	for (;;) {
		ssize_t n = read(fd, text->data + text->len, text->room - 1 - text->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot look for credentials in '%s'", path);
		if (n == 0)
			return 0;
		text->len += (size_t)n;
		if (text->len + 1 == text->room)
			return err_set(err, ERR_OTHER,
				       "cannot look for credentials in '%s': larger than %zu bytes",
				       path, CONFIG_MAX);
	}
}

static int look_into_file(const char *path, const char *registry, const char *repository,
			  struct oci_credentials *ret, struct err *err)
{
	CLEANUP(wipe_text)
	struct str text = {.data = mem_alloc(CONFIG_MAX + 2), .room = CONFIG_MAX + 2};
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return err_sys(err, errno, "cannot look for credentials in '%s'", path);
	if (read_secret_file(fd, path, &text, err) < 0)
		return -1;
	return look_into(text.data, text.len, path, registry, repository, ret, err);
}

/* The file "$variable/name", or NULL when the variable is not set. Caller frees. */
static char *below(const char *variable, const char *name)
{
	const char *folder = getenv(variable);

	return has_text(folder) ? mem_printf("%s/%s", folder, name) : NULL;
}

int oci_credentials_find(const char *registry, const char *repository, struct oci_credentials *ret,
			 struct err *err)
{
	const char *text = getenv("DOCKER_AUTH_CONFIG");
	char *files[] = {
		mem_strdup(getenv("REGISTRY_AUTH_FILE")),
		below("DOCKER_CONFIG", "config.json"),
		below("HOME", ".docker/config.json"),
		below("XDG_RUNTIME_DIR", "containers/auth.json"),
	};
	int r = 0;

	if (has_text(text))
		r = look_into(text, strlen(text), "$DOCKER_AUTH_CONFIG", registry, repository, ret,
			      err);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (r == 0 && has_text(files[i]))
			r = look_into_file(files[i], registry, repository, ret, err);
		free(files[i]);
	}
	return r;
}
