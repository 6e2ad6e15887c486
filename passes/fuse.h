/* Which operations of a block become one kernel. See fuse.c. */
#ifndef ADZE_PASSES_FUSE_H
#define ADZE_PASSES_FUSE_H

#include "ir/ir.h"

/* Bounds of a group: operations in it, and operands of them all that the planner joins. */
enum { ADZE_GROUP_OPS = 64, ADZE_GROUP_OPERANDS = 64 };

/* What an operation is to fusion. */
typedef enum adze_fuse_class {
    ADZE_FUSE_OPAQUE,    /* a kernel of its own: sees whole rows, has several results, ... */
    ADZE_FUSE_VALUE,     /* no computation: constants, weights, reshapes, state */
    ADZE_FUSE_POINTWISE, /* element i needs element i of each operand (or a broadcast one) */
    ADZE_FUSE_MOVE,      /* each element is one element of the operand, none is used twice */
    ADZE_FUSE_SPREAD,    /* each element is one of the operand's, some are used many times */
    ADZE_FUSE_REDUCE,    /* reads each operand element once */
    ADZE_FUSE_HEAVY,     /* reads operand elements many times */
    ADZE_FUSE_GATHERING, /* a root that writes several operands side by side (concat) */
} adze_fuse_class;

typedef struct adze_group {
    MlirOperation *ops; /* in order; the last one is the root */
    int n, capacity;
    int heavy; /* contractions, windows and reductions in it */
} adze_group;

typedef struct adze_grouping {
    adze_group *groups; /* in the order of their roots */
    int n;
    MlirOperation *ops; /* every operation of the block that computes, with its group */
    int *group_of;
    int n_ops;
} adze_grouping;

adze_fuse_class adze_fuse_class_of(adze_context *ctx, MlirOperation op);
void adze_fuse_block(adze_context *ctx, MlirBlock block, adze_grouping *out);
void adze_group_add(adze_arena *arena, adze_group *group, MlirOperation op, bool heavy);
/* The group with this root, or NULL. */
const adze_group *adze_group_rooted(const adze_grouping *g, MlirOperation root);

#endif
