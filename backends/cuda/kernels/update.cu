// update, the second kernel of two_layers.cu: everything that belongs to one weight.
//
// weight -= rate · Σ over the rows of (gradient at a unit) · (input of the unit).
//
// A block owns UNIT_TILE × INPUT_TILE weights of one layer. A bias is the weight of an input that is
// always 1, one column to the right of the others. A warp takes 32 of every 256 rows, and each of its lanes
// takes one input. A lane loads its inputs straight into registers, all at the same time. All lanes need the
// same gradients, so the block copies those into shared memory. At the end the warps exchange their sums
// through shared memory, and these are added up in order.
// W1's tiles come first, then W2's. The last block computes the loss of the step.

#include "cluster.cu"
#include "two_layers.cu"

constexpr int AT_ONCE = 32 * WARPS;
constexpr int TILES_1 = HIDDEN_PITCH / UNIT_TILE * (round_up(INPUTS + 1, INPUT_TILE) / INPUT_TILE);
constexpr int TILES_2 = CLASS_PITCH / UNIT_TILE * (round_up(HIDDEN + 1, INPUT_TILE) / INPUT_TILE);
static_assert(TILES_1 + TILES_2 + 1 == UPDATE_BLOCKS, "the launch has another number of blocks");

template <int UNITS_OUT, int UNITS_IN>
__device__ inline void update_tile(int tile, const float* gradient, int gradient_pitch,
                                   const float* given, int given_pitch, int rows, float* weight,
                                   float* bias, float rate, float* memory) {
  constexpr int ACROSS = round_up(UNITS_IN + 1, INPUT_TILE) / INPUT_TILE;
  constexpr int OUTPUTS = UNIT_TILE * INPUT_TILE;
  constexpr int OUTPUTS_A_THREAD = (OUTPUTS + THREADS - 1) / THREADS;
  const int first_unit = tile / ACROSS * UNIT_TILE, first_input = tile % ACROSS * INPUT_TILE;
  const int warp = threadIdx.x / 32, input = first_input + threadIdx.x % 32;

  float* to[OUTPUTS_A_THREAD];  // the weights that this thread updates; it reads them early
  float former[OUTPUTS_A_THREAD];
#pragma unroll
  for (int n = 0; n < OUTPUTS_A_THREAD; ++n) {
    const int i = threadIdx.x + n * THREADS;
    const int to_unit = first_unit + i / INPUT_TILE, to_input = first_input + i % INPUT_TILE;
    const bool inside = i < OUTPUTS && to_unit < UNITS_OUT && to_input <= UNITS_IN;
    to[n] = !inside               ? nullptr
            : to_input < UNITS_IN ? weight + (long long)to_unit * UNITS_IN + to_input
                                  : bias + to_unit;
    former[n] = inside ? *to[n] : 0;
  }

  float sums[UNIT_TILE] = {};
  for (int at = 0; at < rows; at += AT_ONCE) {
    float in[32];
#pragma unroll
    for (int k = 0; k < 32; ++k) {
      const int row = at + warp * 32 + k;
      in[k] = row >= rows       ? 0
              : input < UNITS_IN  ? given[(long long)row * given_pitch + input]
              : input == UNITS_IN ? 1
                                  : 0;
    }
    if (at > 0) __syncthreads();  // all have used the previous rows
    for (int i = threadIdx.x; i < AT_ONCE * (UNIT_TILE / 4); i += THREADS) {
      const int k = i / (UNIT_TILE / 4), u = i % (UNIT_TILE / 4) * 4;
      const bool inside = at + k < rows;
      const long long place = (long long)(at + k) * gradient_pitch + first_unit + u;
      start_copy<16>(memory + 4 * i, gradient + (inside ? place : 0), inside);
    }
    finish_copies();
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 32; ++k) {
      const float4* out = reinterpret_cast<const float4*>(memory) + (warp * 32 + k) * (UNIT_TILE / 4);
#pragma unroll
      for (int u = 0; u < UNIT_TILE / 4; ++u) {
        const float4 g = out[u];
        sums[4 * u] += g.x * in[k];
        sums[4 * u + 1] += g.y * in[k];
        sums[4 * u + 2] += g.z * in[k];
        sums[4 * u + 3] += g.w * in[k];
      }
    }
  }
  __syncthreads();
#pragma unroll
  for (int u = 0; u < UNIT_TILE; ++u)
    memory[warp * OUTPUTS + u * INPUT_TILE + threadIdx.x % 32] = sums[u];
  __syncthreads();
#pragma unroll
  for (int n = 0; n < OUTPUTS_A_THREAD; ++n) {
    if (!to[n]) continue;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < WARPS; ++w) sum += memory[w * OUTPUTS + threadIdx.x + n * THREADS];
    *to[n] = former[n] - rate * sum;
  }
}

// Returns the sum of `count` values to every thread of the block. The order of the sum is fixed.
__device__ inline double sum_of(const float* values, int count, double* memory) {
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += THREADS) sum += values[i];
  memory[threadIdx.x] = sum;
  __syncthreads();
  for (int half = THREADS / 2; half; half /= 2) {
    if (threadIdx.x < half) memory[threadIdx.x] += memory[threadIdx.x + half];
    __syncthreads();
  }
  return memory[0];
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
update(const float* x, int rows, const float* hidden, const float* hidden_gradient,
       const float* logits_gradient, const float* row_losses, float* w1, float* b1, float* w2,
       float* b2, const double* rate, float* loss) {
  __shared__ float4 memory[AT_ONCE * UNIT_TILE / 4];
  float* shared = reinterpret_cast<float*>(memory);
  const int block = blockIdx.x;
  if (block < TILES_1) {
    update_tile<HIDDEN, INPUTS>(block, hidden_gradient, HIDDEN_PITCH, x, INPUTS, rows, w1, b1,
                                float(*rate), shared);
  } else if (block < TILES_1 + TILES_2) {
    update_tile<CLASSES, HIDDEN>(block - TILES_1, logits_gradient, CLASS_PITCH, hidden, HIDDEN_PITCH,
                                 rows, w2, b2, float(*rate), shared);
  } else {
    const double sum = sum_of(row_losses, rows, reinterpret_cast<double*>(memory));
    if (threadIdx.x == 0) *loss = float(sum / rows);
  }
}

// The means of each batch, for `evaluate`. Block b takes the rows from b · batch_size on.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
batch_means(const float* row_losses, const float* row_hits, int rows, int batch_size, float* losses,
            float* accuracies) {
  __shared__ double memory[THREADS];
  const int first = blockIdx.x * batch_size;
  const int count = first + batch_size < rows ? batch_size : rows - first;
  const double loss = sum_of(row_losses + first, count, memory);
  __syncthreads();
  const double hits = sum_of(row_hits + first, count, memory);
  if (threadIdx.x == 0) {
    losses[blockIdx.x] = float(loss / count);
    accuracies[blockIdx.x] = float(hits / count);
  }
}
