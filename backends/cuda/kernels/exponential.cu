// exp(x - highest), where x <= highest. The subtraction rounds its result, s. Knuth's two-sum computes
// exactly what the rounding removed, `lost`. Then exp(s + lost) is exp(s) · (1 + lost), because `lost` is
// tiny.
template <class Real>
__device__ inline Real exponential(Real x, Real highest) {
  const Real s = x - highest, e = exp(s);
  if (!(e > 0)) return e;  // e is 0 or NaN, and s may be infinite
  const Real back = s - x;
  return e + e * ((x - (s - back)) - (back + highest));
}
