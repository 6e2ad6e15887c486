#!/bin/sh
# Bad input: a clear error that names the place, exit 1, nothing left behind; wrong usage exits 2.
. "$(dirname "$0")/lib.sh"
int8=$root/examples/digits/int8/model.onnx
cc -std=c11 -O1 -Wall -Wextra -Werror tests/programs/bad_models.c -o "$work/bad_models" || exit 1
mkdir "$work/bad" && "$work/bad_models" "$work/bad" "$int8" || exit 1

# refused TEXT ARGUMENTS...: exit 1, all of TEXT's words on standard error, no file more than before.
refused() {
    text=$1
    shift
    ls -A "$work" >"$work.before"
    timeout 30 "$adze" "$@" -o "$work/out" >/dev/null 2>"$work.err"
    code=$?
    ls -A "$work" >"$work.after"
    cat "$work.err"
    test $code = 1 || { echo "exit code $code"; return 1; }
    cmp "$work.before" "$work.after" || { echo "left behind: $(ls -A "$work")"; return 1; }
    for word in $text; do grep -qF -- "$word" "$work.err" || { echo "does not say '$word'"; return 1; }; done
}
accepted() { # FILE
    timeout 60 "$adze" compile "$work/bad/$1" -t portable -o "$work/accepted" 2>"$work.err"
    code=$?
    rm -rf "$work/accepted"
    cat "$work.err"
    test $code = 0
}
usage() { # ARGUMENTS...
    "$adze" "$@" >/dev/null 2>"$work.err"
    code=$?
    cat "$work.err"
    test $code = 2 && test -s "$work.err"
}
# With --json the last line of standard output is an object that holds the error.
json_error() {
    "$adze" compile "$work/bad/missing.onnx" -t portable -o "$work/out" --json >"$work.json" 2>/dev/null
    test $? = 1 && tail -n 1 "$work.json" | grep -q '^{"ok":false,.*nowhere' && test ! -e "$work/out"
}
# The same again under a limit on memory: what a file claims is not what is allocated.
within_memory() {
    ulimit -v 3000000 2>/dev/null
    for m in overflow short_weight negative deep; do
        "$adze" compile "$work/bad/$m.onnx" -t portable -o "$work/out" 2>"$work.err"
        test $? = 1 || { echo "$m"; cat "$work.err"; return 1; }
    done
}
cannot_write() {
    "$adze" compile "$int8" --name d -t portable -o /proc/nowhere/tree 2>"$work.err"
    test $? = 1 && grep -q nowhere "$work.err"
}
trap 'rm -rf "$work" "$work".*' EXIT

bad() { # FILE WORDS
    check "$1" refused "$1 $2" compile "$work/bad/$1" -t portable
}
bad truncated.onnx ""
bad one_byte_short.onnx ""
bad empty.onnx ""
bad text.onnx ""
bad ones.onnx ""
bad deep.onnx ""
bad cycle.onnx "first"
bad missing.onnx "lonely nowhere"
bad unsupported.onnx "strange Frobnicate"
bad unbound.onnx "x batch --dim"
bad short_weight.onnx "w"
bad overflow.onnx "w"
bad negative.onnx "w"
bad outside.onnx "w"
bad shapes.onnx "m MatMul"
bad huge_conv.onnx "wide GB"
bad huge_between.onnx "outer GB"
bad huge_input.onnx "x large"
bad huge_dft.onnx "years operations"
bad pool_of_padding.onnx "empty padding kernel"
# Kernels far larger than their input are valid, and no reason to be slow.
check tall_kernel accepted tall_kernel.onnx
check tall_kernel_int8 accepted tall_kernel_int8.onnx
check no-such-file refused "no/such.onnx" compile no/such.onnx -t portable
check not-a-model refused "README.md" compile README.md -t portable
check no-such-target refused "cortex-m44 cortex-m4" compile "$int8" -t cortex-m44
check too-big-for-board refused "big.onnx cortex-m4 bytes more" compile "$work/bad/big.onnx" -t cortex-m4
check over-max-flash refused "flash" compile d="$int8" -t portable --max-flash 8K
check over-max-ram refused "RAM" compile d="$int8" -t portable --max-ram 4K
printf 'module { nonsense }\n' >"$work/bad/broken.mlir"
check broken-dump refused "broken.mlir" compile "$work/bad/broken.mlir" -t portable
check bad-dim refused "--dim" compile "$work/bad/unbound.onnx" -t portable --dim batch=many
check no-such-bind refused "--bind" compile d="$int8" -t portable --bind nothing=1
# A dump of the pass "pack" in which one thing was changed: what generators rely on is checked again.
claim() { # TARGET DUMP SED-EXPRESSION WORDS
    dump=$work/dump-$1
    test -d "$dump" || "$adze" compile "$int8" --name d -t "$1" -o "$work/sound" --dump-ir "$dump" || return 1
    rm -rf "$work/sound"
    sed -E "$3" "$dump/$2.mlir" >"$dump/changed.mlir"
    ! cmp -s "$dump/$2.mlir" "$dump/changed.mlir" || { echo "nothing was changed"; return 1; }
    refused "$4" compile "$dump/changed.mlir"
}
vnni=x86-64-v4+avx512vnni
check claim-unstaged claim $vnni 10-pack 's/adze.stage = "u8"/adze.stage = ""/' "conv packed"
check claim-flat claim $vnni 10-pack 's/adze.flat = false/adze.flat = true/' "conv packed"
check claim-columns claim $vnni 10-pack 's/vectors = 1 : i64/vectors = 4 : i64/' "conv packed"
check claim-depth claim $vnni 10-pack 's/depth = 4 : i64/depth = 2 : i64/' "conv packed"
check claim-work claim $vnni 10-pack 's/memref<192xui8>/memref<64xui8>/g' "conv memory"
check claim-dsp-rows claim cortex-m4 10-pack 's/rows = 3 : i64/rows = 12 : i64/' "conv packed"
check claim-dsp-work claim cortex-m4 10-pack 's/memref<36xi16>/memref<8xi16>/g' "conv packed"
check claim-dsp-lanes claim cortex-m4 09-kernels 's/lanes = 4 : i64/lanes = 1 : i64/' "conv channels"
check claim-dsp-family claim cortex-m4 10-pack 's/"dsp_depthwise"/"dsp"/' "conv groups"
check cannot-write cannot_write
check within-memory within_memory
check json-error json_error
check usage-none usage
check usage-command usage carve
check usage-option usage compile "$int8" --colour
check usage-no-output usage compile "$int8" -t portable
finish
