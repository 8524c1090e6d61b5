/* The two passes over the logits that every loss needs, for the CPU; what they compute is said in passes.py.
 *
 * With y the target of a row, u its log-odds and q_j = exp(z_j - top) / mass the softmax over the other classes,
 * the gradients g_u of the log-odds and g_v of the uniform cross-entropy give the row
 *     (g_v * sigmoid(-u) - g_u) * q_j - g_v * w_j / W  at j != y,      g_u + g_v * (sigmoid(u) - w_y / W)  at y.
 *
 * Loops are plain and left to the compiler to vectorise, once per instruction set; the best is chosen when the
 * library is loaded. Threads are those of torch's own OpenMP: this file is compiled with OpenMP but not linked
 * with a second copy of its run-time library.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EACH_CPU
#endif

enum { BLOCK = 1024 };                /* classes at once: their float32 copy stays in the first-level cache */
enum { PARALLEL_FROM = 1 << 16 };     /* elements below which threads cost more than they bring */
enum { HUGE_PAGES_FROM = 1 << 23 };   /* bytes from which fresh memory is worth large pages */

INLINE float float_of_bits(uint32_t bits) { float value; memcpy(&value, &bits, sizeof value); return value; }
INLINE uint32_t bits_of_float(float value) { uint32_t bits; memcpy(&bits, &value, sizeof bits); return bits; }

INLINE float float_of_bfloat16(uint16_t value) { return float_of_bits((uint32_t)value << 16); }
INLINE uint16_t bfloat16_of_float(float value) { /* to nearest, ties to even; for plain NaN only */
    uint32_t bits = bits_of_float(value);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
/* A NaN whose bits are all ones would be carried over into a zero by that rounding. */
INLINE float with_plain_nan(float value) { return value == value ? value : NAN; }

/* exp(x) for x <= 0 to two units in the last place, zero below the smallest normal number; NaN stays NaN.
 * x = n log 2 + r with |r| <= log(2) / 2, and a polynomial of degree 7 for exp(r). */
INLINE float exp_of(float x) {
    const float lowest = -87.0f, to_integer = 12582912.0f /* 1.5 * 2^23: adding it rounds */;
    float bounded = x < lowest ? lowest : x;
    float shifted = bounded * 1.44269504088896341f + to_integer;
    float n = shifted - to_integer;
    float r = bounded - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    float power = float_of_bits((bits_of_float(shifted) - bits_of_float(to_integer) + 127u) << 23);
    return x < lowest ? 0.0f : p * power;
}

typedef struct {
    float top;     /* largest logit so far */
    double mass;   /* sum of exp(logit - top) */
    double sum;    /* of logit - top, each times its class weight: of the logits themselves, large ones leave no digits */
    double weight; /* sum of the class weights */
} Totals;

INLINE void add_block(Totals *totals, const float *logits, const float *weight, int64_t size) {
    float top = -INFINITY;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < size; j++) top = logits[j] > top ? logits[j] : top;
    if (top > totals->top) {
        double before = totals->top == -INFINITY ? 0.0 : totals->top;
        totals->mass *= exp((double)totals->top - (double)top);
        if (totals->weight != 0.0) totals->sum += totals->weight * (before - (double)top);
        totals->top = top;
    }
    /* Where all is -inf so far, exp(-inf - 0) is the zero that is meant. */
    float from = totals->top == -INFINITY ? 0.0f : totals->top, mass = 0.0f, sum = 0.0f, weights = 0.0f;
    if (weight) {
#pragma omp simd reduction(+ : mass, sum, weights)
        for (int64_t j = 0; j < size; j++) {
            mass += exp_of(logits[j] - from);
            sum += (logits[j] - from) * weight[j];
            weights += weight[j];
        }
    } else {
        weights = (float)size;
#pragma omp simd reduction(+ : mass, sum)
        for (int64_t j = 0; j < size; j++) {
            mass += exp_of(logits[j] - from);
            sum += logits[j] - from;
        }
    }
    totals->mass += mass;
    totals->sum += sum;
    totals->weight += weights;
}

