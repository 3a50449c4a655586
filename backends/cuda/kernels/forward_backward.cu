// forward_backward, the first kernel of two_layers.cu: everything that belongs to one row of the batch.
//
// A cluster of CLUSTER blocks works on ROWS rows of the batch.
//
// First, each block owns a slice of the inputs. It multiplies the rows by its slice of W1, and so gets a
// part of every sum of the hidden layer. W1 is large and the rows are few. In this way a cluster reads W1
// only once, and not once per block.
// Then the blocks exchange their parts through the cluster's shared memory. From here on, each block owns
// OWN whole rows. It adds up their parts, and computes the rest of these rows on its own.
//
// The product. A block copies CHUNK inputs of UNITS hidden units and of the rows into shared memory, four
// at a time. The lanes of a warp read neighboring units. PITCH is an odd number of fours, so these units
// are in different banks. A thread owns 2 units × 8 rows in registers. Warps 0–3 take the even fours of the
// inputs, and warps 4–7 the odd ones. Their sums are added in `partial`.

#include "cluster.cu"
#include "exponential.cu"
#include "two_layers.cu"

constexpr int ROWS = 16, UNITS = 128, OWN = ROWS / CLUSTER, OWN_A_WARP = (OWN + WARPS - 1) / WARPS;
constexpr int SLICE = round_up((INPUTS + CLUSTER - 1) / CLUSTER, 4);
constexpr int CHUNK = SLICE < 112 ? SLICE : 112;
constexpr int PITCH = CHUNK / 4 % 2 ? CHUNK : CHUNK + 4;

// Dynamic shared memory, in floats, one after the other.
constexpr int WEIGHTS = 0;                               // (UNITS, PITCH) of W1
constexpr int IMAGES = WEIGHTS + UNITS * PITCH;          // (ROWS, PITCH) of x
constexpr int PARTIAL = IMAGES + ROWS * PITCH;           // (ROWS, HIDDEN): sums over the slice
constexpr int ACTIVE = PARTIAL + ROWS * HIDDEN;          // (OWN, HIDDEN): relu(x W1ᵀ + b1)
constexpr int SECOND = ACTIVE + OWN * HIDDEN;            // (CLASSES, HIDDEN): W2
constexpr int BIAS_1 = SECOND + CLASSES * HIDDEN;        // (HIDDEN,): b1
constexpr int BIAS_2 = BIAS_1 + HIDDEN;                  // (CLASSES,): b2
constexpr int LOGITS = BIAS_2 + CLASSES;                 // (OWN, 32): logits, then their gradients
static_assert(LOGITS + OWN * 32 == SHARED, "the launch gives another size of shared memory");

// Starts the copy of a chunk of a matrix (rows, INPUTS): `many` rows from `first` on, from column `at`.
// Elements outside the matrix, or from column `end` on, become 0. A warp takes one row at a time.
__device__ inline void start_stage(float* tile, const float* matrix, int first, int many, int rows,
                                   int at, int end) {
  constexpr int STEP = INPUTS % 4 == 0 ? 4 : 1;  // 16 bytes at once, if rows start at multiples of it
  for (int row = threadIdx.x / 32; row < many; row += WARPS) {
    const float* from = matrix + (long long)(first + row) * INPUTS + at;
    for (int column = threadIdx.x % 32 * STEP; column < CHUNK; column += 32 * STEP) {
      const bool inside = first + row < rows && at + column < end;
      start_copy<4 * STEP>(tile + row * PITCH + column, inside ? from + column : matrix, inside);
    }
  }
}

__device__ inline void start_copies(float* to, const float* from, int count) {
  for (int i = threadIdx.x; i < count; i += THREADS) start_copy<4>(to + i, from + i, true);
}

// Four multiplications with an addition, one after the other. The GPU does each as one operation.
__device__ inline void add_product(float& sum, const float4& a, const float4& b) {
  sum += a.x * b.x;
  sum += a.y * b.y;
  sum += a.z * b.z;
  sum += a.w * b.w;
}

