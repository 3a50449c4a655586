// Copies rows: row i of `out` becomes row order[i] of `source`. The bytes stay the same, for any dtype.
//
// A row is a number of PIECEs. A thread reads up to PIECES of them before it writes the first one, so that
// the memory works on all of them at the same time.
//
// PIECE is a type of 16, 8, 4, 2 or 1 bytes: the largest in which both matrices can be read. ORDER is an
// integer type. The compiler's options define both.

#include "share.cu"

constexpr int PIECES = 4;  // per thread, at a time

extern "C" __global__ void __launch_bounds__(256)
take_rows(const PIECE* __restrict__ source, const ORDER* __restrict__ order, PIECE* __restrict__ out,
          long long rows, long long columns, int width) {
  const Share share(width);
  if (share.row >= rows) return;
  const PIECE* from = source + (long long)order[share.row] * columns;
  PIECE* to = out + share.row * columns;
#pragma unroll 1  // unrolled, it would need a division by the step
  for (long long at = share.column; at < columns; at += PIECES * share.step) {
    PIECE pieces[PIECES];
#pragma unroll
    for (int k = 0; k < PIECES; ++k)
      if (at + k * share.step < columns) pieces[k] = from[at + k * share.step];
#pragma unroll
    for (int k = 0; k < PIECES; ++k)
      if (at + k * share.step < columns) to[at + k * share.step] = pieces[k];
  }
}
