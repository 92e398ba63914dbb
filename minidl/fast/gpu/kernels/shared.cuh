// What every source starts with.

// A parameter that a kernel may read where it lies. A GPU before Volta cannot, and makes a copy for each thread.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 700
#undef __grid_constant__
#define __grid_constant__
#endif

template <class Number>
__device__ Number sum_of_warp(Number value) {  // of all its threads, for all of them, always added in one order
    for (int bits = warpSize / 2; bits > 0; bits /= 2) value += __shfl_xor_sync(0xffffffff, value, bits);
    return value;
}

// Whether all other warps of the launch have written what they had to and called this. Which warp comes last is up to
// chance. `arrived` counts them; the last has to put it back to 0, for the next launch.
//
// One thread counts for its warp, behind the fences. They hold for what the others wrote before and read after only
// because __syncwarp orders the memory of a warp's threads; a shuffle does not.
__device__ bool is_last_warp(int* arrived) {
    int before = 0;
    __syncwarp();
    if (threadIdx.x % warpSize == 0) {
        __threadfence();
        before = atomicAdd(arrived, 1);
        __threadfence();
    }
    __syncwarp();
    before = __shfl_sync(0xffffffff, before, 0);
    return before == (int)(gridDim.x * (blockDim.x / warpSize)) - 1;
}