// Writes this block's part of the hidden layer to `partial`: x · W1ᵀ over its slice of the inputs.
__device__ inline void multiply(const float* x, const float* w1, int rows, int first_row, unsigned rank,
                                float* memory) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int unit = warp % 2 * 32 + lane, row = warp / 2 % 2 * 8, half = warp / 4;
  const int slice = rank * SLICE, end = slice + SLICE < INPUTS ? slice + SLICE : INPUTS;
  float* partial = memory + PARTIAL;

  for (int first_unit = 0; first_unit < HIDDEN; first_unit += UNITS) {
    const int units = HIDDEN - first_unit < UNITS ? HIDDEN - first_unit : UNITS;
    float sums[2][8] = {};  // beyond the last unit, these add up unused memory, and are ignored
    for (int at = slice; at < slice + SLICE; at += CHUNK) {
      if (at > slice || first_unit > 0) __syncthreads();  // all have used the previous chunk
      start_stage(memory + WEIGHTS, w1, first_unit, units, HIDDEN, at, end);
      start_stage(memory + IMAGES, x, first_row, ROWS, rows, at, end);
      finish_copies();
      __syncthreads();
      const float* w = memory + WEIGHTS + unit * PITCH;
      const float* image = memory + IMAGES + row * PITCH;
#pragma unroll
      for (int fours = 0; fours < CHUNK / 8 + 1; ++fours) {
        const int k = fours * 8 + half * 4;
        if (k >= CHUNK) break;
        const float4 a = *reinterpret_cast<const float4*>(w + k);
        const float4 b = *reinterpret_cast<const float4*>(w + 64 * PITCH + k);
#pragma unroll
        for (int r = 0; r < 8; ++r) {
          const float4 v = *reinterpret_cast<const float4*>(image + r * PITCH + k);
          add_product(sums[0][r], a, v);
          add_product(sums[1][r], b, v);
        }
      }
    }
#pragma unroll
    for (int turn = 1; turn >= 0; --turn) {  // stores the odd fours, then adds the even ones
      if (half == turn)
#pragma unroll
        for (int u = 0; u < 2; ++u) {
          const int to = first_unit + unit + u * 64;
          if (to < HIDDEN)
#pragma unroll
            for (int r = 0; r < 8; ++r) {
              float& sum = partial[(row + r) * HIDDEN + to];
              sum = turn ? sums[u][r] : sum + sums[u][r];
            }
        }
      __syncthreads();
    }
  }
}

