/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Printing text that came out of an image, which may be hostile.
 */
#ifndef INGOT_CLI_TEXT_H
#define INGOT_CLI_TEXT_H

/* Prints to standard output; control characters (of ASCII and C1) become "?", as they would steer the
 * terminal. */
void text_print(const char *text);

#endif
