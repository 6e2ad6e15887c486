#!/bin/sh
# footprint.sh SIZE OBJDUMP PROGRAM BUILD: linked sizes of PROGRAM and its worst stack, as JSON.
#
# The stack comes from gcc's call graph (BUILD/footprint/**/*.ci); without it, it is null. Functions of
# libraries have no such notes: their frames and calls are read off the disassembly.
set -e
size=$1
objdump=$2
program=$3
build=$4
stack=null
files=$(find "$build/footprint" -name '*.ci' 2>/dev/null | LC_ALL=C sort)
if [ -n "$files" ]; then
    $objdump -d --no-show-raw-insn "$program" > "$build/footprint/program.s" 2>/dev/null || : > "$build/footprint/program.s"
    # shellcheck disable=SC2086
    stack=$(awk -f selftest/footprint.awk $files "$build/footprint/program.s")
fi
sections=$($size -A "$program" | awk '
    $2 ~ /^[0-9]+$/ && $1 != "Total" && $1 !~ /^\.(debug|comment|symtab|strtab|shstrtab|ARM\.attributes|riscv\.attributes|gnu\.|note)/ {
        printf "%s\n    \"%s\": {\"bytes\": %s, \"address\": %s}", (n++ ? "," : ""), $1, $2, $3
    }')
printf '{\n  "program": "%s",\n  "sections": {%s\n  },\n  "worst_stack": %s\n}\n' \
    "$program" "$sections" "$stack"
