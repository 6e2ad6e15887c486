#!/bin/sh
# make test: every test, two at a time. tests/run.sh BUILD [CTEST OPTIONS]
# The last line is "N passed, N failed".
build=${1:-build}
test $# = 0 || shift
cd "$(dirname "$0")/.." || exit 2
data=${ADZE_DATA:-../shared/data}
if [ -d "$data/onnx" ]; then
    echo "real models and official cases: $data (and the distribution's libonnx-testdata)"
else
    echo "no real models at $data (ADZE_DATA names another place): the project's own models and the"
    echo "official cases of the distribution's libonnx-testdata"
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
(cd "$build" && ctest --output-on-failure -j 2 "$@" </dev/null 2>&1) | tee "$log"
failed=$(sed -n 's/^[0-9]*% tests passed, \([0-9]*\) tests failed out of [0-9]*.*/\1/p' "$log" | tail -n 1)
total=$(sed -n 's/^[0-9]*% tests passed, [0-9]* tests failed out of \([0-9]*\).*/\1/p' "$log" | tail -n 1)
if [ -z "$total" ] || [ "$total" = 0 ]; then
    echo "0 passed, 1 failed"
    exit 1
fi
echo "$((total - failed)) passed, $failed failed"
test "$failed" = 0
