// Windows on arrays (N, C, *sizes) in C order: the columns of a convolution, and pooling. T is the arrays' type, A the
// one to add in. There are three spatial axes; where an input has fewer, the first are 1 long.
//
// Where a place lies, and which windows see it, takes some ten divisions to find out, each as slow as twenty
// additions. But it does not depend on the image, nor on the channel. So a thread has one place, works that out once,
// and then does the same for many images (or channels): blockIdx.x says which place, blockIdx.y which images. It does
// a few at a time, so that it waits for the memory once for all of them. Neighbours in a warp have neighbouring places:
// they read and write side by side.

const int FEW = 4;  // as in windows.py

struct Windows {
    int images, channels, size[3], kernel[3], stride[3], padding[3], dilation[3], out[3];
    // Some windows see a place as their number k, the next as number k + numbers_apart, windows_apart before.
    int windows_apart[3], numbers_apart[3];
};

__device__ int most(int a, int b) { return a > b ? a : b; }
__device__ int least(int a, int b) { return a < b ? a : b; }
__device__ int volume(const int (&lengths)[3]) { return lengths[0] * lengths[1] * lengths[2]; }
__device__ int flat(int a, int b, int c, const int (&lengths)[3]) { return (a * lengths[1] + b) * lengths[2] + c; }

// Call `work` with the first of every few of `count` images, or channels, that are this thread's, and their number.
template <class Work>
__device__ void few_by_few(int count, Work work) {
    for (int first = blockIdx.y * FEW; first < count; first += gridDim.y * FEW) work(first, least(FEW, count - first));
}
// Call `work` with 0, 1, .. n - 1. All FEW are written out, so that arrays with FEW elements can lie in registers.
template <class Work>
__device__ void each(int n, Work work) {
#pragma unroll
    for (int j = 0; j < FEW; j++)
        if (j < n) work(j);
}

// The place of this thread in planes of these lengths that lie one after the other.
struct Place {
    int plane, at[3];
    long long index;  // in all planes
};
__device__ Place place_of_thread(const int (&lengths)[3]) {
    const long long index = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    const int plane = (int)(index / volume(lengths));
    const unsigned within = (unsigned)(index - plane * (long long)volume(lengths));  // divides faster than an int
    const unsigned row = within / lengths[2], a = row / lengths[1];
    return {plane, {(int)a, (int)(row - a * lengths[1]), (int)(within - row * lengths[2])}, index};
}

// Along one axis: where a window begins, and what it sees of the input, from..to-1.
__device__ int start_of(const Windows& w, int axis, int position) {
    return position * w.stride[axis] - w.padding[axis];
}
struct Range {
    int from, to;
};
__device__ Range inside(const Windows& w, int axis, int position) {
    const int start = start_of(w, axis, position);
    return {most(0, start), least(w.size[axis], start + w.kernel[axis])};
}

// Along one axis, the windows that see a place: window o sees it as its number k where o s + k d = place + p. The
// smallest such k is `from`, in window `window`; larger ones, `numbers_apart` from each other, end before `to`.
struct Seen {
    int from, to, window;
};
__device__ Seen seen(const Windows& w, int axis, int place) {
    const int at = place + w.padding[axis], d = w.dilation[axis], s = w.stride[axis];
    const int farthest = least(at, d * (w.kernel[axis] - 1));  // that a window that sees the place can begin before it
    int window = least(w.out[axis] - 1, (int)((unsigned)at / (unsigned)s)), distance = at - window * s;
    if (d == 1) return {distance, farthest + 1, window};
    for (; distance <= farthest && distance % d != 0; distance += s) window--;  // between its numbers
    return {(distance + d - 1) / d, farthest / d + 1, window};
}

// cols[c, k, n, o] = x[n, c, o s + k d - p], and 0 outside: all that weight k of channel c sees is one row. A thread
// has one position of one image, and writes the K numbers of it for channel after channel.
extern "C" __global__ void columns(const T* __restrict__ x, T* __restrict__ cols, const Windows w) {
    const Place o = place_of_thread(w.out);
    if (o.plane >= w.images) return;
    const int x0 = start_of(w, 0, o.at[0]), x1 = start_of(w, 1, o.at[1]), x2 = start_of(w, 2, o.at[2]);
    const long long positions = (long long)w.images * volume(w.out), size = volume(w.size);
    const long long cells = volume(w.kernel) * positions;  // of a channel
    few_by_few(w.channels, [&](int channel, int n) {
        const T* planes = x + ((long long)o.plane * w.channels + channel) * size;
        T* cell = cols + channel * cells + o.index;
        for (int k0 = 0; k0 < w.kernel[0]; k0++) {
            const int i0 = x0 + k0 * w.dilation[0];
            for (int k1 = 0; k1 < w.kernel[1]; k1++) {
                const int i1 = x1 + k1 * w.dilation[1];
                const bool row = i0 >= 0 && i0 < w.size[0] && i1 >= 0 && i1 < w.size[1];
                for (int k2 = 0; k2 < w.kernel[2]; k2++, cell += positions) {
                    const int i2 = x2 + k2 * w.dilation[2], i = flat(i0, i1, i2, w.size);
                    const bool inside = row && i2 >= 0 && i2 < w.size[2];
                    T value[FEW];
                    each(n, [&](int j) { value[j] = inside ? planes[j * size + i] : (T)0.0f; });
                    each(n, [&](int j) { cell[j * cells] = value[j]; });
                }
            }
        }
    });
}

