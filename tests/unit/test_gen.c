/* Kernels against the reference, on random data: each case is one operation as a level-2 kernel,
 * lowered to loops, emitted as C, compiled for this machine and called; its results are compared
 * with what adze_ref_eval says of the same operation.
 *
 * All cases become one C file, compiled once with every warning an error and undefined behaviour
 * trapping. To run some: test_gen WORD... (of the operation's name, or #NUMBER); with GEN_SHOW=1
 * their C is printed. */
#include "codegen/emit.h"
#include "codegen/gen.h"
#include "passes/passes.h"
#include "reference/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* in, out: types separated by spaces. TYPE=low:high draws from that range, TYPE=a,b,c repeats these
 * values, `none` is an absent operand or result, TYPE! a result that the kernel does not store,
 * @TYPE an operand that the kernel itself computes (by adze.trilu), as fusion makes them.
 * tolerance: of floats, relative to the output's range; 0: 2e-5. */
typedef struct gen_case {
    const char *op, *attrs, *in, *out;
    double tolerance;
} gen_case;

static const gen_case cases[] = {
#define K(op, attrs, in, out) {op, attrs, in, out, 0},
#define T(tolerance, op, attrs, in, out) {op, attrs, in, out, tolerance},
#include "tests/unit/gen_cases.def"
};

enum { MAX_VALUES = 16, ROUNDS = 3, GUARD = 64, N_CASES = (int)ADZE_COUNT(cases) };

typedef struct value {
    const char *type, *values; /* values: "low:high", "a,b,c" or NULL */
    bool absent, unused, computed;
} value;

/* ---- one case: text, level 3, C ---- */

typedef struct prepared {
    const gen_case *c;
    int number, n_in, n_out;
    value in[MAX_VALUES], out[MAX_VALUES];
    adze_context *ctx;
    MlirModule reference; /* the same operation, not lowered */
    MlirOperation op;
} prepared;

static const char *const *words;
static const adze_target *target; /* NULL: portable C */

static bool chosen(int number) {
    char text[16];
    snprintf(text, sizeof text, "#%d", number);
    for (const char *const *w = words; w && *w; w++)
        if (!strcmp(*w, text) || (**w != '#' && strstr(cases[number].op, *w)))
            return true;
    return !words;
}

static int parse_values(adze_arena *arena, const char *text, value *out) {
    int n = 0;
    while (*(text += strspn(text, " "))) {
        size_t length = strcspn(text, " ");
        char *type = adze_arena_strndup(arena, text, length);
        value *v = &out[n++];
        text += length;
        bool computed = *type == '@';
        type += computed;
        *v = (value){.type = type, .absent = !strcmp(type, "none"), .computed = computed};
        char *equals = strchr(type, '=');
        if (equals) {
            *equals = 0;
            v->values = equals + 1;
        }
        if (type[strlen(type) - 1] == '!') {
            type[strlen(type) - 1] = 0;
            v->unused = true;
        }
    }
    return n;
}

static void type_list(adze_text *t, int n, const value *values) {
    for (int i = 0; i < n; i++)
        adze_text_printf(t, values[i].absent ? "%s!adze.absent" : "%stensor<%s>", i ? ", " : "",
                         values[i].type);
}

/* The parameters of the kernel, or (call: true) its operands and their types. */
static void parameters(const prepared *p, bool call, adze_text *t) {
    adze_text types = {0};
    int n = 0;
    for (int i = 0; i < p->n_in + p->n_out; i++) {
        bool in = i < p->n_in;
        const value *v = in ? &p->in[i] : &p->out[i - p->n_in];
        int k = in ? i : i - p->n_in;
        if (v->absent || v->unused)
            continue;
        adze_text_printf(t, "%s%%%c%d", n ? ", " : "", in ? 'x' : 'y', k);
        adze_text_printf(&types, "%smemref<%s>", n++ ? ", " : "", v->type);
        if (!call)
            adze_text_printf(t, ": memref<%s> {adze.name = \"%c%d\", adze.access = \"%s\"}",
                             v->type, in ? 'x' : 'y', k, in ? "read" : "write");
    }
    if (call)
        adze_text_printf(t, ") : (%s) -> ()\n", types.data);
    adze_text_free(&types);
}

