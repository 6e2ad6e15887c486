#!/bin/sh
# adze against a peer, interleaved in one run, at one thread and at two.
#
#   sh bench/compare.sh [-o DIR] [-r ROUNDS] [-s SECONDS] [-t "1 2"] [-p PROGRAM] [--no-build] ADZE PEER_LIBRARY [MODEL...]
#
# PEER_LIBRARY is a libonnxruntime.so (or what PROGRAM, another runner than peer_ort, wants first). MODEL is a
# folder with model.onnx and test_data_set_0, or the name of one in data/onnx (ADZE_DATA, default ../shared/data);
# without any, all of those. Each is compiled for TARGET (native) once for each number of threads, and its tree's
# self-test must pass on that data, or no time counts. Then adze, peer, adze, peer ... ROUNDS times (5), SECONDS (0.5)
# each. DIR (out/compare) keeps the trees, so that --no-build only measures; raw.tsv, models.tsv and groups.tsv there are
# the results. The ratio is the peer's smallest time over adze's: above 1 adze is faster.
set -u
here=$(cd "$(dirname "$0")" && pwd)
runner= out=out/compare rounds=5 seconds=0.5 threads="1 2" build=yes
target=${TARGET:-native}
while :; do
    case ${1:-} in
    -o) out=$2; shift 2 ;;
    -r) rounds=$2; shift 2 ;;
    -s) seconds=$2; shift 2 ;;
    -t) threads=$2; shift 2 ;;
    -p) runner=$(realpath "$2"); shift 2 ;;
    --no-build) build=no; shift ;;
    *) break ;;
    esac
done
test $# -ge 2 || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
adze=$(realpath "$1") library=$(realpath "$2")
shift 2
. "$here/lib.sh"
peer=${runner:-$(tool peer_ort)} && test -n "$peer" || exit 2
data=${ADZE_DATA:-$here/../../shared/data}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
raw=$out/raw.tsv
printf '# model\tthreads\twho\tround\tmin_ns\tmedian_ns\n' >"$raw"
: >"$out/kinds.tsv"

folder() { # MODEL
    if test -f "$1/model.onnx"; then realpath "$1"; else echo "$data/onnx/$1"; fi
}

# The tree with its self-test passed, or no file `checked` and the reason in DIR/log.
make_tree() { # NAME FOLDER THREADS DIR
    rm -rf "$4" "$4.log"
    # shellcheck disable=SC2046
    "$adze" compile "$2/model.onnx" --name m -t "$target" --threads "$3" $(dims "$1") --reference "$2" \
        -o "$4" >"$4.log" 2>&1 &&
        make -s -C "$4" all check >>"$4.log" 2>&1 &&
        touch "$4/checked"
}

kind() { # NAME FOLDER
    # shellcheck disable=SC2046
    "$adze" inspect "$2/model.onnx" $(dims "$1") --json 2>/dev/null | tail -n 1 |
        grep -q '"name":"\(de\)\?quantize"' && echo int8 || echo float
}

measure() { # NAME FOLDER THREADS
    dir=$out/trees/$1-$3
    if test $build = yes; then make_tree "$1" "$2" "$3" "$dir"; fi
    if ! test -e "$dir/checked"; then
        echo "$1: not measured: $(tail -n 2 "$dir.log" 2>/dev/null | tr '\n' ' ')" >&2
        return
    fi
    pinned=$(pin "$3")
    once=$(time_tree "$pinned" "$dir" build/main 0 3) || return
    runs=$(runs_for "${once% *}" "$seconds")
    for round in $(seq "$rounds"); do
        ours=$(time_tree "$pinned" "$dir" build/main "$seconds" "$runs")
        theirs=$($pinned "$peer" "$library" "$2/model.onnx" "$2" -t "$3" -s "$seconds" 2>&1)
        case $theirs in *' ok'*) ;; *) echo "$1: the peer: $theirs" >&2; return ;; esac
        theirs=$(echo "$theirs" | sed -n 's/^time: min \([0-9]*\) median \([0-9]*\) .*/\1 \2/p')
        printf "$1\t$3\tadze\t$round\t%s\t%s\n" $ours >>"$raw"
        printf "$1\t$3\tpeer\t$round\t%s\t%s\n" $theirs >>"$raw"
    done
}

mkdir -p "$out/trees"
test $# -gt 0 || set -- $(cd "$data/onnx" && for m in */model.onnx; do dirname "$m"; done)
{ machine; "$peer" "$library" /dev/null /dev/null 2>/dev/null | head -n 1; date -u +%F; } >"$out/machine.txt"
for model; do
    from=$(folder "$model")
    name=$(basename "$from")
    printf '%s\t%s\n' "$name" "$(kind "$name" "$from")" >>"$out/kinds.tsv"
    for n in $threads; do
        test ! -t 2 || printf '\r%-30s' "$name, $n" >&2
        measure "$name" "$from" "$n"
    done
done
test ! -t 2 || printf '\r%-30s\r' '' >&2
awk -f "$here/compare.awk" -v models="$out/models.tsv" -v groups="$out/groups.tsv" "$out/kinds.tsv" "$raw"
cat "$out/machine.txt"
