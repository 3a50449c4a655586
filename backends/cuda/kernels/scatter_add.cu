// target[index[p]] += values[p] for p = 0, 1, 2, …: rows of a matrix, and an index may be repeated.
//
// Atomic additions would come in another order at each launch, and give other bits. Here the order is
// always that of p. Each p becomes one word: its row of the target, and p itself in the lower bits. The
// sorted words of one row are neighbors, in the order of p, and one thread per column adds them up.
//
// The sort is a merge sort: `sort_tiles` sorts TILE words in shared memory, then each `merge_runs` makes
// sorted runs of twice the length. A word's place in the merged run is its place in its own run plus the
// number of smaller words in the other run, found by bisection. No two words are equal, so no two of them
// get the same place. The number of launches depends only on the sizes, so this can be captured.
//
// NUMBER is the type of the values, and INDEX that of the indices. The compiler's options define both.

#include "share.cu"

using Word = unsigned long long;
constexpr int TILE = 1024, AHEAD = 8;

__device__ inline long long smaller(const Word* run, long long length, Word word) {
  long long low = 0, high = length;
  while (low < high) {
    const long long middle = (low + high) / 2;
    if (run[middle] < word) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Returns the new place of the word at `at` when pairs of runs of `length` words are merged. `length` is a
// power of 2.
__device__ inline long long merged_place(const Word* words, long long count, long long length,
                                         long long at) {
  const long long own = at & -length, other = own ^ length, left = count - other;
  const long long others = left < 0 ? 0 : left < length ? left : length;
  return (own & other) + (at - own) + smaller(words + other, others, words[at]);
}

// Returns the row that an index names: modulo the number of rows, as in CuPy's indexing. -1 is the last row.
__device__ inline Word row_of(INDEX index, long long rows) {
  const long long row = (long long)index % rows;
  return row < 0 ? row + rows : row;
}

extern "C" __global__ void __launch_bounds__(TILE)
sort_tiles(const INDEX* index, long long count, long long rows, int shift, Word* words) {
  __shared__ Word tiles[2][TILE];
  const long long first = blockIdx.x * (long long)TILE, at = first + threadIdx.x;
  const int many = count - first < TILE ? int(count - first) : TILE, mine = threadIdx.x;
  if (mine < many) tiles[0][mine] = row_of(index[at], rows) << shift | at;
  __syncthreads();
  int now = 0;
  for (int length = 1; length < many; length *= 2) {
    if (mine < many)
      tiles[1 - now][merged_place(tiles[now], many, length, mine)] = tiles[now][mine];
    now = 1 - now;
    __syncthreads();
  }
  if (mine < many) words[at] = tiles[now][mine];
}

extern "C" __global__ void __launch_bounds__(256)
merge_runs(const Word* words, long long count, long long length, Word* merged) {
  const long long at = blockIdx.x * 256ll + threadIdx.x;
  if (at < count) merged[merged_place(words, count, length, at)] = words[at];
}

// The threads at the first word of a row add up that row. Those at its other words have nothing to do.
// Several values are loaded at the same time, but they are added one after the other.
extern "C" __global__ void __launch_bounds__(256)
add_sorted(const Word* words, long long count, int shift, const NUMBER* values, long long columns,
           int width, NUMBER* target) {
  const Share share(width);
  if (share.row >= count) return;
  const Word row = words[share.row] >> shift, positions = (Word(1) << shift) - 1;
  if (share.row > 0 && words[share.row - 1] >> shift == row) return;
  for (long long column = share.column; column < columns; column += share.step) {
    NUMBER sum = target[row * columns + column];
    bool more = true;
    for (long long at = share.row; more; at += AHEAD) {
      NUMBER ahead[AHEAD] = {};
      bool same[AHEAD];
#pragma unroll
      for (int k = 0; k < AHEAD; ++k) {
        const Word word = at + k < count ? words[at + k] : ~(row << shift);
        same[k] = word >> shift == row;
        if (same[k]) ahead[k] = values[(word & positions) * columns + column];
      }
#pragma unroll
      for (int k = 0; k < AHEAD; ++k)
        if (same[k]) sum += ahead[k];
      more = same[AHEAD - 1];
    }
    target[row * columns + column] = sum;
  }
}
