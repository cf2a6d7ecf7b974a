# shellcheck shell=bash
#
# Installs what Larder's scripts need, and only what is missing. To be sourced by bash scripts.
#
#   deps_build                           compiler, cmake and libraries
#   deps_run                             redis-server
#   deps_test                            what the tests need beyond that
#   deps_python VENV REQUIREMENT...      a virtual environment .cache/VENV with these requirements
#   deps_python VENV -r FILE             the same, from a file
#   deps_node DIR PACKAGE@VERSION...     npm packages in .cache/DIR/node_modules
#
# System packages come from apt-get (Debian 12, Ubuntu 24.04 and later), with sudo when that is
# needed, and what is installed is said first. Everything else goes below .cache/ of the checkout.
# No service is left running: where installing redis-server would start one, that is prevented.

LARDER_CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LARDER_CACHE=$LARDER_CHECKOUT/.cache
deps_updated=no

deps_say() {
	printf 'deps: %s\n' "$*"
}

deps_fail() {
	printf 'deps: %s\n' "$*" >&2
	return 1
}

# Runs a command as root.
deps_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		deps_fail "root or sudo is needed for: $*"
	fi
}

deps_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs those of the packages that are missing.
deps_apt() {
	local package missing=()

	for package in "$@"; do
		deps_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null ||
		deps_fail "no apt-get here; please install: ${missing[*]}" || return 1
	deps_say "installing ${missing[*]}"
	if [ "$deps_updated" = no ]; then
		deps_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null || return 1
		deps_updated=yes
	fi
	deps_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null
}

# Installs a package for a command, unless the command is there from anywhere.
deps_command() {
	command -v "$1" >/dev/null || deps_apt "$2"
}

deps_build() {
	deps_apt gcc libc6-dev pkg-config libhiredis-dev libevent-dev libcjson-dev \
		libcurl4-openssl-dev libssl-dev uthash-dev || return 1
	deps_command cmake cmake && deps_command ninja ninja-build
}

# Installs without starting what is installed: neither now nor at the next boot.
deps_apt_stopped() {
	local package=$1 service=$2 policy=/usr/sbin/policy-rc.d ours=no rc=0

	if [ ! -e "$policy" ] && deps_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy &&
		chmod 755 $policy"; then
		ours=yes
	fi
	deps_apt "$package" || rc=$?
	if [ "$ours" = yes ]; then
		deps_root rm -f "$policy" || rc=$?
	fi
	if [ "$rc" -eq 0 ] && [ -d /run/systemd/system ]; then
		deps_root systemctl disable --now -q "$service" || rc=$?
	fi
	return "$rc"
}

deps_run() {
	command -v redis-server >/dev/null || deps_apt_stopped redis-server redis-server
}

# The sanitizers' and libFuzzer's runtime is a package of its own since clang 14.
deps_clang_runtime() {
	local major package

	major=$(clang -dumpversion | cut -d. -f1) || return 1
	package=libclang-rt-$major-dev
	if [ -e "$(clang -print-file-name=libclang_rt.asan-x86_64.a)" ] ||
		[ -e "$(clang -print-file-name=libclang_rt.asan.a)" ] ||
		[ -e "$(clang -print-file-name=libclang_rt.asan-aarch64.a)" ]; then
		return 0
	fi
	deps_apt "$package"
}

deps_test() {
	deps_apt libcmocka-dev || return 1
	deps_command clang clang && deps_clang_runtime || return 1
	deps_command valgrind valgrind || return 1
	# valgrind reads the C library's symbols.
	deps_apt libc6-dbg || return 1
	deps_command shellcheck shellcheck || return 1
	deps_command openssl openssl || return 1
	deps_command git git || return 1
	PATH=$PATH:/sbin:/usr/sbin deps_command mkfs.ext4 e2fsprogs || return 1
	PATH=$PATH:/sbin:/usr/sbin deps_command capsh libcap2-bin || return 1
	if ! command -v node >/dev/null; then
		deps_apt nodejs || return 1
	fi
	deps_command npm npm
}

# A Python from 3.10 on that can make virtual environments.
deps_find_python() {
	local python

	for python in python3 /usr/bin/python3 python3.13 python3.12 python3.11 python3.10; do
		if "$python" -c 'import sys, venv, ensurepip
sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
			printf '%s\n' "$python"
			return 0
		fi
	done
	return 1
}

deps_python() {
	local venv=$LARDER_CACHE/$1 python wanted

	shift
	# What was installed is remembered, so that the next run costs nothing.
	wanted=$(printf '%s\n' "$@"; [ "$1" != -r ] || cat "$2") || return 1
	if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c '' 2>/dev/null &&
		[ "$wanted" = "$(cat "$venv/installed" 2>/dev/null)" ]; then
		return 0
	fi
	python=$(deps_find_python) || {
		deps_apt python3 python3-venv || return 1
		python=$(deps_find_python) || deps_fail "no Python from 3.10 on" || return 1
	}
	deps_say "making ${venv#"$LARDER_CHECKOUT"/}: $*"
	rm -rf "$venv"
	mkdir -p "$LARDER_CACHE"
	"$python" -m venv "$venv" || return 1
	"$venv/bin/python" -m pip install -q --disable-pip-version-check "$@" || return 1
	printf '%s\n' "$wanted" >"$venv/installed"
}

deps_node() {
	local dir=$LARDER_CACHE/$1 wanted

	shift
	wanted=$(printf '%s\n' "$@")
	if [ -d "$dir/node_modules" ] && [ "$wanted" = "$(cat "$dir/installed" 2>/dev/null)" ]; then
		return 0
	fi
	deps_say "making ${dir#"$LARDER_CHECKOUT"/}: $*"
	rm -rf "$dir"
	mkdir -p "$dir"
	printf '{"private": true}\n' >"$dir/package.json"
	npm install --prefix "$dir" --no-audit --no-fund --no-package-lock --ignore-scripts \
		--loglevel=error "$@" >/dev/null || return 1
	printf '%s\n' "$wanted" >"$dir/installed"
}
