#!/bin/sh
# footprint.sh SIZE PROGRAM BUILD: linked sizes of PROGRAM and the worst stack, as JSON.
# The stack comes from gcc's call graph (build/footprint/**/*.ci); without it, it is null.
set -e
size=$1
program=$2
build=$3
stack=null
files=$(find "$build/footprint" -name '*.ci' 2>/dev/null | LC_ALL=C sort)
if [ -n "$files" ]; then
    # shellcheck disable=SC2086
    stack=$(awk -f selftest/footprint.awk $files)
fi
sections=$($size -A "$program" | awk '
    $2 ~ /^[0-9]+$/ && $1 != "Total" && $1 !~ /^\.(debug|comment|symtab|strtab|shstrtab|ARM\.attributes|riscv\.attributes|gnu\.|note)/ {
        printf "%s\n    \"%s\": {\"bytes\": %s, \"address\": %s}", (n++ ? "," : ""), $1, $2, $3
    }')
printf '{\n  "program": "%s",\n  "sections": {%s\n  },\n  "worst_stack": %s\n}\n' \
    "$program" "$sections" "$stack"
