// parameter -= rate · gradient, for many parameters in one launch.
//
// The table of addresses travels with the launch, by value: the arrays stay where they are, and
// nothing is copied into a common buffer. blockIdx.y is the parameter; the blocks along x share its
// elements out. The rate is read from the device, so that a captured step sees it change.
//
// REAL is float or double, by the compiler's options; so is MOST, the length of the table.

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
