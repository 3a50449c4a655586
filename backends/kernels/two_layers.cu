// The whole training step of Linear, ReLU, Linear, softmax loss and SGD, in two kernels.
//
//   forward_backward   all that belongs to one row of the batch: the hidden layer, the logits, the
//                      loss, and the gradients at the logits and at the hidden layer
//   update             all that belongs to one weight: the sum over the rows of the batch, and SGD
//
// Between them lies the one exchange that the mathematics asks for: a weight's gradient needs all rows,
// and a row needs all weights. The end of a kernel is that barrier. There are no atomics, and every sum
// has a fixed order: the same input gives the same bits.
//
// INPUTS, HIDDEN, CLASSES (at most 32), CLUSTER and LABEL (the labels' integer type) are given by the
// compiler's options. CLUSTER is 8, or 1 where the GPU has no thread block clusters (before 9.0). So are
// SHARED, SCRATCH and UPDATE_BLOCKS, what the launch reckons with; they are only compared.

#ifdef __CUDACC_RTC__
__device__ inline float* dynamic_shared() {
  extern __shared__ float4 memory[];
  return reinterpret_cast<float*>(memory);
}

// Copies BYTES (4 or 16) from global to shared memory, or zeros where not `inside`. It only starts the
// copy, and needs no register for it: all of a thread's copies are under way at once, and it waits for
// the memory once and not for each.
template <int BYTES>
__device__ inline void start_copy(float* to, const float* from, bool inside) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(
                   (unsigned)__cvta_generic_to_shared(to)),
               "l"(from), "n"(BYTES), "r"(inside ? BYTES : 0)
               : "memory");
}
__device__ inline void finish_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// What the blocks of a cluster have of each other. (The CUDA headers' cooperative groups offer the
// same; but they are not there at run time, where only the compiler is.)
__device__ inline unsigned cluster_rank() {
#if CLUSTER > 1
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
#else
  return 0;
#endif
}

// All threads of the cluster have come here, and what they wrote to shared memory is seen by all.
__device__ inline void cluster_arrive() {
#if CLUSTER > 1
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
#endif
}
__device__ inline void cluster_wait() {
#if CLUSTER > 1
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#endif
}

// The element that lies where `mine` does, in the shared memory of the cluster's block `rank`.
__device__ inline float cluster_read(const float* mine, unsigned rank) {
#if CLUSTER > 1
  unsigned local = (unsigned)__cvta_generic_to_shared(mine), remote;
  float value;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(local), "r"(rank));
  asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(remote) : "memory");
  return value;
#else
  return *mine;
#endif
}
#endif

#if CLUSTER > 1
#define IN_CLUSTERS __cluster_dims__(CLUSTER, 1, 1)
#else
#define IN_CLUSTERS
#endif

constexpr unsigned ALL = 0xffffffffu;
constexpr int THREADS = 256, WARPS = THREADS / 32;

__host__ __device__ constexpr int round_up(int n, int to) { return (n + to - 1) / to * to; }

// ---------------------------------------------------------------------------------------------------
// forward_backward: a cluster of CLUSTER blocks works on ROWS rows of the batch.
//
// First, each block owns a slice of the inputs. It multiplies the rows by its slice of W1, and so has
// a part of every sum of the hidden layer. W1 is large and the rows are few: this way a cluster reads
// W1 once, and not once a block.
// Then the parts are exchanged through the cluster's shared memory, and each block owns OWN whole rows:
// it adds up the parts, and what is left of the row is its own affair.
//
// The product. A block copies CHUNK inputs of UNITS hidden units and of the rows into shared memory,
// four at a time; PITCH is an odd number of fours, so that the lanes of a warp, which read
// neighbouring units, fall on different banks. A thread owns 2 units × 8 rows in registers: warps 0–3
// take the even fours of the inputs and warps 4–7 the odd ones, and their sums meet in `partial`.

constexpr int ROWS = 16, UNITS = 128, OWN = ROWS / CLUSTER, OWN_A_WARP = (OWN + WARPS - 1) / WARPS;
constexpr int SLICE = round_up((INPUTS + CLUSTER - 1) / CLUSTER, 4);
constexpr int CHUNK = SLICE < 112 ? SLICE : 112;
constexpr int PITCH = CHUNK / 4 % 2 ? CHUNK : CHUNK + 4;