// The transpose: x[n, c, i] = sum of all cols[c, k, n, o] with o s + k d - p = i. Each thread gathers what belongs to
// its place, always in the same order: no two write to one place, and the result is the same every time.
extern "C" __global__ void add_columns(const T* __restrict__ cols, T* __restrict__ x, const Windows w) {
    const Place i = place_of_thread(w.size);
    if (i.plane >= w.images) return;
    const Seen s0 = seen(w, 0, i.at[0]), s1 = seen(w, 1, i.at[1]), s2 = seen(w, 2, i.at[2]);
    const long long positions = (long long)w.images * volume(w.out), size = volume(w.size);
    const long long cells = volume(w.kernel) * positions;  // of a channel
    const long long step = w.numbers_apart[2] * positions - w.windows_apart[2];  // to the next along the last axis
    few_by_few(w.channels, [&](int channel, int n) {
        const T* rows = cols + channel * cells + (long long)i.plane * volume(w.out);
        A sum[FEW] = {};
        for (int k0 = s0.from, o0 = s0.window; k0 < s0.to; k0 += w.numbers_apart[0], o0 -= w.windows_apart[0])
            for (int k1 = s1.from, o1 = s1.window; k1 < s1.to; k1 += w.numbers_apart[1], o1 -= w.windows_apart[1]) {
                const T* cell = rows + flat(k0, k1, s2.from, w.kernel) * positions + flat(o0, o1, s2.window, w.out);
                for (int k2 = s2.from; k2 < s2.to; k2 += w.numbers_apart[2], cell += step)
                    each(n, [&](int j) { sum[j] += (A)cell[j * cells]; });
            }
        T* place = x + ((long long)i.plane * w.channels + channel) * size + flat(i.at[0], i.at[1], i.at[2], w.size);
        each(n, [&](int j) { place[j * size] = (T)sum[j]; });
    });
}

// How far it is in pooling from an image to the next: in the input, and in the output.
__device__ long long input_of_image(const Windows& w) { return (long long)w.channels * volume(w.size); }
__device__ long long output_of_image(const Windows& w) { return (long long)w.channels * volume(w.out); }

// The largest number in each window, and the number of its place there: the first of equal ones; a NaN wins.
// (__launch_bounds__(256, 4) keeps a thread to 64 registers, with which four blocks of 256 fit a multiprocessor.)
extern "C" __global__ __launch_bounds__(256, 4) void max_pool(
    const T* __restrict__ x, T* __restrict__ best, short* __restrict__ chosen, const Windows w) {
    const Place o = place_of_thread(w.out);
    if (o.plane >= w.channels) return;
    const Range r0 = inside(w, 0, o.at[0]), r1 = inside(w, 1, o.at[1]), r2 = inside(w, 2, o.at[2]);
    const int x0 = start_of(w, 0, o.at[0]), x1 = start_of(w, 1, o.at[1]), x2 = start_of(w, 2, o.at[2]);
    few_by_few(w.images, [&](int image, int n) {
        const T* planes = x + image * input_of_image(w) + (long long)o.plane * volume(w.size);
        A largest[FEW] = {};
        int number[FEW];
        each(FEW, [&](int j) { number[j] = -1; });
        for (int i0 = r0.from; i0 < r0.to; i0++)
            for (int i1 = r1.from; i1 < r1.to; i1++)
                for (int i2 = r2.from; i2 < r2.to; i2++) {
                    const int i = flat(i0, i1, i2, w.size), k = flat(i0 - x0, i1 - x1, i2 - x2, w.kernel);
                    each(n, [&](int j) {
                        const A value = (A)planes[j * input_of_image(w) + i];
                        if (number[j] < 0 || value > largest[j] || value != value) {
                            largest[j] = value;
                            number[j] = k;
                        }
                    });
                }
        each(n, [&](int j) {
            const long long index = (image + j) * output_of_image(w) + o.index;
            best[index] = (T)largest[j];
            chosen[index] = (short)number[j];
        });
    });
}

