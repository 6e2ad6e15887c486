# The deepest stack of a program, from gcc's -fcallgraph-info=su files
#   node: { title: "file.c:name" label: "name\nfile.c:1:2\n24 bytes (static)" }
#   edge: { sourcename: "caller" targetname: "callee" ... }
# and, for functions without a node, from a disassembly: what each function takes off the stack pointer,
# and whom it calls. Functions found in neither are listed as not counted; a cycle or a frame of unbounded
# size is named.

function text_after(key,    at, rest, end) {
    at = index($0, key)
    if (at == 0) return ""
    rest = substr($0, at + length(key))
    end = index(rest, "\"")
    return substr(rest, 1, end - 1)
}

function add_edge(from, to) {
    callees[from] = (from in callees) ? callees[from] "\n" to : to
}

function deepest(f,    i, n, list, best, d) {
    if (f in depth) return depth[f]
    if (f in open) { if (f in frame) cycle = f; return 0 }
    if (f == "") return 0
    open[f] = 1
    best = 0
    n = split((f in callees) ? callees[f] : library_callees[f], list, "\n")
    for (i = 1; i <= n; i++) {
        d = deepest(list[i])
        if (d > best) { best = d; next_of[f] = list[i] }
    }
    delete open[f]
    if (!(f in frame) && !(f in library_frame)) unknown[f] = 1
    depth[f] = best + own(f)
    return depth[f]
}

function own(f) { return (f in frame) ? frame[f] : (f in library_frame) ? library_frame[f] : 0 }

# Registers in "{r4, r5, d8-d11}", in bytes.
function registers(text,    n, i, list, part, bytes, width) {
    gsub(/.*\{|\}.*| /, "", text)
    n = split(text, list, ",")
    for (i = 1; i <= n; i++) {
        width = substr(list[i], 1, 1) == "d" ? 8 : 4
        if (split(list[i], part, "-") == 2)
            bytes += width * (substr(part[2], 2) - substr(part[1], 2) + 1)
        else
            bytes += width
    }
    return bytes
}

function number(text,    value, i) {
    if (substr(text, 1, 2) != "0x") return text + 0
    text = tolower(substr(text, 3))
    for (i = 1; i <= length(text); i++) value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
    return value
}

/^node:/ {
    title = text_after("title: \"")
    label = text_after("label: \"")
    if (match(label, /[0-9]+ bytes/)) {
        frame[title] = substr(label, RSTART, RLENGTH) + 0
        if (index(label, "dynamic") && !index(label, "bounded")) dynamic[title] = 1
    }
    next
}

/^edge:/ {
    add_edge(text_after("sourcename: \""), text_after("targetname: \""))
    next
}

/^[0-9a-f]+ <.*>:$/ {
    current = $2
    gsub(/[<>:]/, "", current)
    library_frame[current] += 0
    next
}

current != "" && /^ +[0-9a-f]+:/ {
    op = $2
    if (op ~ /^v?push/ && /\{/) library_frame[current] += registers($0)
    else if (op ~ /^stmdb/ && /sp!/) library_frame[current] += registers($0)
    else if (op ~ /^sub/ && match($0, /sp, (sp, )?#[0-9]+/)) {
        bytes = substr($0, RSTART, RLENGTH)
        sub(/.*#/, "", bytes)
        library_frame[current] += bytes
    } else if (match($0, /\[sp, #-[0-9]+\]!/)) library_frame[current] += substr($0, RSTART + 6, RLENGTH - 8)
    else if (op ~ /^(c\.)?addi/ && match($0, /sp,(sp,)?-[0-9]+/)) {
        bytes = substr($0, RSTART, RLENGTH)
        sub(/.*-/, "", bytes)
        library_frame[current] += bytes
    } else if (op ~ /^push/ && /%r/) library_frame[current] += 8
    else if (op ~ /^sub/ && match($0, /\$0x[0-9a-f]+,%rsp/)) {
        bytes = substr($0, RSTART + 1, RLENGTH - 6)
        library_frame[current] += number(bytes)
    }
    if (op ~ /^(bl|blx|b|b\.w|b\.n|jal|j|call|callq|jmp|jmpq|tail)$/ && match($0, /<[^>+]+>/)) {
        callee = substr($0, RSTART + 1, RLENGTH - 2)
        if (callee != current)
            library_callees[current] = (current in library_callees) ? library_callees[current] "\n" callee : callee
    }
}

END {
    # The start-up's C function, whom the reset handler reaches by an address that no note shows.
    root = "main"
    for (f in frame) if (f ~ /^runtime\/boards\/.*:start$/) root = f
    bytes = deepest(root)
    printf "{\"bytes\": %d, \"path\": [", bytes
    n = 0
    for (f = root; f != ""; f = next_of[f]) {
        printf "%s{\"function\": \"%s\", \"bytes\": %d}", (n++ ? ", " : ""), f, own(f)
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
