/* What the dialogue model computes on a CPU: products of few rows, LSTMs forwards and backwards, dropout, the best words
 * of a distribution.
 *
 * Threads are those of torch's own OpenMP, as in the losses' kernels.
 */
#include "../../eureka_nlg/losses/kernels/_vector.h"

enum { BLOCK = 128 };              /* words whose largest logit decides whether any of them is looked at */
enum { MOST = 512 };               /* words that are kept of a sentence, at most */
enum { PARALLEL_FROM = 1 << 16 };  /* elements below which threads cost more than they bring */
enum { PRODUCTS_FROM = 1 << 20 };  /* and multiplications */

/* Matrix products of few rows: the weights are packed once for many of them. Eight floats are a vector wherever there
 * are such, and a block of ROWS x 3 of them stays in registers. */
enum { ROWS = 4, WIDE = 24 };
typedef float Vector __attribute__((vector_size(32), aligned(4)));

/* Weights [columns, width] as panels of WIDE columns, [width, WIDE] each; the last one is filled up with zeros. */
EXPORT void pack(const float *weight, int64_t columns, int64_t width, float *packed) {
    for (int64_t start = 0; start < columns; start += WIDE, packed += WIDE * width)
        for (int64_t j = 0; j < WIDE; j++)
            for (int64_t k = 0; k < width; k++)
                packed[k * WIDE + j] = start + j < columns ? weight[(start + j) * width + k] : 0.0f;
}

INLINE void panel(const float *x, int64_t stride, int rows, int64_t width, const float *packed, const Vector bias[3],
                  int add, float *out, int64_t out_stride, int64_t columns) {
    Vector sums[ROWS][3];
    for (int i = 0; i < rows; i++) {
        for (int v = 0; v < 3; v++) sums[i][v] = bias[v];
        if (add) memcpy(sums[i], out + i * out_stride, (size_t)columns * sizeof(float));
    }
    for (int64_t k = 0; k < width; k++) {
        const Vector *weights = (const Vector *)(packed + k * WIDE);
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < 3; v++) sums[i][v] += x[i * stride + k] * weights[v];
    }
    for (int i = 0; i < rows; i++) memcpy(out + i * out_stride, sums[i], (size_t)columns * sizeof(float));
}

EACH_CPU static void panel_of_rows(const float *x, int64_t stride, int64_t rows, int64_t width, const float *packed,
                                   const float *biases, int add, float *out, int64_t out_stride, int64_t columns) {
    Vector bias[3] = {{0}, {0}, {0}};
    if (biases) memcpy(bias, biases, (size_t)columns * sizeof(float));
    int64_t i = 0;
    for (; i + ROWS <= rows; i += ROWS)
        panel(x + i * stride, stride, ROWS, width, packed, bias, add, out + i * out_stride, out_stride, columns);
    x += i * stride, out += i * out_stride;
    if (rows - i == 3) panel(x, stride, 3, width, packed, bias, add, out, out_stride, columns);
    if (rows - i == 2) panel(x, stride, 2, width, packed, bias, add, out, out_stride, columns);
    if (rows - i == 1) panel(x, stride, 1, width, packed, bias, add, out, out_stride, columns);
}

/* out [rows, columns] = x [rows, width] times the packed weights, plus the bias, which may be null; or plus what is in
 * `out`, if `add`. */
EXPORT void product(const float *x, int64_t stride, int64_t rows, int64_t width, const float *packed, const float *bias,
                    int64_t columns, int threads, int add, float *out, int64_t out_stride) {
    int64_t panels = (columns + WIDE - 1) / WIDE;
#pragma omp parallel for num_threads(threads) if (rows * columns * width >= PRODUCTS_FROM)
    for (int64_t p = 0; p < panels; p++) {
        int64_t start = p * WIDE, size = columns - start < WIDE ? columns - start : WIDE;
        panel_of_rows(x, stride, rows, width, packed + start * width, bias ? bias + start : 0, add, out + start,
                      out_stride, size);
    }
}

