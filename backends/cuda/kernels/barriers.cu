// A kernel that only passes barriers of a cluster. The benchmarks measure with it what a launch and such
// a barrier cost.
//
// The compiler's options define CLUSTER: the number of blocks in a cluster, or 1.

#include "cluster.cu"

// Each block writes how many barriers it has passed.
extern "C" __global__ void IN_CLUSTERS __launch_bounds__(256)
barriers(int times, int* passed) {
  for (int i = 0; i < times; ++i) {
    cluster_arrive();
    cluster_wait();
  }
  if (threadIdx.x == 0) passed[blockIdx.x] = times;
}
