/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys on tokens (PKCS #11) by a URI of RFC 7512. OpenSSL speaks to tokens by a provider or, older, by an
 * engine: whichever is installed. The PIN is taken out of the URI, so it is in no message.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* the engine */
#include "base/sign_parts.h"

#include "base/fd.h"
#include "base/mem.h"

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#include <string.h>

#define URI_MAX 2048
#define PIN_MAX 256 /* bytes with NUL */

struct sign_token {
	char *uri;    /* without what the rest of this struct has */
	char *module; /* path of the token's library, or NULL: as OpenSSL is configured */
	char pin[PIN_MAX];
	bool has_pin;
	UI_METHOD *method;
	OSSL_LIB_CTX *library;
	OSSL_PROVIDER *providers[2];
#ifndef OPENSSL_NO_ENGINE
	ENGINE *engine;
#endif
};

void sign_token_free(struct sign_token *t)
{
	if (!t)
		return;
#ifndef OPENSSL_NO_ENGINE
	if (t->engine)
		ENGINE_finish(t->engine);
#endif
	for (size_t i = ARRAY_SIZE(t->providers); i--;)
		if (t->providers[i])
			OSSL_PROVIDER_unload(t->providers[i]);
	OSSL_LIB_CTX_free(t->library);
	UI_destroy_method(t->method);
	free(t->uri);
	free(t->module);
	mem_wipe(t, sizeof(*t));
	free(t);
}

static int hex(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Decodes percent signs into to. False when that is none, holds a NUL or does not fit. */
static bool decode(const char *from, size_t len, char *to, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = from[i];

		if (c == '%') {
			int high = len - i < 3 ? -1 : hex(from[i + 1]);
			int low = len - i < 3 ? -1 : hex(from[i + 2]);

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == 0 || n + 1 >= room)
			return false;
		to[n++] = c;
	}
	to[n] = 0;
	return true;
}

/* The PIN is the first line of a file: "file:/path" or "/path". */
static int read_pin(struct sign_token *t, const char *source, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	const char *path = str_has_prefix(source, "file://") ? source + 7
			   : str_has_prefix(source, "file:") ? source + 5
							     : source;
	size_t len;
	int r = 0;

	if (path[0] != '/')
		return err_set(
			err, ERR_PROFILE,
			"cannot read the PIN from '%s': pin-source must be the absolute path "
			"of a file",
			source);
	if (fd_read_file(path, 4096, &text, err) < 0)
		return err_wrap(err, "cannot read the PIN");
	len = text.data ? strcspn(text.data, "\r\n") : 0;
	if (len == 0 || len >= sizeof(t->pin)) {
		r = err_set(err, ERR_PROFILE, "cannot read the PIN from '%s': the first line is %s",
			    path, len ? "too long" : "empty");
	} else {
		memcpy(t->pin, text.data, len);
		t->has_pin = true;
	}
	if (text.data)
		mem_wipe(text.data, text.room);
	return r;
}

static void add_attribute(struct str *list, char separator, const char *text, size_t len)
{
	if (len == 0)
		return;
	if (list->len > 0 && list->data[list->len - 1] != ':')
		str_add_bytes(list, &separator, 1);
	str_add_bytes(list, text, len);
}

/* Takes what is for us (the PIN, the module); all else goes into the list. */
static int take_attribute(struct sign_token *t, const char *text, size_t len, char separator,
			  struct str *list, struct err *err)
{
	static const struct {
		const char *name;
		bool is_pin, is_source;
	} ours[] = {{"pin-value=", true, false},
		    {"pin-source=", false, true},
		    {"module-path=", false, false}};
	char value[URI_MAX] = "";

	for (size_t i = 0; len > 0 && i < ARRAY_SIZE(ours); i++) {
		size_t skip = strlen(ours[i].name);
		bool good;

		if (len < skip || strncmp(text, ours[i].name, skip) != 0)
			continue;
		if (ours[i].is_pin) {
			good = decode(text + skip, len - skip, t->pin, sizeof(t->pin));
			t->has_pin = true;
		} else {
			good = decode(text + skip, len - skip, value, sizeof(value));
		}
		if (!good)
			return err_set(err, ERR_PROFILE,
				       "cannot read the pkcs11: URI: the value of %.*s is not "
				       "percent-encoded or too long",
				       (int)skip - 1, ours[i].name);
		if (ours[i].is_source)
			return read_pin(t, value, err);
		if (!ours[i].is_pin) {
			free(t->module);
			t->module = mem_strdup(value);
		}
		return 0;
	}
	add_attribute(list, separator, text, len);
	return 0;
}

static int parse_uri(struct sign_token *t, const char *uri, struct err *err)
{
	CLEANUP(str_free) struct str path = {0}, query = {0};
	const char *end = uri + strcspn(uri, "?");
	bool typed = false;

	if (strlen(uri) >= URI_MAX)
		return err_set(err, ERR_PROFILE, "cannot read the pkcs11: URI: it is too long");
	for (const char *p = uri; *p; p++)
		if (*p <= ' ' || *p > '~')
			return err_set(
				err, ERR_PROFILE,
				"cannot read the pkcs11: URI: it holds a character that must "
				"be percent-encoded");
	str_add(&path, "pkcs11:");
	for (const char *at = uri + strlen("pkcs11:"); at < end; at += *at == ';') {
		size_t len = strcspn(at, ";?");

		typed |= str_has_prefix(at, "type=");
		if (take_attribute(t, at, len, ';', &path, err) < 0)
			return -1;
		at += len;
	}
	/* The private one of a pair is meant. */
	if (!typed)
		add_attribute(&path, ';', "type=private", strlen("type=private"));
	for (const char *at = end + (*end == '?'); *at; at += *at == '&') {
		size_t len = strcspn(at, "&");

		if (take_attribute(t, at, len, '&', &query, err) < 0)
			return -1;
		at += len;
	}
	if (query.len > 0)
		str_addf(&path, "?%s", query.data);
	t->uri = str_steal(&path);
	return 0;
}

/* Gives the PIN whenever OpenSSL asks for one. */
static int give_pin(char *to, int room, int writing, void *context)
{
	const struct sign_token *t = context;
	size_t len = strlen(t->pin);

	(void)writing;
	if (len > (size_t)room)
		return -1;
	memcpy(to, t->pin, len);
	return (int)len;
}

/* 1 with the key, 0 when there is no provider, -1 when it does not give the key. */
static int load_by_provider(struct sign_token *t, EVP_PKEY **ret)
{
	OSSL_STORE_CTX *store;

	/* Of its own, so that no digest of ours is computed by a token. */
	t->library = OSSL_LIB_CTX_new();
	if (!t->library)
		return 0;
	/* The only way that all versions of the provider know. */
	if (t->module)
		setenv("PKCS11_PROVIDER_MODULE", t->module, 1);
	t->providers[0] = OSSL_PROVIDER_load(t->library, "default");
	t->providers[1] = OSSL_PROVIDER_load(t->library, "pkcs11");
	if (!t->providers[0] || !t->providers[1])
		return 0;
	ERR_clear_error();
	store = OSSL_STORE_open_ex(t->uri, t->library, NULL, t->method, t, NULL, NULL, NULL);
	if (!store)
		return -1;
	while (!*ret && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);

		if (!info)
			break;
		if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
			*ret = OSSL_STORE_INFO_get1_PKEY(info);
		OSSL_STORE_INFO_free(info);
	}
	OSSL_STORE_close(store);
	return *ret ? 1 : -1;
}

