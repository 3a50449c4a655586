// What a launch costs, and the barrier of a cluster: a kernel that does nothing else, for the benchmarks.
//
// CLUSTER is given by the compiler's options: the blocks of a cluster, or 1.

#include "cluster.cu"

// Each block tells how many barriers it has passed.
extern "C" __global__ void IN_CLUSTERS __launch_bounds__(256)
barriers(int times, int* passed) {
  for (int i = 0; i < times; ++i) {
    cluster_arrive();
    cluster_wait();
  }
  if (threadIdx.x == 0) passed[blockIdx.x] = times;
}
