// exp(x - highest), where x <= highest, of the difference as it is and not as it is rounded: what the
// rounding took away is had exactly (Knuth's two-sum), and exp(s + lost) is exp(s) · (1 + lost).
template <class Real>
__device__ inline Real exponential(Real x, Real highest) {
  const Real s = x - highest, e = exp(s);
  if (!(e > 0)) return e;  // where nothing is left, s may be infinite
  const Real back = s - x;
  return e + e * ((x - (s - back)) - (back + highest));
}
