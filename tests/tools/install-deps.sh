#!/bin/sh
# Installs what is missing from the distribution (Debian 12), saying what:
#
#   install-deps.sh GROUP...
#     build    a C compiler, CMake, MLIR 22 and the libraries that adze links
#     test     the test library, the second compiler, the official ONNX cases, every target's tools
#     NAME     what the target NAME needs to build and run: its <packages> in targets/
#
# Runs as root, or with sudo. Where all is there it neither needs nor touches anything.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
export DEBIAN_FRONTEND=noninteractive

# A few of each tool's packages make one group; the targets' own stand in their XML files.
build="gcc g++ libc6-dev make cmake ninja-build pkg-config libmlir-22-dev libxml2-dev libcjson-dev
 libpng-dev libjpeg-dev zlib1g-dev"
test="libcmocka-dev clang-22 libclang-rt-22-dev libonnx-testdata"
test_targets="portable cortex-m55 riscv64-bare aarch64 riscv64 riscv64-v wasm32-simd"

# The <packages> of a target and of those that it extends.
target_packages() {
    name=$1
    case $name in native) name=x86-64 ;; *+*) name=${name%%+*} ;; *.xml) ;; esac
    case $name in *.xml) file=$name ;; *) file=$here/targets/$name.xml ;; esac
    test -f "$file" || return 0
    sed -n 's:.*<package>\(.*\)</package>.*:\1:p' "$file"
    base=$(sed -n 's/.*extends="\([^"]*\)".*/\1/p' "$file" | head -n 1)
    test -z "$base" || target_packages "$base"
}

wanted=
for group in "$@"; do
    case $group in
    build) wanted="$wanted $build" ;;
    test)
        wanted="$wanted $test"
        for t in $test_targets; do wanted="$wanted $(target_packages "$t")"; done
        ;;
    *) wanted="$wanted $(target_packages "$group")" ;;
    esac
done
wanted=$(printf '%s\n' $wanted | sort -u)

if ! command -v dpkg-query >/dev/null; then
    echo "This is not a Debian system; nothing was installed. Needed are:" $wanted
    exit 0
fi

missing=
for p in $wanted; do
    case $(dpkg-query -W -f='${Status}' "$p" 2>/dev/null || :) in
    *" installed") ;;
    *) missing="$missing $p" ;;
    esac
done
test -n "$missing" || exit 0

echo "Installing from the distribution:$missing"
as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "This needs root or sudo. As root: apt-get install$missing" >&2
        exit 1
    fi
    as_root="sudo -n env DEBIAN_FRONTEND=noninteractive"
    test ! -t 0 || as_root="sudo env DEBIAN_FRONTEND=noninteractive"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    $as_root apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        echo "apt-get $1 failed; the packages are:$missing" >&2
        exit 1
    }
}
# MLIR 22 comes with the security updates, so the package lists must be of today.
apt update
apt install -y --no-install-recommends $missing
