/* A wake-word detector made of three trees in one program: sound -> mel spectrum -> embedding -> word.
 *
 *   wakeword FILE.wav     prints the highest score over the recording, as openWakeWord computes it:
 *                         mel / 10 + 2, an embedding of 76 frames every 8, a score of 16 embeddings
 */
#include "emb.h"
#include "mel.h"
#include "word.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One second of silence before and after the word; the melspectrogram is built for SAMPLES. */
enum { SAMPLES = 42000, LEAD = 16000, BINS = 32, FRAMES = 260, WINDOW = 76, STEP = 8, FEATURES = 96, LOOK = 16 };
enum { EMBEDDINGS = (FRAMES - WINDOW) / STEP + 1 };

static float sound[SAMPLES], spectrum[FRAMES * BINS], features[EMBEDDINGS][FEATURES];
static _Alignas(MEL_ALIGN) unsigned char mel_scratch[MEL_SCRATCH_BYTES + 1];
static _Alignas(EMB_ALIGN) unsigned char emb_scratch[EMB_SCRATCH_BYTES + 1];
static _Alignas(WORD_ALIGN) unsigned char word_scratch[WORD_SCRATCH_BYTES + 1];

/* 16-bit mono PCM behind a 44-byte header. */
static int read_wav(const char *path) {
    static unsigned char bytes[44 + 2 * SAMPLES];
    FILE *f = fopen(path, "rb");
    const size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    if (f)
        fclose(f);
    if (n < 46 || memcmp(bytes, "RIFF", 4) != 0)
        return 1;
    for (size_t i = 0; 44 + 2 * i + 1 < n && LEAD + i < SAMPLES; i++)
        sound[LEAD + i] = (float)(int16_t)(bytes[44 + 2 * i] | bytes[45 + 2 * i] << 8);
    return 0;
}

int main(int argc, char **argv) {
    mel_t mel;
    emb_t emb;
    word_t word;
    if (argc != 2 || read_wav(argv[1])) {
        fputs("usage: wakeword FILE.wav (16-bit mono, 16 kHz)\n", stderr);
        return 2;
    }
    if (mel_init(&mel, &(mel_mem){.scratch = {mel_scratch, sizeof mel_scratch}}) ||
        emb_init(&emb, &(emb_mem){.scratch = {emb_scratch, sizeof emb_scratch}}) ||
        word_init(&word, &(word_mem){.scratch = {word_scratch, sizeof word_scratch}}))
        return 1;
    mel_run_in mel_in = {.input.data = sound};
    mel_run_out mel_out = {.output.data = spectrum};
    if (mel_run(&mel, &mel_in, &mel_out) || mel_out.output.extents[2] != FRAMES)
        return 1;
    for (int i = 0; i < FRAMES * BINS; i++)
        spectrum[i] = spectrum[i] / 10 + 2;
    for (int i = 0; i < EMBEDDINGS; i++) {
        emb_run_in emb_in = {.input_1.data = &spectrum[i * STEP * BINS]};
        emb_run_out emb_out = {.conv2d_19.data = features[i]};
        if (emb_run(&emb, &emb_in, &emb_out))
            return 1;
    }
    float best = 0;
    for (int i = 0; i + LOOK <= EMBEDDINGS; i++) {
        float score;
        word_run_in word_in = {.INPUT.data = features[i]};
        word_run_out word_out = {.OUTPUT.data = &score};
        if (word_run(&word, &word_in, &word_out))
            return 1;
        best = score > best ? score : best;
    }
    printf("%.4f\n", best);
    return 0;
}
