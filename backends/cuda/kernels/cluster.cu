// What the kernels of two_layers.cu need from the device in addition to plain CUDA: asynchronous copies,
// and clusters of blocks.
//
// The CUDA headers offer the same (cuda::memcpy_async, cooperative groups). But at run time only the
// compiler is there, and not these headers. The tests define all of this again, for the CPU.

#ifdef __CUDACC_RTC__
__device__ inline float* dynamic_shared() {
  extern __shared__ float4 memory[];
  return reinterpret_cast<float*>(memory);
}

// Copies BYTES (4 or 16) from global to shared memory, or writes zeros if not `inside`. This only starts
// the copy, and needs no register for it. So all copies of a thread run at the same time, and the thread
// waits for the memory only once.
template <int BYTES>
__device__ inline void start_copy(float* to, const float* from, bool inside) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(
                   (unsigned)__cvta_generic_to_shared(to)),
               "l"(from), "n"(BYTES), "r"(inside ? BYTES : 0)
               : "memory");
}
__device__ inline void finish_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Returns the number of this block within its cluster.
__device__ inline unsigned cluster_rank() {
#if CLUSTER > 1
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
#else
  return 0;
#endif
}

// Arrives at the cluster's barrier. After cluster_wait, all threads of the cluster have arrived, and each
// sees what the others wrote to shared memory before they arrived.
__device__ inline void cluster_arrive() {
#if CLUSTER > 1
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
#endif
}
// The same for a thread that has only read. It does not make the thread's writes visible to the others.
__device__ inline void cluster_arrive_having_read() {
#if CLUSTER > 1
  asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory");
#endif
}
__device__ inline void cluster_wait() {
#if CLUSTER > 1
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#endif
}

// Returns the element at the same place as `mine`, but in the shared memory of the cluster's block `rank`.
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
