#!/bin/sh
# Whole kernels against the reference, on random shapes, data and schedules (tests/kernels/README.md).
#
#   sh tests/kernels.sh [TARGET...] [-s SEED] [-n CASES] [-r ROW] [-v VARIANTS] [...]
#
# Options go to build/tests/kernels. Without any: a short run with fixed seeds on every target that runs here.
. "$(dirname "$0")/lib.sh"
kernels=${ADZE_KERNELS:-$(dirname "$adze")/tests/kernels}
test -x "$kernels" || { echo "no program at $kernels: build first, or set ADZE_KERNELS" >&2; exit 2; }
targets="portable x86-64 x86-64-v2 x86-64-v3 x86-64-v4 native aarch64 armv8.2-dotprod armv8.6-i8mm armv9-sve riscv64-v
    wasm32-simd cortex-m4 cortex-m55"
asked='' options=''
while test $# -gt 0; do
    case $1 in
    -V) options="$options $1" ;;
    -*) options="$options $1 $2"; shift ;;
    *) asked="$asked $1" ;;
    esac
    shift
done
# Where failures leave their modules and trees.
keep=${ADZE_KERNELS_KEEP:-$(mktemp -d)}
i=0
for t in ${asked:-$targets sapphirerapids}; do
    i=$((i + 1))
    cc=
    test "$t" != sapphirerapids || cc="-c $here/instructions/sim_cc.sh"
    echo "$t $cc -k $keep/$i ${options:--s $i -n 1 -v mixed}"
done >"$work/jobs"
# What was wrong once: row, seed, variant, target.
test -n "$asked$options" || while read -r row seed variant target; do
    i=$((i + 1))
    echo "$target -k $keep/$i -r $row -s $seed -n 1 -v =$variant"
done <tests/kernels/regressions.tsv >>"$work/jobs"
mkdir -p "$keep"
xargs -P 2 -L 1 sh -c 'target=$1; shift; "$0" "$@" "$target" || exit 1' "$kernels" <"$work/jobs" >"$work/said" 2>&1
status=$?
grep -vE '^[0-9]+ right, [0-9]+ wrong$' "$work/said"
awk '/^[0-9]+ right, [0-9]+ wrong$/ { right += $1; wrong += $3 } END { print right + 0, "right,", wrong + 0, "wrong" }' "$work/said"
rmdir "$keep" 2>/dev/null || echo "left in $keep"
exit $status
