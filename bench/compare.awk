# kinds.tsv, then raw.tsv of compare.sh -> a table on standard output, models.tsv and groups.tsv.
# Groups and goals are those of docs/performance.md; which group a float model is in, its peer's time at one thread says.
BEGIN {
    FS = OFS = "\t"
    goal["float"] = 1.3; least["float"] = 1.0; title["float"] = "float, peer >= 0.3 ms"
    goal["int8"] = 1.5;  least["int8"] = 0;    title["int8"] = "int8"
    goal["small"] = 3;   least["small"] = 0;   title["small"] = "float, peer < 0.3 ms"
    n_groups = split("float int8 small", group_names, " ")
    border_ns = 300000
}
function median(list,    n, a, i, j, t) {
    n = split(list, a, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
    return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}
NR == FNR { order[++n_models] = $1; kind[$1] = $2; next }
/^#/ { next }
{
    key = $1 SUBSEP $2 SUBSEP $3
    if (!(key in min) || $5 < min[key]) min[key] = $5
    medians[key] = medians[key] " " $6
    if (!($2 in seen)) { seen[$2] = 1; threads[++n_threads] = $2 }
}
function group_of(model,    key) {
    if (kind[model] == "int8") return "int8"
    key = model SUBSEP threads[1] SUBSEP "peer"
    return min[key] >= border_ns ? "float" : "small"
}
END {
    print "model", "group", "threads", "adze_min_ms", "adze_median_ms", "peer_min_ms", "peer_median_ms", "ratio", "goal" >models
    print "group", "threads", "models", "geometric_mean", "goal", "worst", "worst_model", "least" >groups
    for (g = 1; g <= n_groups; g++) {
        group = group_names[g]
        for (t = 1; t <= n_threads; t++) {
            n = 0; logs = 0; worst = 1e9
            for (m = 1; m <= n_models; m++) {
                a = order[m] SUBSEP threads[t] SUBSEP "adze"; p = order[m] SUBSEP threads[t] SUBSEP "peer"
                if (!(a in min) || !(p in min) || group_of(order[m]) != group) continue
                if (!n++) print title[group] ", threads: " threads[t] "; ms, smallest (median)"
                ratio = min[p] / min[a]
                logs += log(ratio)
                if (ratio < worst) { worst = ratio; worst_model = order[m] }
                printf "  %-22s adze %9.4f (%9.4f)  peer %9.4f (%9.4f)  ratio %6.2f\n", order[m], min[a] / 1e6,
                    median(medians[a]) / 1e6, min[p] / 1e6, median(medians[p]) / 1e6, ratio
                print order[m], title[group], threads[t], min[a] / 1e6, median(medians[a]) / 1e6, min[p] / 1e6,
                    median(medians[p]) / 1e6, sprintf("%.3f", ratio), goal[group] >models
            }
            if (!n) continue
            printf "  geometric mean of %d: %.2f (goal %.1f), least %.2f (%s)\n\n", n, exp(logs / n), goal[group], worst, worst_model
            print title[group], threads[t], n, sprintf("%.3f", exp(logs / n)), goal[group], sprintf("%.3f", worst),
                worst_model, least[group] >groups
        }
    }
}
