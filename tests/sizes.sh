#!/bin/sh
# Sizes on the bare boards, against the linked firmware (the self-test program):
#   weights, scratch, state    the manifest's numbers are what the linker placed (alignment apart)
#   code, stack                the manifest's estimates are at least the linked code (without the test's own
#                              data) and the worst stack of `make footprint`, and at most 15 % above
#
#   sh tests/sizes.sh [--all] [MODEL | TARGET ...]
full=no
if [ "${1:-}" = --all ]; then full=yes; shift; fi
. "$(dirname "$0")/lib.sh"

# The number behind "KEY": in a JSON file, the first one; in footprint.json the bytes of a section.
number() { sed -n "s/.*\"$2\":[[:space:]]*\([0-9][0-9]*\).*/\1/p" "$1" | head -n 1; }
section() { sed -n "s/.*\"$2\": {\"bytes\": \([0-9][0-9]*\).*/\1/p" "$1" | head -n 1; }
estimate() { sed -n '/"upper_estimates"/,/}/p' "$1" | sed -n "s/.*\"$2\":[[:space:]]*\([0-9]*\).*/\1/p"; }

# WHAT ESTIMATE LINKED: 100 % to 115 %
within() {
    echo "$1: estimate $2, linked $3 ($(($2 * 1000 / $3 - 1000)) per mille above)"
    test "$2" -ge "$3" && test $(($2 * 100)) -le $(($3 * 115))
}

# WHAT EXACT PLACED: the placed bytes differ by alignment only
placed() {
    echo "$1: manifest $2, placed $3"
    test "$3" -le $(($2 + 64)) && test $(($3 + 64)) -ge "$2"
}

sizes() { # FOLDER TARGET
    dir=$work/tree
    rm -rf "$dir"
    "$adze" compile "$1/model.onnx" --name sized -t "$2" -o "$dir" --reference "$1" || return 1
    make -s -C "$dir" footprint >"$work/made" 2>&1 || { cat "$work/made"; return 1; }
    manifest=$dir/manifest.json print=$dir/build/footprint.json
    size=$(sed -n 's/^SIZE = //p' "$dir/Makefile")
    data=$($size "$dir"/build/obj/selftest/*_data.o | awk 'NR > 1 { n += $1 + $2 } END { print n }')
    code=$(($(section "$print" .vectors) + $(section "$print" .text) + $(section "$print" .rodata) - data))
    stack=$(sed -n 's/.*"worst_stack": {"bytes": \([0-9]*\).*/\1/p' "$print")
    ok=0
    within code "$(estimate "$manifest" code)" "$code" || ok=1
    within stack "$(estimate "$manifest" stack)" "$stack" || ok=1
    placed weights "$(number "$manifest" weights)" "$(section "$print" .weights)" || ok=1
    placed scratch "$(number "$manifest" scratch)" "$(section "$print" .scratch)" || ok=1
    return $ok
}

models="examples/digits/float examples/digits/int8"
for m in mnist-8 kws-qoperator; do models="$models $data/onnx/$m"; done
if [ $full = yes ]; then
    for m in kws-fp32 kws-qdq mlperf-resnet8 mlperf-kws-dscnn mlperf-vww autoencoder1d cct-transformer \
        tree-ensemble wakeword-alexa bidi-lstm; do models="$models $data/onnx/$m"; done
fi
for folder in $models; do
    test -f "$folder/model.onnx" || continue
    for target in cortex-m4 cortex-m7 cortex-m33 cortex-m55 riscv32-bare riscv64-bare; do
        if target_usable "$target"; then
            check "$(basename "$folder")@$target" sizes "$folder" "$target"
        else
            skip "$(basename "$folder")@$target" "needs $(target_programs "$target" | tr '\n' ' ')"
        fi
    done
done
finish
