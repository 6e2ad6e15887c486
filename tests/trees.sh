#!/bin/sh
# What a source tree must be: the same bytes every time, clean C, free of the heap and stdio, able to
# stand beside other trees and to hold several models.
. "$(dirname "$0")/lib.sh"
float=$root/examples/digits/float
int8=$root/examples/digits/int8

compile() { "$adze" compile "$@" >/dev/null; }

# ---- the same bytes ----

same_twice() {
    compile d="$int8/model.onnx" -t "$1" -o "$work/once" --reference "$int8" &&
        compile d="$int8/model.onnx" -t "$1" -o "$work/twice" --reference "$int8" &&
        diff -r "$work/once" "$work/twice"
}
same_from_elsewhere() {
    mkdir -p "$work/far/away" "$work/near" && cp "$float/model.onnx" "$work/far/away/" &&
        cp "$float/model.onnx" "$work/near/" &&
        (cd "$work/far" && compile d=away/model.onnx -t portable -o out) &&
        (cd "$work/near" && compile d="$work/near/model.onnx" -t portable -o "$work/other") &&
        diff -r "$work/far/out" "$work/other"
}
# Compiling over an old tree leaves nothing of it; compiling over something else is refused.
replaces_trees_only() {
    compile d="$int8/model.onnx" -t portable -o "$work/r" && touch "$work/r/src/stale.c" &&
        compile d="$int8/model.onnx" -t portable -o "$work/r" && test ! -e "$work/r/src/stale.c" &&
        mkdir "$work/mine" && touch "$work/mine/letter" &&
        ! "$adze" compile d="$int8/model.onnx" -t portable -o "$work/mine" && test -e "$work/mine/letter" &&
        test "$(ls "$work/mine")" = letter
}

# ---- clean C ----

strict() { # MODEL TARGET CC
    compile d="$1/model.onnx" -t "$2" -o "$work/strict" --reference "$1" &&
        grep -q '^CFLAGS = .*-std=c11' "$work/strict/Makefile" &&
        make -s -C "$work/strict" -j2 CC="$3" WERROR=-Werror OPT=-O1 all &&
        make -s -C "$work/strict" CC="$3" OPT=-O1 check
}

# The model's own objects call only memory and mathematics functions, and export only NAME_*.
symbols() { # MODEL TARGET NM
    compile d="$1/model.onnx" -t "$2" -o "$work/sym" --reference "$1" &&
        make -s -C "$work/sym" -j2 all || return 1
    "$3" "$work/sym"/build/libd.a >"$work/nm" || return 1
    awk 'NF == 3 && $2 ~ /[TDBRGSC]/ && $3 !~ /^d_/ { print "exported:", $3; bad = 1 }
         NF == 2 && $1 == "U" && $2 !~ /^d_/ { print $2 > "/dev/stderr" } END { exit bad }' \
        "$work/nm" 2>"$work/undefined" || return 1
    ! grep -vxE 'mem(cpy|move|set|cmp)|__(aeabi|udiv|div|mul|mod|umod|clz|pop|fix|float|add|sub|ext|trunc)[a-z0-9_]*|(nearbyint|rint|round|floor|ceil|exp|exp2|expm1|log|log1p|log2|pow|sqrt|sin|cos|tan|a?sinh?|a?cosh?|a?tanh?|atan2|erf|fmod|fma|ldexp|trunc|copysign)f?|__cpu_(model|indicator_init|features2)|_GLOBAL_OFFSET_TABLE_' "$work/undefined"
}

# ---- several models ----

