// The share of one thread in a matrix. Neighboring threads take neighboring columns.
//
// 2^width threads of a block take one row together: as many as the row has columns, but at most all 256.
// If a row has more columns, the blocks along y share them. A thread may take several columns, `step` apart.

struct Share {
  long long row, column, step;

  __device__ explicit Share(int width)
      : row((blockIdx.x * 256ll + threadIdx.x) >> width),
        column(((long long)blockIdx.y << width) + (threadIdx.x & ((1 << width) - 1))),
        step((long long)gridDim.y << width) {}
};
