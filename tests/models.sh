#!/bin/sh
# Every model on every target: compiled, built, run, compared with its reference output.
#
#   sh tests/models.sh [--all] [MODEL | TARGET | MODEL@TARGET ...]
#
# Models are the folders of examples/ and of data/onnx that hold a model.onnx and test data.
# tests/models.tsv says which targets a default run takes for each; --all takes every target. A model
# that a board has no room for is left out, with the bytes that are missing.
full=no
if [ "${1:-}" = --all ]; then full=yes; shift; fi
. "$(dirname "$0")/lib.sh"

all_targets="portable x86-64 x86-64-v3 native aarch64 armv8.2-dotprod armv9-sve riscv64 riscv64-v cortex-m4 cortex-m7 cortex-m33 cortex-m55
 riscv32-bare riscv64-bare wasm32-simd"
left_out=0

# MODEL: the targets of its row in models.tsv, or of the row "*".
targets_of() {
    if [ $full = yes ]; then echo $all_targets; return; fi
    awk -F'\t' -v m="$1" '/^#/ { next } $1 == m { found = 1; print $2; exit } $1 == "*" { other = $2 }
        END { if (!found) print other }' tests/models.tsv
}
options_of() { awk -F'\t' -v m="$1" '/^#/ { next } $1 == m { print $3; exit }' tests/models.tsv; }

build_and_check() { # DIR
    make -s -j2 -C "$1" all && make -s -C "$1" check
}

# `make check` of a quantized model compares with adze's own integer results. Here the program must
# also give the winner of the folder's outputs, which another engine computed.
against_folder() { # FOLDER OPTIONS...
    folder_=$1
    shift
    "$adze" run "m=$folder_/model.onnx" -t portable --reference "$folder_" "$@" --json >"$work/run.json"
    code=$?
    tail -n 1 "$work/run.json" >"$work/run.last"
    sed '$d' "$work/run.json"
    cut -c1-300 "$work/run.last"
    test $code = 0 && grep -q '^{"ok":true,' "$work/run.last" || return 1
    ! grep -q '"same_arg_max":' "$work/run.last" || grep -q '"same_arg_max":true' "$work/run.last"
}

one() { # NAME FOLDER TARGET
    label=$1@$3
    if [ -n "$only" ]; then
        hit=no
        for o in $only; do case $o in "$1" | "$3" | "$label") hit=yes ;; esac; done
        test $hit = yes || return 0
    fi
    if ! target_usable "$3"; then
        skip "$label" "needs $(target_programs "$3" | tr '\n' ' ')"
        return 0
    fi
    dir=$work/tree
    rm -rf "$dir"
    if ! "$adze" compile "$2/model.onnx" --name "m_$(echo "$1" | tr -c 'a-z0-9\n' _)" -t "$3" -o "$dir" \
        --reference "$2" $(options_of "$1") >"$work/compiled" 2>&1; then
        why=$(grep -o "target '.* more than there are.*" "$work/compiled")
        if [ -n "$why" ]; then
            left_out=$((left_out + 1))
            echo "LEFT OUT $label: $why"
            return 0
        fi
        saved=$only only=
        check "$label" sh -c "cat '$work/compiled'; false"
        only=$saved
        return 0
    fi
    saved=$only only=
    check "$label" build_and_check "$dir"
    if [ "$3" = portable ] && grep -q "by adze's integer arithmetic" "$work/compiled"; then
        check "$1-against-folder" against_folder "$2" $(options_of "$1")
    fi
    only=$saved
    rm -rf "$dir"
}

model() { # NAME FOLDER
    for t in $(targets_of "$1"); do one "$1" "$2" "$t"; done
}

for f in examples/*/model.onnx examples/*/*/model.onnx; do
    test -f "$f" || continue
    folder=$(dirname "$f")
    model "$(echo "${folder#examples/}" | tr / -)" "$folder"
done
if [ -d "$data/onnx" ]; then
    echo "models of $data/onnx"
    for f in "$data"/onnx/*/model.onnx; do model "$(basename "$(dirname "$f")")" "$(dirname "$f")"; done
else
    echo "no models in $data/onnx: only the project's own (set ADZE_DATA to use more)"
fi
finish "$left_out left out for want of memory"
