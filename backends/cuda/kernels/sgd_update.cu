// parameter -= rate · gradient, for many parameters in one launch.
//
// The launch carries the table of addresses by value. So the arrays stay where they are, and nothing is
// copied into a common buffer. blockIdx.y is the number of the parameter. The blocks along x divide its
// elements between them. The rate is read from the device, so that a captured step sees it change.
//
// REAL is float or double, and MOST is the length of the table. The compiler's options define both.

struct Table {
  REAL* parameter[MOST];
  const REAL* gradient[MOST];
  long long size[MOST];
};

extern "C" __global__ void __launch_bounds__(256)
sgd_update(const Table table, const double* rate) {
  REAL* parameter = table.parameter[blockIdx.y];
  const REAL* gradient = table.gradient[blockIdx.y];
  const long long size = table.size[blockIdx.y];
  const REAL learning_rate = REAL(*rate);
  for (long long i = blockIdx.x * 256ll + threadIdx.x; i < size; i += gridDim.x * 256ll)
    parameter[i] -= learning_rate * gradient[i];
}
