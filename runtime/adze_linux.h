/* Whether Linux says that this processor has a feature: so that NAME_init refuses a machine that the code
 * was not built for, before any such instruction runs. Where there is no Linux to ask, the code is taken to
 * be on the right machine. */
#ifndef ADZE_LINUX_H
#define ADZE_LINUX_H

/* For functions that run before the answer is known. */
#define ADZE_ANY_PROCESSOR __attribute__((noinline))

#if defined(__linux__)
#include <sys/auxv.h>
#if defined(__riscv)
#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>

long syscall(long number, ...); /* POSIX has no name for it, so that -std=c11 hides it */

/* Linux knows of the vector extension since 6.5, and riscv_hwprobe since 6.4. Where neither HWCAP has the bit
 * nor the call is known (QEMU 7.2), nothing is known: taken to be there. */
static inline int adze_linux_hwprobe(unsigned bit) {
    enum { HWPROBE = 258, KEY_IMA_EXT_0 = 4, IMA_V = 1 << 2, BIT_V = 'v' - 'a' };
    struct {
        int64_t key;
        uint64_t value;
    } pair = {KEY_IMA_EXT_0, 0};
    const int before = errno;
    const long status = syscall(HWPROBE, &pair, 1L, 0L, (void *)0, 0L);
    errno = before;
    return bit == BIT_V && (status != 0 || pair.key != KEY_IMA_EXT_0 || (pair.value & IMA_V) != 0);
}
#endif
#endif

/* `bit` of AT_HWCAP (word 1) or AT_HWCAP2 (word 2). */
ADZE_ANY_PROCESSOR static int adze_linux_has(unsigned word, unsigned bit) {
#if defined(__linux__)
    const unsigned long bits = getauxval(word == 1 ? AT_HWCAP : AT_HWCAP2);
    int has = (int)(bits >> bit & 1u);
#if defined(__riscv)
    has = has || adze_linux_hwprobe(bit);
#endif
    return has;
#else
    (void)word;
    (void)bit;
    return 1;
#endif
}

#endif
