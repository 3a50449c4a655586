// The share of one thread in a matrix, so that neighboring threads take neighboring columns.
//
// 2^width threads of a block take one row together: as many as the row has columns, and at most all 256.
// Where a row has more columns, the blocks along y share them, and a thread may take several, `step` apart.

struct Share {
  long long row, column, step;

  __device__ explicit Share(int width)
      : row((blockIdx.x * 256ll + threadIdx.x) >> width),
        column(((long long)blockIdx.y << width) + (threadIdx.x & ((1 << width) - 1))),
        step((long long)gridDim.y << width) {}
};
