// Every matrix product of the network: C = act(A · B + bias), for matrices with any strides.
//
// One kernel serves the three products of a linear layer, because a transpose is only a stride:
//   forward             y  = x · Wᵀ + b      (act is ReLU if the layer has one)
//   gradient at x       dx = dy · W          (dy is masked by y > 0 if the layer has a ReLU)
//   gradients at W, b   dW = dyᵀ · x, and db, the sums of the rows of dyᵀ
// The sums need no code of their own. The bias is the weight of an input that is always 1. So B gets one
// more column, which holds ones, and that column of C is db.
//
// The tile. A block computes ROWS × COLUMNS elements of C. It walks along the depth (the inner size) in
// pieces of DEPTH. All threads copy a piece of A and one of B into shared memory, wait, multiply, and wait
// again. A thread owns TR × TC elements of the tile in registers, spread evenly over the tile. So neighbors
// in a warp read neighboring columns of B, and write neighboring elements of C.
//
// SLICES. The recipe's matrices are small: 256 × 100 has too few tiles to fill a GPU, and each tile has 784
// steps along the depth. So the block is divided into SLICES groups of threads. Each group takes every
// SLICES-th piece of the depth into its own shared memory. At the end the groups exchange their sums
// through shared memory, and each element is added up over the groups in a fixed order. There are no
// atomics, so the same input gives the same bits.
//
// REAL is float or double. The compiler's options define it.

// A or B. Of element (i, k), i is along the rows or columns of C, and k is along the depth.
struct Matrix {
  const REAL* data;
  const REAL* mask;           // null, or of the same strides: an element counts only if mask > 0
  long long stride, depth_stride;
  int size, depth;
  bool ones;               // whether element (size, k) is 1; all others outside are 0
};

template <int ACROSS, int DEPTH, int THREADS>
__device__ void stage(REAL* tile, int pitch, const Matrix& matrix, int first, int at, int thread) {
  for (int place = thread; place < ACROSS * DEPTH; place += THREADS) {
    // Neighboring threads take neighboring addresses, for both memory orders of the matrix.
    const bool along_depth = matrix.depth_stride == 1;
    const int k = along_depth ? place % DEPTH : place / ACROSS;
    const int j = along_depth ? place / DEPTH : place % ACROSS;
    REAL value = 0;
    if (at + k < matrix.depth) {
      if (first + j < matrix.size) {
        const long long offset = (first + j) * matrix.stride + (at + k) * matrix.depth_stride;
        value = matrix.data[offset];
        if (matrix.mask && !(matrix.mask[offset] > 0)) value = 0;  // also where it is infinite
      } else if (matrix.ones && first + j == matrix.size) {
        value = 1;
      }
    }
    tile[k * pitch + j] = value;
  }
}

struct Result {
  REAL* data;                 // (rows, columns), contiguous
  REAL* row_sums;             // null, or receives the products with the column of ones
  const REAL* bias;           // null, or (columns,)
  int rows, columns;
  bool relu;

  __device__ void put(int row, int column, REAL value) const {
    if (row >= rows) return;
    if (column < columns) {
      if (bias) value += bias[column];
      data[(long long)row * columns + column] = relu && value < 0 ? REAL(0) : value;  // NaN stays NaN
    } else if (row_sums && column == columns) {
      row_sums[row] = value;
    }
  }
};

// The arguments of a launch. In a stack of matrices, blockIdx.z is the number of the matrix.
struct Product {
  const REAL *a, *mask, *b, *bias;
  REAL *c, *row_sums;
  long long a_row, a_depth, b_depth, b_column;  // strides, in elements
  long long a_matrix, b_matrix;                 // from one matrix of a stack to the next
  int rows, columns, depth, relu;

