// Windows on arrays (N, C, *sizes) in C order: the columns of a convolution, and pooling. T is the arrays' type, A the
// one to add in. There are three spatial axes; where an input has fewer, the first are 1 long.

struct Windows {
    int images, channels, size[3], kernel[3], stride[3], padding[3], dilation[3], out[3];
};

__device__ int take_last(long long& index, int length) {  // the last axis' place, taken off a flat index
    int place = (int)(index % length);
    index /= length;
    return place;
}

__device__ int most(int a, int b) { return a > b ? a : b; }
__device__ int least(int a, int b) { return a < b ? a : b; }

// Along one axis: the places of a window that lie inside the input, or the windows that may see a place of it.
struct Range {
    int from, to;
};
__device__ Range inside(const Windows& w, int axis, int position) {
    const int start = position * w.stride[axis] - w.padding[axis];
    return {most(0, -start), least(w.kernel[axis], w.size[axis] - start)};
}
__device__ Range seeing(const Windows& w, int axis, int place) {
    const int at = place + w.padding[axis], first = at - w.dilation[axis] * (w.kernel[axis] - 1);
    return {first <= 0 ? 0 : (first + w.stride[axis] - 1) / w.stride[axis], least(w.out[axis], at / w.stride[axis] + 1)};
}

// The number in window `position` of what is `place` in the input; -1 if dilation leaves it out.
__device__ int place_seen(const Windows& w, int axis, int place, int position) {
    const int distance = place + w.padding[axis] - position * w.stride[axis], d = w.dilation[axis];
    return d == 1 ? distance : distance % d ? -1 : distance / d;
}

// cols[c, k, n, o] = x[n, c, o s + k d - p], and 0 outside: all that weight k of channel c sees is one row. A thread
// writes the K numbers of one position; neighbours in a warp read and write side by side.
extern "C" __global__ void columns(const T* __restrict__ x, T* __restrict__ cols, const Windows w) {
    const int places = w.kernel[0] * w.kernel[1] * w.kernel[2];
    const long long positions = (long long)w.images * w.out[0] * w.out[1] * w.out[2];
    const long long count = positions * w.channels;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count;
         i += (long long)gridDim.x * blockDim.x) {
        long long rest = i;
        const int x2 = take_last(rest, w.out[2]) * w.stride[2] - w.padding[2];
        const int x1 = take_last(rest, w.out[1]) * w.stride[1] - w.padding[1];
        const int x0 = take_last(rest, w.out[0]) * w.stride[0] - w.padding[0];
        const int image = take_last(rest, w.images), channel = (int)rest;
        const T* plane = x + ((long long)image * w.channels + channel) * w.size[0] * w.size[1] * w.size[2];
        T* cell = cols + channel * places * positions + i % positions;
        for (int k0 = 0; k0 < w.kernel[0]; k0++) {
            const int i0 = x0 + k0 * w.dilation[0];
            for (int k1 = 0; k1 < w.kernel[1]; k1++) {
                const int i1 = x1 + k1 * w.dilation[1];
                const bool row = i0 >= 0 && i0 < w.size[0] && i1 >= 0 && i1 < w.size[1];
                for (int k2 = 0; k2 < w.kernel[2]; k2++, cell += positions) {
                    const int i2 = x2 + k2 * w.dilation[2];
                    const bool inside = row && i2 >= 0 && i2 < w.size[2];
                    *cell = inside ? plane[((long long)i0 * w.size[1] + i1) * w.size[2] + i2] : (T)0.0f;
                }
            }
        }
    }
}