INLINE float sigmoid_of(float x) {
    float power = exp_of(x < 0.0f ? x : -x);
    return (x < 0.0f ? power : 1.0f) / (1.0f + power);
}
INLINE float tanh_of(float x) {
    float power = exp_of(x < 0.0f ? 2.0f * x : -2.0f * x), size = (1.0f - power) / (1.0f + power);
    return x < 0.0f ? -size : size;
}

EACH_CPU static void lstm_row(const float *gates, int64_t size, float *cell, float *hidden) {
#pragma omp simd
    for (int64_t j = 0; j < size; j++) {
        float kept = sigmoid_of(gates[size + j]) * cell[j];
        float state = kept + sigmoid_of(gates[j]) * tanh_of(gates[2 * size + j]);
        cell[j] = state;
        hidden[j] = sigmoid_of(gates[3 * size + j]) * tanh_of(state);
    }
}

/* Gates [rows, 4 * size] before their nonlinearities, in torch's order, and the cell states [rows, size], which are
 * replaced, give the hidden states, written to one or two places: where the next step and the next layer read them. */
EXPORT void lstm_step(const float *gates, int64_t rows, int64_t size, int threads, float *cell, float *hidden,
                      int64_t hidden_stride, float *copy, int64_t copy_stride) {
#pragma omp parallel for num_threads(threads) if (rows * size >= PARALLEL_FROM)
    for (int64_t i = 0; i < rows; i++) {
        float *of_row = hidden + i * hidden_stride;
        lstm_row(gates + i * 4 * size, size, cell + i * size, of_row);
        if (copy) memcpy(copy + i * copy_stride, of_row, (size_t)size * sizeof(float));
    }
}

/* The same in training: the gates become what comes of their nonlinearities, and the cell states are kept apart. */
EACH_CPU static void lstm_row_forward(float *gates, int64_t size, const float *before, float *cell, float *hidden) {
#pragma omp simd
    for (int64_t j = 0; j < size; j++) {
        float in = sigmoid_of(gates[j]), kept = sigmoid_of(gates[size + j]), out = sigmoid_of(gates[3 * size + j]);
        float new = tanh_of(gates[2 * size + j]), state = kept * before[j] + in * new;
        gates[j] = in, gates[size + j] = kept, gates[2 * size + j] = new, gates[3 * size + j] = out;
        cell[j] = state;
        hidden[j] = out * tanh_of(state);
    }
}

/* Gradients of the gates before their nonlinearities, from those of the hidden state, which are the sum of two; that
 * of the cell state is carried to the step before. */
EACH_CPU static void lstm_row_backward(const float *gates, int64_t size, const float *before, const float *cell,
                                       const float *of_output, const float *of_hidden, float *of_cell, float *of_gates) {
#pragma omp simd
    for (int64_t j = 0; j < size; j++) {
        float in = gates[j], kept = gates[size + j], new = gates[2 * size + j], out = gates[3 * size + j];
        float state = tanh_of(cell[j]), slope = (of_output ? of_output[j] : 0.0f) + of_hidden[j];
        float carried = of_cell[j] + slope * out * (1.0f - state * state);
        of_gates[j] = carried * new * in * (1.0f - in);
        of_gates[size + j] = carried * before[j] * kept * (1.0f - kept);
        of_gates[2 * size + j] = carried * in * (1.0f - new * new);
        of_gates[3 * size + j] = slope * state * out * (1.0f - out);
        of_cell[j] = carried * kept;
    }
}

/* A layer over sequences, longest first, laid out as torch's packed sequences: `sizes[t]` rows of each step after those
 * of the step before. `gates` [rows of all steps, 4 * size] holds the products of the inputs and the biases, and gets
 * what comes of the nonlinearities; `packed` are the weights of the hidden states. */
EXPORT void lstm_forward(float *gates, const int64_t *sizes, int64_t steps, int64_t size, const float *packed,
                         const float *first_hidden, const float *first_cell, int threads, float *cells, float *hidden) {
    const float *before = first_hidden, *cells_before = first_cell;
    for (int64_t t = 0; t < steps; t++) {
        int64_t rows = sizes[t];
        product(before, size, rows, size, packed, 0, 4 * size, threads, 1, gates, 4 * size);
#pragma omp parallel for num_threads(threads) if (rows * size >= PARALLEL_FROM)
        for (int64_t i = 0; i < rows; i++)
            lstm_row_forward(gates + i * 4 * size, size, cells_before + i * size, cells + i * size, hidden + i * size);
        before = hidden, cells_before = cells;
        gates += rows * 4 * size, cells += rows * size, hidden += rows * size;
    }
}

