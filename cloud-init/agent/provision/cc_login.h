/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How users log in: keys where sshd reads them, sudo, passwords.
 */
#ifndef INGOT_AGENT_CC_LOGIN_H
#define INGOT_AGENT_CC_LOGIN_H

#include "agent/provision/accounts.h"
#include "agent/provision/cloudconfig.h"

#define LOGIN_KEYS "/etc/ssh/authorized_keys.d" /* of the image, see settings_users.c */
#define CC_LOGIN_KEYS AGENT_RUN "/authorized_keys"

/* Who gets the keys of the cloud and of ssh_authorized_keys: "user", else root; with disable_root the first user
 * that is listed. In cc's arena. */
const char *login_default_user(struct cc *cc);

/* Writes the rules for sudo of every user. Who cannot have them is told. */
int login_users(struct cc *cc, const struct accounts *accounts, struct err *err);

#endif