INLINE void row_gradient_block(const float *logits, const float *weight, int64_t size, float top, float of_mass,
                               float of_all, float *gradient) {
    if (weight) {
#pragma omp simd
        for (int64_t j = 0; j < size; j++) gradient[j] = exp_of(logits[j] - top) * of_mass + of_all * weight[j];
    } else {
#pragma omp simd
        for (int64_t j = 0; j < size; j++) gradient[j] = exp_of(logits[j] - top) * of_mass + of_all;
    }
}

/* What the two element types do differently: a block as float32, and back. */
INLINE const float *read_float32(const float *from, int64_t size, float *buffer) {
    (void)size, (void)buffer;
    return from;
}
INLINE const float *read_bfloat16(const uint16_t *from, int64_t size, float *buffer) {
#pragma omp simd
    for (int64_t j = 0; j < size; j++) buffer[j] = float_of_bfloat16(from[j]);
    return buffer;
}
INLINE float *place_float32(float *to, float *buffer) { (void)buffer; return to; }
INLINE float *place_bfloat16(uint16_t *to, float *buffer) { (void)to; return buffer; }
INLINE void write_float32(float *to, const float *values, int64_t size) { (void)to, (void)values, (void)size; }
INLINE void write_bfloat16(uint16_t *to, const float *values, int64_t size) {
#pragma omp simd
    for (int64_t j = 0; j < size; j++) to[j] = bfloat16_of_float(values[j]);
}
INLINE float one_float32(float value) { return value; }
INLINE float as_float32(float value) { return value; }
INLINE float one_bfloat16(uint16_t value) { return float_of_bfloat16(value); }
INLINE uint16_t as_bfloat16(float value) { return bfloat16_of_float(value); }

