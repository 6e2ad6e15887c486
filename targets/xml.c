/* xml.c — reading and validating XML files, and the one-line errors that this gives.
 *
 * libxml2 is told to be quiet, to stay off the network and to load nothing that a file names.
 */
#include "internal.h"

#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <libxml/xmlerror.h>
#include <stdio.h>
#include <string.h>

bool adze_target_fail(draft *d, const xmlNode *node, const char *format, ...) {
    if (d->err && !d->err[0]) {
        int n = 0;
        if (d->file && node && node->line)
            n = snprintf(d->err, ADZE_TARGET_ERR, "%s:%ld: ", d->file, xmlGetLineNo(node));
        else if (d->file)
            n = snprintf(d->err, ADZE_TARGET_ERR, "%s: ", d->file);
        if (n < 0 || n >= ADZE_TARGET_ERR)
            n = 0;
        va_list args;
        va_start(args, format);
        vsnprintf(d->err + n, (size_t)(ADZE_TARGET_ERR - n), format, args);
        va_end(args);
    }
    return false;
}

/* Keeps the first error: the later ones mostly follow from it. */
static void note_error(void *context, xmlErrorPtr error) {
    draft *d = context;
    if (!d->err || d->err[0] || !error || !error->message)
        return;
    int length = (int)strcspn(error->message, "\n");
    snprintf(d->err, ADZE_TARGET_ERR, "%s:%d: %.*s", d->file, error->line, length, error->message);
}

/* libxml2 also prints to stderr through its generic handler unless told otherwise. */
static void say_nothing(void *context, const char *format, ...) {
    (void)context;
    (void)format;
}

typedef struct {
    xmlGenericErrorFunc function;
    void *context;
} error_handler;

static error_handler be_quiet(void) {
    error_handler old = {xmlGenericError, xmlGenericErrorContext};
    xmlSetGenericErrorFunc(NULL, say_nothing);
    return old;
}

static void speak_again(error_handler old) {
    xmlSetGenericErrorFunc(old.context, old.function);
}

bool adze_target_open_session(draft *d, session *s, const char *dir) {
    *s = (session){0};
    d->session = s;
    error_handler old = be_quiet();
    const char *file = d->file;
    d->file = adze_target_printf(&d->arena, "%s/target.rng", dir);
    xmlRelaxNGParserCtxt *parser = d->file ? xmlRelaxNGNewParserCtxt(d->file) : NULL;
    if (parser) {
        xmlRelaxNGSetParserStructuredErrors(parser, (xmlStructuredErrorFunc)note_error, d);
        s->schema = xmlRelaxNGParse(parser);
        xmlRelaxNGFreeParserCtxt(parser);
    }
    if (!s->schema)
        adze_target_fail(d, NULL, "the schema of targets cannot be read");
    d->file = file;
    speak_again(old);
    return s->schema != NULL;
}

void adze_target_close_session(session *s) {
    for (size_t i = 0; i < s->file_count; i++)
        xmlFreeDoc(s->files[i].doc);
    xmlRelaxNGFree(s->schema);
    adze_target_arena_free(&s->arena);
    *s = (session){0};
}

static bool validate(draft *d, xmlDoc *doc) {
    xmlRelaxNGValidCtxt *valid = xmlRelaxNGNewValidCtxt(d->session->schema);
    bool ok = false;
    if (valid) {
        xmlRelaxNGSetValidStructuredErrors(valid, (xmlStructuredErrorFunc)note_error, d);
        ok = xmlRelaxNGValidateDoc(valid, doc) == 0;
        xmlRelaxNGFreeValidCtxt(valid);
    }
    return ok || adze_target_fail(d, NULL, "not a target as target.rng describes it");
}

xmlDoc *adze_target_parse_xml(draft *d, const char *path) {
    d->file = adze_target_strdup(&d->arena, path);
    xmlParserCtxt *context = xmlNewParserCtxt();
    if (!context) {
        adze_target_fail(d, NULL, "out of memory");
        return NULL;
    }
    error_handler old = be_quiet();
    xmlDoc *doc = xmlCtxtReadFile(context, path, NULL,
                                  XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    speak_again(old);
    if (!doc)
        note_error(d, xmlCtxtGetLastError(context));
    xmlFreeParserCtxt(context);
    if (!doc)
        adze_target_fail(d, NULL, "cannot be read as XML");
    return doc;
}

const xmlDoc *adze_target_read_xml(draft *d, const char *path) {
    session *s = d->session;
    for (size_t i = 0; i < s->file_count; i++)
        if (!strcmp(s->files[i].path, path))
            return s->files[i].doc;
    xmlDoc *doc = adze_target_parse_xml(d, path);
    if (!doc)
        return NULL;

    error_handler old = be_quiet();
    bool ok = validate(d, doc);
    speak_again(old);

    char *key = adze_target_strdup(&s->arena, path);
    void *files = adze_target_grow(&s->arena, s->files, s->file_count, sizeof *s->files);
    if (ok && (!key || !files))
        ok = adze_target_fail(d, NULL, "out of memory");
    if (!ok) {
        xmlFreeDoc(doc);
        return NULL;
    }
    s->files = files;
    s->files[s->file_count].path = key;
    s->files[s->file_count++].doc = doc;
    return doc;
}
