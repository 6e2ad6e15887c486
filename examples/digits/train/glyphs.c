// The digits as strokes, five ways to write each. The language of the paths is in digits.h.
#include "digits.h"

const char *const glyphs[CLASSES][GLYPH_STYLES] = {
    {
        "E 30 50 28 50 0 360",                                           // oval
        "E 30 50 18 50 0 360",                                           // narrow
        "E 30 50 28 50 0 360 M 14 82 L 46 18",                           // slashed
        "M 2 0 L 58 0 L 58 100 L 2 100 L 2 0",                           // seven segments
        "M 34 2 C 5 0 0 40 3 62 C 8 105 42 108 54 70 C 62 35 52 0 26 6", // pen, ends cross
    },
    {
        "M 30 0 L 30 100",                           // bar
        "M 12 22 L 32 0 L 32 100",                   // flag
        "M 12 20 L 32 0 L 32 100 M 10 100 L 54 100", // flag and foot
        "M 38 0 L 24 100",                           // leaning bar
        "M 4 45 C 20 34 32 20 40 0 L 40 100",        // long flag
    },
    {
        "M 2 22 C 8 -8 58 -8 58 27 C 58 50 20 75 0 100 L 60 100", // print
        "M 4 20 C 14 -8 56 -4 54 28 C 52 55 30 80 12 94 C 0 104 -4 84 10 86 "
        "C 26 90 40 106 60 92",                                              // looped foot
        "M 2 0 L 58 0 L 58 50 L 2 50 L 2 100 L 58 100",                      // seven segments
        "M 0 30 C 0 -10 60 -10 60 30 C 60 55 2 62 2 100 L 60 100",           // round
        "M 8 18 C 22 -6 52 0 50 26 C 48 54 20 78 2 98 C 20 86 36 104 60 94", // swan
    },
    {
        "M 4 14 C 16 -6 56 -4 54 24 C 52 44 34 48 22 48 C 40 48 60 54 58 76 "
        "C 54 106 12 106 0 84",                                          // round
        "M 4 0 L 56 0 L 26 40 C 48 40 60 54 58 74 C 54 104 14 106 0 86", // flat top
        "M 2 0 L 58 0 L 58 100 L 2 100 M 10 50 L 58 50",                 // seven segments
        "E 24 25 30 25 -150 90 e 24 75 36 25 -90 150",                   // two arcs
        "M 6 10 C 30 -10 60 8 48 32 C 42 44 24 52 20 46 C 22 38 62 48 58 76 "
        "C 52 108 8 104 0 88", // small loop
    },
    {
        "M 44 100 L 44 0 L 0 70 L 60 70",                                           // closed
        "M 8 0 L 4 55 L 56 55 M 44 10 L 44 100",                                    // open
        "M 14 0 C 6 20 2 40 2 54 C 20 58 40 56 58 50 M 46 16 C 44 50 42 80 40 100", // open, pen
        "M 2 0 L 2 50 L 58 50 M 58 0 L 58 100",   // seven segments
        "M 36 0 L 2 62 L 58 62 M 42 36 L 38 100", // half open
    },
    {
        "M 54 0 L 10 0 L 6 44 C 30 30 60 42 58 70 C 54 106 12 106 0 86",         // print
        "M 12 4 L 8 42 C 34 32 58 46 56 72 C 52 104 14 104 2 88 M 12 2 L 58 -2", // flag apart
        "M 58 0 L 2 0 L 2 50 L 58 50 L 58 100 L 2 100",                          // seven segments
        "M 54 2 C 36 2 20 2 14 6 C 12 20 8 34 8 42 C 30 44 58 48 54 76 "
        "C 50 100 20 102 2 94",                                     // pen
        "M 50 0 L 8 0 L 8 42 L 30 42 C 68 42 68 100 30 100 L 2 98", // type
    },
    {
        "M 48 2 C 16 14 2 44 2 72 C 4 108 58 108 58 70 C 56 38 8 40 2 70",   // print
        "M 38 0 L 7 56 E 30 70 27 30 0 360",                                 // straight back
        "M 58 0 L 2 0 L 2 100 L 58 100 L 58 50 L 2 50",                      // seven segments
        "M 54 12 C 40 -8 4 0 2 60 C 2 110 56 112 58 72 C 58 44 16 40 6 66",  // curled
        "M 34 0 C 12 24 4 54 6 76 C 10 106 48 106 48 80 C 46 58 16 60 8 80", // low loop
    },
    {
        "M 0 0 L 60 0 L 22 100",                                        // plain
        "M 0 0 L 60 0 L 22 100 M 16 50 L 54 50",                        // barred
        "M 2 14 L 2 0 L 60 0 C 40 30 28 60 26 100",                     // hooked
        "M 2 0 L 58 0 L 58 100",                                        // seven segments
        "M 2 10 C 8 -2 30 6 58 0 C 44 30 32 66 28 100 M 18 52 L 52 46", // waved and barred
    },
    {
        "E 30 24 24 24 0 360 E 30 74 30 26 0 360", // two rings
        "M 50 14 C 36 -8 4 0 8 24 C 12 46 56 50 56 76 C 54 108 4 108 4 76 "
        "C 6 50 50 46 52 22 C 52 18 52 16 50 14",              // one stroke
        "M 58 0 L 58 100 L 2 100 L 2 0 L 58 0 M 2 50 L 58 50", // seven segments
        "M 54 8 C 30 -10 2 6 10 28 C 16 46 58 54 54 80 C 46 108 0 104 4 74 "
        "C 10 52 44 40 56 10",                     // open at the top
        "E 30 25 16 25 0 360 E 30 75 20 25 0 360", // narrow
    },
    {
        "M 56 30 C 56 -8 2 -8 2 28 C 2 60 52 62 56 28 L 50 100",              // print
        "E 28 28 26 28 0 360 M 54 0 L 54 100",                                // ring and stem
        "M 58 50 L 2 50 L 2 0 L 58 0 L 58 100 L 2 100",                       // seven segments
        "M 56 30 C 56 -8 2 -8 2 30 C 4 62 54 58 57 30 C 60 70 50 108 4 94",   // curled
        "M 50 10 C 28 -10 0 14 8 38 C 18 58 46 40 52 8 C 52 40 44 80 20 100", // hooked
    },
};