two_in_one_image() { # TARGET
    compile digits_float="$float/model.onnx" digits_int8="$int8/model.onnx" -t "$1" -o "$work/image" &&
        make -s -C "$work/image" -j2 all && make -s -C "$work/image" check | tee "$work/two" &&
        grep -q digits_float "$work/two" && grep -q digits_int8 "$work/two"
}
two_trees_in_one_program() {
    for m in float int8; do
        compile digits_$m="$root/examples/digits/$m/model.onnx" -t portable -o "$work/tree_$m" \
            --reference "$root/examples/digits/$m" && make -s -C "$work/tree_$m" -j2 all || return 1
    done
    a=$work/tree_float b=$work/tree_int8
    cc -std=c11 -Wall -Wextra -Werror -I"$a/include" -I"$b/include" -I"$a/selftest" \
        tests/programs/two_digits.c "$a/selftest/digits_float_data.c" "$a/build/libdigits_float.a" \
        "$b/build/libdigits_int8.a" -lm -o "$work/two_digits" && "$work/two_digits"
}
# The other's word scores low, its own high.
wake_word() { # WORD
    onnx=$data/onnx
    compile mel="$onnx/melspectrogram/model.onnx" --dim batch_size=1 --dim samples=42000 -t portable \
        --weights c -o "$work/mel" &&
        compile emb="$onnx/wakeword-embedding/model.onnx" --dim unk__314=1 -t portable --weights c \
            -o "$work/emb" &&
        compile word="$onnx/wakeword-$1/model.onnx" -t portable --weights c -o "$work/word" || return 1
    for t in mel emb word; do make -s -C "$work/$t" -j2 "build/lib$t.a" || return 1; done
    fields=$(sed -n 's/^    } \([A-Za-z_0-9]*\);$/\1/p' "$work/word/include/word.h" | grep -v '^weights$' | tail -n 2)
    set -- "$1" $fields
    cc -std=c11 -O1 -DINPUT="$2" -DOUTPUT="$3" -I"$work/mel/include" -I"$work/emb/include" \
        -I"$work/word/include" tests/programs/wakeword.c "$work/mel/build/libmel.a" \
        "$work/emb/build/libemb.a" "$work/word/build/libword.a" -lm -o "$work/wakeword" || return 1
    for wav in "$onnx"/wakeword-*/*_test.wav; do
        score=$("$work/wakeword" "$wav") || return 1
        echo "$1 in $(basename "$wav"): $score"
        case $wav in *"$1"*) high=$score ;; *) low=$score ;; esac
    done
    awk "BEGIN { exit !($high > 0.5 && $low < 0.5) }"
}

# ---- sizes: see sizes.sh; here what happens when they do not hold ----

# The stack that a run painted is no deeper than what the call graph says.
painted_stack() { # TARGET
    compile d="$int8/model.onnx" -t "$1" -o "$work/paint" && make -s -C "$work/paint" -j2 all &&
        make -s -C "$work/paint" check >"$work/ran" &&
        make -s -C "$work/paint" footprint >"$work/footprint" 2>/dev/null || return 1
    painted=$(sed -n 's/^stack: \([0-9]*\) of.*/\1/p' "$work/ran")
    worst=$(sed -n 's/.*"worst_stack": {"bytes": \([0-9]*\).*/\1/p' "$work/footprint")
    echo "painted $painted, by the call graph $worst"
    test "$painted" -gt 0 && test "$painted" -le "$worst"
}
# A memory smaller than the program fails the link, not the board.
overflow_fails() {
    compile d="$int8/model.onnx" -t cortex-m4 -o "$work/over" || return 1
    sed -i 's/LENGTH = 0x[0-9a-f]*/LENGTH = 0x400/' "$work/over/link.ld"
    ! make -s -C "$work/over" all 2>"$work/said2" || return 1
    grep -E 'overflow|will not fit' "$work/said2"
}

for t in portable x86-64 cortex-m55; do check "same-twice $t" same_twice $t; done
check same-from-elsewhere same_from_elsewhere
check replaces-trees-only replaces_trees_only
for m in float int8; do
    for t in portable x86-64; do
        check "strict $m $t gcc" strict "$root/examples/digits/$m" $t gcc
        if have clang-22; then check "strict $m $t clang" strict "$root/examples/digits/$m" $t clang-22; fi
    done
    check "symbols $m portable" symbols "$root/examples/digits/$m" portable nm
    if have arm-none-eabi-nm; then
        check "symbols $m cortex-m4" symbols "$root/examples/digits/$m" cortex-m4 arm-none-eabi-nm
    fi
done
if [ -d "$data/onnx" ]; then
    for m in kws-qoperator mlperf-resnet8 silero-vad-16k bidi-lstm tree-ensemble ultraface-rfb-320; do
        test -d "$data/onnx/$m" || continue
        check "strict $m portable gcc" strict "$data/onnx/$m" portable gcc
        if have clang-22; then check "strict $m portable clang" strict "$data/onnx/$m" portable clang-22; fi
        check "symbols $m portable" symbols "$data/onnx/$m" portable nm
    done
fi
check "two-in-one-image portable" two_in_one_image portable
if target_usable cortex-m4; then check "two-in-one-image cortex-m4" two_in_one_image cortex-m4; fi
if target_usable cortex-m4; then check overflow-fails overflow_fails; fi
for t in cortex-m4 cortex-m55 riscv32-bare; do
    if target_usable $t; then check "painted-stack $t" painted_stack $t; fi
done
check two-trees-in-one-program two_trees_in_one_program
if [ -d "$data/onnx/melspectrogram" ]; then
    for w in alexa mycroft; do check "wake-word $w" wake_word $w; done
else
    skip wake-word "no models in $data/onnx"
fi
finish
