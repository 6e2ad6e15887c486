#!/bin/sh
# Dumped stages: each is a model again and gives the same tree; an edit in one is an edit in the C.
. "$(dirname "$0")/lib.sh"
model=$root/examples/digits/float/model.onnx

"$adze" compile d="$model" -t portable -o "$work/whole" --dump-ir "$work/dump" \
    --reference examples/digits/float >"$work/said" 2>&1 || { cat "$work/said"; exit 1; }

# Every stage goes on to the same tree.
continues() { # STAGE
    "$adze" compile "$1" -t portable -o "$work/again" && diff -r "$work/whole" "$work/again"
}
# Only the kernel's own file and what reports its hash may change.
differs_only_in() { # DIR FILES...
    tree=$1
    shift
    diff -rq "$work/whole" "$tree" | sed 's/ and .*//; s:^Files .*/whole/::' | grep -vxE 'manifest.json|README.md|report.html' \
        >"$work/differing" || true
    cat "$work/differing"
    for f in "$@"; do grep -qx "$f" "$work/differing" || { echo "$f did not change"; return 1; }; done
    test "$(wc -l <"$work/differing")" = $#
}
body() { # FILE FUNCTION
    sed -n "/^void $2(/,/^}/p" "$1"
}
others_same() { # FILE FUNCTION: all but the function and comments is as before
    for f in "$work/whole/src/d_kernels.c" "$1"; do
        sed "/^void $2(/,/^}/d; /^ \*/d; /^\/\*/d" "$f" >"$work/rest.$(echo "$f" | cksum | cut -d' ' -f1)"
    done
    cmp "$work"/rest.*
}

# Level 2: the depthwise convolution's 14 output rows in tiles of 7.
edit_tile() {
    mkdir -p "$work/l2" && cp -r "$work/dump/blobs" "$work/dump/selftest" "$work/l2/" 2>/dev/null
    stage=$(ls "$work"/dump/*-kernels.mlir)
    sed '/@k02_conv/s/tile = array<i64: 0, 0, 0, 0>/tile = array<i64: 0, 7, 0, 0>/' "$stage" >"$work/l2/edited.mlir"
    ! cmp -s "$stage" "$work/l2/edited.mlir" || { echo "no tile to edit"; return 1; }
    "$adze" compile "$work/l2/edited.mlir" -t portable -o "$work/tiled" || return 1
    differs_only_in "$work/tiled" src/d_kernels.c || return 1
    body "$work/tiled/src/d_kernels.c" d_k02_conv | tee "$work/body" | grep -q '+= 7)' ||
        { cat "$work/body"; echo "no loop in steps of 7"; return 1; }
    rm -f "$work"/rest.*
    others_same "$work/tiled/src/d_kernels.c" d_k02_conv && make -s -C "$work/tiled" -j2 check
}

# Level 3: the first addition, of a convolution, becomes a subtraction.
edit_instruction() {
    mkdir -p "$work/l3" && cp -r "$work/dump/blobs" "$work/dump/selftest" "$work/l3/" 2>/dev/null
    stage=$(ls "$work"/dump/*-place.mlir)
    awk '!done && /arith\.addf/ { sub(/arith\.addf/, "arith.subf"); done = 1 } { print }' "$stage" >"$work/l3/edited.mlir"
    "$adze" compile "$work/l3/edited.mlir" -t portable -o "$work/changed" || return 1
    differs_only_in "$work/changed" src/d_kernels.c || return 1
    diff "$work/whole/src/d_kernels.c" "$work/changed/src/d_kernels.c" >"$work/lines"
    cat "$work/lines"
    # exactly one line: `acc += x * w` became `acc -= x * w`
    test "$(grep -c '^[<>]' "$work/lines")" = 2 &&
        test "$(sed -n 's/^< //p' "$work/lines" | sed 's/+=/-=/')" = "$(sed -n 's/^> //p' "$work/lines")" &&
        make -s -C "$work/changed" -j2 all &&
        ! make -s -C "$work/changed" check # other numbers, and the self-test sees it
}

# A weight's bytes changed under a dump: the hash says so.
changed_blob() {
    mkdir -p "$work/l4" && cp -r "$work/dump/." "$work/l4/"
    blob=$(ls "$work"/l4/blobs/* 2>/dev/null | head -n 1)
    test -n "$blob" || { echo "the dump has no blobs"; return 1; }
    printf 'x' | dd of="$blob" bs=1 seek=1 conv=notrunc 2>/dev/null
    grep -l "blobs/$(basename "$blob")" "$work"/l4/*.mlir >"$work/using"
    ! "$adze" compile "$(head -n 1 "$work/using")" -t portable -o "$work/bad" 2>"$work/said2" || return 1
    cat "$work/said2"
    grep -q "$(basename "$blob")" "$work/said2" && test ! -e "$work/bad"
}

for stage in "$work"/dump/*.mlir; do check "continues $(basename "$stage" .mlir)" continues "$stage"; done
check edit-tile edit_tile
check edit-instruction edit_instruction
if ls "$work"/dump/blobs/* >/dev/null 2>&1; then check changed-blob changed_blob; fi
finish
