// What CUDA C++ has and C++ has not, so that a kernel's own source compiles for the host: see kernels.py.
//
// A kernel whose threads do not wait for each other is a loop over blocks and threads. For those that do (shuffles,
// __syncthreads) there are two ways. With warps of one thread, the default, a shuffle gives a thread its own value
// back, and kernels that ask `warpSize` instead of saying 32 need nothing else. With STANDIN_WARP=32 each thread
// is a fiber, and waits as on a GPU; that is slow, and there for the tests of just that.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <tuple>
#include <type_traits>
#include <utility>
#include "cuda_fp16.h"

#ifndef STANDIN_WARP
#define STANDIN_WARP 1
#endif
#ifndef STANDIN_FLUSH
#define STANDIN_FLUSH 0
#endif
#if STANDIN_FLUSH && defined(__SSE__)
#include <xmmintrin.h>
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __grid_constant__
#define __launch_bounds__(...)

typedef __half float16;  // what CuPy calls it in ElementwiseKernel

struct dim3 {
    unsigned x, y, z;
};
static dim3 blockIdx, threadIdx, blockDim, gridDim;
static const int warpSize = STANDIN_WARP;

static inline void __threadfence() {}
template <class T>
static inline T __ldg(const T* place) { return *place; }
template <class T>
static inline T atomicAdd(T* place, T value) {
    T old = *place;
    *place = old + value;
    return old;
}
static inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}
static inline float rsqrt(float x) { return 1 / sqrtf(x); }
static inline double rsqrt(double x) { return 1 / sqrt(x); }

// ---- the launch

// While there is one, numbers below the smallest normal one count as 0, as operands and as results.
struct Flushing {
#if STANDIN_FLUSH && defined(__SSE__)
    const unsigned before = _mm_getcsr();
    Flushing() { _mm_setcsr(before | 0x8040); }
    ~Flushing() { _mm_setcsr(before); }
#else
    Flushing() {}
#endif
};

typedef void (*Call)(void**);

enum Fault { NONE, DIVERGED };

#if STANDIN_WARP == 1

template <class T>
static inline T __shfl_xor_sync(unsigned, T value, int) { return value; }
template <class T>
static inline T __shfl_sync(unsigned, T value, int) { return value; }
static inline void __syncwarp(unsigned = 0xffffffff) {}

static int run_block(Call call, void** args, unsigned threads) {
    for (unsigned i = 0; i < threads; i++) {
        threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
        call(args);
    }
    return NONE;
}

#else
#include <ucontext.h>

enum State { READY, AT_WARP, AT_BLOCK, DONE };
static const int MOST_FIBERS = 1024, STACK = 1 << 16;
static ucontext_t scheduler, fibers[MOST_FIBERS];
static char stacks[MOST_FIBERS][STACK], exchanged[MOST_FIBERS][16];
static State states[MOST_FIBERS];
static int running;
static Call the_call;
static void** the_args;

static void wait(State where) {
    states[running] = where;
    swapcontext(&fibers[running], &scheduler);
}
static inline void __syncthreads() { wait(AT_BLOCK); }
static inline void __syncwarp(unsigned = 0xffffffff) { wait(AT_WARP); }
template <class T>
static T from_lane(T value, int lane) {
    memcpy(exchanged[running], &value, sizeof(T));
    wait(AT_WARP);
    memcpy(&value, exchanged[running / warpSize * warpSize + lane], sizeof(T));
    wait(AT_WARP);
    return value;
}
template <class T>
static T __shfl_xor_sync(unsigned, T value, int bits) { return from_lane(value, running % warpSize ^ bits); }
template <class T>
static T __shfl_sync(unsigned, T value, int lane) { return from_lane(value, lane); }

static void live() {
    the_call(the_args);
    states[running] = DONE;
    swapcontext(&fibers[running], &scheduler);
}

static int count(int from, int to, State state) {
    int found = 0;
    for (int i = from; i < to; i++) found += states[i] == state;
    return found;
}

// Let every lane of a warp run until all are done or wait for the block; false if some wait for those that are gone.
static bool run_warp(int from, int to) {
    while (count(from, to, READY)) {
        for (int i = from; i < to; i++) {
            if (states[i] != READY) continue;
            running = i;
            threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
            swapcontext(&scheduler, &fibers[i]);
        }
        int waiting = count(from, to, AT_WARP);
        if (waiting == 0) break;
        if (waiting < to - from) return false;
        for (int i = from; i < to; i++) states[i] = READY;
    }
    return true;
}

static int run_block(Call call, void** args, unsigned threads) {
    the_call = call;
    the_args = args;
    for (unsigned i = 0; i < threads; i++) {
        getcontext(&fibers[i]);
        fibers[i].uc_stack.ss_sp = stacks[i];
        fibers[i].uc_stack.ss_size = STACK;
        makecontext(&fibers[i], live, 0);
        states[i] = READY;
    }
    for (;;) {
        for (unsigned from = 0; from < threads; from += warpSize)
            if (!run_warp(from, from + warpSize < threads ? from + warpSize : threads)) return DIVERGED;
        int waiting = count(0, threads, AT_BLOCK);
        if (waiting == 0) return NONE;
        if (waiting < (int)threads) return DIVERGED;
        for (unsigned i = 0; i < threads; i++) states[i] = READY;
    }
}
#endif

static int run_grid(Call call, const unsigned* grid, const unsigned* block, void** args) {
    const Flushing flushing;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                int fault = run_block(call, args, block[0] * block[1] * block[2]);
                if (fault) return fault;
            }
    return NONE;
}

// ---- a kernel's parameters: three bytes each, (array or value, kind of number, its size)

template <class T>
constexpr char kind_of() {
    if constexpr (std::is_same_v<T, bool>) return 'b';
    else if constexpr (std::is_same_v<T, __half> || std::is_floating_point_v<T>) return 'f';
    else if constexpr (std::is_integral_v<T>) return std::is_signed_v<T> ? 'i' : 'u';
    else return 'V';
}
template <class P>
int describe_one(int* out) {
    if constexpr (std::is_pointer_v<P>) {
        using T = std::remove_cv_t<std::remove_pointer_t<P>>;
        out[0] = 'p', out[1] = kind_of<T>();
        if constexpr (std::is_void_v<T>) out[2] = 0;
        else out[2] = sizeof(T);
    } else {
        out[0] = 'v', out[1] = kind_of<P>(), out[2] = sizeof(P);
    }
    return 0;
}
template <class... P>
int describe(void (*)(P...), int* out) {
    int i = 0;
    (..., (describe_one<std::remove_cv_t<P>>(out + 3 * i++)));
    return sizeof...(P);
}
template <class... P, size_t... I>
void call_with(void (*kernel)(P...), void** args, std::index_sequence<I...>) {
    kernel(*(std::remove_cv_t<P>*)args[I]...);
}
template <class... P>
void call_with(void (*kernel)(P...), void** args) {
    call_with(kernel, args, std::index_sequence_for<P...>());
}
