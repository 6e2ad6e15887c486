#!/bin/sh
# Modules written by hand at level 1 (tests/ir/*.mlir): what ONNX models rarely show, such as state, bounded
# dimensions, taps and branches. Each is compiled for the targets of its second line, built, run against
# the reference interpreter, and dumped: every stage must continue to the same tree.
#
#   sh tests/ir.sh [NAME...]
. "$(dirname "$0")/lib.sh"

build_and_check() { # FILE TARGET
    rm -rf "$work/tree"
    "$adze" compile "$1" -t "$2" -o "$work/tree" && make -s -C "$work/tree" all && make -s -C "$work/tree" check
}

same_from_every_stage() { # FILE
    rm -rf "$work/dump" "$work/tree"
    "$adze" compile "$1" -t portable -o "$work/tree" --dump-ir "$work/dump" || return 1
    for stage in "$work"/dump/*.mlir; do
        rm -rf "$work/again"
        "$adze" compile "$stage" -t portable -o "$work/again" && diff -r "$work/tree" "$work/again" ||
            { echo "continuing from $(basename "$stage") gives another tree"; return 1; }
    done
}

for f in tests/ir/*.mlir; do
    module=$(basename "$f" .mlir)
    for target in $(sed -n 's,^// targets: ,,p' "$f"); do
        if target_usable "$target"; then
            check "$module@$target" build_and_check "$f" "$target"
        else
            skip "$module@$target" "needs $(target_programs "$target" | tr '\n' ' ')"
        fi
    done
    check "$module.stages" same_from_every_stage "$f"
done
finish
