# Sourced by every test script. One line a check:
#
#   PASS name
#   FAIL name          what it printed follows, then how to run it alone
#   SKIP name: why
#
# sh tests/SCRIPT.sh [NAME...] runs the checks whose name contains one of the NAMEs. ADZE is the
# compiler (default build/adze), ADZE_DATA the folder of real models (default ../shared/data).
script=$0
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
cd "$root" || exit 2
adze=${ADZE:-$root/build/adze}
data=${ADZE_DATA:-$root/../shared/data}
test -x "$adze" || { echo "no compiler at $adze: build first, or set ADZE" >&2; exit 2; }
if [ -w /dev/shm ]; then work=$(mktemp -d /dev/shm/adze-test-XXXXXX); else work=$(mktemp -d); fi
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0 skipped=0
only=$*

# Whether the check NAME was asked for.
wanted() {
    test -n "$only" || return 0
    for o in $only; do case $1 in *"$o"*) return 0 ;; esac; done
    return 1
}
skip() { # NAME WHY
    skipped=$((skipped + 1))
    echo "SKIP $1: $2"
}
# check NAME COMMAND...: passes when the command exits 0.
check() {
    name=$1
    shift
    wanted "$name" || return 0
    if ("$@") >"$work/said" 2>&1 </dev/null; then
        passed=$((passed + 1))
        echo "PASS $name"
        return 0
    fi
    failed=$((failed + 1))
    echo "FAIL $name"
    tail -n 25 "$work/said" | cut -c1-400 | sed 's/^/     /'
    echo "     again: ADZE=$adze sh $script '$name'"
    return 1
}
# finish [MORE]: the counts, and the exit code.
finish() {
    echo "$passed passed, $failed failed, $skipped skipped${1:+, $1}"
    test "$failed" = 0
    exit
}
have() { command -v "$1" >/dev/null 2>&1; }
# The programs that a target needs are there: its compiler, and what runs it.
target_usable() {
    for p in $(target_programs "$1"); do have "$p" || return 1; done
}
target_programs() {
    case $1 in
    portable | x86-64*) echo gcc ;;
    aarch64 | armv*) echo aarch64-linux-gnu-gcc qemu-aarch64 ;;
    riscv64-v) echo clang-22 riscv64-linux-gnu-gcc qemu-riscv64 ;;
    riscv64) echo riscv64-linux-gnu-gcc qemu-riscv64 ;;
    cortex-m* | mps*) echo arm-none-eabi-gcc qemu-system-arm ;;
    wasm32-*) echo clang-22 wasm-ld-22 node ;;
    riscv32-*) echo riscv64-unknown-elf-gcc qemu-system-riscv32 ;;
    riscv64-*) echo riscv64-unknown-elf-gcc qemu-system-riscv64 ;;
    esac
}
