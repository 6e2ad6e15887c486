# What the scripts of this folder share. Source it after setting `adze`.

# FIELD of a line of JSON that is a number.
field() { printf '%s\n' "$1" | sed -n "s/.*\"$2\":\([0-9.e+-]*\).*/\1/p"; }

# The extents that a model leaves open, as its reference data has them.
dims() { awk -F'\t' -v m="$1" '/^#/ { next } $1 == m { print $2 }' "$here/models.tsv"; }

# Programs beside adze, built by `cmake --build BUILD --target bench_tools`.
tool() {
    if ! test -x "$(dirname "$adze")/bench/$1"; then
        echo "$(dirname "$adze")/bench/$1 is missing: cmake --build $(dirname "$adze") --target bench_tools" >&2
        exit 2
    fi
    echo "$(dirname "$adze")/bench/$1"
}

# "taskset -c LIST" with the last N processors, or nothing where there is no taskset.
pin() { # N
    command -v taskset >/dev/null || return 0
    last=$(($(nproc) - 1))
    first=$((last - $1 + 1))
    test "$first" -ge 0 || first=0
    echo "taskset -c $first-$last"
}

# One line: processor, compiler, state of the repository, and the target unless that is said elsewhere (target="").
machine() {
    echo "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), $(nproc) cores," \
        "$(uname -m) Linux; $(${CC:-cc} --version | head -n 1);" \
        "repository at $(git -C "$here" rev-parse --short HEAD 2>/dev/null)"\
"${target:+, target $("$adze" targets "$target" | head -n 1)}"
}

# Runs a tree's program (built in DIR/build/PROGRAM) so often that it takes about SECONDS; prints "MIN MEDIAN" in ns.
time_tree() { # PIN DIR PROGRAM SECONDS [RUNS]
    (
        cd "$2" || exit 1
        runs=${5:-}
        if test -z "$runs"; then
            once=$($1 "$3" -n 3 | sed -n 's/^time: min \([0-9]*\) .*/\1/p')
            test -n "$once" || exit 1
            runs=$(runs_for "$once" "$4")
        fi
        $1 "$3" -n "$runs" | sed -n 's/^time: min \([0-9]*\) median \([0-9]*\) ns.*/\1 \2/p'
    )
}
runs_for() { awk -v ns="$1" -v s="$2" 'BEGIN { n = ns > 0 ? s * 1e9 / ns : 1000; print int(n < 3 ? 3 : n > 200000 ? 200000 : n) }'; }
