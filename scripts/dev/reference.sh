#!/usr/bin/env bash
# Writes the reference pages from what the programs print of themselves. The tests do this too, and
# fail when a page differs. Usage: scripts/dev/reference.sh BUILD [DIRECTORY]
set -euo pipefail
build=$1
to=${2:-$(cd "$(dirname "$0")/../.." && pwd)/docs}

"$build/larder-agent" --print-reference >"$to/settings-agent.md"
"$build/larder-coordinator" --print-reference >"$to/settings-coordinator.md"

# The commands, as --help lists them.
commands() {
	"$build/larderctl" --help | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

help_of() {
	printf '```\n'
	"$build/larderctl" "$@" --help
	printf '```\n'
}

{
	printf '# larderctl\n\nMade from what larderctl and each of its commands print with --help.\n\n'
	help_of
	for command in $(commands); do
		printf '\n## %s\n\n' "$command"
		help_of "$command"
	done
} >"$to/larderctl.md"
