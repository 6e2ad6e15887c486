#!/bin/sh
# ms per inference of each model on this machine, at one and two threads.
#
#   sh bench/models.sh ADZE [MODEL...]
#
# Models are the folders of examples/ and, where it is there, of data/onnx (ADZE_DATA, default
# ../shared/data); MODEL names some of them. TARGET=name measures another target that runs here. A time is
# the smallest, and in brackets the median, of the runs that fit in about a second.
set -u
adze=${1:-build/adze}
test $# = 0 || shift
case $adze in /*) ;; *) adze=$PWD/$adze ;; esac
cd "$(dirname "$0")/.." || exit 2
data=${ADZE_DATA:-../shared/data}
target=${TARGET:-native}

field() { printf '%s\n' "$1" | sed -n "s/.*\"$2\":\([0-9.e+-]*\).*/\1/p"; }

# The extents that a model leaves open, as its reference data has them.
dims() { awk -F'\t' -v m="$1" '/^#/ { next } $1 == m { print $2 }' bench/models.tsv; }

measure() { # NAME FILE THREADS
    line=$("$adze" bench "$2" --name m -t "$target" --threads "$3" $(dims "$1") --json 2>"$log" | tail -n 1)
    min=$(field "$line" ms_min)
    if [ -z "$min" ]; then
        echo "-"
        sed 's/^/    /' "$log" >&2
        return
    fi
    printf '%.4f (%.4f)' "$min" "$(field "$line" ms_median)"
}

one() { # NAME FILE
    test -z "$wanted" || case " $wanted " in *" $1 "*) ;; *) return ;; esac
    a=$(measure "$1" "$2" 1)
    b=$(measure "$1" "$2" 2)
    printf '%-22s %22s %22s\n' "$1" "$a" "$b"
}

wanted=$*
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), $(nproc) cores; $("$adze" targets "$target" | head -n 1)"
printf '%-22s %22s %22s\n' 'ms: smallest (median)' '1 thread' '2 threads'
for f in examples/*/model.onnx examples/*/*/model.onnx; do
    test -f "$f" || continue
    folder=$(dirname "$f")
    one "$(echo "${folder#examples/}" | tr / -)" "$f"
done
for f in "$data"/onnx/*/model.onnx; do
    test -f "$f" || continue
    one "$(basename "$(dirname "$f")")" "$f"
done
