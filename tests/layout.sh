#!/bin/sh
# The repository keeps to its layout.
. "$(dirname "$0")/lib.sh"

# FOLDER may include: the last column of the table in docs/architecture.md.
includes() { # FOLDER ALLOWED...
    folder=$1
    shift
    grep -rnE '^#include "[a-z]+/' --include='*.c' --include='*.h' --include='*.def' "$folder" |
        sed 's/^\([^:]*:[0-9]*\):#include "\([a-z]*\)\/.*/\1 \2/' >"$work/includes"
    while read -r where what; do
        case " $folder $* " in *" $what "*) ;; *) echo "$where includes $what/"; touch "$work/bad" ;; esac
    done <"$work/includes"
    test ! -e "$work/bad"
}
# Every folder with tracked files has a README.md; folders of data alone do not need one.
readmes() {
    git ls-files | grep -vE '^(\.ci|examples/.*/(float|int8|samples|test_data_set_[0-9]+|train)|.*/test_data_set_[0-9]+)/|(^|/)templates/' |
        sed -n 's:/[^/]*$::p' | sort -u | while read -r d; do
        test -f "$d/README.md" || echo "$d has no README.md"
    done | tee "$work/lacking"
    test ! -s "$work/lacking"
}
# One idea a file.
file_sizes() {
    git ls-files '*.c' '*.h' | xargs wc -l | awk '$2 != "total" && $1 > 1200 { print $2, "has", $1, "lines"; bad = 1 } END { exit bad }'
}
# Nothing below driver/ ends the process or prints.
quiet_library() {
    ! grep -nE '\b(exit|printf|puts|putchar)\(' passes/*.c codegen/*.c frontend/onnx/*.c reference/*.c targets/*.c |
        grep -vE '_(printf|puts|exit)\(|//|^\S+:\s*\*|"'
}
links() { # every page that the documentation links to is there
    for page in README.md docs/*.md docs/*/*.md */README.md; do
        grep -oE '\]\([^)#:]+' "$page" | sed 's/^](//' | while read -r to; do
            test -e "$(dirname "$page")/$to" || echo "$page: $to"
        done
    done | tee "$work/broken"
    test ! -s "$work/broken"
}

check "includes ir" includes ir
check "includes frontend" includes frontend ir
check "includes reference" includes reference ir
check "includes targets" includes targets
check "includes passes" includes passes ir reference targets
check "includes codegen" includes codegen ir targets
check "includes runtime" includes runtime
if git rev-parse --git-dir >/dev/null 2>&1; then
    check readmes readmes
    check file-sizes file_sizes
fi
check quiet-library quiet_library
check links links
finish
