// erf, erfc or gelu of each element: the formulas and the numbers of backends/error_function.py.
//
// The arithmetic is in double precision, also for float. REAL is float or double. FUNCTION is erf, erfc or
// gelu. TAYLOR and CHEBYSHEV are the terms of the two series. The compiler's options define all four.

constexpr double SPLIT = 0.65, K = 3.75, END = 40, GRID = 1024;
constexpr double ROOT = 0.70710678118654757;  // √½

namespace of {

// The Taylor series of erf.
__device__ inline double near_zero(double x) {
  constexpr double terms[] = {TAYLOR};
  constexpr int last = sizeof terms / sizeof *terms - 1;
  double y = terms[last];
#pragma unroll
  for (int i = last - 1; i >= 0; --i) y = y * (x * x) + terms[i];
  return x * y;
}

// factor · erfc(root · size), where scale is root². Clenshaw's recurrence adds up the series. The compiler
// does the divisions of the terms.
__device__ inline double tail(double size, double scale, double root, double factor) {
  constexpr double terms[] = {CHEBYSHEV};
  constexpr int last = sizeof terms / sizeof *terms - 1;
  size = size > END ? END : size;  // NaN stays NaN
  const double t = (size - K / root) / (size + K / root);
  double later = 0, latest = terms[last] / (2 * root);
#pragma unroll
  for (int i = last - 1; i > 0; --i) {
    const double next = 2 * t * latest - later + terms[i] / (2 * root);
    later = latest;
    latest = next;
  }
  const double series = t * latest - later + terms[0] / (2 * root);
  const double high = floor(size * GRID) / GRID;  // few digits, so its square is exact
  const double rest = expm1(-scale * (size - high) * (size + high));
  const double y = exp(-scale * high * high) * (factor * series / (size + 0.5 / root));
  return y + y * rest;
}

__device__ inline double erf(double x) {
  if (fabs(x) < SPLIT) return near_zero(x);
  return copysign(1 - tail(fabs(x), 1, 1, 1), x);
}

__device__ inline double erfc(double x) {
  if (fabs(x) < SPLIT) return 1 - near_zero(x);
  const double y = tail(fabs(x), 1, 1, 1);
  return x < 0 ? 2 - y : y;
}

__device__ inline double gelu(double x) {
  if (fabs(x) < SPLIT / ROOT) return x * (0.5 + near_zero(x * ROOT) / 2);
  const double half = tail(fabs(x), 0.5, ROOT, (fabs(x) < END ? x : copysign(END, x)) / 2);
  return x < 0 ? half : x - half;
}

}  // namespace of

extern "C" __global__ void __launch_bounds__(256)
error_function(const REAL* x, REAL* y, long long size) {
  for (long long i = blockIdx.x * 256ll + threadIdx.x; i < size; i += gridDim.x * 256ll)
    y[i] = REAL(of::FUNCTION(x[i]));
}
