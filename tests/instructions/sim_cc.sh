#!/bin/sh
# A compiler of programs for x86 processors with AMX, AVX512-FP16 and AVX-VNNI that run where those are missing: their
# instructions are sim_x86.h's functions, and every processor feature is there. Warnings are not its business.
#
#   kernels -c "sh tests/instructions/sim_cc.sh" sapphirerapids
here=$(cd "$(dirname "$0")" && pwd)
for word; do
    shift
    case $word in -mavxvnni | -mavx512fp16 | -mamx-*) ;; *) set -- "$@" "$word" ;; esac
done
exec "${SIM_CC:-gcc}" -w -D_GNU_SOURCE -include "$here/sim_cpu.h" "$@"
