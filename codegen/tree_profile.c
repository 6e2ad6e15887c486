/* Timing of kernels: with the define ADZE_PROFILE, entries read a clock of the caller's behind every call of
 * a kernel and add up the ticks; without it, nothing is left of it. Only in trees that were asked for it. */
#include "codegen/tree_internal.h"

static int n_calls(const adze_c_module *m) {
    int n = 0;
    for (int e = 0; e < m->n_entries; e++)
        n += m->entries[e].n_steps;
    return n;
}

void tree_profile_header(const adze_c_module *m, adze_text *out) {
    if (!m->profile)
        return;
    adze_text_printf(out,
                     "#ifdef ADZE_PROFILE\n"
                     "/* Where the time goes: set `clock` after %s_init; the entries add up the ticks between calls of\n"
                     " * kernels, in the order of the entries and their calls. The last counts what is outside of them. */\n"
                     "#define %s_CALLS %d\n"
                     "typedef struct %s_profile {\n"
                     "    uint64_t (*clock)(void *user);\n"
                     "    void *user;\n"
                     "    uint64_t last, ticks[%s_CALLS + 1];\n"
                     "} %s_profile;\n#endif\n\n",
                     m->name, m->upper, n_calls(m), m->name, m->upper, m->name);
}

void tree_profile_source(const adze_c_module *m, adze_text *out) {
    if (!m->profile)
        return;
    adze_text_printf(out,
                     "#ifdef ADZE_PROFILE\n"
                     "#define PROFILE(call) %s_profile_mark(m, call)\n"
                     "void %s_profile_mark(%s_t *m, int call) {\n"
                     "    if (m->profile.clock != NULL) {\n"
                     "        const uint64_t now = m->profile.clock(m->profile.user);\n"
                     "        m->profile.ticks[call] += now - m->profile.last;\n"
                     "        m->profile.last = now;\n"
                     "    }\n}\n"
                     "#else\n#define PROFILE(call) ((void)0)\n#endif\n\n",
                     m->name, m->name, m->name);
}

void tree_profile_program(const adze_c_module *m, adze_text *out) {
    if (!m->profile)
        return;
    const adze_c_entry *e = &m->entries[0];
    adze_text_printf(
        out,
        "\n#ifdef ADZE_PROFILE\n"
        "static uint64_t %s_clock(void *user) {\n    (void)user;\n    return adze_board_clock();\n}\n\n"
        "static void %s_put(const char *what, uint64_t a, uint64_t b, uint64_t c) {\n"
        "    adze_board_puts(what);\n    adze_board_put_u(a);\n    adze_board_puts(\" \");\n"
        "    adze_board_put_u(b);\n    adze_board_puts(\" \");\n    adze_board_put_u(c);\n"
        "    adze_board_puts(\"\\n\");\n}\n\n"
        "/* \"mark TICKS MARKS HZ\": what the marks themselves take, and the clock's ticks a second;\n"
        " * \"call INDEX LEAST SUM\": a call's ticks in its fastest run, and in all of them. */\n"
        "static void profile_%s(const %s_%s_in *in, %s_%s_out *out, int runs) {\n"
        "    enum { MARKS = 1000 };\n"
        "    static uint64_t least[%s_CALLS + 1], sum[%s_CALLS + 1];\n"
        "    %s_profile *const p = &%s_model.profile;\n"
        "    p->clock = %s_clock;\n"
        "    %s_profile_mark(&%s_model, %s_CALLS);\n"
        "    p->ticks[%s_CALLS] = 0;\n"
        "    for (int i = 0; i < MARKS; i++) {\n        %s_profile_mark(&%s_model, %s_CALLS);\n    }\n"
        "    %s_put(\"mark \", p->ticks[%s_CALLS], MARKS, adze_board_clock_hz());\n"
        "    for (int run = 0; run < runs; run++) {\n"
        "        for (int i = 0; i < %s_CALLS; i++) {\n            p->ticks[i] = 0;\n        }\n"
        "        %s_%s(&%s_model, in, out);\n"
        "        for (int i = 0; i < %s_CALLS; i++) {\n"
        "            least[i] = run == 0 || p->ticks[i] < least[i] ? p->ticks[i] : least[i];\n"
        "            sum[i] += p->ticks[i];\n        }\n    }\n"
        "    for (int i = 0; i < %s_CALLS; i++) {\n"
        "        %s_put(\"call \", (uint64_t)i, least[i], sum[i]);\n    }\n"
        "    p->clock = NULL;\n}\n#endif\n",
        m->name, m->name, m->name, m->name, e->name, m->name, e->name, m->upper, m->upper, m->name, m->name,
        m->name, m->name, m->name, m->upper, m->upper, m->name, m->name, m->upper, m->name, m->upper,
        m->upper, m->name, e->name, m->name, m->upper, m->upper, m->name);
}

void tree_profile_call(const tree *t, const adze_c_module *m, adze_text *out) {
    if (m->profile && t->target->bare)
        adze_text_printf(out,
                         "#if defined(ADZE_PROFILE) && defined(ADZE_MAIN_RUNS)\n"
                         "    profile_%s(&in, &out, ADZE_MAIN_RUNS);\n    return 0;\n#endif\n", m->name);
    else if (m->profile)
        adze_text_printf(out, "#ifdef ADZE_PROFILE\n    profile_%s(&in, &out, o->runs);\n#endif\n", m->name);
}