// x[i] = the sum of the gradients of all windows in which place i was chosen.
extern "C" __global__ __launch_bounds__(256, 4) void put_chosen(
    const T* __restrict__ grad, const short* __restrict__ chosen, T* __restrict__ x, const Windows w) {
    const Place i = place_of_thread(w.size);
    if (i.plane >= w.channels) return;
    const Seen s0 = seen(w, 0, i.at[0]), s1 = seen(w, 1, i.at[1]), s2 = seen(w, 2, i.at[2]);
    few_by_few(w.images, [&](int image, int n) {
        const long long planes = image * output_of_image(w) + (long long)i.plane * volume(w.out);
        A sum[FEW] = {}, share[FEW];
        short number[FEW];
        for (int k0 = s0.from, o0 = s0.window; k0 < s0.to; k0 += w.stride[0], o0--)
            for (int k1 = s1.from, o1 = s1.window; k1 < s1.to; k1 += w.stride[1], o1--)
                for (int k2 = s2.from, o2 = s2.window; k2 < s2.to; k2 += w.stride[2], o2--) {
                    const long long o = planes + flat(o0, o1, o2, w.out);
                    const int k = flat(k0, k1, k2, w.kernel);
                    each(n, [&](int j) {
                        number[j] = chosen[o + j * output_of_image(w)];
                        share[j] = (A)grad[o + j * output_of_image(w)];
                    });
                    each(n, [&](int j) { sum[j] += number[j] == k ? share[j] : (A)0; });
                }
        each(n, [&](int j) { x[(image + j) * input_of_image(w) + i.index] = (T)sum[j]; });
    });
}

// The transpose of put_chosen: from each window the number at the chosen place.
extern "C" __global__ void take_chosen(
    const T* __restrict__ x, const short* __restrict__ chosen, T* __restrict__ out, const Windows w) {
    const Place o = place_of_thread(w.out);
    if (o.plane >= w.channels) return;
    const int x0 = start_of(w, 0, o.at[0]), x1 = start_of(w, 1, o.at[1]), x2 = start_of(w, 2, o.at[2]);
    few_by_few(w.images, [&](int image, int n) {
        each(n, [&](int j) {
            const T* plane = x + (image + j) * input_of_image(w) + (long long)o.plane * volume(w.size);
            const long long index = (image + j) * output_of_image(w) + o.index;
            const int number = chosen[index], row = number / w.kernel[2], k0 = row / w.kernel[1];
            out[index] = plane[flat(x0 + k0, x1 + row - k0 * w.kernel[1], x2 + number - row * w.kernel[2], w.size)];
        });
    });
}

// How many places of a window count along one axis: those in the input, with its padding or without.
__device__ int counted(const Windows& w, int axis, int position, int with_padding) {
    const int start = start_of(w, axis, position), margin = with_padding ? w.padding[axis] : 0;
    return least(start + w.kernel[axis], w.size[axis] + margin) - most(start, -margin);
}

// The mean over each window.
extern "C" __global__ void mean_pool(
    const T* __restrict__ x, T* __restrict__ mean, const Windows w, const int with_padding) {
    const Place o = place_of_thread(w.out);
    if (o.plane >= w.channels) return;
    const Range r0 = inside(w, 0, o.at[0]), r1 = inside(w, 1, o.at[1]), r2 = inside(w, 2, o.at[2]);
    int area = 1;
    for (int axis = 0; axis < 3; axis++) area *= counted(w, axis, o.at[axis], with_padding);
    few_by_few(w.images, [&](int image, int n) {
        const T* planes = x + image * input_of_image(w) + (long long)o.plane * volume(w.size);
        A sum[FEW] = {};
        for (int i0 = r0.from; i0 < r0.to; i0++)
            for (int i1 = r1.from; i1 < r1.to; i1++)
                for (int i2 = r2.from; i2 < r2.to; i2++) {
                    const int i = flat(i0, i1, i2, w.size);
                    each(n, [&](int j) { sum[j] += (A)planes[j * input_of_image(w) + i]; });
                }
        each(n, [&](int j) { mean[(image + j) * output_of_image(w) + o.index] = (T)(sum[j] / (A)area); });
    });
}

// Its transpose: each window's gradient, over its area, to all of its places.
extern "C" __global__ void spread_mean(
    const T* __restrict__ grad, T* __restrict__ x, const Windows w, const int with_padding) {
    const Place i = place_of_thread(w.size);
    if (i.plane >= w.channels) return;
    const Seen s0 = seen(w, 0, i.at[0]), s1 = seen(w, 1, i.at[1]), s2 = seen(w, 2, i.at[2]);
    few_by_few(w.images, [&](int image, int n) {
        const T* planes = grad + image * output_of_image(w) + (long long)i.plane * volume(w.out);
        A sum[FEW] = {};
        for (int k0 = s0.from, o0 = s0.window; k0 < s0.to; k0 += w.stride[0], o0--)
            for (int k1 = s1.from, o1 = s1.window; k1 < s1.to; k1 += w.stride[1], o1--) {
                const int rows = counted(w, 0, o0, with_padding) * counted(w, 1, o1, with_padding);
                for (int k2 = s2.from, o2 = s2.window; k2 < s2.to; k2 += w.stride[2], o2--) {
                    const A area = (A)(rows * counted(w, 2, o2, with_padding));
                    const int o = flat(o0, o1, o2, w.out);
                    each(n, [&](int j) { sum[j] += (A)planes[j * output_of_image(w) + o] / area; });
                }
            }
        each(n, [&](int j) { x[(image + j) * input_of_image(w) + i.index] = (T)sum[j]; });
    });
}