static void kernel_text(const prepared *p, adze_text *t) {
    adze_text_puts(t, "func.func @run(");
    parameters(p, false, t);
    adze_text_puts(t, ") attributes {adze.entry} {\nfunc.call @kernel(");
    parameters(p, true, t);
    adze_text_puts(t, "return\n}\nfunc.func private @kernel(");
    parameters(p, false, t);
    adze_text_puts(t, ") attributes {adze.kernel} {\n");
    for (int i = 0; i < p->n_in; i++)
        adze_text_printf(t,
                         p->in[i].absent ? "%%v%d = \"adze.none\"() : () -> !adze.absent\n"
                                         : "%%v%d = bufferization.to_tensor %%x%d : memref<%s> to "
                                           "tensor<%s>\n",
                         i, i, p->in[i].type, p->in[i].type);
    for (int i = 0; i < p->n_in; i++)
        if (p->in[i].computed)
            adze_text_printf(
                t,
                "%%k%d = \"adze.none\"() : () -> !adze.absent\n%%w%d = "
                "\"adze.trilu\"(%%v%d, %%k%d) {upper = true} : (tensor<%s>, !adze.absent) "
                "-> tensor<%s>\n",
                i, i, i, i, p->in[i].type, p->in[i].type);
    adze_text_printf(t, "%%r:%d = \"adze.%s\"(", p->n_out, p->c->op);
    for (int i = 0; i < p->n_in; i++)
        adze_text_printf(t, "%s%%%c%d", i ? ", " : "", p->in[i].computed ? 'w' : 'v', i);
    adze_text_printf(t, ") {%s} : (", p->c->attrs);
    type_list(t, p->n_in, p->in);
    adze_text_puts(t, ") -> (");
    type_list(t, p->n_out, p->out);
    adze_text_puts(t, ")\n");
    for (int i = 0; i < p->n_out; i++)
        if (!p->out[i].absent && !p->out[i].unused)
            adze_text_printf(
                t,
                "bufferization.materialize_in_destination %%r#%d in restrict writable %%y%d "
                ": (tensor<%s>, memref<%s>) -> ()\n",
                i, i, p->out[i].type, p->out[i].type);
    adze_text_puts(t, "return\n}\n");
}

static void die(const prepared *p, const char *what) {
    adze_text t = {0};
    adze_diagnostics_print(&p->ctx->diags, &t);
    fail_msg("case #%d: %s (%s | %s | %s): %s\n%s", p->number, p->c->op, p->c->in, p->c->out,
             p->c->attrs, what, t.data ? t.data : "");
}

static MlirModule parse(const prepared *p, const char *text) {
    MlirModule module = adze_module_parse(p->ctx, text, "case");
    if (mlirModuleIsNull(module))
        die(p, "does not parse");
    return module;
}

static MlirOperation find_op(const prepared *p, MlirModule module) {
    const char *name = adze_arena_printf(p->ctx->arena, "adze.%s", p->c->op);
    MlirOperation kernel = adze_symbol(module, "func.func", "kernel");
    MlirBlock block = mlirRegionGetFirstBlock(mlirOperationGetRegion(kernel, 0));
    MlirOperation op = mlirBlockGetFirstOperation(block);
    while (!adze_is_op(op, name))
        op = mlirOperationGetNextInBlock(op);
    return op;
}

/* Appends the case's C function and a wrapper `void call_N(void **p)`. */
static void emit_case(prepared *p, adze_text *c, const char **runtime, int *n_runtime) {
    adze_text text = {0};
    p->n_in = parse_values(p->ctx->arena, p->c->in, p->in);
    p->n_out = parse_values(p->ctx->arena, p->c->out, p->out);
    kernel_text(p, &text);
    p->reference = parse(p, text.data);
    p->op = find_op(p, p->reference);
    MlirModule module = parse(p, text.data);
    if (!adze_codegen_loops(p->ctx, module, target))
        die(p, "has no loops");
    /* as `adze compile` goes on: vectors need their loops tidied */
    const adze_pass_options options = {.target = target};
    if (target && (!adze_pass_named("tidy")->run(p->ctx, module, &options) ||
                   !adze_codegen_vectorize(p->ctx, module, target)))
        die(p, "has no vectors");
    if (!mlirOperationVerify(mlirModuleGetOperation(module)))
        die(p, "gives loops that do not verify");
    adze_c_module m;
    const char *name = adze_arena_printf(p->ctx->arena, "c%d", p->number);
    if (!adze_c_module_read(p->ctx, module, name, ADZE_WEIGHTS_C, target, &m) || !adze_emit_kernels(&m))
        die(p, "has no C");
    assert_int_equal(m.n_kernels, 1);
    for (int i = 0; i < m.n_runtime; i++) {
        bool known = false;
        for (int k = 0; k < *n_runtime; k++)
            known |= !strcmp(runtime[k], m.runtime[i]);
        if (!known)
            runtime[(*n_runtime)++] = strdup(m.runtime[i]);
    }
    const adze_c_kernel *k = &m.kernels[0];
    if (getenv("GEN_SHOW"))
        puts(k->text);
    adze_emit_prototype(&m, k, c);
    adze_text_printf(c, ";\n%s\nvoid call_%d(void **p);\nvoid call_%d(void **p) {\n    %s(",
                     k->text, p->number, p->number, k->name);
    for (int i = 0; i < k->n_params; i++)
        adze_text_printf(c, "%sp[%d]", i ? ", " : "", i);
    adze_text_puts(c, ");\n}\n\n");
    adze_text_free(&text);
}

