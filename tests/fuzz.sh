#!/bin/sh
# A short run of the fuzz targets in tests/fuzz, seeded with the project's models: SECONDS each (20).
. "$(dirname "$0")/lib.sh"
seconds=${SECONDS_EACH:-20}
cc=clang-22
if ! have $cc || ! echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n > 9; }' |
    $cc -x c -fsanitize=fuzzer,address - -o "$work/probe" 2>"$work/said"; then
    skip fuzz "needs clang-22 and libclang-rt-22-dev"
    finish
fi
# The reader stands on ir/ and, through it, on MLIR.
llvm=/usr/lib/llvm-22
objects() {
    mkdir -p "$work/o"
    for f in ir/*.c frontend/onnx/*.c; do echo "$f"; done |
        xargs -P 2 -I{} sh -c "$cc -std=c17 -g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
            -D_GNU_SOURCE -I. -I$llvm/include -c {} -o $work/o/\$(echo {} | tr / _).o"
}
fuzz() { # NAME
    $cc -std=c17 -g -O1 -fsanitize=fuzzer-no-link,address,undefined -D_GNU_SOURCE -I. -I$llvm/include \
        -c "tests/fuzz/$1.c" -o "$work/$1.o" &&
        clang++-22 -fsanitize=fuzzer,address,undefined "$work/$1.o" "$work"/o/*.o -Wl,--start-group \
            $llvm/lib/libMLIRCAPI*.a -Wl,--end-group -L$llvm/lib -Wl,-rpath,$llvm/lib -lMLIR -lLLVM-22 -lm \
            -o "$work/$1" || return 1
    mkdir -p "$work/corpus"
    i=0
    for d in examples/digits/*/model.onnx examples/digits/*/*/*.pb; do
        i=$((i + 1))
        cp "$d" "$work/corpus/seed$i"
    done
    (cd "$work" && "./$1" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=4000 \
        -print_final_stats=1 corpus)
}
check build-sanitized objects || finish
for f in tests/fuzz/*.c; do check "fuzz $(basename "$f" .c)" fuzz "$(basename "$f" .c)"; done
finish