/* Backwards. `of_hidden` and `of_cell` [rows of the first step, size] come with the gradients of the last states of
 * each sequence and leave with those of the first; `packed` are the weights of the hidden states, transposed;
 * `of_outputs` may be null. */
EXPORT void lstm_backward(const float *gates, const int64_t *sizes, int64_t steps, int64_t size, const float *packed,
                          const float *first_cell, const float *cells, const float *of_outputs, int threads,
                          float *of_hidden, float *of_cell, float *of_gates) {
    int64_t end = 0;
    for (int64_t t = 0; t < steps; t++) end += sizes[t];
    for (int64_t t = steps - 1; t >= 0; t--) {
        int64_t rows = sizes[t], start = end - rows;
        const float *before = t ? cells + (start - sizes[t - 1]) * size : first_cell;
#pragma omp parallel for num_threads(threads) if (rows * size >= PARALLEL_FROM)
        for (int64_t i = 0; i < rows; i++)
            lstm_row_backward(gates + (start + i) * 4 * size, size, before + i * size, cells + (start + i) * size,
                              of_outputs ? of_outputs + (start + i) * size : 0, of_hidden + i * size,
                              of_cell + i * size, of_gates + (start + i) * 4 * size);
        product(of_gates + start * 4 * size, 4 * size, rows, 4 * size, packed, 0, size, threads, 0, of_hidden, size);
        end = start;
    }
}

/* A hash whose values for successive numbers look drawn: MurmurHash3's last step, twice, with half of the seed each. */
INLINE uint32_t mixed(uint32_t x) {
    x ^= x >> 16, x *= 0x85ebca6bu;
    x ^= x >> 13, x *= 0xc2b2ae35u;
    return x ^ (x >> 16);
}

/* The elements that stay, divided by the likelihood that they do, and zeros. Which stay depends on the seed and on their
 * place, so that backwards they are the same ones and nothing has to be kept; each block of 2^32 has a seed of its own. */
EACH_CPU static void dropout_block(const float *x, int64_t start, int64_t size, uint32_t seed, uint32_t other,
                                   uint32_t below, float scale, float *out) {
#pragma omp simd
    for (int64_t i = 0; i < size; i++) {
        uint32_t drawn = mixed(mixed((uint32_t)(start + i) + seed) ^ other) >> 8;
        out[i] = drawn < below ? x[i] * scale : 0.0f;
    }
}
EXPORT void dropout(const float *x, int64_t size, int64_t seed, double stays, int threads, float *out) {
    enum { LENGTH = 1 << 14 };
    uint32_t below = (uint32_t)(stays * 16777216.0 + 0.5);
#pragma omp parallel for num_threads(threads) if (size >= PARALLEL_FROM)
    for (int64_t start = 0; start < size; start += LENGTH) {
        uint32_t block = mixed((uint32_t)((uint64_t)start >> 32));
        dropout_block(x + start, start, size - start < LENGTH ? size - start : LENGTH, (uint32_t)seed ^ block,
                      (uint32_t)((uint64_t)seed >> 32), below, (float)(1.0 / stays), out + start);
    }
}

/* The best words so far, best first; of equal ones the first that came. */
typedef struct {
    int64_t most, count, words[MOST], beams[MOST];
    float values[MOST];
} Best;

INLINE void insert(Best *best, float value, int64_t word, int64_t beam) {
    int64_t at = best->count;
    if (at == best->most && (at == 0 || !(value > best->values[--at]))) return;
    best->count = at + 1;
    for (; at > 0 && value > best->values[at - 1]; at--) {
        best->values[at] = best->values[at - 1];
        best->words[at] = best->words[at - 1];
        best->beams[at] = best->beams[at - 1];
    }
    best->values[at] = value, best->words[at] = word, best->beams[at] = beam;
}

