// Rows of n numbers that lie side by side, a warp for each: softmax and cross entropy. T is the arrays' type, A the one
// to compute in. Nothing here says how many threads a warp has.

__device__ A infinity() {
    const A zero = 0;
    return 1 / zero;
}
__device__ A largest_of_warp(A value) {
    for (int bits = warpSize / 2; bits > 0; bits /= 2) {
        const A other = __shfl_xor_sync(0xffffffff, value, bits);
        value = other > value ? other : value;
    }
    return value;
}

// x less the largest number of its row; of infinity 0, where infinity less infinity would be NaN.
__device__ A shifted_by(A x, A largest) { return x == infinity() ? 0 : x - largest; }

// What a softmax of one row needs: its largest number, and the sum of e^(x - largest).
struct Summed {
    A largest, total;
};
__device__ Summed summed(const T* row, long long n, int lane) {
    A largest = -infinity(), total = 0;
    for (long long j = lane; j < n; j += warpSize) largest = (A)row[j] > largest ? (A)row[j] : largest;
    largest = largest_of_warp(largest);
    for (long long j = lane; j < n; j += warpSize) total += exp(shifted_by((A)row[j], largest));
    return {largest, sum_of_warp(total)};
}

// softmax, or its logarithm, of each row.
extern "C" __global__ void softmax_rows(
    const T* __restrict__ x, T* __restrict__ out, const long long rows, const long long n, const int logarithm) {
    const int lane = threadIdx.x % warpSize, warps = blockDim.x / warpSize;
    for (long long i = blockIdx.x * (long long)warps + threadIdx.x / warpSize; i < rows;
         i += (long long)gridDim.x * warps) {
        const T* row = x + i * n;
        const Summed s = summed(row, n, lane);
        const A shift = logarithm ? log(s.total) : 0;
        for (long long j = lane; j < n; j += warpSize) {
            const A shifted = shifted_by((A)row[j], s.largest);
            out[i * n + j] = (T)(logarithm ? shifted - shift : exp(shifted) / s.total);
        }
    }
}

// dL/dx of softmax p: p (dL/dp - sum dL/dp p); of log softmax l: dL/dl - e^l sum dL/dl.
extern "C" __global__ void softmax_rows_gradient(
    const T* __restrict__ grad, const T* __restrict__ out, T* __restrict__ grad_x, const long long rows,
    const long long n, const int logarithm) {
    const int lane = threadIdx.x % warpSize, warps = blockDim.x / warpSize;
    for (long long i = blockIdx.x * (long long)warps + threadIdx.x / warpSize; i < rows;
         i += (long long)gridDim.x * warps) {
        const T *g = grad + i * n, *o = out + i * n;
        A total = 0;
        for (long long j = lane; j < n; j += warpSize) total += logarithm ? (A)g[j] : (A)g[j] * (A)o[j];
        total = sum_of_warp(total);
        for (long long j = lane; j < n; j += warpSize) {
            const A share = logarithm ? exp((A)o[j]) * total : (A)o[j] * total;
            grad_x[i * n + j] = (T)((logarithm ? (A)g[j] : (A)g[j] * (A)o[j]) - share);
        }
    }
}

// The cross entropy of each row with its label, and their mean (or sum) over the rows whose label is not `ignored`.
// A label that is no class makes the result NaN. `counted` is how many rows count, or NaN. A warp adds up a piece of so
// many rows, `length`; the last warp adds up all pieces, always in the same order.
struct Added {
    double losses, rows;
};
extern "C" __global__ void cross_entropy(
    const T* __restrict__ x, const long long* __restrict__ labels, T* loss, double* counted, double* parts,
    int* arrived, const int pieces, const long long length, const long long rows, const long long n,
    const long long ignored, const double smoothing, const int mean) {
    const int lane = threadIdx.x % warpSize, warps = blockDim.x / warpSize;
    for (int piece = blockIdx.x * warps + threadIdx.x / warpSize; piece < pieces; piece += gridDim.x * warps) {
        Added own = {0, 0};
        for (long long i = piece * length; i < (piece + 1) * length && i < rows; i++) {
            const T* row = x + i * n;
            const long long label = labels[i];
            if (label == ignored) continue;  // the same for the whole warp
            if (label < 0 || label >= n) {
                own.losses = own.rows = infinity() - infinity();
                continue;
            }
            const Summed s = summed(row, n, lane);
            const A rest = log(s.total);
            A loss_of_row = rest - shifted_by((A)row[label], s.largest);
            if (smoothing != 0) {
                A all = 0;
                for (long long j = lane; j < n; j += warpSize) all += rest - shifted_by((A)row[j], s.largest);
                if (smoothing == 1) loss_of_row = 0;  // 0 times infinity would be NaN
                loss_of_row = (A)(1 - smoothing) * loss_of_row + (A)smoothing * (sum_of_warp(all) / (A)n);
            }
            own.losses += loss_of_row;
            own.rows += 1;
        }
        if (lane == 0) ((Added*)parts)[piece] = own;
    }
    if (!is_last_warp(arrived)) return;
    const volatile double* all = parts;  // written by other warps: not to be taken from a cache
    Added total = {0, 0};
    for (int piece = lane; piece < pieces; piece += warpSize) {
        total.losses += all[2 * piece];
        total.rows += all[2 * piece + 1];
    }
    total = {sum_of_warp(total.losses), sum_of_warp(total.rows)};
    if (lane == 0) {
        loss[0] = (T)(A)(mean ? total.losses / total.rows : total.losses);
        counted[0] = total.rows;
        arrived[0] = 0;
    }
}

// dL/dx of it: (softmax - goal) times dL/dloss, over the number of rows for a mean; 0 of an ignored row.
extern "C" __global__ void cross_entropy_gradient(
    const T* __restrict__ x, const long long* __restrict__ labels, const T* __restrict__ grad,
    const double* __restrict__ counted, T* __restrict__ grad_x, const long long rows, const long long n,
    const long long ignored, const double smoothing, const int mean) {
    const int lane = threadIdx.x % warpSize, warps = blockDim.x / warpSize;
    const A scale = mean ? (A)((double)(A)grad[0] / counted[0]) : (A)grad[0];
    for (long long i = blockIdx.x * (long long)warps + threadIdx.x / warpSize; i < rows;
         i += (long long)gridDim.x * warps) {
        const T* row = x + i * n;
        const long long label = labels[i];
        const Summed s = summed(row, n, lane);
        const A share = label < 0 || label >= n ? infinity() - infinity() : scale;
        for (long long j = lane; j < n; j += warpSize) {
            const A goal = (j == label ? (A)(1 - smoothing) : (A)0) + (A)(smoothing / (double)n);
            const A slope = (exp(shifted_by((A)row[j], s.largest)) / s.total - goal) * share;
            grad_x[i * n + j] = (T)(label == ignored ? (A)0 : slope);
        }
    }
}
