// The whole training step of Linear, ReLU, Linear, softmax loss and SGD, in two kernels.
//
//   forward_backward   everything that belongs to one row of the batch: the hidden layer, the logits,
//                      the loss, and the gradients at the logits and at the hidden layer
//   update             everything that belongs to one weight: the sum over the rows of the batch, and SGD
//
// Between the two, all results must be exchanged: a weight's gradient needs all rows, and a row needs all
// weights. The end of a kernel is this barrier. There are no atomics, and every sum has a fixed order. So
// the same input gives the same bits.
//
// The compiler's options define INPUTS, HIDDEN, CLASSES (at most 32), CLUSTER and LABEL (the labels' integer
// type). CLUSTER is 8, or 1 if the GPU has no thread block clusters (before 9.0). The options also define
// SHARED, SCRATCH and UPDATE_BLOCKS. These are the sizes that the launch uses. The kernels compute them
// again, and only compare.
//
// This file holds what both kernels have in common.

constexpr unsigned ALL = 0xffffffffu;
constexpr int THREADS = 256, WARPS = THREADS / 32;

__host__ __device__ constexpr int round_up(int n, int to) { return (n + to - 1) / to * to; }

// `update` takes UNIT_TILE units at a time, so the rows of scratch are padded to whole tiles.
constexpr int UNIT_TILE = 20, INPUT_TILE = 32;
constexpr int HIDDEN_PITCH = round_up(HIDDEN, UNIT_TILE), CLASS_PITCH = round_up(CLASSES, UNIT_TILE);
static_assert(HIDDEN_PITCH + CLASS_PITCH + HIDDEN_PITCH == SCRATCH, "scratch of another width");
