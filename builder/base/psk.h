/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.3 between two who know the same secret (external PSK, RFC 8446 4.2.11), by OpenSSL: no certificates, a
 * fresh Diffie-Hellman each time (psk_dhe_ke), one cipher. One line goes there and one comes back per connection.
 */
#ifndef INGOT_BASE_PSK_H
#define INGOT_BASE_PSK_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define PSK_LINE_MAX ((size_t)4096) /* bytes of a line with its newline */
#define PSK_NAME_MAX ((size_t)64)

/* The key of one group, ready for connections in both roles. */
struct psk;

/* Makes it of the secret and the group's name (at most PSK_NAME_MAX bytes, which the peer sees in clear):
 * key = HKDF-SHA256(secret, "ingot psk v1", name). Free with psk_free; NULL with err when OpenSSL cannot. */
struct psk *psk_new(const char *secret, const char *name, struct err *err);

/* Wipes and frees it, after all of its connections; NULL is allowed. */
void psk_free(struct psk *psk);

struct psk_conn;

enum psk_want {
	PSK_WANT_READ,  /* call again when the socket can be read */
	PSK_WANT_WRITE, /* or written */
	PSK_LINE,       /* the peer has proved the secret and its line is here: psk_conn_line */
	PSK_DONE,       /* server: the answer is sent */
	PSK_FAILED,     /* psk_conn_why says why */
};

/* Starts a connection on a connected (or connecting) non-blocking socket, which it owns from now on. line
 * (without newline) is what the client says; NULL makes this the server. */
struct psk_conn *psk_conn_new(struct psk *psk, int fd, const char *line);

/* Wipes, closes and frees it; NULL is allowed. */
void psk_conn_free(struct psk_conn *conn);

/* Goes on as far as it can without waiting. */
enum psk_want psk_conn_step(struct psk_conn *conn);

/* The socket, for poll. */
int psk_conn_fd(const struct psk_conn *conn);

/* True from when the peer has proved that it has the secret. */
bool psk_conn_trusted(const struct psk_conn *conn);

/* True after a handshake that failed for what the other side said: it does not have our secret. */
bool psk_conn_refused(const struct psk_conn *conn);

/* The line that came, ended by NUL (NULs inside are refused); valid until psk_conn_free. */
const char *psk_conn_line(const struct psk_conn *conn, size_t *ret_len);

/* Server, after PSK_LINE: says the answer (shorter than PSK_LINE_MAX, no newline); psk_conn_step sends it. */
void psk_conn_answer(struct psk_conn *conn, const char *line);

/* Why it failed, in words; static or of the connection. */
const char *psk_conn_why(const struct psk_conn *conn);

#endif