// Computes the rows of one cluster. If LEARN, their gradients too; otherwise whether each row is right.
template <bool LEARN>
__device__ inline void rows_of_cluster(const float* x, const LABEL* labels, int rows, const float* w1,
                                       const float* b1, const float* w2, const float* b2,
                                       float* hidden, float* hidden_gradient, float* logits_gradient,
                                       float* row_losses, float* row_hits) {
  float* memory = dynamic_shared();
  float *active = memory + ACTIVE, *second = memory + SECOND, *logits = memory + LOGITS;
  const float *bias1 = memory + BIAS_1, *bias2 = memory + BIAS_2;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const unsigned rank = cluster_rank();
  const int first_row = blockIdx.x / CLUSTER * ROWS, own_row = first_row + rank * OWN;
  long long own_labels[OWN_A_WARP];  // of this warp's rows; loaded early, so that they are there when needed
#pragma unroll
  for (int i = 0; i < OWN_A_WARP; ++i) {
    const int row = own_row + warp + i * WARPS;
    own_labels[i] = warp + i * WARPS < OWN && row < rows ? (long long)labels[row] : 0;
  }

  start_copies(second, w2, CLASSES * HIDDEN);
  start_copies(memory + BIAS_1, b1, HIDDEN);
  start_copies(memory + BIAS_2, b2, CLASSES);
  multiply(x, w1, rows, first_row, rank, memory);
  cluster_arrive();  // all parts are there
  cluster_wait();

  for (int i = threadIdx.x; i < OWN * HIDDEN; i += THREADS) {
    const int r = i / HIDDEN, unit = i % HIDDEN;
    float sum = bias1[unit];
#pragma unroll
    for (int part = 0; part < CLUSTER; ++part)
      sum += cluster_read(memory + PARTIAL + (rank * OWN + r) * HIDDEN + unit, part);
    sum = sum < 0 ? 0 : sum;  // NaN stays NaN
    active[i] = sum;
    if (LEARN && own_row + r < rows) hidden[(long long)(own_row + r) * HIDDEN_PITCH + unit] = sum;
  }
  cluster_arrive_having_read();  // the block needs no part any more; no block may end before that
  __syncthreads();

  for (int i = warp; i < OWN * CLASSES; i += WARPS) {  // one warp per logit
    const int r = i / CLASSES, c = i % CLASSES;
    float sum = 0;
    for (int unit = lane; unit < HIDDEN; unit += 32)
      sum += active[r * HIDDEN + unit] * second[c * HIDDEN + unit];
#pragma unroll
    for (int other = 16; other; other /= 2) sum += __shfl_xor_sync(ALL, sum, other);
    if (lane == 0) logits[r * 32 + c] = sum + bias2[c];
  }
  __syncthreads();

#pragma unroll
  for (int i = 0; i < OWN_A_WARP; ++i) {  // one warp per row, one lane per class
    const int r = warp + i * WARPS, row = own_row + r;
    if (r >= OWN || row >= rows) break;   // the whole warp leaves
    const float z = lane < CLASSES ? logits[r * 32 + lane] : __int_as_float(0xff800000);
    float highest = z;
#pragma unroll
    for (int other = 16; other; other /= 2)
      highest = fmaxf(highest, __shfl_xor_sync(ALL, highest, other));
    const float e = lane < CLASSES ? exponential(z, highest) : 0;
    const long long label = own_labels[i];
    const bool known = label >= 0 && label < CLASSES;
    float others = lane == label ? 0 : e;  // the sum over the other classes: more exact than 1 - p
#pragma unroll
    for (int other = 16; other; other /= 2) others += __shfl_xor_sync(ALL, others, other);
    const float z_label = __shfl_sync(ALL, z, known ? (int)label : 0);
    const float less_one = others + (known ? exponential(z_label, highest) - 1 : -1);  // of all, minus 1
    if (lane == 0) row_losses[row] = known ? log1pf(less_one) - (z_label - highest) : nanf("");
    if (LEARN) {
      const float g = (lane == label ? -others : e) / (less_one + 1) / rows;
      if (lane < CLASSES) {
        logits[r * 32 + lane] = g;
        logits_gradient[(long long)row * CLASS_PITCH + lane] = g;
      }
    } else {
      const int found = __ffs(__ballot_sync(ALL, z == highest)) - 1;  // the first of the highest logits
      if (lane == 0) row_hits[row] = found == label ? 1 : 0;
    }
  }

  if (LEARN) {
    __syncthreads();
    for (int i = threadIdx.x; i < OWN * HIDDEN; i += THREADS) {
      const int r = i / HIDDEN, unit = i % HIDDEN;
      if (own_row + r >= rows) break;
      float sum = 0;
      for (int c = 0; c < CLASSES; ++c) sum += logits[r * 32 + c] * second[c * HIDDEN + unit];
      hidden_gradient[(long long)(own_row + r) * HIDDEN_PITCH + unit] = active[i] > 0 ? sum : 0;
    }
  }
  cluster_wait();
}

extern "C" __global__ void IN_CLUSTERS __launch_bounds__(THREADS, 1)
forward_backward(const float* x, const LABEL* labels, int rows, const float* w1, const float* b1,
                 const float* w2, const float* b2, float* hidden, float* hidden_gradient,
                 float* logits_gradient, float* row_losses) {
  rows_of_cluster<true>(x, labels, rows, w1, b1, w2, b2, hidden, hidden_gradient, logits_gradient,
                        row_losses, nullptr);
}

extern "C" __global__ void IN_CLUSTERS __launch_bounds__(THREADS, 1)
evaluate(const float* x, const LABEL* labels, int rows, const float* w1, const float* b1,
         const float* w2, const float* b2, float* row_losses, float* row_hits) {
  rows_of_cluster<false>(x, labels, rows, w1, b1, w2, b2, nullptr, nullptr, nullptr, row_losses,
                         row_hits);
}
