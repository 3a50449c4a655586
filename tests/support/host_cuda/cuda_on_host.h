// CUDA's execution model on one CPU thread, so that a kernel's own source runs without a GPU.
//
// Each CUDA thread is a fiber with a stack of its own. The blocks of a cluster are alive together, one
// cluster after the other. A barrier switches to the next fiber until all have come. The order in which
// the fibers take their turns is the caller's to choose: a missing barrier gives another result in another
// order. Memory is sequentially consistent, so it finds no races that need two threads at the same instant.
// Shared memory begins as NaN, except in templates: g++ ignores the section of their variables.
//
// What a GPU would hang on, or leave undefined, ends the launch with a message: a barrier that some threads
// never reach, a __syncthreads that is not the same for the whole block, a cluster's barrier whose arrive
// and wait do not alternate in each thread, to its end, and an address where there is no memory.
#pragma once
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __shared__ static __attribute__((section("shared_memory")))

struct uint3 { unsigned x, y, z; };
struct float4 { float x, y, z, w; };
static uint3 threadIdx, blockIdx, blockDim, gridDim;

// The linker's names for where that section begins and ends; null where a module has none.
extern "C" char __start_shared_memory[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_shared_memory[] __attribute__((weak, visibility("hidden")));

namespace host {

struct Barrier {
  int arrived = 0, generation = 0, members = 0;
};

struct Warp {
  Barrier barrier;
  long long slots[32];
};

struct Block {
  uint3 index;
  Barrier barrier;
  int line = 0;  // of the __syncthreads at which its threads meet
  std::vector<Warp> warps;
  std::vector<float> shared;
};

struct Fiber {
  jmp_buf context;
  ucontext_t start;
  char* stack;
  uint3 thread;
  Block* block;
  unsigned rank;
  int lane, cluster_generation = 0;
  Warp* warp;
  bool begun = false, done = false, arrived = false;  // at the cluster's barrier, and has not waited
};

static std::deque<Fiber> fibers;
static Fiber* current;
static jmp_buf scheduler;
static ucontext_t origin;
static Barrier cluster;
static std::vector<Block> blocks;
static void (*body)(void*);
static void* body_argument;
static long progress;
static const char* fault;

inline void yield() {
  if (!_setjmp(current->context)) _longjmp(scheduler, 1);
}

// Ends the launch: this fiber, and all others, are given up.
inline void fail(const char* what) {
  fault = what;
  _longjmp(scheduler, 1);
}

inline int arrive(Barrier& barrier) {
  const int generation = barrier.generation;
  if (++barrier.arrived == barrier.members) {
    barrier.arrived = 0;
    ++barrier.generation;
    ++progress;
  }
  return generation;
}

inline void wait(Barrier& barrier, int generation) {
  while (barrier.generation == generation) yield();
}

inline void meet(Barrier& barrier) { wait(barrier, arrive(barrier)); }

inline void meet_in_block(int line) {
  static char message[128];
  Block& block = *current->block;
  if (block.barrier.arrived == 0) block.line = line;
  if (block.line != line) {
    std::snprintf(message, sizeof message,
                  "__syncthreads differs among the threads of a block: lines %d and %d", block.line, line);
    fail(message);
  }
  meet(block.barrier);
}

template <class V>
V exchange(V value, int from) {
  Warp& warp = *current->warp;
  std::memcpy(&warp.slots[current->lane], &value, sizeof value);
  meet(warp.barrier);
  V theirs;
  std::memcpy(&theirs, &warp.slots[from], sizeof theirs);
  meet(warp.barrier);
  return theirs;
}

// A fiber lives on from block to block: to make one costs more than most kernels' threads do.
inline void enter() {
  for (;;) {
    body(body_argument);
    if (current->arrived) fail("a thread ends after cluster_arrive and without cluster_wait");
    current->done = true;
    ++progress;
    yield();
  }
}

constexpr size_t STACK = 64 * 1024;

// The fibers from `first` on take a turn each, to their next barrier; returns how many are not done.
inline size_t take_turns(const std::vector<size_t>& turn, size_t first) {
  volatile size_t left = 0;
  for (volatile size_t i = 0; i < turn.size(); i = i + 1) {
    Fiber& fiber = fibers[first + turn[i]];
    if (fiber.done) continue;
    left = left + 1;
    current = &fiber;
    threadIdx = fiber.thread;
    blockIdx = fiber.block->index;
    if (_setjmp(scheduler)) {
      if (fault) break;
      continue;
    }
    if (fiber.begun) _longjmp(fiber.context, 1);
    fiber.begun = true;
    setcontext(&fiber.start);
  }
  return left;
}

// All fibers of one cluster to their ends, or to a fault. A block goes as far as it can before the next
// one begins: nothing but a barrier keeps the blocks together.
inline void run(size_t in_cluster, size_t threads, unsigned order) {
  std::vector<size_t> turn(threads);
  for (size_t i = 0; i < threads; ++i) turn[i] = order == 1 ? threads - 1 - i : i;
  if (order > 1)
    for (size_t i = threads - 1; i > 0; --i) {
      order = order * 1664525u + 1013904223u;
      std::swap(turn[i], turn[order / 65536u % (i + 1)]);
    }
  for (size_t left = 1; left;) {
    const long before = progress;
    left = 0;
    for (size_t block = 0; block < in_cluster; ++block) {
      const size_t first = (order == 1 ? in_cluster - 1 - block : block) * threads;
      long seen;
      size_t waiting;
      do {
        seen = progress;
        waiting = take_turns(turn, first);
        if (fault) return;
      } while (waiting && progress != seen);
      left += waiting;
    }
    if (left && progress == before) {
      fault = "deadlock: threads wait at a barrier that others never reach";
      return;
    }
  }
}

// While it lives, a fiber that uses an address where there is no memory ends the launch, not the process.
struct AddressesChecked {
  struct sigaction former;
  AddressesChecked() {
    struct sigaction ours = {};
    ours.sa_handler = [](int) { fail("illegal address: a thread reads or writes where no memory is"); };
    ours.sa_flags = SA_NODEFER;  // the handler does not return
    sigaction(SIGSEGV, &ours, &former);
  }
  ~AddressesChecked() { sigaction(SIGSEGV, &former, nullptr); }
};

template <class... A, size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_cv_t<A>*>(arguments[I])...);
}

