#!/bin/sh
# Results -> docs/performance.md: figures, their data, and the tables between `<!-- begin X -->` and `<!-- end X -->`.
#
#   sh bench/report.sh ADZE [COMPARE_DIR [GEMM_DIR [CORTEX_M_DIR]]]
#
# The folders are those that compare.sh, gemm.sh and cortex_m.sh wrote (out/compare, out/gemm, out/cortex-m); one that is
# not there leaves its part of the page as it is.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
test $# -ge 1 || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
adze=$(realpath "$1")
compare=${2:-out/compare} gemm=${3:-out/gemm} cortex_m=${4:-out/cortex-m}
. "$here/lib.sh"
plot=$(tool plot)
page=$here/../docs/performance.md figures=$here/../docs/figures
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Replaces what stands between the marks of PART by standard input.
fill() { # PART
    cat >"$work/part"
    awk -v part="$1" -v from="$work/part" '
        $0 == "<!-- end " part " -->" { inside = 0 }
        !inside { print }
        $0 == "<!-- begin " part " -->" { inside = 1; while ((getline line < from) > 0) print line }' "$page" >"$work/page"
    cp "$work/page" "$page"
}

draw() { # FIGURE TSV NAME
    cp "$2" "$figures/$3.tsv"
    "$plot" "$1" "$2" "$figures/$3.svg"
}

versions() { sed 's/^/- /' "$1/machine.txt"; }

if test -s "$compare/models.tsv"; then
    versions "$compare" | fill compare-machine
    draw models "$compare/models.tsv" models
    awk -F'\t' 'NR == 1 { print "| group | threads | models | geometric mean | goal | least |\n|---|---|---|---|---|---|"; next }
        { printf "| %s | %s | %s | %.2f | %s | %.2f (%s) |\n", $1, $2, $3, $4, $5, $6, $7 }' "$compare/groups.tsv" | fill groups
    awk -F'\t' 'NR == 1 { print "| model | group | threads | adze, ms | peer, ms | ratio |\n|---|---|---|---|---|---|"; next }
        { printf "| %s | %s | %s | %.4f (%.4f) | %.4f (%.4f) | %.2f |\n", $1, $2, $3, $4, $5, $6, $7, $8 }' "$compare/models.tsv" |
        fill models
fi
if test -s "$gemm/gemm.tsv"; then
    versions "$gemm" | fill gemm-machine
    draw gemm "$gemm/gemm.tsv" gemm
    draw gemv "$gemm/gemm.tsv" gemv
    {
        printf '| threads | kind | instructions | peak |\n|---|---|---|---|\n'
        sort -u "$gemm/peak.tsv" | awk -F'\t' '{ k = $1 "\t" $2 "\t" $3; if ($4 > most[k]) most[k] = $4 }
            END { for (k in most) print k "\t" most[k] }' | sort |
            awk -F'\t' '{ printf "| %s | %s | %s | %.1f %s |\n", $1, $2, $3, $4, $2 == "ghz" ? "GHz" : $2 ~ /^tile/ ? "10⁹ tiles/s" : "Gop/s" }'
        grep -q amx "$gemm/peak.tsv" || printf '\nAMX: not measured here: no AMX.\n'
    } | fill peaks
    awk -F'\t' 'NR == 1 { print "| encoding | M × N × K | threads | time, µs | Gop/s | of the bound | of a read loop |\n|---|---|---|---|---|---|---|"; next }
        ($2 == $3 && $2 >= 127) || ($2 == 1 && $3 >= 1024) || ($2 > 1 && $2 < $3 && $3 == 1024) {
            printf "| %s | %d × %d × %d | %s | %.1f | %.1f | %.1f %% (%s) | %s |\n", $1, $2, $3, $4, $5, $6, $8, 100 * $11, $9,
                $14 == "-" ? "" : sprintf("%.1f %%", 100 * $14) }' "$gemm/gemm.tsv" | fill gemm
fi
if test -s "$cortex_m/layers.tsv"; then
    versions "$cortex_m" | fill cortex-m-machine
    draw cortex-m "$cortex_m/layers.tsv" cortex-m
    cp "$cortex_m/networks.tsv" "$figures/cortex-m-networks.tsv"
    awk -F'\t' 'NR == 1 { print "| layer | core | instructions | per MAC | CMSIS-NN | ratio | goal |\n|---|---|---|---|---|---|---|"; next }
        { printf "| %s | %s | %s | %.2f | %.2f | %.2f | %s |\n", $1, $2, $4, $5, $6, $7, $8 }' "$cortex_m/layers.tsv" | fill cortex-m
    # one row a kernel, one column a core
    awk -F'\t' 'NR == 1 { next }
        !($2 in known) { known[$2] = 1; cores[++n_cores] = $2 }
        !(($1, $3) in at) { at[$1, $3] = ++n_rows; network[n_rows] = $1; kernel[n_rows] = $3 }
        { said[at[$1, $3], $2] = $5 ($6 == "" ? "" : sprintf(" (%.2f)", $6)) }
        END {
            printf "| network | kernel |"; for (c = 1; c <= n_cores; c++) printf " %s |", cores[c]
            printf "\n|---|---|"; for (c = 1; c <= n_cores; c++) printf "---|"
            print ""
            for (r = 1; r <= n_rows; r++) {
                printf "| %s | %s |", network[r], kernel[r]
                for (c = 1; c <= n_cores; c++) printf " %s |", said[r, cores[c]]
                print ""
            }
        }' "$cortex_m/networks.tsv" |
        fill networks
fi
