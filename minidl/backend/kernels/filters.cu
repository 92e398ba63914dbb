// dL/dy of a convolution, (N, F, *out), as the matrix that its products need: (F, N prod(out)), a row for each filter,
// the images side by side. The sum of a row is dL/db. T is the arrays' type, A the one to compute in; added up is in
// double.
//
// A row is cut into pieces, a warp for each, which adds up what it copies. A second launch adds the pieces, always in
// one order.

struct Rows {
    long long images, filters, positions, pieces, length;  // positions in an image, pieces in a row, numbers in a piece
};

extern "C" __global__ void side_by_side(
    const T* __restrict__ grad, T* __restrict__ rows, double* __restrict__ parts, const Rows r) {
    const int warps = blockDim.x / warpSize, lane = threadIdx.x % warpSize;
    const long long columns = r.images * r.positions;
    const long long over = warpSize % r.positions;  // beyond the last whole image in a step of a warp
    const long long step = warpSize / r.positions * r.filters * r.positions + over;
    for (long long i = blockIdx.x * (long long)warps + threadIdx.x / warpSize; i < r.filters * r.pieces;
         i += (long long)gridDim.x * warps) {
        const long long filter = i / r.pieces, start = (i - filter * r.pieces) * r.length;
        const long long stop = start + r.length < columns ? start + r.length : columns;
        long long j = start + lane, image = j / r.positions, position = j - image * r.positions;
        const T* from = grad + (image * r.filters + filter) * r.positions + position;
        double total = 0;
        for (; j < stop; j += warpSize) {
            rows[filter * columns + j] = *from;
            total += (double)(A)*from;
            from += step;
            position += over;
            if (position >= r.positions) {  // on to the next image
                position -= r.positions;
                from += (r.filters - 1) * r.positions;
            }
        }
        total = sum_of_warp(total);
        if (lane == 0) parts[i] = total;
    }
}

extern "C" __global__ void sums_of_rows(T* __restrict__ sums, const double* __restrict__ parts, const Rows r) {
    const int warps = blockDim.x / warpSize, lane = threadIdx.x % warpSize;
    for (long long filter = blockIdx.x * (long long)warps + threadIdx.x / warpSize; filter < r.filters;
         filter += (long long)gridDim.x * warps) {
        double total = 0;
        for (long long i = lane; i < r.pieces; i += warpSize) total += parts[filter * r.pieces + i];
        total = sum_of_warp(total);
        if (lane == 0) sums[filter] = (T)(A)total;
    }
}
