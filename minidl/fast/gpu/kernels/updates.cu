// The updates of the optimizers: many parameters in one launch. T is the arrays' type, A the one to compute in.
//
// A launch is told of up to 30 tensors by value, as its parameter: where their weights, gradients and what the method
// remembers (slots) lie. Each block works on one piece of one tensor.

const int MOST = 30, PIECE = 2048, NUMBERS = 6, AT_ONCE = 4;

struct Tensors {
    T* weight[MOST];
    const T* gradient[MOST];
    A* slot[3][MOST];  // of float16 weights float32: the squares of small gradients would be 0 in float16
    const double* multiplier[MOST];  // of the layer's rate, on the device; null: 1
    double number[MOST][NUMBERS];    // see Numbers
    long long size[MOST];
    int first_block[MOST + 1];
};

struct Constants {  // of the method
    double c[4];
};

// first * second, two numbers of at least 0. A layer rate's multiplier is beyond float where the gradient vanishes, but
// its product with the gradient is not: then it is computed in double.
struct Factor {
    double first, second;
    A both;
    bool usual;
    __device__ Factor(double first, double second) : first(first), second(second), both((A)(first * second)) {
        const bool narrow = sizeof(A) == 4;
        const double least = narrow ? 1.1754944e-38 : 0, most = narrow ? 3.4028234e38 : 1.7976931348623157e308;
        usual = first * second == 0 || (first * second >= least && first * second <= most);
    }
    __device__ A times(A x) const { return usual ? both * x : (A)(x * first * second); }
};

struct Numbers {  // of one tensor in one step
    Factor before, after;
    A decay, decoupled, p, q;
};

struct Element {  // the gradient with its decay, the same times `before`, and the slots, which the method changes
    A gradient, scaled;
    A first, second, third;
};

// Which tensor this block works on, its numbers, from `live` if they are on the device, and for each of its elements:
// w <- w - after (direction(element) + decoupled w).
//
// A thread asks for all numbers of a few elements before it waits for the first, and stores them at the end: the
// compiler cannot know that what is stored is not what is loaded next.
template <class Direction>
__device__ void update(const Tensors& tensors, const double* live, Direction direction) {
    int t = 0;
    while ((int)blockIdx.x >= tensors.first_block[t + 1]) t++;
    const double* n = live ? live + t * NUMBERS : tensors.number[t];
    const double multiplier = tensors.multiplier[t] ? *tensors.multiplier[t] : 1.0;
    const Numbers numbers = {Factor(multiplier, n[0]), Factor(n[1], 1), (A)n[2], (A)n[3], (A)n[4], (A)n[5]};
    T* weight = tensors.weight[t];
    A *first = tensors.slot[0][t], *second = tensors.slot[1][t], *third = tensors.slot[2][t];
    const T* gradient = tensors.gradient[t];
    const long long start = (long long)((int)blockIdx.x - tensors.first_block[t]) * PIECE;
    const long long stop = start + PIECE < tensors.size[t] ? start + PIECE : tensors.size[t];
    for (long long i = start + threadIdx.x; i < stop; i += AT_ONCE * blockDim.x) {
        A w[AT_ONCE];
        Element e[AT_ONCE];
        #pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            const long long own = i + j * blockDim.x, at = own < stop ? own : i;  // past the end: any, not used
            w[j] = (A)weight[at];
            e[j].gradient = (A)gradient[at];
            e[j].first = first ? first[at] : 0;
            e[j].second = second ? second[at] : 0;
            e[j].third = third ? third[at] : 0;
        }
        #pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            const long long at = i + j * blockDim.x;
            if (at >= stop) break;
            if (numbers.decay != 0) e[j].gradient += numbers.decay * w[j];  // 0 times an infinite weight is NaN
            e[j].scaled = numbers.before.times(e[j].gradient);
            const A d = direction(e[j], numbers);
            const A shrunk = numbers.decoupled != 0 ? d + numbers.decoupled * w[j] : d;
            weight[at] = (T)(w[j] - numbers.after.times(shrunk));
            if (first) first[at] = e[j].first;
            if (second) second[at] = e[j].second;
            if (third) third[at] = e[j].third;
        }
    }
}

// c: momentum, Nesterov; p: how much of the gradient enters the velocity.
struct Sgd {
    A momentum;
    bool nesterov;
    __device__ A operator()(Element& e, const Numbers& n) const {
        if (momentum == 0) return e.scaled;
        e.first = momentum * e.first + n.p * e.scaled;
        return nesterov ? e.scaled + momentum * e.first : e.first;
    }
};
extern "C" __global__ void sgd(const __grid_constant__ Tensors tensors, const Constants k, const double* live) {
    update(tensors, live, Sgd{(A)k.c[0], k.c[1] != 0});
}

// c: beta1, beta2, eps; p, q: 1 - beta^k, by which the moments are divided.
struct Adam {
    A beta1, other1, beta2, other2, eps;
    __device__ A operator()(Element& e, const Numbers& n) const {
        e.first = beta1 * e.first + other1 * e.scaled;
        e.second = beta2 * e.second + other2 * e.gradient * e.gradient;
        return e.first / n.p / (sqrt(e.second / n.q) + eps);
    }
};
extern "C" __global__ void adam(const __grid_constant__ Tensors tensors, const Constants k, const double* live) {
    update(tensors, live, Adam{(A)k.c[0], (A)(1 - k.c[0]), (A)k.c[1], (A)(1 - k.c[1]), (A)k.c[2]});
}

// c: alpha, eps, momentum, centered. Slots: the mean square, the velocity, the mean gradient.
struct RmsProp {
    A alpha, other, eps, momentum;
    bool centered;
    __device__ A operator()(Element& e, const Numbers&) const {
        e.first = alpha * e.first + other * e.gradient * e.gradient;
        A spread = e.first;
        if (centered) {
            e.third = alpha * e.third + other * e.gradient;
            const A rest = spread - e.third * e.third;
            spread = rest < 0 ? 0 : rest;  // NaN stays
        }
        const A quotient = e.scaled / (sqrt(spread) + eps);
        if (momentum == 0) return quotient;
        e.second = momentum * e.second + quotient;
        return e.second;
    }
};
extern "C" __global__ void rmsprop(const __grid_constant__ Tensors tensors, const Constants k, const double* live) {
    update(tensors, live, RmsProp{(A)k.c[0], (A)(1 - k.c[0]), (A)k.c[1], (A)k.c[2], k.c[3] != 0});
}

// c: eps.
struct AdaGrad {
    A eps;
    __device__ A operator()(Element& e, const Numbers&) const {
        e.first += e.gradient * e.gradient;
        return e.scaled / (sqrt(e.first) + eps);
    }
};
extern "C" __global__ void adagrad(const __grid_constant__ Tensors tensors, const Constants k, const double* live) {
    update(tensors, live, AdaGrad{(A)k.c[0]});
}

// The numbers of up to 30 tensors, from the launch's parameters to where later launches read them as `live`.
struct Table {
    double number[MOST * NUMBERS];
};
extern "C" __global__ void put_numbers(double* live, const __grid_constant__ Table table, const int count) {
    for (int i = threadIdx.x; i < count; i += blockDim.x) live[i] = table.number[i];
}
