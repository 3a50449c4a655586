// The whole training step of Linear, ReLU, Linear, softmax loss and SGD, in two kernels.
//
//   forward_backward   all that belongs to one row of the batch: the hidden layer, the logits, the
//                      loss, and the gradients at the logits and at the hidden layer
//   update             all that belongs to one weight: the sum over the rows of the batch, and SGD
//
// Between them lies the one exchange that the mathematics asks for: a weight's gradient needs all rows,
// and a row needs all weights. The end of a kernel is that barrier. There are no atomics, and every sum
// has a fixed order: the same input gives the same bits.
//
// INPUTS, HIDDEN, CLASSES (at most 32), CLUSTER and LABEL (the labels' integer type) are given by the
// compiler's options. CLUSTER is 8, or 1 where the GPU has no thread block clusters (before 9.0). So are
// SHARED, SCRATCH and UPDATE_BLOCKS, what the launch reckons with; they are only compared.
//
// This file holds what both have in common.

constexpr unsigned ALL = 0xffffffffu;
constexpr int THREADS = 256, WARPS = THREADS / 32;

__host__ __device__ constexpr int round_up(int n, int to) { return (n + to - 1) / to * to; }

// `update` takes UNIT_TILE units at a time: rows of scratch are padded to whole tiles.
constexpr int UNIT_TILE = 20, INPUT_TILE = 32;
constexpr int HIDDEN_PITCH = round_up(HIDDEN, UNIT_TILE), CLASS_PITCH = round_up(CLASSES, UNIT_TILE);
static_assert(HIDDEN_PITCH + CLASS_PITCH + HIDDEN_PITCH == SCRATCH, "scratch of another width");
