// The Euclidean norm of several arrays together. T is the arrays' type, A the one it is read in.

const int MOST = 100;

struct Arrays {
    const T* data[MOST];
    long long size[MOST];
    long long length;  // of the pieces, of which a warp takes one
    int first_piece[MOST + 1];
};

// Sums of squares of numbers that are small (their squares are 0), large (infinite) or neither: the small ones times
// 2^600, the large ones times 2^-600 (J. L. Blue, "A portable Fortran program to find the Euclidean norm of a vector",
// ACM TOMS 4, 1978).
struct Squares {
    double small, middle, large;
};
__device__ void add(Squares& s, double number) {
    const double up = 4.1495155688809930e180, down = 2.4099198651028841e-181, size = fabs(number);
    const bool large = size > 2.5822498780869086e120, small = size < 3.8725919148493183e-121;  // 2^400, 2^-400
    s.large += large ? number * down * (number * down) : 0;
    s.small += small ? number * up * (number * up) : 0;
    s.middle += large || small ? 0 : number * number;  // also NaN
}

// Of a float32 or float16 number the square is always in the middle. Below 2^-126 the number itself would be lost: CuPy
// has the compiler count it as 0 (-ftz=true). So it is read by its bits, a whole number of 2^-149.
__device__ void add(Squares& s, float number) {
    const unsigned bits = __float_as_uint(number) & 0x7fffffff;
    const double size = bits < 0x00800000 ? (int)bits * 1.4012984643248171e-45 : (double)number;
    s.middle += size * size;
}
__device__ double root(const Squares& s) {
    const double up = 4.1495155688809930e180, down = 2.4099198651028841e-181;
    if (s.large != 0) return sqrt(s.large + s.middle * down * down) * up;
    return s.middle != 0 ? sqrt(s.middle + s.small * down * down) : sqrt(s.small) * down;
}

// The last warp adds up all pieces, always in the same order.
extern "C" __global__ void norm_of_arrays(
    const __grid_constant__ Arrays arrays, double* norm, double* parts, int* arrived, const int pieces) {
    const int lane = threadIdx.x % warpSize, warps = blockDim.x / warpSize;
    for (int piece = blockIdx.x * warps + threadIdx.x / warpSize; piece < pieces; piece += gridDim.x * warps) {
        int a = 0;
        while (piece >= arrays.first_piece[a + 1]) a++;
        const T* data = arrays.data[a];
        const long long start = (piece - arrays.first_piece[a]) * arrays.length;
        const long long stop = start + arrays.length < arrays.size[a] ? start + arrays.length : arrays.size[a];
        Squares own = {0, 0, 0};
        #pragma unroll 4  // four loads before the first is waited for
        for (long long i = start + lane; i < stop; i += warpSize) add(own, (A)data[i]);
        own = {sum_of_warp(own.small), sum_of_warp(own.middle), sum_of_warp(own.large)};
        if (lane == 0) ((Squares*)parts)[piece] = own;
    }
    if (!is_last_warp(arrived)) return;
    const volatile double* all = parts;  // written by other warps: not to be taken from a cache
    Squares total = {0, 0, 0};
    for (int piece = lane; piece < pieces; piece += warpSize) {
        total.small += all[3 * piece];
        total.middle += all[3 * piece + 1];
        total.large += all[3 * piece + 2];
    }
    total = {sum_of_warp(total.small), sum_of_warp(total.middle), sum_of_warp(total.large)};
    if (lane == 0) {
        norm[0] = root(total);
        arrived[0] = 0;
    }
}
