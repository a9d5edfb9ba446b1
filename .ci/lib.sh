# Sourced by the scripts beside it: one strict mode, one idea of what the modules are.
# All modules of go.work at once are the package pattern `work`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
mkdir -p bin

# modules prints the directory of each module of the workspace.
modules() { go list -m -f '{{.Dir}}'; }

# packages_with PREFIX: the directories of the packages whose tests declare func PREFIX…;
# the others need not be compiled to learn that they have none.
packages_with() {
	local dir
	go list -f '{{.Dir}}' work | while read -r dir; do
		if grep -qsE "^func $1[^a-z]" "$dir"/*_test.go; then echo "$dir"; fi
	done
}

# in_dir DIR COMMAND...
in_dir() { (cd "$1" && shift && "$@"); }

# label DIR: how a directory of the repository is called in the output.
label() { if [ "$1" = "$root" ]; then echo root; else echo "${1#"$root"/}"; fi; }

# build_tool DIR PACKAGE: bin/<name>, from the versions that DIR/go.mod pins. The build cache makes a second call free.
build_tool() { GOWORK=off go -C "$1" build -o "$root/bin/$(basename "$2")" "$2"; }

# step NAME COMMAND...: runs it and remembers a failure; the other steps still tell what they find.
failed=()
step() {
	local name=$1 start=$SECONDS
	shift
	printf '== %s\n' "$name"
	"$@" || failed+=("$name")
	if ((SECONDS - start > 9)); then printf '== %s took %d s\n' "$name" $((SECONDS - start)); fi
}

# finish ends the script: with 1 if any step failed.
finish() {
	if ((${#failed[@]})); then
		printf 'failed step: %s\n' "${failed[@]}" >&2
		exit 1
	fi
	printf '== all steps passed in %d s\n' "$SECONDS"
}
