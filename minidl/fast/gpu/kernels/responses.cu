// Local response normalisation across channels, and its gradient. T is the arrays' type, A the one to compute in.
//
// An array (N, C, ...) is seen as (samples, channels, places). A thread has RUN channels of one place, one after the
// other, so that it finds most of a channel's neighbours in the cache, where the channel before has brought them;
// neighbours in a warp have places side by side.

const int RUN = 16;

struct Layout {
    long long samples, channels, places;
};

// Call `see` with every channel that is this thread's, and with the place in memory of its sample's channel 0.
template <class See>
__device__ void each_channel(const Layout& l, See see) {
    const long long runs = (l.channels + RUN - 1) / RUN, count = l.samples * runs * l.places;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count;
         i += (long long)gridDim.x * blockDim.x) {
        const long long place = i % l.places, run = i / l.places % runs, sample = i / l.places / runs;
        const long long start = sample * l.channels * l.places + place;
        for (long long c = run * RUN; c < (run + 1) * RUN && c < l.channels; c++) see(c, start);
    }
}

// s = k + alpha mean(x^2) over the channels c - size/2 to c - size/2 + size-1, with 0 outside, and y = x s^-beta.
extern "C" __global__ void respond(
    const T* __restrict__ x, T* __restrict__ y, T* __restrict__ s, const Layout layout, const long long size,
    const double alpha, const double beta, const double k) {
    each_channel(layout, [&](long long c, long long start) {
        const long long first = c - size / 2, from = first < 0 ? 0 : first;
        const long long to = first + size < layout.channels ? first + size : layout.channels;
        A squares = 0;
        for (long long j = from; j < to; j++) {
            const A other = (A)x[start + j * layout.places];
            squares += other * other;
        }
        const long long at = start + c * layout.places;
        const A spread = (A)k + (A)alpha * (squares / (A)size);
        s[at] = (T)spread;
        y[at] = (T)((A)x[at] * pow(spread, (A)-beta));
    });
}

// dL/dx = dL/dy s^-beta - 2 alpha beta x mean(dL/dy y / s), over the channels that have this one for a neighbour.
extern "C" __global__ void respond_gradient(
    const T* __restrict__ grad, const T* __restrict__ x, const T* __restrict__ y, const T* __restrict__ s,
    T* __restrict__ grad_x, const Layout layout, const long long size, const double alpha, const double beta) {
    each_channel(layout, [&](long long c, long long start) {
        const long long first = c + size / 2 - size + 1, from = first < 0 ? 0 : first;
        const long long to = first + size < layout.channels ? first + size : layout.channels;
        A shared = 0;
        for (long long j = from; j < to; j++) {
            const long long at = start + j * layout.places;
            shared += (A)grad[at] * (A)y[at] / (A)s[at];
        }
        const long long at = start + c * layout.places;
        const A own = (A)grad[at] * pow((A)s[at], (A)-beta);
        grad_x[at] = (T)(own - (A)(2 * alpha * beta) * (A)x[at] * (shared / (A)size));
    });
}
