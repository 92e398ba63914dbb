// Normalisation of groups of numbers, y = w z + b with z = (x - m) / sqrt(v + eps), and its gradients. m and v are the
// mean and variance of a group, w and b its weight and bias (null for 1 and 0). T is the arrays' type, A the one to
// compute in; what is added up is added in double.
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

// Call `see(at, load(at))` with the place in memory of every number of the piece that is this lane's. Several are loaded
// before the first is waited for: what `see` writes could otherwise be, as far as the compiler knows, what comes next.
template <class Load, class See>
__device__ void each(const Groups& g, const Piece& piece, Load load, See see) {
    const int AT_ONCE = 4;
    const long long row = g.groups * g.inner;  // from a number of the group to the one below it
    const long long over = warpSize % g.inner, step = warpSize / g.inner * row + over;
    const long long j = piece.from + threadIdx.x % warpSize;
    long long i = j % g.inner;
    long long at = j / g.inner * row + piece.group * g.inner + i;
    for (int left = (int)(piece.to - j); left > 0; left -= AT_ONCE * warpSize) {
        long long places[AT_ONCE];
        decltype(load(at)) loaded[AT_ONCE];
        #pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
            places[k] = at;
            if (k * warpSize < left) loaded[k] = load(at);
            at += step;
            i += over;
            if (i >= g.inner) {  // beyond the end of its row
                i -= g.inner;
                at += row - g.inner;
            }
        }
        #pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
            if (k * warpSize < left) see(places[k], loaded[k]);
    }
}

struct Pair {
    double first, second;
};

// The mean of a piece, and the sum of the squares of the distances from it.
__device__ Pair moments_of_piece(const T* x, const Groups& g, const Piece& piece) {
    double total = 0, squares = 0;
    const auto number = [&](long long at) { return (A)x[at]; };
    each(g, piece, number, [&](long long, A x) { total += (double)x; });
    const double mean = sum_of_warp(total) / (double)(piece.to - piece.from);
    each(g, piece, number, [&](long long, A x) {
        const double distance = (double)x - mean;
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

// What the way back reads: dL/dy, and the z that it computes again.
struct Back {
    const T *grad, *x;
    A mean, scale;
    struct Read {
        A grad, z;
    };
    __device__ Read operator()(long long at) const { return {(A)grad[at], ((A)x[at] - mean) * scale}; }
};

// The sums of dL/dy and of dL/dy z, over a piece and over a group: dL/db and dL/dw.
__device__ Pair sums_of_piece(const Back& back, const Groups& g, const Piece& piece) {
    double total = 0, along = 0;
    each(g, piece, back, [&](long long, Back::Read read) {
        total += (double)read.grad;
        along += (double)read.grad * (double)read.z;
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

// The first piece of each group writes what there is once a group; one lane of it does.
__device__ bool writes(const Piece& piece) { return piece.from == 0 && threadIdx.x % warpSize == 0; }

// running <- (1 - momentum) running + momentum batch
__device__ void follow(T& running, double batch, double momentum) {
    running = (T)(A)((1 - momentum) * (double)(A)running + momentum * batch);
}

extern "C" __global__ void moments_of_pieces(const T* __restrict__ x, double* parts, const Groups g) {
    each_piece(g, [&](long long i) {
        const Pair own = moments_of_piece(x, g, piece_of_warp(g, i));
        if (threadIdx.x % warpSize == 0) ((Pair*)parts)[i] = own;
    });
}

extern "C" __global__ void sums_of_pieces(
    const T* __restrict__ grad, const T* __restrict__ x, const A* __restrict__ mean,
    const A* __restrict__ scale, double* parts, const Groups g) {
    each_piece(g, [&](long long i) {
        const Piece piece = piece_of_warp(g, i);
        const Back back = {grad, x, mean[piece.group], scale[piece.group]};
        const Pair own = sums_of_piece(back, g, piece);
        if (threadIdx.x % warpSize == 0) ((Pair*)parts)[i] = own;
    });
}

// y; m and 1 / sqrt(v + eps) of each group are kept, for v itself may be too large for A. `parts` is null where a group is one piece, the running statistics where nobody
// keeps them, and `momentum` where it is the `number`, not one that only the device knows.
extern "C" __global__ void normalize(
    const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias,
    const double* __restrict__ parts, T* __restrict__ y, A* __restrict__ mean, A* __restrict__ scales,
    T* running_mean, T* running_variance, const double* momentum, const double number, const Groups g,
    const double eps) {
    const double n = (double)(g.outer * g.inner);
    each_piece(g, [&](long long i) {
        const Piece piece = piece_of_warp(g, i);
        const Pair found =
            parts ? moments_of_group((const Pair*)parts, g, piece.group) : moments_of_piece(x, g, piece);
        // All lanes have the mean already. Through the shuffle it is a register, else rounded anew for each number.
        const A m = __shfl_sync(0xffffffff, (A)found.first, 0), own = (A)(1 / sqrt(found.second / n + eps));
        const A scale = own * (weight ? (A)weight[piece.group] : (A)1);
        const A b = bias ? (A)bias[piece.group] : (A)0;
        each(g, piece, [&](long long at) { return (A)x[at]; }, [&](long long at, A x) {
            y[at] = (T)((x - m) * scale + b);
        });
        if (writes(piece)) {
            mean[piece.group] = m;
            scales[piece.group] = own;
            if (!running_mean) return;
            follow(running_mean[piece.group], found.first, momentum ? *momentum : number);
            follow(running_variance[piece.group], found.second / (n - 1), momentum ? *momentum : number);
        }
    });
}

// dL/dx = w (dL/dy - mean(dL/dy) - z mean(dL/dy z)) / sqrt(v + eps), and dL/dw and dL/db.
extern "C" __global__ void normalize_gradient(
    const T* __restrict__ grad, const T* __restrict__ x, const T* __restrict__ weight, const A* __restrict__ mean,
    const A* __restrict__ scales, const double* __restrict__ parts, T* __restrict__ grad_x,
    T* __restrict__ grad_weight, T* __restrict__ grad_bias, const Groups g) {
    const double n = (double)(g.outer * g.inner);
    each_piece(g, [&](long long i) {
        const Piece piece = piece_of_warp(g, i);
        const Back back = {grad, x, mean[piece.group], scales[piece.group]};
        const Pair sums = parts ? sums_of_group((const Pair*)parts, g, piece.group) : sums_of_piece(back, g, piece);
        const A total = (A)(sums.first / n), along = (A)(sums.second / n);
        const A scale = weight ? back.scale * (A)weight[piece.group] : back.scale;
        each(g, piece, back, [&](long long at, Back::Read read) {
            grad_x[at] = (T)((read.grad - total - read.z * along) * scale);
        });
        if (writes(piece)) {
            grad_weight[piece.group] = (T)(A)sums.second;
            grad_bias[piece.group] = (T)(A)sums.first;
        }
    });
}