#define FOR_TYPE(NAME, TYPE)                                                                                           \
    INLINE void add_classes_##NAME(Totals *totals, const TYPE *logits, const float *weight, int64_t size) {            \
        float buffer[BLOCK];                                                                                           \
        for (int64_t start = 0; start < size; start += BLOCK) {                                                        \
            int64_t length = size - start < BLOCK ? size - start : BLOCK;                                              \
            const float *block = read_##NAME(logits + start, length, buffer);                                          \
            add_block(totals, block, weight ? weight + start : 0, length);                                             \
        }                                                                                                              \
    }                                                                                                                  \
    EACH_CPU static void row_log_odds_##NAME(const TYPE *logits, int64_t target, const float *weight,                  \
                                             double weight_sum, int64_t classes, float *log_odds, float *uniform,      \
                                             float *top, float *mass) {                                                \
        Totals totals = {-INFINITY, 0.0, 0.0, 0.0};                                                                    \
        add_classes_##NAME(&totals, logits, weight, target);                                                           \
        add_classes_##NAME(&totals, logits + target + 1, weight ? weight + target + 1 : 0, classes - target - 1);      \
        *top = totals.top == -INFINITY ? 0.0f : totals.top;                                                            \
        *mass = (float)totals.mass;                                                                                    \
        /* All is relative to the top, beside which log(mass) would vanish if that is large. A logit of +inf is an     \
         * overflow, not certainty; no other class with mass is certainty. */                                          \
        double own = one_##NAME(logits[target]), above = own - *top, others = log(totals.mass);                        \
        double u = own == INFINITY ? NAN : above - others;                                                             \
        *log_odds = (float)u;                                                                                          \
        if (uniform) {                                                                                                 \
            double all = u > 0.0 ? above + log1p(exp(-u)) : others + log1p(exp(u));                                    \
            *uniform = (float)(all - (totals.sum + (weight ? weight[target] : 1.0) * above) / weight_sum);             \
        }                                                                                                              \
    }                                                                                                                  \
    EACH_CPU static void row_gradient_##NAME(const TYPE *logits, int64_t target, const float *weight,                  \
                                             double weight_sum, int64_t classes, float log_odds, float top,            \
                                             float mass, float grad_log_odds, float grad_uniform,                      \
                                             TYPE *gradient) {                                                         \
        float buffer[BLOCK], share = (float)(1.0 / weight_sum);                                                        \
        float p = 1.0f / (1.0f + expf(-log_odds)), rest = 1.0f / (1.0f + expf(log_odds));                              \
        float of_mass = mass == 0.0f ? 0.0f : (grad_uniform * rest - grad_log_odds) / mass;                            \
        float of_all = -grad_uniform * share;                                                                          \
        float at_target = grad_log_odds + grad_uniform * (p - (weight ? weight[target] : 1.0f) * share);               \
        for (int64_t start = 0; start < classes; start += BLOCK) {                                                     \
            int64_t length = classes - start < BLOCK ? classes - start : BLOCK;                                        \
            const float *block = read_##NAME(logits + start, length, buffer);                                          \
            float *values = place_##NAME(gradient + start, buffer);                                                    \
            row_gradient_block(block, weight ? weight + start : 0, length, top, of_mass, of_all, values);              \
            write_##NAME(gradient + start, values, length);                                                            \
        }                                                                                                              \
        gradient[target] = as_##NAME(at_target);                                                                       \
    }                                                                                                                  \
    EXPORT void row_statistics_##NAME(const TYPE *logits, int64_t row_stride, const int64_t *target, const float *weight, \
                                double weight_sum, int64_t rows, int64_t classes, int threads, float *log_odds,        \
                                float *uniform, float *top, float *mass) {                                             \
        _Pragma("omp parallel for schedule(dynamic) num_threads(threads) if (rows * classes >= PARALLEL_FROM)")        \
        for (int64_t i = 0; i < rows; i++) {                                                                           \
            if (target[i] < 0) {                                                                                       \
                log_odds[i] = NAN, top[i] = 0.0f, mass[i] = 0.0f;                                                      \
                if (uniform) uniform[i] = NAN;                                                                         \
                continue;                                                                                              \
            }                                                                                                          \
            row_log_odds_##NAME(logits + i * row_stride, target[i], weight, weight_sum, classes, log_odds + i,         \
                                uniform ? uniform + i : 0, top + i, mass + i);                                         \
        }                                                                                                              \
    }                                                                                                                  \
    EXPORT void write_gradient_##NAME(const TYPE *logits, int64_t row_stride, const int64_t *target, const float *weight, \
                                double weight_sum, int64_t rows, int64_t classes, int threads, const float *log_odds, const float *top, \
                                const float *mass, const float *grad_log_odds, const float *grad_uniform,              \
                                TYPE *gradient) {                                                                      \
        prefer_huge_pages(gradient, rows * classes * (int64_t)sizeof(TYPE));                                           \
        _Pragma("omp parallel for schedule(dynamic) num_threads(threads) if (rows * classes >= PARALLEL_FROM)")        \
        for (int64_t i = 0; i < rows; i++) {                                                                           \
            float of_log_odds = with_plain_nan(grad_log_odds[i]);                                                      \
            float of_uniform = grad_uniform ? with_plain_nan(grad_uniform[i]) : 0.0f;                                  \
            TYPE *row = gradient + i * classes;                                                                        \
            if (target[i] < 0 || (of_log_odds == 0.0f && of_uniform == 0.0f)) {                                        \
                memset(row, 0, (size_t)classes * sizeof(TYPE));                                                        \
                continue;                                                                                              \
            }                                                                                                          \
            row_gradient_##NAME(logits + i * row_stride, target[i], weight, weight_sum, classes, log_odds[i], top[i], mass[i], \
                                of_log_odds, of_uniform, row);                                                         \
        }                                                                                                              \
    }

/* Fresh memory comes page by page at its first touch, which takes longer than the pass itself. */
static void prefer_huge_pages(void *memory, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (bytes < HUGE_PAGES_FROM) return;
    uintptr_t page = 4096, start = ((uintptr_t)memory + page - 1) / page * page, end = (uintptr_t)memory + bytes;
    madvise((void *)start, (end - start) / page * page, MADV_HUGEPAGE); /* advice: failing is fine */
#else
    (void)memory, (void)bytes;
#endif
}

FOR_TYPE(float32, float)
FOR_TYPE(bfloat16, uint16_t)
