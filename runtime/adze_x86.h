/* Whether this x86 processor, and its system, has a feature: so that NAME_init refuses a machine that
 * the code was not built for, before any such instruction runs. */
#ifndef ADZE_X86_H
#define ADZE_X86_H

#include <cpuid.h>
#include <stdint.h>

/* For functions that run before the answer is known: no instruction that the first x86-64 lacked, whatever
 * the flags say. */
#define ADZE_ANY_PROCESSOR __attribute__((target("arch=x86-64"), noinline))

/* Linux lets a process use the data of AMX tiles only when it asks: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA). It holds for
 * all its threads, those that run already too. */
ADZE_ANY_PROCESSOR static int adze_x86_permitted(uint32_t xcr0) {
#if defined(__linux__) && defined(__x86_64__)
    if ((xcr0 >> 18 & 1u) != 0) {
        long result = 158; /* arch_prctl */
        __asm__ volatile("syscall" : "+a"(result) : "D"(0x1023L), "S"(18L) : "rcx", "r11", "memory");
        return result == 0;
    }
#else
    (void)xcr0;
#endif
    return 1;
}

/* `bit` of a register ('a' to 'd') of a CPUID leaf; `xcr0`: register state that the system must save. */
ADZE_ANY_PROCESSOR static int adze_x86_has(uint32_t leaf, uint32_t subleaf, char reg, unsigned bit, uint32_t xcr0) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (xcr0 != 0) {
        uint32_t low, high;
        if (!__get_cpuid(1, &a, &b, &c, &d) || (c >> 27 & 1u) == 0) { /* OSXSAVE */
            return 0;
        }
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        if ((low & xcr0) != xcr0) {
            return 0;
        }
        if (!adze_x86_permitted(xcr0)) {
            return 0;
        }
    }
    if (!__get_cpuid_count(leaf, subleaf, &a, &b, &c, &d)) {
        return 0;
    }
    return (int)((reg == 'a' ? a : reg == 'b' ? b : reg == 'c' ? c : d) >> bit & 1u);
}

#endif
