// What the kernels of two_layers.cu need of the device beside plain CUDA: copies that run by themselves,
// and the blocks of a cluster.
//
// The CUDA headers offer the same (cuda::memcpy_async, cooperative groups), but they are not there at run
// time, where only the compiler is. The tests define all of this anew, for the CPU.

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

// Which of its cluster's blocks this is.
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
// The same, but nothing that was written need be seen: this thread has only read what it wanted.
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
