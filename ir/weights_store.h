/* Inside of weights.c, for the context to make and free. */
#ifndef ADZE_IR_WEIGHTS_STORE_H
#define ADZE_IR_WEIGHTS_STORE_H

struct adze_blobs *adze_blobs_new(void);
void adze_blobs_free(struct adze_blobs *blobs);

#endif
