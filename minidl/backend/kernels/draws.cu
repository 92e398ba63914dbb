// Random numbers that need no state: number i of a stream is a function of the seed and of i.

struct Four {
    unsigned word[4];
};

// Philox4x32-10: ten rounds that mix a counter with a key (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011).
__device__ Four philox(unsigned long long key, unsigned long long counter) {
    unsigned a = (unsigned)counter, b = (unsigned)(counter >> 32), c = 0, d = 0;
    unsigned k0 = (unsigned)key, k1 = (unsigned)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const unsigned long long left = 0xD2511F53ull * a, right = 0xCD9E8D57ull * c;
        a = (unsigned)(right >> 32) ^ b ^ k0;
        b = (unsigned)right;
        c = (unsigned)(left >> 32) ^ d ^ k1;
        d = (unsigned)left;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{a, b, c, d}};
}

// Uniform numbers in [0, 1), multiples of 2^-24. The seed is a whole number, read from `live` if that is there.
extern "C" __global__ void uniform(
    float* __restrict__ out, const long long count, const long long seed, const double* live) {
    const unsigned long long key = (unsigned long long)(live ? (long long)*live : seed);
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; 4 * i < count;
         i += (long long)gridDim.x * blockDim.x) {
        const Four four = philox(key, (unsigned long long)i);
        for (int j = 0; j < 4 && 4 * i + j < count; j++) out[4 * i + j] = (float)(four.word[j] >> 8) * 5.9604645e-8f;
    }
}