// Returns what was wrong, or null.
template <class... A>
const char* launch(void (*kernel)(A...), const unsigned* grid, unsigned threads, size_t shared,
           unsigned in_cluster, unsigned order, void** arguments) {
  struct Bound { void (*kernel)(A...); void** arguments; } bound{kernel, arguments};
  body_argument = &bound;
  body = [](void* p) {
    auto* b = static_cast<Bound*>(p);
    call(b->kernel, b->arguments, std::index_sequence_for<A...>{});
  };
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {threads, 1, 1};
  while (fibers.size() < in_cluster * threads) {
    fibers.emplace_back();
    fibers.back().stack = static_cast<char*>(malloc(STACK));
  }
  fault = nullptr;
  const AddressesChecked checked;
  const unsigned long long all = 1ull * grid[0] * grid[1] * grid[2];
  for (unsigned long long first = 0; first < all; first += in_cluster) {
    if (__start_shared_memory)
      std::memset(__start_shared_memory, 0xff, __stop_shared_memory - __start_shared_memory);
    blocks.assign(in_cluster, Block{});
    cluster = Barrier{};
    cluster.members = in_cluster * threads;
    for (unsigned rank = 0; rank < in_cluster; ++rank) {
      Block& block = blocks[rank];
      const unsigned long long b = first + rank;
      block.index = {unsigned(b % grid[0]), unsigned(b / grid[0] % grid[1]),
                     unsigned(b / grid[0] / grid[1])};
      block.barrier.members = threads;
      block.warps.resize((threads + 31) / 32);
      block.shared.assign(shared / sizeof(float) + 4, NAN);
      for (unsigned t = 0; t < threads; ++t) {
        Fiber& fiber = fibers[rank * threads + t];
        fiber.thread = {t, 0, 0};
        fiber.block = &block;
        fiber.rank = rank;
        fiber.lane = t % 32;
        fiber.done = fiber.arrived = false;
        fiber.warp = &block.warps[t / 32];
        ++fiber.warp->barrier.members;
        if (fiber.begun) continue;
        getcontext(&fiber.start);
        fiber.start.uc_stack.ss_sp = fiber.stack;
        fiber.start.uc_stack.ss_size = STACK;
        fiber.start.uc_link = nullptr;
        makecontext(&fiber.start, enter, 0);
      }
    }
    run(in_cluster, threads, order);
    if (fault) {
      for (Fiber& fiber : fibers) fiber.begun = false;  // what they were doing is given up
      return fault;
    }
  }
  return nullptr;
}

}  // namespace host

#define __syncthreads() host::meet_in_block(__LINE__)
template <class V>
V __shfl_xor_sync(unsigned, V value, int other) {
  return host::exchange(value, host::current->lane ^ other);
}
template <class V>
V __shfl_sync(unsigned, V value, int from) {
  return host::exchange(value, from);
}
inline unsigned __ballot_sync(unsigned, bool mine) {
  unsigned bits = 0;
  for (int lane = 0; lane < 32; ++lane) bits |= unsigned(host::exchange(mine, lane)) << lane;
  return bits;
}
inline int __ffs(unsigned bits) { return __builtin_ffs(int(bits)); }
inline float __int_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float* dynamic_shared() {
  const auto address = reinterpret_cast<size_t>(host::current->block->shared.data());
  return reinterpret_cast<float*>((address + 15) / 16 * 16);
}
template <int BYTES>
inline void start_copy(float* to, const float* from, bool inside) {
  if (inside) std::memcpy(to, from, BYTES);
  else std::memset(to, 0, BYTES);
}
inline void finish_copies() {}
inline unsigned cluster_rank() { return host::current->rank; }
inline void cluster_arrive() {
  if (host::current->arrived) host::fail("cluster_arrive twice, without cluster_wait between them");
  host::current->arrived = true;
  host::current->cluster_generation = host::arrive(host::cluster);
}
inline void cluster_arrive_having_read() { cluster_arrive(); }
inline void cluster_wait() {
  if (!host::current->arrived) host::fail("cluster_wait without cluster_arrive before it");
  host::wait(host::cluster, host::current->cluster_generation);
  host::current->arrived = false;
}
inline float cluster_read(const float* mine, unsigned rank) {
  const float* own = dynamic_shared();
  host::Fiber* self = host::current;
  host::Block* block = self->block;
  self->block = &host::blocks[rank];
  const float value = dynamic_shared()[mine - own];
  self->block = block;
  return value;
}
