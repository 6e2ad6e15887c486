#!/bin/sh
# Instructions per multiply-accumulate on Cortex-M boards, counted by QEMU, beside CMSIS-NN's.
#
#   sh bench/cortex_m.sh [-o DIR] [-n] ADZE
#
# The layers of cortex_m.tsv, each alone as a model with int8 in and out; then the mlperf networks of data/onnx
# (ADZE_DATA, default ../shared/data) whole and per kernel. -n: layers only.
# BOARDS names boards as BOARD:COLUMN of cortex_m.tsv. Counts are exact and repeat: one call, read with the board's SysTick,
# which advances once in 40 instructions (31.25 on the M55). Each tree passes its self-test on the board first.
# DIR (out/cortex-m): layers.tsv, networks.tsv.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=out/cortex-m networks=yes target=
while :; do
    case ${1:-} in
    -o) out=$2; shift 2 ;;
    -n) networks=no; shift ;;
    *) break ;;
    esac
done
test $# = 1 || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
adze=$(realpath "$1")
. "$here/lib.sh"
modules=$(tool modules) || exit 2
data=${ADZE_DATA:-$here/../../shared/data}
boards=${BOARDS:-mps2-an386:cortex-m4 mps2-an500:cortex-m7 mps3-an547:cortex-m55}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1

figure() { # LAYER COLUMN
    awk -F'\t' -v row="$1" -v column="$2" '/^# layer/ { for (i = 1; i <= NF; i++) at[$i] = i }
        $1 == row { print $at[column] }' "$here/cortex_m.tsv"
}

# The self-test on the board, then the count of one call; empty with the reason on standard error.
count() { # NAME BOARD MODEL [OPTIONS]
    name=$1 board=$2 model=$3 log=$out/log dir=$out/trees/$1-$2
    shift 3
    rm -rf "$dir"
    if ! { "$adze" compile "$model" --name m -t "$board" -o "$dir" "$@" && make -s -C "$dir" check; } >"$log" 2>&1; then
        echo "$name on $board: the self-test failed: $(tail -n 2 "$log" | tr '\n' ' ')" >&2
        return
    fi
    rm -rf "$dir"
    line=$("$adze" bench "$model" --name m -t "$board" --runs 1 --json 2>"$log" | tail -n 1)
    n=$(field "$line" instructions)
    test -n "$n" || echo "$name on $board: $(tail -n 2 "$log" | tr '\n' ' ')" >&2
    echo "$n"
}

layer() { # NAME MACS BOARD COLUMN
    module=$("$modules" "$out/modules" layer "$1") || return
    n=$(count "$1" "$3" "$module")
    test -n "$n" || return
    goal=$(figure "$1" "$(test "$4" = cortex-m55 && echo 'goal on the M55' || echo goal)")
    awk -v layer="$1" -v macs="$2" -v core="$4" -v n="$n" -v peer="$(figure "$1" "$4")" -v goal="$goal" -v tsv="$out/layers.tsv" 'BEGIN {
        each = n / macs
        printf "%-22s %-11s %9.0f instructions  %6.2f per MAC   CMSIS-NN %5.2f   ratio %5.2f (goal %.2f)\n", layer, core, n, each, peer, each / peer, goal
        printf "%s\t%s\t%d\t%.0f\t%.4f\t%s\t%.4f\t%s\n", layer, core, macs, n, each, peer, each / peer, goal >>tsv }'
}

network() { # NAME BOARD COLUMN
    from=$data/onnx/$1
    n=$(count "$1" "$2" "$from/model.onnx" --reference "$from")
    test -n "$n" || return
    macs=$("$adze" inspect "$from/model.onnx" --json | tail -n 1 | grep -o '"macs":[0-9]*' |
        awk -F: '$2 > most { most = $2 } END { print most }') # the total
    awk -v name="$1" -v core="$3" -v n="$n" -v macs="$macs" -v tsv="$out/networks.tsv" 'BEGIN {
        printf "%-22s %-11s %11.0f instructions  %6.2f per MAC\n", name, core, n, n / macs
        printf "%s\t%s\t%s\t%d\t%.0f\t%.4f\n", name, core, "whole", macs, n, n / macs >>tsv }'
    kernels "$1" "$2" "$3" "$from/model.onnx"
}

# One line a kernel.
kernels() { # NAME BOARD COLUMN MODEL
    "$adze" bench "$4" --name m -t "$2" --runs 1 --kernels --json 2>"$out/log" | tail -n 1 | tr '{}' '\n\n' |
        sed -n 's/.*"kernel":"\([^"]*\)".*"instructions":\([0-9.]*\).*"multiplies":\([0-9]*\).*/\1\t\2\t\3/p' | sort |
        awk -F'\t' -v name="$1" -v core="$3" -v tsv="$out/networks.tsv" '{
            each = ($3 > 0 ? sprintf("%.4f", $2 / $3) : "")
            printf "    %-30s %11.0f instructions  %s\n", $1, $2, (each == "" ? "" : sprintf("%6.2f per MAC", each))
            printf "%s\t%s\t%s\t%d\t%.0f\t%s\n", name, core, $1, $3, $2, each >>tsv }'
}

mkdir -p "$out/trees"
{ machine; qemu-system-arm --version | head -n 1; arm-none-eabi-gcc --version | head -n 1; } >"$out/machine.txt"
printf 'layer\tcore\tmacs\tinstructions\tper_mac\tcmsis_nn\tratio\tgoal\n' >"$out/layers.tsv"
printf 'network\tcore\tkernel\tmacs\tinstructions\tper_mac\n' >"$out/networks.tsv"
for board in $boards; do
    "$modules" list | awk '$1 == "layer" { print $2, $3 }' | while read -r name macs; do
        layer "$name" "$macs" "${board%%:*}" "${board#*:}" </dev/null
    done
done
if test $networks = yes; then
    for model in mlperf-kws-dscnn mlperf-resnet8 mlperf-vww; do
        for board in $boards; do network "$model" "${board%%:*}" "${board#*:}"; done
    done
fi
cat "$out/machine.txt"
