// The mean cross-entropy of softmax(logits) against labels, and its gradient at the logits.
//
// A warp owns a row. Its lanes divide the classes between them, and exchange the row's maximum and sum by
// shuffles. So there can be any number of classes. Then one block adds up the losses of the rows in double
// precision. The order of every sum is fixed, so the same input gives the same bits.
//
// REAL is float or double, and LABEL is the integer type of the labels. The compiler's options define both.

#include "exponential.cu"

constexpr unsigned ALL = 0xffffffffu;
constexpr int WARPS = 8;

extern "C" __global__ void __launch_bounds__(32 * WARPS, 1)
cross_entropy_rows(const REAL* logits, const LABEL* labels, int rows, int classes, REAL* gradient,
                   REAL* row_losses) {
  const int row = blockIdx.x * WARPS + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;  // the whole warp leaves, so no shuffle waits for it
  const REAL* x = logits + (long long)row * classes;
  REAL* g = gradient + (long long)row * classes;

  REAL highest = x[0];
  for (int c = lane; c < classes; c += 32) highest = x[c] > highest ? x[c] : highest;
  for (int other = 16; other; other /= 2) {
    const REAL theirs = __shfl_xor_sync(ALL, highest, other);
    highest = theirs > highest ? theirs : highest;
  }
  const long long label = (long long)labels[row];
  const bool known = label >= 0 && label < classes;
  REAL others = 0;  // the sum over the classes except the label's: more exact than 1 - p
  for (int c = lane; c < classes; c += 32) {
    const REAL e = exponential(x[c], highest);
    g[c] = e;
    if (c != label) others += e;
  }
  for (int other = 16; other; other /= 2) others += __shfl_xor_sync(ALL, others, other);

  const REAL at_label = known ? exponential(x[label], highest) : REAL(0);
  const REAL less_one = others + (at_label - 1);  // the sum of all, minus 1
  for (int c = lane; c < classes; c += 32) g[c] = (c == label ? -others : g[c]) / (less_one + 1) / rows;
  if (lane == 0) row_losses[row] = known ? log1p(less_one) - (x[label] - highest) : REAL(nan(""));
}

// One block of 256 threads.
extern "C" __global__ void __launch_bounds__(256)
mean(const REAL* values, int count, REAL* result) {
  __shared__ double sums[256];
  const int t = threadIdx.x;
  double sum = 0;
  for (int i = t; i < count; i += 256) sum += values[i];
  sums[t] = sum;
  __syncthreads();
  for (int half = 128; half; half /= 2) {
    if (t < half) sums[t] += sums[t + half];
    __syncthreads();
  }
  if (t == 0) *result = REAL(sums[0] / count);
}
