// Random 32-bit integers from the counter-based generator Philox4x64-10, as NumPy's Philox with the key
// (key0, key1) and the counter (0, draws, 0, 0). NumPy adds 1 to the counter before each block.
//
// A thread computes a block: four 64-bit numbers, which give eight results, the lower half of each first.
// The results begin after `before` blocks, and after the first `skipped` results of the next one.
//
// Source: Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, 2011.

typedef unsigned long long Word;

// The upper 64 bits of a · b, by products of 32-bit halves.
__device__ inline Word upper(Word a, Word b) {
  const Word low = 0xffffffffull;
  const Word middle = (a >> 32) * (b & low) + ((a & low) * (b & low) >> 32);
  const Word other = (a & low) * (b >> 32) + (middle & low);
  return (a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32);
}

extern "C" __global__ void __launch_bounds__(256)
philox(Word key0, Word key1, Word before, const Word* draws, unsigned* out, long long skipped,
       long long count) {
  const Word factor0 = 0xD2E7470EE14C6C93ull, factor1 = 0xCA5A826395121157ull;
  const long long end = skipped + count, step = gridDim.x * 256ll;
  for (long long i = blockIdx.x * 256ll + threadIdx.x; 8 * i < end; i += step) {
    Word words[4] = {before + i + 1, *draws, 0, 0};
    Word first = key0, second = key1;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
      const Word high0 = upper(words[0], factor0), low0 = words[0] * factor0;
      const Word high1 = upper(words[2], factor1), low1 = words[2] * factor1;
      words[0] = high1 ^ words[1] ^ first;
      words[1] = low1;
      words[2] = high0 ^ words[3] ^ second;
      words[3] = low0;
      first += 0x9E3779B97F4A7C15ull;
      second += 0xBB67AE8584CAA73Bull;
    }
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const long long place = 8 * i + k - skipped;
      if (0 <= place && place < count) out[place] = unsigned(words[k / 2] >> k % 2 * 32);
    }
  }
}
