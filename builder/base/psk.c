/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External PSKs by OpenSSL's session callbacks. A side without the secret cannot finish the handshake: there is
 * no certificate to fall back to, and the client goes on only when the PSK was really used.
 */
#include "base/psk.h"

#include "base/fd.h"
#include "base/hmac.h"
#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define KEY_SIZE 32
#define SALT "ingot psk v1"

struct psk {
	SSL_CTX *server, *client;
	uint8_t key[KEY_SIZE];
	char name[PSK_NAME_MAX + 1];
};

enum phase { PHASE_CONNECT, PHASE_HANDSHAKE, PHASE_READ, PHASE_THINK, PHASE_WRITE, PHASE_END };

struct psk_conn {
	SSL *ssl;
	int fd;
	bool server, trusted, refused;
	enum phase phase;
	char in[PSK_LINE_MAX + 1], out[PSK_LINE_MAX + 1];
	size_t in_len, out_len, sent;
	char why[160];
};

/* The PSK as the session that RFC 8446 makes of it; only this cipher's hash can use it. */
static SSL_SESSION *session_of(SSL *ssl, const struct psk *psk)
{
	static const unsigned char aes_256_gcm_sha384[] = {0x13, 0x02};
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, aes_256_gcm_sha384);
	SSL_SESSION *session = SSL_SESSION_new();

	if (session && cipher && SSL_SESSION_set1_master_key(session, psk->key, KEY_SIZE) == 1 &&
	    SSL_SESSION_set_cipher(session, cipher) == 1 &&
	    SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

static int on_find(SSL *ssl, const unsigned char *id, size_t len, SSL_SESSION **ret)
{
	const struct psk *psk = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	*ret = NULL;
	if (len != strlen(psk->name) || memcmp(id, psk->name, len) != 0)
		return 1; /* an unknown group: the handshake ends for want of a certificate */
	*ret = session_of(ssl, psk);
	return *ret != NULL;
}

static int on_use(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
		  SSL_SESSION **ret)
{
	const struct psk *psk = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	*ret = NULL;
	/* After a HelloRetryRequest the hash is fixed; with another one ours is no use. */
	if (md && EVP_MD_get_size(md) != 48)
		return 1;
	*ret = session_of(ssl, psk);
	*id = (const unsigned char *)psk->name;
	*len = strlen(psk->name);
	return *ret != NULL;
}

static SSL_CTX *context(struct psk *psk, bool server)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

	if (!ctx)
		return NULL;
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384") != 1 ||
	    SSL_CTX_set1_groups_list(ctx, "X25519:P-256") != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	/* No PSK without Diffie-Hellman: who learns the secret later reads nothing of before. */
	SSL_CTX_clear_options(ctx, SSL_OP_ALLOW_NO_DHE_KEX);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A server with a certificate in place of the PSK is refused: nobody is trusted by certificate. */
	SSL_CTX_set_verify(ctx, server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_app_data(ctx, psk);
	if (server)
		SSL_CTX_set_psk_find_session_callback(ctx, on_find);
	else
		SSL_CTX_set_psk_use_session_callback(ctx, on_use);
	return ctx;
}

struct psk *psk_new(const char *secret, const char *name, struct err *err)
{
	struct psk *psk;

	if (!*secret || !*name || strlen(name) > PSK_NAME_MAX) {
		err_set(err, ERR_OTHER, "a pre-shared key needs a secret and a short name");
		return NULL;
	}
	psk = mem_alloc(sizeof(*psk));
	snprintf(psk->name, sizeof(psk->name), "%s", name);
	hkdf_sha256(secret, strlen(secret), SALT, sizeof(SALT) - 1, name, strlen(name), psk->key,
		    KEY_SIZE);
	psk->server = context(psk, true);
	psk->client = context(psk, false);
	if (psk->server && psk->client)
		return psk;
	err_set(err, ERR_OTHER, "OpenSSL cannot do TLS 1.3 with pre-shared keys");
	psk_free(psk);
	return NULL;
}

void psk_free(struct psk *psk)
{
	if (!psk)
		return;
	SSL_CTX_free(psk->server);
	SSL_CTX_free(psk->client);
	mem_wipe(psk, sizeof(*psk));
	free(psk);
}

static void put_line(struct psk_conn *conn, const char *line)
{
	size_t len = strlen(line);

	if (len >= PSK_LINE_MAX) /* the caller's mistake; an empty line is refused by the peer */
		len = 0;
	memcpy(conn->out, line, len);
	conn->out[len] = '\n';
	conn->out_len = len + 1;
}

struct psk_conn *psk_conn_new(struct psk *psk, int fd, const char *line)
{
	struct psk_conn *conn = mem_alloc(sizeof(*conn));
	int on = 1;

	/* Each side says something small twice in a row: without this the second waits for the peer's delayed
	 * ACK, 40 ms. Sockets that are not TCP have no such thing. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->fd = fd;
	conn->server = !line;
	conn->phase = line ? PHASE_CONNECT : PHASE_HANDSHAKE;
	if (line)
		put_line(conn, line);
	conn->ssl = SSL_new(line ? psk->client : psk->server);
	if (!conn->ssl || SSL_set_fd(conn->ssl, fd) != 1) {
		conn->phase = PHASE_END;
		snprintf(conn->why, sizeof(conn->why), "no memory for TLS");
	} else if (line) {
		SSL_set_connect_state(conn->ssl);
	} else {
		SSL_set_accept_state(conn->ssl);
	}
	return conn;
}

void psk_conn_free(struct psk_conn *conn)
{
	if (!conn)
		return;
	SSL_free(conn->ssl);
	fd_close(&conn->fd);
	mem_wipe(conn, sizeof(*conn));
	free(conn);
}

int psk_conn_fd(const struct psk_conn *conn)
{
	return conn->fd;
}

bool psk_conn_trusted(const struct psk_conn *conn)
{
	return conn->trusted;
}

bool psk_conn_refused(const struct psk_conn *conn)
{
	return conn->refused;
}

const char *psk_conn_line(const struct psk_conn *conn, size_t *ret_len)
{
	*ret_len = conn->in_len;
	return conn->in;
}

const char *psk_conn_why(const struct psk_conn *conn)
{
	return conn->why;
}

void psk_conn_answer(struct psk_conn *conn, const char *line)
{
	put_line(conn, line);
	conn->phase = PHASE_WRITE;
}

static enum psk_want fail(struct psk_conn *conn, const char *why)
{
	conn->phase = PHASE_END;
	if (!*conn->why)
		snprintf(conn->why, sizeof(conn->why), "%s", why);
	ERR_clear_error();
	return PSK_FAILED;
}

/* What became of a call of OpenSSL that returned r <= 0. */
static enum psk_want blocked(struct psk_conn *conn, int r)
{
	int saved = errno;
	unsigned long code;

	switch (SSL_get_error(conn->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return PSK_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return PSK_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return fail(conn, "the other side closed the connection");
	case SSL_ERROR_SYSCALL:
		return fail(conn, saved ? strerror(saved) : "the other side closed the connection");
	default:
		break;
	}
	code = ERR_peek_last_error();
	if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return fail(conn, "the other side closed the connection");
	/* Alerts of a peer that does not find the key; and what we say to one that has another key. */
	if (!conn->trusted) {
		conn->refused = true;
		return fail(conn, "it has another secret or cluster, or is something else");
	}
	return fail(conn, "the connection broke");
}

static enum psk_want step_connect(struct psk_conn *conn)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer), size = sizeof(int);
	int error = 0;

	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error)
		return fail(conn, strerror(error));
	if (getpeername(conn->fd, (struct sockaddr *)&peer, &len) < 0)
		return errno == ENOTCONN ? PSK_WANT_WRITE : fail(conn, strerror(errno));
	conn->phase = PHASE_HANDSHAKE;
	return PSK_DONE;
}

