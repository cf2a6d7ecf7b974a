#!/bin/sh
# Fails when a library of pure files uses anything but memory and strings: no clock, no file, no
# socket, no global state of the process. Usage: check_purity.sh LIBRARY
set -eu
allowed='malloc|bcmp|calloc|realloc|free|abort|mem(cpy|move|set|cmp|chr|rchr|mem)|str(len|nlen|cmp|ncmp|chr|rchr|spn|cspn|pbrk|str|tok_r|casecmp|ncasecmp)|strto(l|ll|ul|ull|d)|atoi|v?snprintf|qsort|__errno_location|cJSON_[A-Za-z0-9_]+'
# What compilers add by themselves: stack protection, checked variants, and the like.
compiler='__(u?(div|mod|divmod)ti[34]|stack_chk_fail|isoc23_strto(l|ll|ul|ull)|(mem(cpy|move|set)|v?snprintf|v?s?n?printf|strncpy|strcpy|stpcpy)_chk|assert_fail|sanitizer.*|asan.*|ubsan.*)|_GLOBAL_OFFSET_TABLE_'

defined=$(nm --defined-only -g "$1" | awk 'NF == 3 {print $3}' | sort -u)
bad=$(nm -u "$1" | awk -v defined="$defined" -v allowed="^($allowed|$compiler)\$" '
	BEGIN { n = split(defined, names, "\n"); for (i = 1; i <= n; i++) ours[names[i]] = 1 }
	$1 == "U" && !($2 in ours) && $2 !~ allowed { print $2 }' | sort -u)
if [ -n "$bad" ]; then
	echo "not pure: $1 uses:" >&2
	echo "$bad" | sed 's/^/  /' >&2
	exit 1
fi
