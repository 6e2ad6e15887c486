# peak.tsv (measured several times: the largest counts) and raw.tsv of gemm.sh -> a table and gemm.tsv.
# With tiles, the bound of a shape is the lesser of the multiply peak and what loading and storing tiles allows for blocks
# of 2 by 2 tiles: as many loads as multiplies, and a store for each tile of the result.
BEGIN {
    FS = OFS = "\t"
    split("f32 f16 bf16 s8 u8 q8", names, " ")
    split("f32 f16 bf16 int8 int8 int8", kinds, " ")
    split("0 0 32 64 64 64", depths, " ")
    for (i in names) { kind_of[names[i]] = kinds[i]; tile_depth[names[i]] = depths[i] }
}
function ceil_div(a, b) { return int((a + b - 1) / b) }
NR == FNR {
    key = $1 SUBSEP $2 SUBSEP $3
    if ($4 > figure[key]) figure[key] = $4
    if ($3 == "amx") amx = 1
    else if ($4 > peak[$1, $2] && $2 != "ghz") { peak[$1, $2] = $4; peak_name[$1, $2] = $3 }
    next
}
FNR == 1 {
    print "encoding", "m", "n", "k", "threads", "min_us", "median_us", "gops", "bound", "bound_gops", "fraction",
        "weight_gb_s", "read_gb_s", "read_fraction", "checked" >result
}
{
    operations = 2 * $2 * $3 * $4
    gops = operations / $6
    kind = kind_of[$1]
    # without 16-bit arithmetic the work is done in f32
    if (!((($5, kind) in peak))) kind = "f32"
    bound = peak[$5, kind]; name = peak_name[$5, kind]
    if ((($5, kind, "amx") in figure) && tile_depth[$1]) {
        multiply = figure[$5, kind, "amx"]
        steps = ceil_div($2, 16) * ceil_div($3, 16) * ceil_div($4, tile_depth[$1])
        one = 2 * 16 * 16 * tile_depth[$1]
        seconds = steps / figure[$5, "tile-load", "amx"] + ceil_div($2, 16) * ceil_div($3, 16) / figure[$5, "tile-store", "amx"]
        if (steps * one / multiply > seconds) seconds = steps * one / multiply
        bound = operations / seconds; name = "amx"
    }
    rate = $8 / $6
    line = sprintf("%-5s %5d x %5d x %5d  %d  %12.2f us %9.2f Gop/s  %5.1f %% of %s", $1, $2, $3, $4, $5, $6 / 1e3, gops,
        100 * gops / bound, name)
    if ($9 != "-") line = line sprintf(",  %6.2f GB/s, %5.1f %% of a read loop", rate, 100 * rate / $9)
    print line ($10 == "yes" ? "" : "  (not checked here)")
    print $1, $2, $3, $4, $5, $6 / 1e3, $7 / 1e3, sprintf("%.4f", gops), name, bound, sprintf("%.4f", gops / bound),
        sprintf("%.4f", rate), $9, $9 == "-" ? "-" : sprintf("%.4f", rate / $9), $10 >result
    if ($2 >= 128 && $3 >= 128 && $4 >= 128) {
        group = $1 SUBSEP $5
        n[group]++
        if (!(group in least) || gops / bound < least[group]) { least[group] = gops / bound; where[group] = $2 " x " $3 " x " $4 }
    }
}
END {
    print ""
    for (group in n) {
        split(group, g, SUBSEP)
        printf "%s, threads: %d, M, N, K >= 128: least %.1f %% of the bound (%s), goal 85 %%\n", g[1], g[2], 100 * least[group], where[group]
    }
    for (key in figure) {
        split(key, g, SUBSEP)
        printf "peak, threads: %d: %s %s %.1f\n", g[1], g[2], g[3], figure[key]
    }
    if (!amx) print "AMX: not measured here: no AMX"
}