/* What may be said, and what is added to it. */
typedef struct {
    int64_t pad;    /* never */
    int64_t banned; /* not now; -1 for none */
    int64_t only;   /* nothing else now; -1 for all */
    int64_t unk;
    float penalty;  /* taken off the log-likelihood of unk */
} Rules;

EACH_CPU static float largest_of(const float *logits, int64_t size) {
    float top = -INFINITY;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < size; j++) top = logits[j] > top ? logits[j] : top;
    return top;
}

EACH_CPU static float mass_of(const float *logits, int64_t size, float top) {
    float mass = 0.0f;
#pragma omp simd reduction(+ : mass)
    for (int64_t j = 0; j < size; j++) mass += exp_of(logits[j] - top);
    return mass;
}

/* The best words of a row by their logits, and the logarithm of the sum of all exponentials. */
static double best_of_row(const float *logits, int64_t classes, const Rules *rules, Best *best) {
    float top = -INFINITY;
    double mass = 0.0;
    if (rules->only >= 0) insert(best, logits[rules->only], rules->only, 0);
    else insert(best, logits[rules->unk] - rules->penalty, rules->unk, 0);
    for (int64_t start = 0; start < classes; start += BLOCK) {
        int64_t size = classes - start < BLOCK ? classes - start : BLOCK;
        float largest = largest_of(logits + start, size);
        if (largest > top) top = largest;
        if (rules->only >= 0) continue;
        if (best->count == best->most && !(largest > best->values[best->most - 1])) continue;
        for (int64_t j = start; j < start + size; j++)
            if (j != rules->pad && j != rules->banned && j != rules->unk) insert(best, logits[j], j, 0);
    }
    for (int64_t start = 0; start < classes; start += 1024)
        mass += mass_of(logits + start, classes - start < 1024 ? classes - start : 1024, top);
    return (double)top + log(mass);
}

/* The best `most` continuations of each sentence, whose beams are `beams` rows of `logits` one after the other, by
 * `scores` [rows] plus log-likelihood. What is missing has the score -inf and the word `pad`. Returns 0, or 1 where
 * logits are no distribution, or 2 where `most` is not from 1 to MOST. */
EXPORT int best_words(const float *logits, int64_t stride, int64_t sentences, int64_t beams, int64_t classes, int threads,
                      const float *scores, int64_t pad, int64_t banned, int64_t only, int64_t unk, float penalty,
                      int64_t most, float *best_scores, int64_t *words, int64_t *of_beams) {
    Rules rules = {pad, banned, only, unk, penalty};
    int broken = 0;
    if (most < 1 || most > MOST) return 2;
#pragma omp parallel for num_threads(threads) reduction(| : broken) if (sentences * beams * classes >= PARALLEL_FROM)
    for (int64_t i = 0; i < sentences; i++) {
        Best of_sentence, of_row;
        of_sentence.most = most, of_sentence.count = 0;
        for (int64_t beam = 0; beam < beams; beam++) {
            int64_t row = i * beams + beam;
            of_row.most = most, of_row.count = 0;
            double total = best_of_row(logits + row * stride, classes, &rules, &of_row);
            if (!(total > -INFINITY && total < INFINITY)) broken = 1;
            for (int64_t k = 0; k < of_row.count; k++)
                insert(&of_sentence, (float)((double)of_row.values[k] - total) + scores[row], of_row.words[k], beam);
        }
        for (int64_t k = 0; k < most; k++) {
            int there = k < of_sentence.count;
            best_scores[i * most + k] = there ? of_sentence.values[k] : -INFINITY;
            words[i * most + k] = there ? of_sentence.words[k] : pad;
            of_beams[i * most + k] = there ? of_sentence.beams[k] : 0;
        }
    }
    return broken;
}

/* Whether this computes faster than torch: not without fused multiplication and addition in vectors, which a compiler
 * without clones of functions does not use on x86. */
EXPORT int is_fast(void) {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#elif defined(__aarch64__) || defined(__FMA__)
    return 1;
#else
    return 0;
#endif
}

/* Raised with each change of a signature above: a library that was compiled for another one must not be called. */
EXPORT int abi_version(void) { return 1; }
