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

__device__ unsigned long long key_of(long long seed, const double* live) {  // the seed, or what `live` has instead
    return (unsigned long long)(live ? (long long)*live : seed);
}
__device__ float uniform_of(unsigned word) {  // in [0, 1), a multiple of 2^-24
    return (float)(word >> 8) * 5.9604645e-8f;
}

// A counter gives four numbers, which lie side by side. Single stores of theirs would each touch every fourth place of
// what a warp writes, so they are stored as one; `array` begins where memory that was asked for begins.
template <class Number>
struct alignas(sizeof(Number) == 2 ? 8 : 16) Neighbours {
    Number number[4];
};
template <class Number>
__device__ void store(Number* array, long long i, long long count, const Neighbours<Number>& four) {
    if (4 * i + 4 <= count) {
        ((Neighbours<Number>*)array)[i] = four;
        return;
    }
    for (int j = 0; j < 4; j++)
        if (4 * i + j < count) array[4 * i + j] = four.number[j];
}

extern "C" __global__ void uniform(
    float* __restrict__ out, const long long count, const long long seed, const double* live) {
    const unsigned long long key = key_of(seed, live);
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; 4 * i < count;
         i += (long long)gridDim.x * blockDim.x) {
        const Four drawn = philox(key, (unsigned long long)i);
        Neighbours<float> numbers;
        for (int j = 0; j < 4; j++) numbers.number[j] = uniform_of(drawn.word[j]);
        store(out, i, count, numbers);
    }
}

// Dropout: `scale` is 0 where the number that `uniform` draws is below p, else `kept`; z is x times scale, or 0.
extern "C" __global__ void dropout(
    const T* __restrict__ x, T* __restrict__ z, T* __restrict__ scale, const long long count, const double p,
    const double kept, const long long seed, const double* live) {
    const unsigned long long key = key_of(seed, live);
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; 4 * i < count;
         i += (long long)gridDim.x * blockDim.x) {
        const Four drawn = philox(key, (unsigned long long)i);
        Neighbours<T> scales, products;
        for (int j = 0; j < 4; j++) {
            const A number = 4 * i + j < count ? (A)x[4 * i + j] : 0;
            const A own = uniform_of(drawn.word[j]) < (float)p ? 0 : (A)kept;
            scales.number[j] = (T)own;
            products.number[j] = (T)(own != 0 ? number * own : 0);  // 0 times infinity would be NaN
        }
        store(scale, i, count, scales);
        store(z, i, count, products);
    }
}
