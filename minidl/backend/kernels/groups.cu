// Normalisation of groups of numbers: to mean 0 and variance 1, and the gradient of that. T is the arrays' type, A the
// one to compute in; what is added up is added in double.
//
// An array is seen as (outer, groups, inner): a group is all numbers with one index in the middle. It is cut into
// pieces, a warp for each. Where a group is one piece, one launch does all. Else a first launch adds up each piece,
// and in the second each warp puts its group's pieces together, always in one order, before it writes its own.

struct Groups {
    long long outer, groups, inner, pieces, length;  // pieces in a group, numbers in a piece
};

struct Piece {
    long long group, from, to;  // the numbers from..to-1 of its group
};
__device__ Piece piece_of_warp(const Groups& g, long long number) {
    const long long from = number % g.pieces * g.length, n = g.outer * g.inner;
    return {number / g.pieces, from, from + g.length < n ? from + g.length : n};
}

// Call `see` with the place in memory of every number of the piece that is this lane's.
template <class See>
__device__ void each(const Groups& g, const Piece& piece, See see) {
    const long long rows = warpSize / g.inner, rest = warpSize % g.inner;
    long long j = piece.from + threadIdx.x % warpSize, row = j / g.inner, i = j % g.inner;
    for (; j < piece.to; j += warpSize) {
        see((row * g.groups + piece.group) * g.inner + i);
        row += rows;
        i += rest;
        if (i >= g.inner) {
            i -= g.inner;
            row++;
        }
    }
}

struct Pair {
    double first, second;
};

// The mean of a piece, and the sum of the squares of the distances from it.
__device__ Pair moments_of_piece(const T* x, const Groups& g, const Piece& piece) {
    double total = 0, squares = 0;
    each(g, piece, [&](long long at) { total += (double)(A)x[at]; });
    const double mean = sum_of_warp(total) / (double)(piece.to - piece.from);
    each(g, piece, [&](long long at) {
        const double distance = (double)(A)x[at] - mean;
        squares += distance * distance;
    });
    return {mean, sum_of_warp(squares)};
}
// The same of a whole group, from those of its pieces.
__device__ Pair moments_of_group(const Pair* parts, const Groups& g, long long group) {
    double total = 0, squares = 0;
    for (long long i = group * g.pieces + threadIdx.x % warpSize; i < (group + 1) * g.pieces; i += warpSize) {
        const Piece piece = piece_of_warp(g, i);
        total += (double)(piece.to - piece.from) * parts[i].first;
    }
    const double mean = sum_of_warp(total) / (double)(g.outer * g.inner);
    for (long long i = group * g.pieces + threadIdx.x % warpSize; i < (group + 1) * g.pieces; i += warpSize) {
        const Piece piece = piece_of_warp(g, i);
        const double distance = parts[i].first - mean;
        squares += parts[i].second + (double)(piece.to - piece.from) * distance * distance;
    }
    return {mean, sum_of_warp(squares)};
}

// What dL/dx subtracts: the sums of dL/dz and of dL/dz z, over a piece and over a group.
__device__ Pair sums_of_piece(const T* grad, const T* z, const Groups& g, const Piece& piece) {
    double total = 0, along = 0;
    each(g, piece, [&](long long at) {
        total += (double)(A)grad[at];
        along += (double)(A)grad[at] * (double)(A)z[at];
    });
    return {sum_of_warp(total), sum_of_warp(along)};
}
__device__ Pair sums_of_group(const Pair* parts, const Groups& g, long long group) {
    double total = 0, along = 0;
    for (long long i = group * g.pieces + threadIdx.x % warpSize; i < (group + 1) * g.pieces; i += warpSize) {
        total += parts[i].first;
        along += parts[i].second;
    }
    return {sum_of_warp(total), sum_of_warp(along)};
}

// Call `work` with the number of every piece that is this warp's.
template <class Work>
__device__ void each_piece(const Groups& g, Work work) {
    const int warps = blockDim.x / warpSize;
    for (long long i = blockIdx.x * (long long)warps + threadIdx.x / warpSize; i < g.groups * g.pieces;
         i += (long long)gridDim.x * warps)
        work(i);
}

extern "C" __global__ void moments_of_pieces(const T* __restrict__ x, double* parts, const Groups g) {
    each_piece(g, [&](long long i) {
        const Pair own = moments_of_piece(x, g, piece_of_warp(g, i));
        if (threadIdx.x % warpSize == 0) ((Pair*)parts)[i] = own;
    });
}

extern "C" __global__ void sums_of_pieces(
    const T* __restrict__ grad, const T* __restrict__ z, double* parts, const Groups g) {
    each_piece(g, [&](long long i) {
        const Pair own = sums_of_piece(grad, z, g, piece_of_warp(g, i));
        if (threadIdx.x % warpSize == 0) ((Pair*)parts)[i] = own;
    });
}

// z = (x - m) / sqrt(v + eps); m and v of each group are kept. `parts` is null where a group is one piece.
extern "C" __global__ void standardize(
    const T* __restrict__ x, const double* __restrict__ parts, T* __restrict__ z, A* __restrict__ mean,
    A* __restrict__ variance, const Groups g, const double eps) {
    each_piece(g, [&](long long i) {
        const Piece piece = piece_of_warp(g, i);
        const Pair found =
            parts ? moments_of_group((const Pair*)parts, g, piece.group) : moments_of_piece(x, g, piece);
        const A m = (A)found.first, v = (A)(found.second / (double)(g.outer * g.inner));
        const A scale = 1 / sqrt(v + (A)eps);
        each(g, piece, [&](long long at) { z[at] = (T)(((A)x[at] - m) * scale); });
        if (piece.from == 0 && threadIdx.x % warpSize == 0) {
            mean[piece.group] = m;
            variance[piece.group] = v;
        }
    });
}

// dL/dx = (dL/dz - mean(dL/dz) - z mean(dL/dz z)) / sqrt(v + eps).
extern "C" __global__ void standardize_gradient(
    const T* __restrict__ grad, const T* __restrict__ z, const double* __restrict__ parts,
    const A* __restrict__ variance, T* __restrict__ grad_x, const Groups g, const double eps) {
    each_piece(g, [&](long long i) {
        const Piece piece = piece_of_warp(g, i);
        const Pair sums =
            parts ? sums_of_group((const Pair*)parts, g, piece.group) : sums_of_piece(grad, z, g, piece);
        const double n = (double)(g.outer * g.inner);
        const A mean = (A)(sums.first / n), along = (A)(sums.second / n);
        const A scale = 1 / sqrt(variance[piece.group] + (A)eps);
        each(g, piece, [&](long long at) { grad_x[at] = (T)(((A)grad[at] - mean - (A)z[at] * along) * scale); });
    });
}
