# The deepest stack below main, from gcc's -fcallgraph-info=su files:
#   node: { title: "file.c:name" label: "name\nfile.c:1:2\n24 bytes (static)" }
#   edge: { sourcename: "caller" targetname: "callee" ... }
# Functions without a known frame (the C library's, the start-up's) count as UNKNOWN bytes and are listed;
# a cycle or a frame of unbounded size gives an error instead of a number.

function text_after(key,    at, rest, end) {
    at = index($0, key)
    if (at == 0) return ""
    rest = substr($0, at + length(key))
    end = index(rest, "\"")
    return substr(rest, 1, end - 1)
}

function deepest(f,    i, n, list, best, d) {
    if (f in depth) return depth[f]
    if (f in open) { cycle = f; return 0 }
    open[f] = 1
    best = 0
    n = split(callees[f], list, "\n")
    for (i = 1; i <= n; i++) {
        d = deepest(list[i])
        if (d > best) { best = d; next_of[f] = list[i] }
    }
    delete open[f]
    if (!(f in frame)) unknown[f] = 1
    depth[f] = best + ((f in frame) ? frame[f] : UNKNOWN)
    return depth[f]
}

BEGIN { UNKNOWN = 0 }

/^node:/ {
    title = text_after("title: \"")
    label = text_after("label: \"")
    if (match(label, /[0-9]+ bytes/)) {
        frame[title] = substr(label, RSTART, RLENGTH) + 0
        if (index(label, "dynamic") && !index(label, "bounded")) dynamic[title] = 1
    }
}

/^edge:/ {
    source = text_after("sourcename: \"")
    target = text_after("targetname: \"")
    callees[source] = (source in callees) ? callees[source] "\n" target : target
}

END {
    bytes = deepest("main")
    printf "{\"bytes\": %d, \"path\": [", bytes
    n = 0
    for (f = "main"; f != ""; f = next_of[f]) {
        printf "%s{\"function\": \"%s\", \"bytes\": %d}", (n++ ? ", " : ""), f, frame[f]
        if (n > 100) break
    }
    printf "], \"not_counted\": ["
    n = 0
    for (f in unknown) names[++n] = f
    for (i = 2; i <= n; i++) {
        for (j = i; j > 1 && names[j] < names[j - 1]; j--) {
            t = names[j]; names[j] = names[j - 1]; names[j - 1] = t
        }
    }
    for (i = 1; i <= n; i++) printf "%s\"%s\"", (i > 1 ? ", " : ""), names[i]
    printf "]"
    if (cycle != "") printf ", \"recursion\": \"%s\"", cycle
    for (f in dynamic) { printf ", \"unbounded_frame\": \"%s\"", f; break }
    printf "}"
}