// `update` takes UNIT_TILE units at a time: rows of scratch are padded to whole tiles.
constexpr int UNIT_TILE = 20, INPUT_TILE = 32;
constexpr int HIDDEN_PITCH = round_up(HIDDEN, UNIT_TILE), CLASS_PITCH = round_up(CLASSES, UNIT_TILE);
static_assert(HIDDEN_PITCH + CLASS_PITCH + HIDDEN_PITCH == SCRATCH, "scratch of another width");

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
// What lies outside the matrix, or from column `end` on, becomes 0.
__device__ inline void start_stage(float* tile, const float* matrix, int first, int many, int rows,
                                   int at, int end) {
  constexpr int STEP = INPUTS % 4 == 0 ? 4 : 1;  // 16 bytes at once, where rows begin at such addresses
  for (int i = threadIdx.x; i < many * (CHUNK / STEP); i += THREADS) {
    const int row = i / (CHUNK / STEP), column = i % (CHUNK / STEP) * STEP;
    const bool inside = first + row < rows && at + column < end;
    const long long place = (long long)(first + row) * INPUTS + at + column;
    start_copy<4 * STEP>(tile + row * PITCH + column, matrix + (inside ? place : 0), inside);
  }
}

__device__ inline void start_copies(float* to, const float* from, int count) {
  for (int i = threadIdx.x; i < count; i += THREADS) start_copy<4>(to + i, from + i, true);
}

// This block's part of the hidden layer: x · W1ᵀ over its slice of the inputs, into `partial`.
__device__ inline void multiply(const float* x, const float* w1, int rows, int first_row, unsigned rank,
                                float* memory) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int unit = warp % 2 * 32 + lane, row = warp / 2 % 2 * 8, half = warp / 4;
  const int slice = rank * SLICE, end = slice + SLICE < INPUTS ? slice + SLICE : INPUTS;
  float* partial = memory + PARTIAL;

  for (int first_unit = 0; first_unit < HIDDEN; first_unit += UNITS) {
    float sums[2][8] = {};
    for (int at = slice; at < slice + SLICE; at += CHUNK) {
      if (at > slice || first_unit > 0) __syncthreads();  // the former chunk has been used
      start_stage(memory + WEIGHTS, w1, first_unit, UNITS, HIDDEN, at, end);
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
          sums[0][r] += a.x * v.x + a.y * v.y + a.z * v.z + a.w * v.w;
          sums[1][r] += b.x * v.x + b.y * v.y + b.z * v.z + b.w * v.w;
        }
      }
    }
#pragma unroll
    for (int turn = 1; turn >= 0; --turn) {  // the odd fours are laid down, then the even ones added
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

// The rows of one cluster. Where LEARN, their gradients too; else whether each was right.
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
  long long own_labels[OWN_A_WARP];  // of this warp's rows; asked for early, they are there when needed
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
  cluster_arrive();  // no part is needed any more: below, a block may end before the others
  __syncthreads();

  for (int i = warp; i < OWN * CLASSES; i += WARPS) {  // a warp a logit
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
  for (int i = 0; i < OWN_A_WARP; ++i) {  // a warp a row, a lane a class
    const int r = warp + i * WARPS, row = own_row + r;
    if (r >= OWN || row >= rows) break;   // the whole warp
    const float z = lane < CLASSES ? logits[r * 32 + lane] : __int_as_float(0xff800000);
    float highest = z;
#pragma unroll
    for (int other = 16; other; other /= 2)
      highest = fmaxf(highest, __shfl_xor_sync(ALL, highest, other));
    const float e = lane < CLASSES ? expf(z - highest) : 0;
    float sum = e;
#pragma unroll
    for (int other = 16; other; other /= 2) sum += __shfl_xor_sync(ALL, sum, other);

    const long long label = own_labels[i];
    const bool known = label >= 0 && label < CLASSES;
    const float z_label = __shfl_sync(ALL, z, known ? (int)label : 0);
    if (lane == 0) row_losses[row] = known ? logf(sum) - (z_label - highest) : nanf("");
    if (LEARN) {
      const float g = (e / sum - (lane == label ? 1 : 0)) / rows;
      if (lane < CLASSES) {
        logits[r * 32 + lane] = g;
        logits_gradient[(long long)row * CLASS_PITCH + lane] = g;
      }
    } else {
      const int found = __ffs(__ballot_sync(ALL, z == highest)) - 1;  // the first of the highest
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

// ---------------------------------------------------------------------------------------------------
// update: weight -= rate · Σ over the rows of (gradient at a unit) · (what the unit was given).
//
// A block owns UNIT_TILE × INPUT_TILE weights of one layer. A bias is the weight of an input that is
// always 1, one column to the right of the others. A warp takes its own 32 of every 256 rows, a lane
// one input: the lane's inputs come straight into registers, all in flight at once; the gradients,
// which all lanes need alike, come into shared memory. At the end the warps' sums meet in shared memory
// and are added up in order. W1's tiles come first, then W2's, and the last block has the step's loss.

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

  float* to[OUTPUTS_A_THREAD];  // the weights this thread will update, read before they are needed
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
    if (at > 0) __syncthreads();  // the former rows have been used
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

// The sum over `count` values, in every thread of the block, in a fixed order.
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

extern "C" __global__ void __launch_bounds__(THREADS, 1)
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

// The means of each batch: block b has the rows from b · batch_size on. For `evaluate`.
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