// The transpose: x[n, c, i] = sum of all cols[c, k, n, o] with o s + k d - p = i. Each thread gathers what belongs to
// its element, always in the same order: no two write to one place, and the result is the same every time.
extern "C" __global__ void add_columns(const T* __restrict__ cols, T* __restrict__ x, const Windows w) {
    const int places = w.kernel[0] * w.kernel[1] * w.kernel[2];
    const long long per_image = (long long)w.out[0] * w.out[1] * w.out[2], positions = per_image * w.images;
    const long long count = (long long)w.images * w.channels * w.size[0] * w.size[1] * w.size[2];
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count;
         i += (long long)gridDim.x * blockDim.x) {
        long long rest = i;
        const int i2 = take_last(rest, w.size[2]), i1 = take_last(rest, w.size[1]), i0 = take_last(rest, w.size[0]);
        const int channel = take_last(rest, w.channels), image = (int)rest;
        const Range r0 = seeing(w, 0, i0), r1 = seeing(w, 1, i1), r2 = seeing(w, 2, i2);
        const T* row = cols + (long long)channel * places * positions + image * per_image;
        A sum = 0;
        for (int o0 = r0.to - 1; o0 >= r0.from; o0--) {
            const int k0 = place_seen(w, 0, i0, o0);
            if (k0 < 0) continue;
            for (int o1 = r1.to - 1; o1 >= r1.from; o1--) {
                const int k1 = place_seen(w, 1, i1, o1);
                if (k1 < 0) continue;
                for (int o2 = r2.to - 1; o2 >= r2.from; o2--) {
                    const int k2 = place_seen(w, 2, i2, o2);
                    if (k2 < 0) continue;
                    const long long place = ((long long)k0 * w.kernel[1] + k1) * w.kernel[2] + k2;
                    sum += (A)row[place * positions + ((long long)o0 * w.out[1] + o1) * w.out[2] + o2];
                }
            }
        }
        x[i] = (T)sum;
    }
}

// The largest number in each window, and the number of its place there: the first of equal ones; a NaN wins.
extern "C" __global__ void max_pool(
    const T* __restrict__ x, T* __restrict__ best, short* __restrict__ chosen, const Windows w) {
    const long long count = (long long)w.images * w.channels * w.out[0] * w.out[1] * w.out[2];
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count;
         i += (long long)gridDim.x * blockDim.x) {
        long long plane = i;
        const int o2 = take_last(plane, w.out[2]), o1 = take_last(plane, w.out[1]), o0 = take_last(plane, w.out[0]);
        const Range r0 = inside(w, 0, o0), r1 = inside(w, 1, o1), r2 = inside(w, 2, o2);
        const int x0 = o0 * w.stride[0] - w.padding[0], x1 = o1 * w.stride[1] - w.padding[1];
        const int x2 = o2 * w.stride[2] - w.padding[2];
        A largest = 0;
        int number = -1;
        for (int k0 = r0.from; k0 < r0.to; k0++)
            for (int k1 = r1.from; k1 < r1.to; k1++) {
                const T* row = x + ((plane * w.size[0] + x0 + k0) * w.size[1] + x1 + k1) * w.size[2] + x2;
                for (int k2 = r2.from; k2 < r2.to; k2++) {
                    const A value = (A)row[k2];
                    if (number < 0 || value > largest || value != value) {
                        largest = value;
                        number = (k0 * w.kernel[1] + k1) * w.kernel[2] + k2;
                    }
                }
            }
        best[i] = (T)largest;
        chosen[i] = (short)number;
    }
}

// x[i] = the sum of the gradients of all windows in which place i was chosen.
extern "C" __global__ void put_chosen(
    const T* __restrict__ grad, const short* __restrict__ chosen, T* __restrict__ x, const Windows w) {
    const long long count = (long long)w.images * w.channels * w.size[0] * w.size[1] * w.size[2];
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count;
         i += (long long)gridDim.x * blockDim.x) {
        long long plane = i;
        const int i2 = take_last(plane, w.size[2]), i1 = take_last(plane, w.size[1]), i0 = take_last(plane, w.size[0]);
        const Range r0 = seeing(w, 0, i0), r1 = seeing(w, 1, i1), r2 = seeing(w, 2, i2);
        A sum = 0;
        for (int o0 = r0.to - 1; o0 >= r0.from; o0--)
            for (int o1 = r1.to - 1; o1 >= r1.from; o1--)
                for (int o2 = r2.to - 1; o2 >= r2.from; o2--) {
                    const long long o = ((plane * w.out[0] + o0) * w.out[1] + o1) * w.out[2] + o2;
                    const int k0 = place_seen(w, 0, i0, o0), k1 = place_seen(w, 1, i1, o1);
                    const int k2 = place_seen(w, 2, i2, o2);
                    if (chosen[o] == (k0 * w.kernel[1] + k1) * w.kernel[2] + k2) sum += (A)grad[o];
                }
        x[i] = (T)sum;
    }
}