#ifndef OPENSSL_NO_ENGINE
/* As load_by_provider. */
static int load_by_engine(struct sign_token *t, EVP_PKEY **ret)
{
	/* Found once, never unloaded: it does not get over that. */
	static ENGINE *engine;

	if (!engine) {
		ENGINE_load_dynamic();
		engine = ENGINE_by_id("pkcs11");
	}
	if (!engine)
		return 0;
	/* It would print what it thinks, between our lines. */
	ENGINE_ctrl_cmd_string(engine, "QUIET", NULL, 1);
	if ((t->module && ENGINE_ctrl_cmd_string(engine, "MODULE_PATH", t->module, 0) != 1) ||
	    ENGINE_init(engine) != 1)
		return -1;
	t->engine = engine;
	ERR_clear_error();
	*ret = ENGINE_load_private_key(t->engine, t->uri, t->method, t);
	return *ret ? 1 : -1;
}
#else
static int load_by_engine(struct sign_token *t, EVP_PKEY **ret)
{
	(void)t, (void)ret;
	return 0;
}
#endif

static int load(struct sign_token *t, EVP_PKEY **ret, struct err *err)
{
	int found = load_by_provider(t, ret);

	if (found == 0) {
		OSSL_LIB_CTX *unused = t->library;

		t->library = NULL;
		OSSL_PROVIDER_unload(t->providers[0]);
		t->providers[0] = NULL;
		OSSL_LIB_CTX_free(unused);
		ERR_clear_error();
		found = load_by_engine(t, ret);
	}
	if (found == 0) {
		ERR_clear_error();
		err_set(err, ERR_TOOL,
			"cannot open the key '%s': OpenSSL has neither a provider nor an engine for "
			"PKCS #11",
			t->uri);
		return err_hint(err, "install the package pkcs11-provider or, on Debian 12, "
				     "libengine-pkcs11-openssl");
	}
	if (found > 0)
		return 0;
	if (ERR_peek_error())
		sign_failed(err, ERR_PROFILE, "cannot open the key '%s'", t->uri);
	else
		err_set(err, ERR_PROFILE,
			"cannot open the key '%s': it is not there or its PIN is wrong", t->uri);
	return err_hint(err, "is the module right (module-path in the URI), the token there, its "
			     "PIN right, and the key on it?");
}

/* Without a PIN no token is asked: some would ask whoever sits at the terminal. */
static int need_pin(struct sign_token *t, struct err *err)
{
	const char *pin = sign_passphrase();

	if (t->has_pin)
		return 0;
	if (!pin) {
		err_set(err, ERR_PROFILE, "cannot open the key '%s': its PIN is not known", t->uri);
		return err_hint(err,
				"put it into the environment variable %s or name a file by "
				"pin-source in the URI",
				SIGN_PASSPHRASE);
	}
	if (strlen(pin) >= sizeof(t->pin))
		return err_set(err, ERR_PROFILE, "cannot open the key '%s': the PIN is too long",
			       t->uri);
	strcpy(t->pin, pin);
	t->has_pin = true;
	return 0;
}

struct sign_key *sign_open_token(const char *uri, struct err *err)
{
	struct sign_token *t = mem_alloc(sizeof(*t));
	EVP_PKEY *secret = NULL;
	struct sign_key *key = NULL;

	t->method = UI_UTIL_wrap_read_pem_callback(give_pin, 0);
	if (!t->method)
		sign_failed(err, ERR_OTHER, "cannot open a token");
	else if (parse_uri(t, uri, err) == 0 && need_pin(t, err) == 0 && load(t, &secret, err) == 0)
		key = sign_new(secret, NULL, t->uri, err);
	if (!key) {
		sign_token_free(t);
		return NULL;
	}
	key->token = t;
	key->library = t->library;
	return key;
}
