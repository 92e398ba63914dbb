// One step of a recurrent layer, for all units of all samples: what its gates let through, and its next state; and the
// way back. T is the arrays' type, A the one to compute in. Between two steps lies a product with W_hh, which is
// cuBLAS's.
//
// A thread has one unit of one sample, number i of (N, H). Rows that have all G gates side by side, such as
// from_input, are (N, G H). What is kept of a step for the way back, its parts, is (parts, N, H).
//
// All steps take the same arrays, and leave alone what they do not need:
//   from_input, from_state  W_ih x + b_ih, and W_hh h, to which bias, b_hh, is added here (null: none)
//   before                  h of the step before; of an LSTM its c
//   parts, hidden, cell     what is written
// and so do all ways back:
//   grad_hidden, grad_cell  dL/dh and dL/dc of this step, but for what comes from later steps
//   later                   what comes through the product with W_hh of the step after
//   direct                  what comes from it on another way; what goes so to the step before is written in its place
//   of_input, of_state      the gradients of from_input and from_state are written; where they are the same, of_state
//                           is null

__device__ A sigmoid(A z) { return 1 / (1 + exp(-z)); }

// Call `see` with the number of each unit that is this thread's, and the place of its first gate in rows of so many.
template <class See>
__device__ void each_unit(const long long units, const long long size, const int gates, See see) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < units;
         i += (long long)gridDim.x * blockDim.x)
        see(i, i / size * size * gates + i % size);
}

// ---- h = bend(z) with z = from_input + from_state

struct Tanh {
    __device__ static A value(A z) { return tanh(z); }
    __device__ static A slope(A h) { return 1 - h * h; }
};
struct Relu {
    __device__ static A value(A z) { return z < 0 ? 0 : z; }  // NaN stays
    __device__ static A slope(A h) { return h != 0; }
};

template <class Bend>
__device__ void plain_step(
    const T* from_input, const T* from_state, const T* bias, T* parts, T* hidden, const long long units,
    const long long size) {
    each_unit(units, size, 1, [&](long long i, long long row) {
        const A z = (A)from_input[row] + ((A)from_state[row] + (bias ? (A)bias[i % size] : 0));
        parts[i] = hidden[i] = (T)Bend::value(z);
    });
}
template <class Bend>
__device__ void plain_step_back(
    const T* grad_hidden, const T* later, const T* parts, T* of_input, const long long units, const long long size) {
    each_unit(units, size, 1, [&](long long i, long long row) {
        of_input[row] = (T)(((A)grad_hidden[i] + (A)later[i]) * Bend::slope((A)parts[i]));
    });
}
#define STEP                                                                                                    \
    const T *__restrict__ from_input, const T *__restrict__ from_state, const T *__restrict__ bias,             \
        const T *__restrict__ before, T *__restrict__ parts, T *__restrict__ hidden, T *__restrict__ cell,      \
        const long long units, const long long size
#define STEP_BACK                                                                                               \
    const T *__restrict__ grad_hidden, const T *__restrict__ grad_cell, const T *__restrict__ later,            \
        T *__restrict__ direct, const T *__restrict__ parts, const T *__restrict__ before,                      \
        const T *__restrict__ after, T *__restrict__ of_input, T *__restrict__ of_state, const long long units, \
        const long long size

extern "C" __global__ void tanh_step(STEP) { plain_step<Tanh>(from_input, from_state, bias, parts, hidden, units, size); }
extern "C" __global__ void relu_step(STEP) { plain_step<Relu>(from_input, from_state, bias, parts, hidden, units, size); }
extern "C" __global__ void tanh_step_back(STEP_BACK) {
    plain_step_back<Tanh>(grad_hidden, later, parts, of_input, units, size);
}
extern "C" __global__ void relu_step_back(STEP_BACK) {
    plain_step_back<Relu>(grad_hidden, later, parts, of_input, units, size);
}

// ---- c = f c + i g, h = o tanh(c); after: c of this step

extern "C" __global__ void lstm_step(STEP) {
    each_unit(units, size, 4, [&](long long unit, long long row) {
        A z[4];
        for (int gate = 0; gate < 4; gate++) {
            const long long at = gate * size;
            z[gate] = (A)from_input[row + at] + ((A)from_state[row + at] + (bias ? (A)bias[unit % size + at] : 0));
        }
        const A i = sigmoid(z[0]), f = sigmoid(z[1]), g = tanh(z[2]), o = sigmoid(z[3]);
        const A c = f * (A)before[unit] + i * g;
        cell[unit] = (T)c;
        hidden[unit] = (T)(o * tanh(c));
        const A all[4] = {i, f, g, o};
        for (int gate = 0; gate < 4; gate++) parts[gate * units + unit] = (T)all[gate];
    });
}
extern "C" __global__ void lstm_step_back(STEP_BACK) {
    each_unit(units, size, 4, [&](long long unit, long long row) {
        const A i = (A)parts[unit], f = (A)parts[units + unit], g = (A)parts[2 * units + unit];
        const A o = (A)parts[3 * units + unit], bent = tanh((A)after[unit]);
        const A grad = (A)grad_hidden[unit] + (A)later[unit], through_o = grad * o;
        const A of_cell = (A)grad_cell[unit] + (A)direct[unit] + through_o * (1 - bent * bent);
        const A through_i = of_cell * i, through_f = of_cell * f;
        const A all[4] = {
            through_i * g * (1 - i),
            through_f * (A)before[unit] * (1 - f),
            through_i * (1 - g * g),
            through_o * bent * (1 - o),
        };
        for (int gate = 0; gate < 4; gate++) of_input[row + gate * size] = (T)all[gate];
        direct[unit] = (T)through_f;
    });
}

// ---- n = tanh(n_input + r n_hidden), h = n + z (h - n)

extern "C" __global__ void gru_step(STEP) {
    each_unit(units, size, 3, [&](long long unit, long long row) {
        A state[3];
        for (int gate = 0; gate < 3; gate++) {
            const long long at = gate * size;
            state[gate] = (A)from_state[row + at] + (bias ? (A)bias[unit % size + at] : 0);
        }
        const A r = sigmoid((A)from_input[row] + state[0]), z = sigmoid((A)from_input[row + size] + state[1]);
        const A n = tanh((A)from_input[row + 2 * size] + r * state[2]);
        hidden[unit] = (T)(n + z * ((A)before[unit] - n));
        const A all[4] = {r, z, n, state[2]};
        for (int part = 0; part < 4; part++) parts[part * units + unit] = (T)all[part];
    });
}
extern "C" __global__ void gru_step_back(STEP_BACK) {
    each_unit(units, size, 3, [&](long long unit, long long row) {
        const A r = (A)parts[unit], z = (A)parts[units + unit], n = (A)parts[2 * units + unit];
        const A n_hidden = (A)parts[3 * units + unit];
        const A grad = (A)grad_hidden[unit] + ((A)later[unit] + (A)direct[unit]), through_z = grad * z;
        const A of_n = (grad - through_z) * (1 - n * n), of_n_hidden = of_n * r;
        of_input[row] = of_state[row] = (T)(of_n_hidden * n_hidden * (1 - r));
        of_input[row + size] = of_state[row + size] = (T)(through_z * ((A)before[unit] - n) * (1 - z));
        of_input[row + 2 * size] = (T)of_n;
        of_state[row + 2 * size] = (T)of_n_hidden;
        direct[unit] = (T)through_z;
    });
}
