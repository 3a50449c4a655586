// An optimizer's update rule, for many parameters in one launch. The formulas are those of
// backends/plain/update.py.
//
// The launch carries the table of addresses by value, so nothing is copied into a common buffer.
// blockIdx.y is the number of the parameter. The blocks along x divide its elements between them. The
// learning rate, and the numbers that a rule keeps for each parameter, are read from the device. So a
// captured step sees them change. `advance` changes those numbers, in a launch before that of `update_rule`.
//
// REAL is float or double, MOST the length of the table, and RULE one of the structs below.

struct Table {
  REAL* parameter[MOST];
  const REAL* gradient[MOST];
  REAL* state[3][MOST];
  double* scalar[2][MOST];
  long long size[MOST];
};

struct Settings {
  double number[6];
};

// The part of an update that all elements of a parameter share is computed once, in double. `first`,
// `second` and `third` are an element's states; those that a rule does not keep are 0.

struct Sgd {
  REAL rate, momentum, decay;
  bool nesterov;

  __device__ Sgd(double learning_rate, const Settings& s, double, double)
      : rate(learning_rate), momentum(s.number[0]), decay(s.number[2]), nesterov(s.number[1] != 0) {}

  __device__ void operator()(REAL& p, REAL g, REAL& velocity, REAL&, REAL&) const {
    g += decay * p;
    velocity = momentum * velocity + g;
    p -= rate * (nesterov ? g + momentum * velocity : velocity);
  }
};

struct Adam {
  REAL decay, shrink, mean_part, square_part, keep, size, small;

  __device__ Adam(double rate, const Settings& s, double step, double, bool decoupled = false) {
    const double beta1 = s.number[0], beta2 = s.number[1], scale = sqrt(1 - pow(beta2, step));
    decay = decoupled ? 0 : s.number[3];
    shrink = decoupled ? 1 - rate * s.number[3] : 1;
    mean_part = 1 - beta1, square_part = 1 - beta2, keep = beta2;
    size = rate / (1 - pow(beta1, step)) * scale, small = s.number[2] * scale;
  }

  __device__ void operator()(REAL& p, REAL g, REAL& mean, REAL& square, REAL&) const {
    p *= shrink;
    g += decay * p;
    mean += mean_part * (g - mean);
    square = keep * square + square_part * (g * g);
    p -= size * (mean / (sqrt(square) + small));
  }
};

struct AdamW : Adam {
  __device__ AdamW(double rate, const Settings& s, double step, double product)
      : Adam(rate, s, step, product, true) {}
};

__device__ double momentum_at(const Settings& s, double step) {
  return s.number[0] * (1 - 0.5 * pow(0.96, step * s.number[4]));
}

struct NAdam {
  REAL decay, mean_part, square_part, keep, of_gradient, of_mean, small;

  __device__ NAdam(double rate, const Settings& s, double step, double product) {
    const double beta2 = s.number[1], scale = sqrt(1 - pow(beta2, step));
    const double now = momentum_at(s, step), following = momentum_at(s, step + 1);
    decay = s.number[3];
    mean_part = 1 - s.number[0], square_part = 1 - beta2, keep = beta2;
    of_gradient = rate * scale * (1 - now) / (1 - product);
    of_mean = rate * scale * following / (1 - product * following);
    small = s.number[2] * scale;
  }

  __device__ void operator()(REAL& p, REAL g, REAL& mean, REAL& square, REAL&) const {
    g += decay * p;
    mean += mean_part * (g - mean);
    square = keep * square + square_part * (g * g);
    p -= (of_gradient * g + of_mean * mean) / (sqrt(square) + small);
  }
};

struct RmsProp {
  REAL rate, alpha, part, small, decay, momentum;
  bool centered;

  __device__ RmsProp(double learning_rate, const Settings& s, double, double)
      : rate(learning_rate), alpha(s.number[0]), part(1 - s.number[0]), small(s.number[1]),
        decay(s.number[2]), momentum(s.number[3]), centered(s.number[4] != 0) {}

  __device__ void operator()(REAL& p, REAL g, REAL& square, REAL& mean, REAL& velocity) const {
    g += decay * p;
    square = alpha * square + part * (g * g);
    REAL spread = square;
    if (centered) {
      mean += part * (g - mean);
      spread = square - mean * mean;
      spread = spread < 0 ? 0 : spread;  // rounding may make it negative
    }
    velocity = momentum * velocity + g / (sqrt(spread) + small);
    p -= rate * velocity;
  }
};

struct Adagrad {
  REAL rate, small, decay;

  __device__ Adagrad(double learning_rate, const Settings& s, double, double)
      : rate(learning_rate), small(s.number[0]), decay(s.number[1]) {}

  __device__ void operator()(REAL& p, REAL g, REAL& total, REAL&, REAL&) const {
    g += decay * p;
    total += g * g;
    p -= rate * g / (sqrt(total) + small);
  }
};

struct Lion {
  REAL rate, shrink, direction_part, mean_part;

  __device__ Lion(double learning_rate, const Settings& s, double, double)
      : rate(learning_rate), shrink(1 - learning_rate * s.number[2]), direction_part(1 - s.number[0]),
        mean_part(1 - s.number[1]) {}

  __device__ void operator()(REAL& p, REAL g, REAL& mean, REAL&, REAL&) const {
    const REAL direction = mean + direction_part * (g - mean);
    p *= shrink;
    if (direction != direction) p = direction;  // NaN has no sign
    p -= rate * (REAL)((direction > 0) - (direction < 0));
    mean += mean_part * (g - mean);
  }
};

extern "C" __global__ void __launch_bounds__(256)
update_rule(const Table table, const double* rate, const Settings settings) {
  const int k = blockIdx.y;
  const double step = table.scalar[0][k] ? *table.scalar[0][k] : 0;
  const RULE rule(*rate, settings, step, table.scalar[1][k] ? *table.scalar[1][k] : 0);
  const long long size = table.size[k];
  for (long long i = blockIdx.x * 256ll + threadIdx.x; i < size; i += gridDim.x * 256ll) {
    REAL state[3];
    for (int s = 0; s < 3; ++s) state[s] = table.state[s][k] ? table.state[s][k][i] : 0;
    rule(table.parameter[k][i], table.gradient[k][i], state[0], state[1], state[2]);
    for (int s = 0; s < 3; ++s)
      if (table.state[s][k]) table.state[s][k][i] = state[s];
  }
}

extern "C" __global__ void __launch_bounds__(256)
advance(const Table table, const Settings settings, const int many) {
  const int k = threadIdx.x;
  if (k >= many) return;
  *table.scalar[0][k] += 1;
  if (table.scalar[1][k]) *table.scalar[1][k] *= momentum_at(settings, *table.scalar[0][k]);
}
