/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Printing text that came out of an image: control characters must not reach the terminal.
 */
#include "cli/text.h"

#include <stdio.h>

void text_print(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p < ' ' || *p == 0x7f) {
			putchar('?');
		} else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
			putchar('?');
			p++;
		} else {
			putchar(*p);
		}
	}
}