static enum psk_want step_handshake(struct psk_conn *conn)
{
	int r;

	errno = 0;
	r = SSL_do_handshake(conn->ssl);
	if (r <= 0)
		return blocked(conn, r);
	if (SSL_session_reused(conn->ssl) != 1)
		return fail(conn, "the other side did not prove that it has the secret");
	conn->trusted = true;
	conn->phase = conn->server ? PHASE_READ : PHASE_WRITE;
	return PSK_DONE;
}

static enum psk_want step_write(struct psk_conn *conn)
{
	int r;

	errno = 0;
	r = SSL_write(conn->ssl, conn->out + conn->sent, (int)(conn->out_len - conn->sent));
	if (r <= 0)
		return blocked(conn, r);
	conn->sent += (size_t)r;
	if (conn->sent < conn->out_len)
		return PSK_DONE;
	mem_wipe(conn->out, sizeof(conn->out));
	if (!conn->server) {
		conn->phase = PHASE_READ;
		return PSK_DONE;
	}
	conn->phase = PHASE_END;
	/* Without it the peer could not tell the end from a cut. */
	SSL_shutdown(conn->ssl);
	ERR_clear_error();
	return PSK_DONE;
}

static enum psk_want step_read(struct psk_conn *conn)
{
	char *end;
	int r;

	errno = 0;
	r = SSL_read(conn->ssl, conn->in + conn->in_len, (int)(PSK_LINE_MAX - conn->in_len));
	if (r <= 0)
		return blocked(conn, r);
	conn->in_len += (size_t)r;
	end = memchr(conn->in, '\n', conn->in_len);
	if (!end)
		return conn->in_len == PSK_LINE_MAX
			       ? fail(conn, "the other side's line is too long")
			       : PSK_DONE;
	conn->in_len = (size_t)(end - conn->in);
	conn->in[conn->in_len] = '\0';
	if (strlen(conn->in) != conn->in_len || conn->in_len == 0)
		return fail(conn, "the other side's line is no text");
	conn->phase = PHASE_THINK;
	return PSK_LINE;
}

enum psk_want psk_conn_step(struct psk_conn *conn)
{
	for (;;) {
		enum psk_want want = PSK_DONE;

		switch (conn->phase) {
		case PHASE_CONNECT:
			want = step_connect(conn);
			break;
		case PHASE_HANDSHAKE:
			want = step_handshake(conn);
			break;
		case PHASE_READ:
			want = step_read(conn);
			break;
		case PHASE_WRITE:
			want = step_write(conn);
			break;
		case PHASE_THINK:
			return PSK_LINE;
		case PHASE_END:
			return *conn->why ? PSK_FAILED : PSK_DONE;
		}
		if (want != PSK_DONE)
			return want;
	}
}
