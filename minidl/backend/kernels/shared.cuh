// What every source starts with.

template <class Number>
__device__ Number sum_of_warp(Number value) {  // of all its threads, for all of them, always added in one order
    for (int bits = warpSize / 2; bits > 0; bits /= 2) value += __shfl_xor_sync(0xffffffff, value, bits);
    return value;
}

// Whether all other warps of the launch have written what they had to and called this. Which warp comes last is up to
// chance. `arrived` counts them; the last has to put it back to 0, for the next launch.
__device__ bool is_last_warp(int* arrived) {
    __threadfence();
    int before = 0;
    if (threadIdx.x % warpSize == 0) before = atomicAdd(arrived, 1);
    before = __shfl_sync(0xffffffff, before, 0);
    __threadfence();
    return before == (int)(gridDim.x * (blockDim.x / warpSize)) - 1;
}

