/* adze targets [NAME]: the list, or one target in words, JSON or XML. */
#include "driver/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *joined(adze_arena *arena, const char *const *words, size_t n) {
    adze_text text = {0};
    for (size_t i = 0; i < n; i++)
        adze_text_printf(&text, "%s%s", i ? " " : "", words[i]);
    const char *out = adze_arena_strdup(arena, text.data ? text.data : "");
    adze_text_free(&text);
    return out;
}

static const char *roles_text(adze_arena *arena, unsigned roles) {
    adze_text text = {0};
    for (unsigned bit = 1; bit <= ADZE_ROLE_STACK; bit <<= 1)
        if (roles & bit)
            adze_text_printf(&text, "%s%s", text.length ? " " : "", adze_target_role_name(bit));
    const char *out = adze_arena_strdup(arena, text.data ? text.data : "");
    adze_text_free(&text);
    return out;
}

/* How much of the instruction table stands for one abstract name. */
static void print_instructions(const adze_target *t) {
    for (size_t i = 0; i < t->instruction_count; i++) {
        const char *name = t->instructions[i].name;
        bool first = true;
        for (size_t k = 0; k < i && first; k++)
            first = strcmp(t->instructions[k].name, name) != 0;
        if (!first)
            continue;
        printf("  %-22s", name);
        for (size_t k = i; k < t->instruction_count; k++)
            if (!strcmp(t->instructions[k].name, name))
                printf(" %s", t->instructions[k].type.spelling);
        putchar('\n');
    }
}

static void print_target(adze_arena *arena, const adze_target *t) {
    printf("%s — %s\n\n", t->name, t->description);
    printf("processor    %s, %u-bit%s%s", t->arch, t->pointer_bits,
           t->endian == ADZE_ENDIAN_BIG ? ", big-endian" : "",
           t->fpu == ADZE_FPU_NONE     ? ", no float unit"
           : t->fpu == ADZE_FPU_SINGLE ? ", single-precision float unit"
                                       : "");
    if (t->vectors.count)
        printf(", %u vector registers of %u%s bits", t->vectors.count, t->vectors.bits,
               t->vectors.scalable ? " or more" : "");
    printf("\nsystem       %s\n", t->bare ? "none (bare metal)" : "hosted");
    for (size_t i = 0; i < t->compiler_count; i++)
        printf("%s %s %s\n", i ? "     or     " : "compiler    ", t->compilers[i].cc,
               t->compilers[i].cflags);
    printf("run          %s\n", t->run.argc     ? joined(arena, t->run.argv, t->run.argc)
                                : t->run.reason ? t->run.reason
                                                : "not possible");
    for (size_t i = 0; i < t->run.variant_count; i++)
        printf("  %-10s %s\n", t->run.variants[i].name,
               joined(arena, t->run.variants[i].argv, t->run.variants[i].argc));
    if (t->package_count)
        printf("packages     %s\n", joined(arena, t->packages, t->package_count));
    if (t->region_count)
        printf("memory\n");
    for (size_t i = 0; i < t->region_count; i++)
        printf("  %-10s 0x%08llx %10s  %-6s %s\n", t->regions[i].name,
               (unsigned long long)t->regions[i].base, adze_show_bytes(arena, t->regions[i].bytes),
               adze_target_region_kind_name(t->regions[i].kind),
               roles_text(arena, t->regions[i].roles));
    if (t->bare)
        printf("stack        %s by default\n", adze_show_bytes(arena, t->stack_bytes));
    if (t->cache_count)
        printf("caches      ");
    for (size_t i = 0; i < t->cache_count; i++)
        printf(" L%u%c %s", t->caches[i].level, t->caches[i].kind == 'u' ? ' ' : t->caches[i].kind,
               adze_show_bytes(arena, t->caches[i].bytes));
    if (t->cache_count)
        putchar('\n');
    if (t->feature_count)
        printf("features    ");
    for (size_t i = 0; i < t->feature_count; i++)
        printf(" %s", t->features[i].name);
    if (t->feature_count)
        putchar('\n');
    if (t->instruction_count)
        printf("instructions\n");
    print_instructions(t);
}

