#!/bin/sh
# Threads, timing of kernels, and processors without the tree's instructions: runtime/adze_threads.h, what
# --threads makes of a tree, bench --kernels, and NAME_init.
. "$(dirname "$0")/lib.sh"
digits=$root/examples/digits

compile() { "$adze" compile "$@" >/dev/null; }

# ---- the pool ----

pool() { # WORDS: the compiler and its flags
    printf '#define ADZE_NAME(f) t_##f\n' >"$work/adze_config.h"
    $1 -std=c11 -Wall -Wextra -Wconversion -Wpedantic -Werror -I"$work" -Iruntime tests/programs/threads.c \
        runtime/adze_threads.c -pthread -o "$work/pool" || return 1
    shift
    timeout 120 "$@" "$work/pool"
}

# ---- trees ----

# The same bytes of every output for any number of threads; at least one kernel is shared.
same_bits() { # MODEL OPTIONS...
    model=$1
    shift
    for n in 1 2 3 5; do
        compile m="$model" -t native --threads $n "$@" -o "$work/t$n" &&
            make -s -C "$work/t$n" -j2 WERROR=-Werror build/main && mkdir -p "$work/out$n" &&
            (cd "$work/t$n" && timeout 120 build/main -n 10 -o "$work/out$n") || return 1
        test $n = 1 || diff -r "$work/out1" "$work/out$n" || return 1
    done
    grep -q adze_parallel_for "$work/t5/src/m.c"
}
# One thread: nothing of all that.
serial_is_plain() {
    compile m="$1" -t native -o "$work/plain" &&
        ! grep -rlE 'adze_threads|pthread_|m_free|PROFILE' "$work/plain/src" "$work/plain/include" "$work/plain/runtime" \
            "$work/plain/main.c"
}
thread_sanitizer() { # MODEL
    compile m="$1" -t portable --threads 3 -o "$work/tsan" &&
        make -s -C "$work/tsan" -j2 CC='gcc -fsanitize=thread' OPT=-O1 build/selftest &&
        (cd "$work/tsan" && timeout 240 build/selftest)
}
# A dumped stage remembers the threads; fewer or more can be asked for.
dump_remembers() { # MODEL
    compile m="$1" -t portable --threads 2 --dump-ir "$work/dump" -o "$work/first" || return 1
    last=$(ls "$work"/dump/*.mlir | tail -n 1)
    compile m="$last" -o "$work/again" && diff -r "$work/first/src" "$work/again/src" &&
        compile m="$last" --threads 4 -o "$work/four" && grep -q 'M_THREADS 4' "$work/four/include/m.h" &&
        compile m="$last" --threads 1 -o "$work/one" && ! grep -q adze_parallel_for "$work/one/src/m.c" &&
        make -s -C "$work/one" -j2 check && make -s -C "$work/four" -j2 check
}
two_pools() {
    for m in float int8; do
        compile digits_$m="$digits/$m/model.onnx" -t portable --threads 2 -o "$work/tree_$m" \
            --reference "$digits/$m" && make -s -C "$work/tree_$m" -j2 all || return 1
    done
    a=$work/tree_float b=$work/tree_int8
    cc -std=c11 -Wall -Wextra -Werror -I"$a/include" -I"$b/include" -I"$a/selftest" \
        tests/programs/two_digits.c "$a/selftest/digits_float_data.c" "$a/build/libdigits_float.a" \
        "$b/build/libdigits_int8.a" -lm -pthread -o "$work/two_digits" && timeout 60 "$work/two_digits"
}
with_cmake() { # MODEL
    compile net="$1" -t portable --threads 2 -o "$work/cm" && cmake -S "$work/cm" -B "$work/cm-build" &&
        cmake --build "$work/cm-build" && (cd "$work/cm" && ../cm-build/selftest)
}
board_falls_back() { # MODEL
    "$adze" compile m="$1" -t cortex-m4 --threads 2 -o "$work/board" 2>&1 | grep 'no threads' &&
        ! grep -rq adze_parallel_for "$work/board/src"
}

# ---- timing of kernels ----

# Every call has a figure. Instructions add up to the whole, but for 2 % and a clock's tick each; times on a busy
# machine do not.
kernels_add_up() { # MODEL TARGET KEY OPTIONS...
    model=$1 target=$2 key=$3
    shift 3
    "$adze" bench "$model" --name m -t "$target" --kernels --json "$@" | tail -n 1 >"$work/json" || return 1
    cat "$work/json"
    grep -oE "\"$key(_min)?\":[0-9.e+-]*" "$work/json" | cut -d: -f2 | awk -v key="$key" '
        NR == 1 { total = $1; next }
        { sum += $1; n++ }
        END { print n, "calls:", sum, "of", total; off = sum > total ? sum - total : total - sum
              exit !(n && sum > 0 && (key == "ms" || off <= 0.02 * total + 40 * n)) }'
}

# ---- processors ----

# NAME_init refuses (4: ERROR_CPU) where the instructions are missing, and works where they are there.
refuses() { # TARGET "RUN ON A LESSER ONE" "RUN ON A GREATER ONE"
    compile d="$digits/int8/model.onnx" -t "$1" --reference "$digits/int8" -o "$work/cpu" &&
        make -s -C "$work/cpu" -j2 WERROR=-Werror build/selftest || return 1
    (cd "$work/cpu" && timeout 60 $2 build/selftest) >"$work/lesser"
    cat "$work/lesser"
    grep -q 'd_init returned 4' "$work/lesser" && (cd "$work/cpu" && timeout 60 $3 build/selftest)
}

check "pool gcc" pool "gcc -O2"
check "pool thread-sanitizer" pool "gcc -O1 -g -fsanitize=thread"
if have clang-22; then check "pool clang" pool "clang-22 -O2"; fi
if have aarch64-linux-gnu-gcc && have qemu-aarch64; then
    check "pool aarch64" pool "aarch64-linux-gnu-gcc -O2 -static" qemu-aarch64
fi
model=$digits/float/model.onnx
if [ -d "$data/onnx" ]; then
    model=$data/onnx/kws-fp32/model.onnx
    check "same-bits kws-fp32" same_bits "$data/onnx/kws-fp32/model.onnx"
    check "same-bits mlperf-resnet8" same_bits "$data/onnx/mlperf-resnet8/model.onnx"
    check "same-bits bounded" same_bits "$data/onnx/bidi-lstm/model.onnx" --dim batch=1..17 --dim length=1..4
    check thread-sanitizer thread_sanitizer "$data/onnx/kws-fp32/model.onnx"
    check dump-remembers dump_remembers "$data/onnx/kws-fp32/model.onnx"
else
    skip same-bits "no models in $data/onnx"
fi
check serial-is-plain serial_is_plain "$model"
check two-pools two_pools
check with-cmake with_cmake "$model"
check board-falls-back board_falls_back "$digits/int8/model.onnx"
check "kernels native" kernels_add_up "$model" native ms
check "kernels native threads" kernels_add_up "$model" native ms --threads 2
if target_usable cortex-m4; then
    check "kernels cortex-m4" kernels_add_up "$digits/int8/model.onnx" cortex-m4 instructions
fi
if target_usable riscv32-bare; then
    check "kernels riscv32-bare" kernels_add_up "$digits/int8/model.onnx" riscv32-bare instructions
fi
if have qemu-x86_64; then
    check "refuses x86-64-v3" refuses x86-64-v3 "qemu-x86_64 -cpu Nehalem" "qemu-x86_64 -cpu max"
fi
if have aarch64-linux-gnu-gcc && have qemu-aarch64; then
    check "refuses armv8.2-dotprod" refuses armv8.2-dotprod "qemu-aarch64 -cpu cortex-a53" \
        "qemu-aarch64 -cpu cortex-a76"
    check "refuses armv8.6-i8mm" refuses armv8.6-i8mm "qemu-aarch64 -cpu cortex-a76" \
        "qemu-aarch64 -cpu max,sve=off,sme=off"
fi
finish