// The transpose of put_chosen: from each window the number at the chosen place.
extern "C" __global__ void take_chosen(
    const T* __restrict__ x, const short* __restrict__ chosen, T* __restrict__ out, const Windows w) {
    const long long count = (long long)w.images * w.channels * w.out[0] * w.out[1] * w.out[2];
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count;
         i += (long long)gridDim.x * blockDim.x) {
        long long plane = i, number = chosen[i];
        const int o2 = take_last(plane, w.out[2]), o1 = take_last(plane, w.out[1]), o0 = take_last(plane, w.out[0]);
        const int i2 = o2 * w.stride[2] - w.padding[2] + take_last(number, w.kernel[2]);
        const int i1 = o1 * w.stride[1] - w.padding[1] + take_last(number, w.kernel[1]);
        const int i0 = o0 * w.stride[0] - w.padding[0] + (int)number;
        out[i] = x[((plane * w.size[0] + i0) * w.size[1] + i1) * w.size[2] + i2];
    }
}

// How many places of a window count along one axis: those in the input, with its padding or without.
__device__ int counted(const Windows& w, int axis, int position, int with_padding) {
    const int start = position * w.stride[axis] - w.padding[axis], margin = with_padding ? w.padding[axis] : 0;
    return least(start + w.kernel[axis], w.size[axis] + margin) - most(start, -margin);
}

// The mean over each window.
extern "C" __global__ void mean_pool(
    const T* __restrict__ x, T* __restrict__ mean, const Windows w, const int with_padding) {
    const long long count = (long long)w.images * w.channels * w.out[0] * w.out[1] * w.out[2];
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count;
         i += (long long)gridDim.x * blockDim.x) {
        long long plane = i;
        const int o2 = take_last(plane, w.out[2]), o1 = take_last(plane, w.out[1]), o0 = take_last(plane, w.out[0]);
        const Range r0 = inside(w, 0, o0), r1 = inside(w, 1, o1), r2 = inside(w, 2, o2);
        const int x0 = o0 * w.stride[0] - w.padding[0], x1 = o1 * w.stride[1] - w.padding[1];
        const int x2 = o2 * w.stride[2] - w.padding[2];
        A sum = 0;
        for (int k0 = r0.from; k0 < r0.to; k0++)
            for (int k1 = r1.from; k1 < r1.to; k1++) {
                const T* row = x + ((plane * w.size[0] + x0 + k0) * w.size[1] + x1 + k1) * w.size[2] + x2;
                for (int k2 = r2.from; k2 < r2.to; k2++) sum += (A)row[k2];
            }
        const int area = counted(w, 0, o0, with_padding) * counted(w, 1, o1, with_padding);
        mean[i] = (T)(sum / (A)(area * counted(w, 2, o2, with_padding)));
    }
}

// Its transpose: each window's gradient, over its area, to all of its places.
extern "C" __global__ void spread_mean(
    const T* __restrict__ grad, T* __restrict__ x, const Windows w, const int with_padding) {
    const long long count = (long long)w.images * w.channels * w.size[0] * w.size[1] * w.size[2];
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count;
         i += (long long)gridDim.x * blockDim.x) {
        long long plane = i;
        const int i2 = take_last(plane, w.size[2]), i1 = take_last(plane, w.size[1]), i0 = take_last(plane, w.size[0]);
        const Range r0 = seeing(w, 0, i0), r1 = seeing(w, 1, i1), r2 = seeing(w, 2, i2);
        A sum = 0;
        for (int o0 = r0.to - 1; o0 >= r0.from; o0--)
            for (int o1 = r1.to - 1; o1 >= r1.from; o1--)
                for (int o2 = r2.to - 1; o2 >= r2.from; o2--) {
                    const int area = counted(w, 0, o0, with_padding) * counted(w, 1, o1, with_padding);
                    const A share = (A)(area * counted(w, 2, o2, with_padding));
                    sum += (A)grad[((plane * w.out[0] + o0) * w.out[1] + o1) * w.out[2] + o2] / share;
                }
        x[i] = (T)sum;
    }
}
