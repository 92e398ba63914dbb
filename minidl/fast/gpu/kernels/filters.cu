// What a convolution gives, (N, F, *out), is a product of matrices (F, N prod(out)): a row for each filter, the images
// side by side. Here are the ways there and back, for dL/dy and y. On the way there a row's sum is taken, dL/db; on the
// way back the bias is added. T is the arrays' type, A the one to compute in; sums are added up in double.
//
// A row is cut into pieces, a warp for each. A second launch adds up the pieces' sums, always in one order.

struct Rows {
    long long images, filters, positions, pieces, length;  // positions in an image, pieces in a row, numbers in a piece
};

const int FEW = 4;  // numbers that a thread reads before it writes them: it waits for the memory once

// Call `work` with every number of 0..count-1 that is this warp's.
template <class Work>
__device__ void each_of_warp(long long count, Work work) {
    const int warps = blockDim.x / warpSize;
    for (long long i = blockIdx.x * (long long)warps + threadIdx.x / warpSize; i < count;
         i += (long long)gridDim.x * warps)
        work(i);
}

// Copy piece i, from images to rows or BACK, and `change` what is copied.
template <bool BACK, class Change>
__device__ void copy(const T* __restrict__ from, T* __restrict__ to, const Rows& r, long long i, Change change) {
    const long long columns = r.images * r.positions, filter = i / r.pieces, start = (i - filter * r.pieces) * r.length;
    const long long stop = start + r.length < columns ? start + r.length : columns;
    const long long over = warpSize % r.positions;  // beyond the last whole image in a step of the warp
    const long long step = warpSize / r.positions * r.filters * r.positions + over;
    long long j = start + threadIdx.x % warpSize, image = j / r.positions, position = j - image * r.positions;
    long long place = (image * r.filters + filter) * r.positions + position;  // of number j of the row, in the images
    for (; j < stop; j += FEW * warpSize) {
        long long in_row[FEW], in_image[FEW];
        T value[FEW];
#pragma unroll
        for (int q = 0; q < FEW; q++) {
            in_row[q] = j + q * warpSize;
            in_image[q] = place;
            place += step;
            position += over;
            if (position >= r.positions) {  // on to the next image
                position -= r.positions;
                place += (r.filters - 1) * r.positions;
            }
        }
#pragma unroll
        for (int q = 0; q < FEW; q++)
            if (in_row[q] < stop) value[q] = from[BACK ? filter * columns + in_row[q] : in_image[q]];
#pragma unroll
        for (int q = 0; q < FEW; q++)
            if (in_row[q] < stop) to[BACK ? in_image[q] : filter * columns + in_row[q]] = change(value[q]);
    }
}

extern "C" __global__ void side_by_side(
    const T* __restrict__ grad, T* __restrict__ rows, double* __restrict__ parts, const Rows r) {
    each_of_warp(r.filters * r.pieces, [&](long long i) {
        double total = 0;
        copy<false>(grad, rows, r, i, [&](T value) {
            total += (double)(A)value;
            return value;
        });
        total = sum_of_warp(total);
        if (threadIdx.x % warpSize == 0) parts[i] = total;
    });
}

extern "C" __global__ void sums_of_rows(T* __restrict__ sums, const double* __restrict__ parts, const Rows r) {
    each_of_warp(r.filters, [&](long long filter) {
        double total = 0;
        for (long long i = threadIdx.x % warpSize; i < r.pieces; i += warpSize) total += parts[filter * r.pieces + i];
        total = sum_of_warp(total);
        if (threadIdx.x % warpSize == 0) sums[filter] = (T)(A)total;
    });
}

// `bias` is null where there is none.
extern "C" __global__ void by_image(
    const T* __restrict__ rows, const T* __restrict__ bias, T* __restrict__ y, const Rows r) {
    each_of_warp(r.filters * r.pieces, [&](long long i) {
        const A own = bias ? (A)bias[i / r.pieces] : (A)0;
        copy<true>(rows, y, r, i, [&](T value) { return bias ? (T)((A)value + own) : value; });
    });
}