  __device__ Matrix left(long long z) const {
    return {a + z * a_matrix, mask, a_row, a_depth, rows, depth, false};
  }
  __device__ Matrix right(long long z) const {
    return {b + z * b_matrix, nullptr, b_column, b_depth, columns, depth, row_sums != nullptr};
  }
  __device__ Result result(long long z) const {
    return {c + z * rows * columns, row_sums, bias, rows, columns, relu != 0};
  }
};

template <int ROWS, int COLUMNS, int DEPTH, int TR, int TC, int SLICES>
__device__ void product(const Matrix& a, const Matrix& b, const Result& c) {
  constexpr int ACROSS = COLUMNS / TC, DOWN = ROWS / TR, GROUP = ACROSS * DOWN;
  constexpr int A_PITCH = ROWS + 1, B_PITCH = COLUMNS + 1;
  constexpr int STAGED = DEPTH * (A_PITCH + B_PITCH);
  constexpr int EXCHANGED = SLICES == 1 ? 0 : ROWS * COLUMNS;
  __shared__ REAL memory[SLICES * (STAGED > EXCHANGED ? STAGED : EXCHANGED)];

  const int slice = threadIdx.x / GROUP, thread = threadIdx.x % GROUP;
  const int row = thread / ACROSS, column = thread % ACROSS;
  const int first_row = blockIdx.x * ROWS, first_column = blockIdx.y * COLUMNS;
  REAL* a_tile = memory + slice * STAGED;
  REAL* b_tile = a_tile + DEPTH * A_PITCH;

  REAL sums[TR][TC] = {};
  for (int piece = 0; piece < a.depth; piece += SLICES * DEPTH) {
    const int at = piece + slice * DEPTH;
    stage<ROWS, DEPTH, GROUP>(a_tile, A_PITCH, a, first_row, at, thread);
    stage<COLUMNS, DEPTH, GROUP>(b_tile, B_PITCH, b, first_column, at, thread);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < DEPTH; ++k) {
      REAL left[TR], right[TC];
#pragma unroll
      for (int i = 0; i < TR; ++i) left[i] = a_tile[k * A_PITCH + row + i * DOWN];
#pragma unroll
      for (int j = 0; j < TC; ++j) right[j] = b_tile[k * B_PITCH + column + j * ACROSS];
#pragma unroll
      for (int i = 0; i < TR; ++i)
#pragma unroll
        for (int j = 0; j < TC; ++j) sums[i][j] += left[i] * right[j];
    }
    __syncthreads();
  }

  if constexpr (SLICES == 1) {
#pragma unroll
    for (int i = 0; i < TR; ++i)
#pragma unroll
      for (int j = 0; j < TC; ++j)
        c.put(first_row + row + i * DOWN, first_column + column + j * ACROSS, sums[i][j]);
  } else {  // the groups store their sums next to each other; all threads add them up in order
#pragma unroll
    for (int i = 0; i < TR; ++i)
#pragma unroll
      for (int j = 0; j < TC; ++j)
        memory[slice * EXCHANGED + (row + i * DOWN) * COLUMNS + column + j * ACROSS] = sums[i][j];
    __syncthreads();
    for (int place = threadIdx.x; place < EXCHANGED; place += SLICES * GROUP) {
      REAL sum = 0;
#pragma unroll
      for (int s = 0; s < SLICES; ++s) sum += memory[s * EXCHANGED + place];
      c.put(first_row + place / COLUMNS, first_column + place % COLUMNS, sum);
    }
  }
}

// For few tiles: 32 × 32, 4 × 4 elements per thread, four groups of 64 threads.
extern "C" __global__ void __launch_bounds__(256) product_small(const Product p) {
  product<32, 32, 16, 4, 4, 4>(p.left(blockIdx.z), p.right(blockIdx.z), p.result(blockIdx.z));
}

// For many tiles: 128 × 128, 8 × 8 elements per thread, one group of 256 threads.
extern "C" __global__ void __launch_bounds__(256) product_large(const Product p) {
  product<128, 128, 8, 8, 8, 1>(p.left(blockIdx.z), p.right(blockIdx.z), p.result(blockIdx.z));
}
