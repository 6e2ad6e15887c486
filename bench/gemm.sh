#!/bin/sh
# Matrix products from 1 to 2048, against the peak of a register-only loop and a plain read loop of the same run.
#
#   sh bench/gemm.sh [-o DIR] [-e "f32 s8 bf16"] [-t 1] [-s SECONDS] [-b SECONDS] [--no-build] [--shapes FILE] ADZE
#
# Encodings are those of `modules list`. Shapes: squares, M of 1 4 16 64 with N = K, odd sizes; FILE (lines "M N K") instead.
# A shape is measured for SECONDS (0.3). -b: no shape above one that took longer than this for one run (2).
# DIR (out/gemm) keeps the trees, so that --no-build only measures; gemm.tsv there is the result, peak.tsv the peaks.
# Small products pass their tree's self-test first; large ones are checked by the tests of the kernels.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=out/gemm encodings="f32 s8 bf16" threads=1 seconds=0.3 bound=2 build=yes shapes=
target=${TARGET:-native}
while :; do
    case ${1:-} in
    -o) out=$2; shift 2 ;;
    -e) encodings=$2; shift 2 ;;
    -t) threads=$2; shift 2 ;;
    -s) seconds=$2; shift 2 ;;
    -b) bound=$2; shift 2 ;;
    --shapes) shapes=$2; shift 2 ;;
    --no-build) build=no; shift ;;
    *) break ;;
    esac
done
test $# = 1 || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
adze=$(realpath "$1")
. "$here/lib.sh"
modules=$(tool modules) && peak=$(tool peak) || exit 2
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1

# M N K, smallest product first within a family.
all_shapes() { # BYTES_OF_A_WEIGHT
    if test -n "$shapes"; then cat "$out/shapes.given"; return; fi
    for n in 1 2 3 4 8 16 32 64 127 128 129 256 512 1024 2048; do echo "$n $n $n"; done
    for m in 1 4 16 64; do
        for n in 64 127 128 129 256 512 1024 2048; do test "$m" = "$n" || echo "$m $n $n"; done
    done
    # a GEMV beyond the caches: 64 to 128 MiB of weights
    for n in 4096 8192; do
        test $((n * n * $1)) -gt $((128 << 20)) || echo "1 $n $n"
    done
}

weight_bytes() { case $1 in f32) echo 4 ;; f16 | bf16) echo 2 ;; *) echo 1 ;; esac; }

build_tree() { # NAME ENCODING M N K THREADS DIR
    rm -rf "$7"
    module=$("$modules" "$out/modules" gemm "$2" "$3" "$4" "$5") || return 1
    if test $(($3 * $4 * $5)) -le 2200000; then
        "$adze" compile "$module" --name m -t "$target" --threads "$6" --weights incbin -o "$7" >"$7.log" 2>&1 &&
            make -s -C "$7" all check >>"$7.log" 2>&1 && echo build/main >"$7/program" && echo yes >"$7/checked"
    else
        "$adze" bench "$module" --name m -t "$target" --threads "$6" --weights incbin --runs 1 -o "$7" >"$7.log" 2>&1 &&
            echo build/adze/main >"$7/program" && echo no >"$7/checked"
    fi
}

# GB/s of a plain read loop, where M is 1 and there is something to read.
read_rate() { # M BYTES THREADS
    if test "$1" = 1 && test "$2" -ge 4096; then $(pin "$3") "$peak" -t "$3" -r "$2" | cut -f 3; else echo -; fi
}

one() { # ENCODING M N K THREADS
    name=$1-$2-$3-$4-$5 dir=$out/trees/$1-$2-$3-$4-$5
    if test $build = yes; then build_tree "$name" "$1" "$2" "$3" "$4" "$5" "$dir"; fi
    if ! test -e "$dir/checked"; then
        echo "$name: not measured: $(tail -n 2 "$dir.log" 2>/dev/null | tr '\n' ' ')" >&2
        return
    fi
    program=$(cat "$dir/program") pinned=$(pin "$5")
    bytes=$(($3 * $4 * $(weight_bytes "$1")))
    read_before=$(read_rate "$2" "$bytes" "$5")
    once=$(time_tree "$pinned" "$dir" "$program" 0 1)
    slow=$(awk -v ns="${once% *}" -v b="$bound" 'BEGIN { print ns > b * 1e9 }')
    time=$once
    test "$slow" = 1 || time=$(time_tree "$pinned" "$dir" "$program" "$seconds" "$(runs_for "${once% *}" "$seconds")")
    read=$(printf '%s\n' "$read_before" "$(read_rate "$2" "$bytes" "$5")" | sort -n | tail -n 1)
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" "${time% *}" "${time#* }" "$bytes" "$read" \
        "$(cat "$dir/checked")" >>"$out/raw.tsv"
}

mkdir -p "$out/trees"
test -z "$shapes" || cat "$shapes" >"$out/shapes.given"
machine >"$out/machine.txt"
: >"$out/raw.tsv"
: >"$out/peak.tsv"
peaks() {
    for count in $threads; do
        $(pin "$count") "$peak" -t "$count" | awk -v n="$count" '{ print n "\t" $0 }' >>"$out/peak.tsv"
    done
}
for e in $encodings; do
    peaks
    for count in $threads; do
        all_shapes "$(weight_bytes "$e")" >"$out/shapes"
        slow=0 family=
        while read -r M N K; do
            test "$family" = "$M" || case $family in "" | square) ;; *) slow=0 ;; esac
            family=$M
            test "$M" != "$N" || family=square
            test ! -t 2 || printf '\r%-40s' "$e $M x $N x $K, $count" >&2
            test "$slow" = 1 || one "$e" "$M" "$N" "$K" "$count" </dev/null
            test "$family:$N" != square:2048 || slow=0
        done <"$out/shapes"
    done
done
test ! -t 2 || printf '\r%-40s\r' '' >&2
peaks
awk -f "$here/gemm.awk" -v result="$out/gemm.tsv" "$out/peak.tsv" "$out/raw.tsv"
cat "$out/machine.txt"