static cJSON *target_json(const adze_target *t) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", t->name);
    cJSON_AddStringToObject(o, "description", t->description);
    cJSON_AddStringToObject(o, "arch", t->arch);
    cJSON_AddStringToObject(o, "triple", t->triple);
    cJSON_AddBoolToObject(o, "bare", t->bare);
    cJSON_AddStringToObject(o, "compiler", t->compiler);
    cJSON_AddStringToObject(o, "cflags", t->cflags);
    cJSON_AddStringToObject(o, "run", adze_target_run_kind_name(t->run.kind));
    cJSON *regions = cJSON_AddArrayToObject(o, "regions");
    for (size_t i = 0; i < t->region_count; i++) {
        cJSON *r = cJSON_CreateObject();
        cJSON_AddStringToObject(r, "name", t->regions[i].name);
        cJSON_AddStringToObject(r, "kind", adze_target_region_kind_name(t->regions[i].kind));
        cJSON_AddNumberToObject(r, "base", (double)t->regions[i].base);
        cJSON_AddNumberToObject(r, "bytes", (double)t->regions[i].bytes);
        cJSON_AddItemToArray(regions, r);
    }
    return o;
}

static int list_targets(adze_compilation *c, adze_console *console, const char *dir) {
    char err[ADZE_TARGET_ERR] = "", **names = NULL;
    size_t count = 0;
    if (!adze_target_list(dir, &names, &count, err)) {
        adze_error(&c->ctx->diags, NULL, "%s", err);
        return adze_console_fail(console, &c->ctx->diags);
    }
    cJSON *object = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(object, "targets");
    int code = ADZE_EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        adze_target *t = adze_target_load(dir, names[i], err);
        if (!t) {
            adze_error(&c->ctx->diags, NULL, "%s", err);
            code = ADZE_EXIT_FAULT;
            continue;
        }
        bool alias = strcmp(names[i], t->name) != 0;
        printf("%-20s %s%s%s%s\n", names[i], t->description, alias ? " (here: " : "",
               alias ? t->name : "", alias ? ")" : "");
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", names[i]);
        cJSON_AddStringToObject(item, "description", t->description);
        cJSON_AddItemToArray(list, item);
        adze_target_free(t);
    }
    free(names);
    if (code) {
        cJSON_Delete(object);
        return adze_console_fail(console, &c->ctx->diags);
    }
    adze_console_json(console, object);
    return code;
}

int adze_cmd_targets(const adze_args *args, adze_console *console) {
    adze_compilation *c = adze_command_begin(console);
    if (!c)
        return ADZE_EXIT_FAULT;
    int code = ADZE_EXIT_OK;
    adze_request request = {.target = args->n_positionals ? args->positionals[0] : NULL,
                            .pack = adze_args_get(args, ADZE_OPT_pack),
                            .device = adze_args_get(args, ADZE_OPT_device)};
    if (!request.target && !request.pack && !request.device) {
        code =
            adze_args_has(args, ADZE_OPT_xml)
                ? adze_console_usage(console, ADZE_CMD_targets, "--xml needs a target's NAME")
                : list_targets(c, console,
                               adze_arena_printf(c->ctx->arena, "%s/targets", adze_home(c->ctx)));
    } else if (!adze_job_load_target(c, &request, NULL)) {
        code = adze_console_fail(console, &c->ctx->diags);
    } else if (adze_args_has(args, ADZE_OPT_xml)) {
        char *xml = adze_target_to_xml(c->target);
        fputs(xml ? xml : "", stdout);
        free(xml);
    } else {
        if (!console->json)
            print_target(args->arena, c->target);
        adze_console_json(console, target_json(c->target));
    }
    adze_compilation_free(c);
    return code;
}
