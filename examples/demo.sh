#!/bin/sh
# make demo: a network on this machine and on an emulated microcontroller.
#
#   demo.sh ADZE                   examples/digits, natively and on a Cortex-M55
#   demo.sh ADZE MODEL [TARGET]    another model, on TARGET or on both of these
#
# The trees stay in out/demo: look at src/*.c in them.
set -eu
adze=$1
model=${2:-}
target=${3:-}
case $adze in /*) ;; *) adze=$PWD/$adze ;; esac
cd "$(dirname "$0")/.."
out=out/demo
mkdir -p "$out"

# Sizes that the linker gave, from `make footprint`.
linked() {
    awk -F'"' '/"bytes":/ && /"address"/ && $2 ~ /^\.(vectors|text|rodata|weights|data|bss|scratch|state)/ {
            split($0, n, /"bytes": */); sub(/[^0-9].*/, "", n[2]); printf "  %-10s %8d bytes\n", $2, n[2] }
        /"worst_stack"/ { split($0, n, /"bytes": */); sub(/[^0-9].*/, "", n[2])
            if (n[2] != "") printf "  %-10s %8d bytes, worst call chain\n", "stack", n[2] }' "$1"
}

# Builds the tree $1, shows what it needs and runs its self-test.
build_and_check() {
    echo "\$ make -C $1 check"
    make -s -C "$1" -j2 all
    make -s -C "$1" check
    echo "linked:"
    make -s -C "$1" footprint >/dev/null 2>"$out/footprint.log" || { cat "$out/footprint.log"; exit 1; }
    linked "$1/build/footprint.json"
}

# Compiles unless the tree is already this compiler's and this model's.
compile() { # MODEL TARGET DIR [options]
    m=$1 t=$2 d=$3
    shift 3
    echo
    echo "\$ adze compile $m -t $t -o $d" "$@"
    if [ ! -f "$d.log" ] || [ "$adze" -nt "$d.log" ] || [ "${m#*=}" -nt "$d.log" ]; then
        "$adze" compile "$m" -t "$t" -o "$d" "$@" >"$d.said" || { cat "$d.said"; exit 1; }
        mv "$d.said" "$d.log"
    fi
    grep -v '^next:' "$d.log"
}

if [ -n "$model" ]; then
    set --
    folder=$(dirname "$model")
    if [ -d "$folder/test_data_set_0" ]; then set -- --reference "$folder"; fi
    for t in ${target:-native cortex-m55}; do
        compile "$model" "$t" "$out/model-$t" "$@"
        build_and_check "$out/model-$t"
    done
    exit 0
fi

model=examples/digits/int8/model.onnx
targets=${target:-native cortex-m55}
for t in $targets; do
    compile "digits=$model" "$t" "$out/digits-$t" --reference examples/digits/int8
    build_and_check "$out/digits-$t"
done

# Each sample is compiled into a program's reference input where the target has no files.
echo
echo "predictions for examples/digits/samples (int8 network):"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
predict() { # TARGET DIGIT
    "$adze" run "$model" --name digits "examples/digits/samples/$2.png" -t "$1" \
        >"$work/$1-$2" 2>"$work/$1-$2.err" || cat "$work/$1-$2.err" >&2
}
for t in $targets; do
    for d in 0 2 4 6 8; do
        predict "$t" "$d" &
        predict "$t" $((d + 1))
        wait
    done
done
printf '%-12s' 'target'
for d in 0 1 2 3 4 5 6 7 8 9; do printf ' %6s' "$d.png"; done
echo
wrong=0
for t in $targets; do
    printf '%-12s' "$t"
    for d in 0 1 2 3 4 5 6 7 8 9; do
        said=$(sed -n 's/.*largest: \[\([0-9]*\)\].*/\1/p' "$work/$t-$d")
        printf ' %6s' "${said:-?}"
        test "$said" = "$d" || wrong=$((wrong + 1))
    done
    echo
done
test $wrong = 0 || { echo "$wrong predictions are not the digit that was drawn" >&2; exit 1; }