/* ---- calling and comparing ---- */

static uint64_t seed = 1;

static double uniform(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static void fill(const value *v, adze_tensor *t) {
    char cls = adze_dtype_get(t->dtype)->cls;
    bool real = cls == 'F';
    double low = real ? -2 : cls == 'I' ? -9 : 0, high = real ? 2 : cls == 'B' ? 1 : 9;
    bool list = v->values && !strchr(v->values, ':');
    if (v->values && !list) {
        char *end;
        low = strtod(v->values, &end);
        high = strtod(end + 1, NULL);
    }
    const char *at = v->values;
    for (size_t i = 0; i < adze_tensor_count(t); i++) {
        double x =
            real ? low + (high - low) * uniform() : floor(low + (high - low + 1) * uniform());
        if (list) {
            char *end;
            x = strtod(at, &end);
            at = *end ? end + 1 : v->values;
        }
        adze_tensor_set_f64(t, i, x);
    }
}

static void *guarded(const void *bytes, size_t n, int byte) {
    char *p = malloc(n + GUARD);
    assert_non_null(p);
    memset(p, byte, n + GUARD);
    if (bytes)
        memcpy(p, bytes, n);
    return p;
}

static bool guard_holds(const void *p, size_t n, int byte) {
    for (size_t i = n; i < n + GUARD; i++)
        if (((const unsigned char *)p)[i] != byte)
            return false;
    return true;
}

/* True when every result agrees. */
static bool run_case(const prepared *p, void (*call)(void **)) {
    adze_arena *arena = adze_arena_new();
    adze_tensor in[MAX_VALUES], want[MAX_VALUES];
    const adze_tensor *operands[MAX_VALUES];
    void *args[MAX_VALUES], *got[MAX_VALUES] = {0};
    int n_args = 0;
    bool ok = true;
    for (int i = 0; i < p->n_in; i++) {
        operands[i] = NULL;
        if (p->in[i].absent)
            continue;
        adze_shape s;
        assert_true(adze_value_shape(p->ctx, mlirOperationGetOperand(p->op, i), &s));
        assert_true(adze_tensor_new(arena, s.dtype, s.rank, s.dims, &in[i]));
        fill(&p->in[i], &in[i]);
        operands[i] = &in[i];
        args[n_args++] = guarded(in[i].data, adze_tensor_host_bytes(&in[i]), 0x5a);
        if (p->in[i].computed) {
            const adze_tensor *given[2] = {&in[i], NULL};
            adze_tensor computed;
            if (!adze_ref_eval(p->ctx, p->reference,
                               adze_defining(mlirOperationGetOperand(p->op, i)), given, &computed,
                               arena))
                die(p, "the reference refuses its operand");
            in[i] = computed;
        }
    }
    if (!adze_ref_eval(p->ctx, p->reference, p->op, operands, want, arena))
        die(p, "the reference refuses it");
    for (int i = 0; i < p->n_out; i++)
        if (!p->out[i].absent && !p->out[i].unused)
            args[n_args++] = got[i] = guarded(NULL, adze_tensor_host_bytes(&want[i]), 0xfa);
    call(args);
    for (int i = 0; i < p->n_out; i++) {
        if (!got[i])
            continue;
        adze_tensor t = want[i];
        t.data = got[i];
        adze_ref_error e;
        double limit = p->c->tolerance > 0 ? p->c->tolerance : 2e-5;
        bool same = adze_ref_compare(&t, &want[i], &e);
        if (same && (adze_dtype_get(t.dtype)->cls != 'F' || e.max_rel <= limit) &&
            guard_holds(got[i], adze_tensor_host_bytes(&want[i]), 0xfa))
            continue;
        ok = false;
        print_error(
            "case #%d: %s (%s | %s | %s): result %d: %zu of %zu differ; at %zu got %g, want %g; "
            "relative error %g, limit %g%s\n",
            p->number, p->c->op, p->c->in, p->c->out, p->c->attrs, i, e.mismatches, e.count,
            e.worst, e.got, e.want, e.max_rel, limit,
            guard_holds(got[i], adze_tensor_host_bytes(&want[i]), 0xfa) ? "" : "; wrote beyond it");
    }
    for (int i = 0; i < n_args; i++)
        free(args[i]);
    adze_arena_free(arena);
    return ok;
}

/* ---- all of them ---- */

static void *compile(const char *source, const char *folder) {
    char path[256], command[1024];
    snprintf(path, sizeof path, "%s/kernels.c", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(source, f);
    fclose(f);
    const char *cc = getenv("CC");
    snprintf(
        command, sizeof command,
        "%s %s -O1 -g -shared -fPIC -Wall -Wextra -Wconversion -Wpedantic "
        "-Werror -fsanitize=undefined -fsanitize-undefined-trap-on-error -I%s/runtime %s -o "
        "%s/kernels.so -lm",
        cc && *cc ? cc : "cc", target ? target->cflags : "-std=c11 -ffp-contract=off", ADZE_SOURCE_DIR, path,
        folder);
    if (system(command))
        fail_msg("the C does not compile: %s", command);
    snprintf(path, sizeof path, "%s/kernels.so", folder);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fail_msg("%s", dlerror());
    return library;
}

static void test_kernels(void) {
    static prepared all[ADZE_COUNT(cases)];
    adze_text body = {0}, source = {0};
    const char *runtime[32];
    int n_runtime = 0, bad = 0, run = 0;
    /* MLIR contexts are slow to make; cases share one */
    adze_context *ctx = adze_context_new();
    assert_non_null(ctx);
    for (int i = 0; i < N_CASES; i++) {
        all[i] = (prepared){.c = &cases[i], .number = i, .ctx = ctx};
        if (chosen(i))
            emit_case(&all[i], &body, runtime, &n_runtime);
    }
    adze_text_puts(
        &source,
        "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <math.h>\n");
    for (int i = 0; i < n_runtime; i++)
        adze_text_printf(&source, runtime[i][0] == '<' ? "#include %s\n" : "#include \"%s\"\n",
                         runtime[i]);
    adze_text_append(&source, body.data ? body.data : "", body.length);
    char folder[] = "/tmp/adze-gen-XXXXXX";
    assert_non_null(mkdtemp(folder));
    void *library = compile(source.data, folder);
    for (int i = 0; i < N_CASES; i++) {
        if (!chosen(i))
            continue;
        char name[32];
        snprintf(name, sizeof name, "call_%d", i);
        void (*call)(void **);
        *(void **)&call = dlsym(library, name);
        assert_non_null(call);
        for (int round = 0; round < ROUNDS; round++)
            if (!run_case(&all[i], call)) {
                bad++;
                break;
            }
        run++;
    }
    dlclose(library);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command))
        bad++;
    adze_text_free(&body);
    adze_text_free(&source);
    adze_context_free(ctx);
    print_message("%d kernels, %d wrong\n", run, bad);
    assert_int_equal(bad, 0);
}

static void test_portable(void **state) {
    (void)state;
    target = NULL;
    test_kernels();
}

/* With the vectors of a target that this machine is. */
static void test_vectors(void **state) {
    char err[ADZE_TARGET_ERR];
    adze_target *here = adze_target_load(ADZE_SOURCE_DIR "/targets", "native", err);
    adze_target *t = adze_target_load(ADZE_SOURCE_DIR "/targets", *state, err);
    if (!here || !t)
        fail_msg("%s", err);
    bool can = !strcmp(here->arch, t->arch);
    for (size_t i = 0; can && i < t->feature_count; i++)
        can = adze_target_has_feature(here, t->features[i].name);
    target = t;
    if (can)
        test_kernels();
    target = NULL;
    adze_target_free(t);
    adze_target_free(here);
}

int main(int argc, char **argv) {
    words = argc > 1 ? (const char *const *)argv + 1 : NULL;
    static char v3[] = "x86-64-v3", v4[] = "x86-64-v4";
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_portable),
                                       cmocka_unit_test_prestate(test_vectors, v3),
                                       cmocka_unit_test_prestate(test_vectors, v4)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
