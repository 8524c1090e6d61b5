/* The two passes over the logits that every loss needs, for the CPU; passes.py says what they compute.
 *
 * With y the target of a row, u its log-odds and q_j = exp(z_j - top) / mass the softmax over the other classes,
 * the gradients g_u of the log-odds and g_v of the uniform cross-entropy give the row
 *     (g_v * sigmoid(-u) - g_u) * q_j - g_v * w_j / W  at j != y,      g_u + g_v * (sigmoid(u) - w_y / W)  at y.
 *
 * The threads are those of torch's OpenMP: this file is compiled with OpenMP, but not linked with a second copy of
 * its run-time library.
 */
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "_vector.h"

enum { BLOCK = 1024 };                /* classes at once: their float32 copy stays in the first-level cache */
enum { MOST_BLOCKS = 512 };           /* in a row whose exponentials are kept; in longer rows they are computed twice */
enum { FEW = 64, LANES = 16 };        /* a row of up to FEW classes is padded to a multiple of LANES, and kept */
enum { PARALLEL_FROM = 1 << 16 };     /* elements below which threads cost more than they save */
enum { HUGE_PAGES_FROM = 1 << 23 };   /* bytes from which large pages pay off for new memory */

INLINE float float_of_bfloat16(uint16_t value) { return float_of_bits((uint32_t)value << 16); }
INLINE uint16_t bfloat16_of_float(float value) { /* to nearest, ties to even; for plain NaN only */
    uint32_t bits = bits_of_float(value);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
/* That rounding would turn a NaN whose bits are all ones into zero. */
INLINE float with_plain_nan(float value) { return value == value ? value : NAN; }

typedef struct {
    float top;     /* largest logit so far */
    double mass;   /* sum of exp(logit - top) */
    double sum;    /* of logit - top times class weight: a sum of large logits themselves would lose precision */
    double weight; /* sum of the class weights */
} Totals;

/* Sums over a block: of exp(z - from) and, unless `summed` is NO_SUM, of z - from times the class weight. `summed` is a
 * constant wherever this is inlined. */
enum { NO_SUM, PLAIN_SUM, WEIGHTED_SUM };
INLINE void add_sums(Totals *totals, const float *logits, const float *weight, int64_t size, float from, int summed,
                     float *kept) {
    float mass = 0.0f, sum = 0.0f, weights = summed == PLAIN_SUM ? (float)size : 0.0f;
#pragma omp simd reduction(+ : mass, sum, weights)
    for (int64_t j = 0; j < size; j++) {
        float below = logits[j] - from, exponential = exp_of(below);
        mass += exponential;
        if (summed == PLAIN_SUM) sum += below;
        if (summed == WEIGHTED_SUM) sum += below * weight[j], weights += weight[j];
        if (kept) kept[j] = exponential;
    }
    totals->mass += mass;
    totals->sum += sum;
    totals->weight += weights;
}

/* Add some classes. `kept` receives their exponentials relative to the top so far; it may be `logits` itself, or null. */
INLINE void add_block(Totals *totals, const float *logits, const float *weight, int64_t size, int summed, float *kept) {
    float top = -INFINITY;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < size; j++) top = logits[j] > top ? logits[j] : top;
    if (top > totals->top) {
        double before = totals->top == -INFINITY ? 0.0 : totals->top;
        totals->mass *= exp((double)totals->top - (double)top);
        if (totals->weight != 0.0) totals->sum += totals->weight * (before - (double)top);
        totals->top = top;
    }
    /* If all logits so far are -inf, exp(-inf - 0) gives the right result, zero. */
    float from = totals->top == -INFINITY ? 0.0f : totals->top;
    if (kept) {
        if (summed == NO_SUM) add_sums(totals, logits, 0, size, from, NO_SUM, kept);
        else if (summed == PLAIN_SUM) add_sums(totals, logits, 0, size, from, PLAIN_SUM, kept);
        else add_sums(totals, logits, weight, size, from, WEIGHTED_SUM, kept);
    } else {
        if (summed == NO_SUM) add_sums(totals, logits, 0, size, from, NO_SUM, 0);
        else if (summed == PLAIN_SUM) add_sums(totals, logits, 0, size, from, PLAIN_SUM, 0);
        else add_sums(totals, logits, weight, size, from, WEIGHTED_SUM, 0);
    }
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

/* The numbers that describe a loss as a function of the log-odds u, in the same order as in closed_form.py. */
typedef struct {
    double term;        /* 0 cross-entropy, 1 focal, 2 halted focal, 3 DFT */
    double alpha;       /* factor of the term */
    double gamma;       /* of the focal losses */
    double halted_from; /* log-odds above which halted focal loss is cross-entropy less halted_by */
    double halted_by;
    double reward;      /* 0 none, 1 likelihood, 2 power */
    double bonus_gamma; /* of the power bonus */
    double from;        /* log-odds up to which there is no bonus; -inf for none */
    double at_from;     /* the bonus there */
    double cap_from;    /* log-odds above which the bonus is linear in p; +inf for none */
    double cap;         /* the likelihood at cap_from, the bonus there, and its slope in p */
    double at_cap;
    double slope_at_cap;
    double clamp_from;  /* log-odds above which the bonus is constant; +inf for none */
} ClosedForm;

typedef struct { double value, slope; } Scalar; /* value and derivative of a function of u */

/* log p, log(1 - p), p and 1 - p, each in full precision. */
typedef struct { double log_p, log_q, p, q; } Likelihood;
static Likelihood likelihood_of(double u) {
    double e = exp(-fabs(u)), l = log1p(e), large = 1.0 / (1.0 + e), small = e / (1.0 + e);
    Likelihood at = {u < 0.0 ? u - l : -l, u < 0.0 ? -l : -u - l, u < 0.0 ? small : large, u < 0.0 ? large : small};
    return at;
}

static Scalar term_of(const ClosedForm *form, int is_halted, double u, const Likelihood *at) {
    Scalar plain = {-at->log_p, -at->q};
    if (form->term == 3.0) { /* the factor p is held fixed */
        plain.value = at->p == 0.0 ? 0.0 : at->p * plain.value;
        plain.slope *= at->p;
    } else if (form->term != 0.0) {
        if (form->term == 2.0 && is_halted && u > form->halted_from) {
            plain.value -= form->halted_by;
        } else if (form->gamma != 0.0 && u != -INFINITY) { /* at p = 0 the loss equals cross-entropy */
            double modulation = exp(form->gamma * at->log_q);
            plain.value *= modulation;
            plain.slope = modulation * (form->gamma * at->p * at->log_p - at->q);
        }
    }
    plain.value *= form->alpha, plain.slope *= form->alpha;
    return plain;
}

static Scalar bonus_of(const ClosedForm *form, double u, const Likelihood *at) {
    Scalar bonus = {0.0, 0.0};
    if (u == INFINITY || u <= form->from) return bonus; /* no other class; below the threshold */
    int is_clamped = u > form->clamp_from;
    Likelihood bounded;
    if (is_clamped) {
        u = form->clamp_from;
        bounded = likelihood_of(u);
        at = &bounded;
    }
    if (u > form->cap_from) {
        bonus.value = form->at_cap + form->slope_at_cap * ((1.0 - form->cap) - at->q);
        bonus.slope = form->slope_at_cap * at->p * at->q;
    } else if (form->reward == 1.0) {
        bonus.value = at->log_q;
        bonus.slope = -at->p;
    } else {
        bonus.value = -exp(form->bonus_gamma * at->log_p);
        bonus.slope = bonus.value * form->bonus_gamma * at->q;
    }
    bonus.value -= form->at_from;
    if (is_clamped) bonus.slope = 0.0;
    return bonus;
}

/* What the loss needs to know of the rows besides their logits. */
typedef struct {
    const int64_t *target;
    const float *weight;        /* of the term, by class; or null */
    const float *encouragement; /* of the bonus, by class; or null for the number */
    const uint8_t *halted;      /* marks of classes; or null for all */
    double one_encouragement;
    double smoothing;           /* share of the uniform cross-entropy, times the mean class weight */
    double kept_share;          /* 1 - label smoothing */
    double of_term, of_reward;  /* factors of the reduction for the term and for the reward */
} Rows;

/* Loss of a row times the factors of the reduction, and its derivatives with respect to log-odds and uniform. */
static double row_loss(const ClosedForm *form, const Rows *rows, int64_t target, double u, double uniform,
                       float *of_log_odds, float *of_uniform) {
    Likelihood at = likelihood_of(u);
    double weight = rows->weight ? rows->weight[target] : 1.0;
    Scalar term = {0.0, 0.0};
    if (weight != 0.0) { /* a class weight of zero gives zero, even if the loss is infinite */
        term = term_of(form, rows->halted ? rows->halted[target] : 1, u, &at);
        if (rows->kept_share == 0.0) /* likewise for an infinite term; a NaN stays */
            term.value = 0.0 * at.p, term.slope = 0.0 * at.p;
        else
            term.value *= weight * rows->kept_share, term.slope *= weight * rows->kept_share;
    }
    double value = rows->of_term * term.value, slope = rows->of_term * term.slope;
    if (rows->smoothing != 0.0) value += rows->of_term * rows->smoothing * uniform;
    if (form->reward != 0.0) {
        double encouragement = rows->encouragement ? rows->encouragement[target] : rows->one_encouragement;
        Scalar bonus = bonus_of(form, u, &at);
        value += rows->of_reward * encouragement * bonus.value;
        slope += rows->of_reward * encouragement * bonus.slope;
    }
    *of_log_odds = (float)slope;
    *of_uniform = (float)(rows->of_term * rows->smoothing);
    return value;
}

/* The row of the gradient is exp(z_j - top) * of_mass + of_all * w_j, and at_target at the target. */
typedef struct { float of_mass, of_all, at_target; } Slopes;
INLINE Slopes slopes_of(int64_t target, const float *weight, double weight_sum, float log_odds, float mass,
                        float grad_log_odds, float grad_uniform) {
    float p = 0.0f, rest = 0.0f, share = (float)(1.0 / weight_sum);
    if (grad_uniform != 0.0f) p = 1.0f / (1.0f + expf(-log_odds)), rest = 1.0f / (1.0f + expf(log_odds));
    Slopes by;
    by.of_mass = mass == 0.0f ? 0.0f : (grad_uniform * rest - grad_log_odds) / mass;
    by.of_all = -grad_uniform * share;
    by.at_target = log_odds == log_odds ? grad_log_odds : NAN; /* an overflow must not go unnoticed */
    if (grad_uniform != 0.0f) by.at_target += grad_uniform * (p - (weight ? weight[target] : 1.0f) * share);
    return by;
}

/* Conversion of a block to float32 and back, for the two element types. */
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

static double sum_of(const float *weight, int64_t classes) {
    double sum = 0.0;
    if (!weight) return (double)classes;
    for (int64_t j = 0; j < classes; j++) sum += weight[j];
    return sum;
}

/* Both passes in one call, with the loss between them. The exponentials of a row stay in the cache and become its
 * gradient: in place for float32, from a scratch row for bfloat16. `gradient` may be `logits`; these two have the type
 * of the logits, and everything else is float32. Returns -1; or the index of the first row whose target is neither a
 * class nor `ignored`, and then nothing is written. */
#define LOSS_ARGUMENTS(TYPE)                                                                                           \
    const TYPE *logits, int64_t row_stride, const int64_t *target, int64_t ignored, int64_t num_rows, int64_t classes, \
        int threads, const float *weight, const float *encouragement, double one_encouragement, const uint8_t *halted, \
        const ClosedForm *form, double label_smoothing, int reduction, float incoming, float *loss, float *found,      \
        TYPE *gradient

enum { NONE = 0, SUM = 1, MEAN = 2 }; /* reductions */

#define FOR_TYPE(NAME, TYPE)                                                                                           \
    /* Stores the exponentials of each block in `kept`, and the top that they are relative to in `tops`. */            \
    INLINE float *add_classes_##NAME(Totals *totals, const TYPE *logits, const float *weight, int64_t size, int summed,\
                                     float *kept, float *tops) {                                                       \
        float buffer[BLOCK];                                                                                           \
        for (int64_t start = 0; start < size; start += BLOCK) {                                                        \
            int64_t length = size - start < BLOCK ? size - start : BLOCK;                                              \
            float *values = kept ? kept + start : 0;                                                                   \
            const float *block = read_##NAME(logits + start, length, values ? values : buffer);                        \
            add_block(totals, block, weight ? weight + start : 0, length, summed, values);                             \
            if (kept) *tops++ = totals->top;                                                                           \
        }                                                                                                              \
        return tops;                                                                                                   \
    }                                                                                                                  \
    INLINE void scale_##NAME(const float *kept, const float *weight, int64_t size, float of_mass, float of_all,        \
                             TYPE *gradient) {                                                                         \
        if (weight) {                                                                                                  \
            _Pragma("omp simd")                                                                                        \
            for (int64_t j = 0; j < size; j++) gradient[j] = as_##NAME(kept[j] * of_mass + of_all * weight[j]);        \
        } else {                                                                                                       \
            _Pragma("omp simd")                                                                                        \
            for (int64_t j = 0; j < size; j++) gradient[j] = as_##NAME(kept[j] * of_mass + of_all);                    \
        }                                                                                                              \
    }                                                                                                                  \
    INLINE const float *scale_classes_##NAME(const float *kept, const float *tops, const float *weight, int64_t size,  \
                                             float top, const Slopes *by, TYPE *gradient) {                            \
        for (int64_t start = 0; start < size; start += BLOCK) {                                                        \
            int64_t length = size - start < BLOCK ? size - start : BLOCK;                                              \
            float of_mass = by->of_mass * expf(*tops++ - top);                                                         \
            scale_##NAME(kept + start, weight ? weight + start : 0, length, of_mass, by->of_all, gradient + start);    \
        }                                                                                                              \
        return tops;                                                                                                   \
    }                                                                                                                  \
    EACH_CPU static void row_log_odds_##NAME(const TYPE *logits, int64_t target, const float *weight,                  \
                                             double weight_sum, int64_t classes, float *log_odds, float *uniform,      \
                                             float *top, float *mass, float *kept, float *tops) {                      \
        Totals totals = {-INFINITY, 0.0, 0.0, 0.0};                                                                    \
        int summed = !uniform ? NO_SUM : weight ? WEIGHTED_SUM : PLAIN_SUM;                                            \
        int64_t after = target + 1;                                                                                    \
        double own = one_##NAME(logits[target]);                                                                       \
        tops = add_classes_##NAME(&totals, logits, weight, target, summed, kept, tops);                                \
        add_classes_##NAME(&totals, logits + after, weight ? weight + after : 0, classes - after, summed,              \
                           kept ? kept + after : 0, tops);                                                             \
        *top = totals.top == -INFINITY ? 0.0f : totals.top;                                                            \
        *mass = (float)totals.mass;                                                                                    \
        /* All is relative to the top, beside which log(mass) would vanish if that is large. A logit of +inf is an     \
         * overflow, not certainty; no other class with mass is certainty. */                                          \
        double above = own - *top, others = log(totals.mass);                                                          \
        double u = own == INFINITY ? NAN : above - others;                                                             \
        *log_odds = (float)u;                                                                                          \
        if (uniform) {                                                                                                 \
            double all = u > 0.0 ? above + log1p(exp(-u)) : others + log1p(exp(u));                                    \
            *uniform = (float)(all - (totals.sum + (weight ? weight[target] : 1.0) * above) / weight_sum);             \
        }                                                                                                              \
    }                                                                                                                  \
    /* The gradient from the kept exponentials, which may be in the memory of the gradient. */                         \
    EACH_CPU static void row_scaled_##NAME(const float *kept, const float *tops, int64_t target, const float *weight,  \
                                           double weight_sum, int64_t classes, float log_odds, float top, float mass,  \
                                           float grad_log_odds, float grad_uniform, TYPE *gradient) {                  \
        Slopes by = slopes_of(target, weight, weight_sum, log_odds, mass, grad_log_odds, grad_uniform);                \
        int64_t after = target + 1;                                                                                    \
        tops = scale_classes_##NAME(kept, tops, weight, target, top, &by, gradient);                                   \
        scale_classes_##NAME(kept + after, tops, weight ? weight + after : 0, classes - after, top, &by,               \
                             gradient + after);                                                                        \
        gradient[target] = as_##NAME(by.at_target);                                                                    \
    }                                                                                                                  \
    EACH_CPU static void row_gradient_##NAME(const TYPE *logits, int64_t target, const float *weight,                  \
                                             double weight_sum, int64_t classes, float log_odds, float top,            \
                                             float mass, float grad_log_odds, float grad_uniform,                      \
                                             TYPE *gradient) {                                                         \
        float buffer[BLOCK];                                                                                           \
        Slopes by = slopes_of(target, weight, weight_sum, log_odds, mass, grad_log_odds, grad_uniform);                \
        for (int64_t start = 0; start < classes; start += BLOCK) {                                                     \
            int64_t length = classes - start < BLOCK ? classes - start : BLOCK;                                        \
            const float *block = read_##NAME(logits + start, length, buffer);                                          \
            float *values = place_##NAME(gradient + start, buffer);                                                    \
            row_gradient_block(block, weight ? weight + start : 0, length, top, by.of_mass, by.of_all, values);        \
            write_##NAME(gradient + start, values, length);                                                            \
        }                                                                                                              \
        gradient[target] = as_##NAME(by.at_target);                                                                    \
    }                                                                                                                  \
    /* A row of few classes; its exponentials are kept for the gradient. */                                            \
    EACH_CPU static void few_log_odds_##NAME(const TYPE *logits, int64_t target, const float *weight, double weight_sum,\
                                             int64_t classes, float *log_odds, float *uniform, float *top, float *mass,\
                                             float *exponentials) {                                                    \
        float others[FEW], total = 0.0f, highest = -INFINITY;                                                          \
        int64_t padded = (classes + LANES - 1) / LANES * LANES;                                                        \
        for (int64_t j = 0; j < classes; j++) others[j] = one_##NAME(logits[j]);                                       \
        for (int64_t j = classes; j < padded; j++) others[j] = -INFINITY;                                              \
        float own = one_##NAME(logits[target]);                                                                        \
        others[target] = -INFINITY;                                                                                    \
        _Pragma("omp simd reduction(max : highest)")                                                                   \
        for (int64_t j = 0; j < padded; j++) highest = others[j] > highest ? others[j] : highest;                      \
        highest = highest == -INFINITY ? 0.0f : highest;                                                               \
        _Pragma("omp simd reduction(+ : total)")                                                                       \
        for (int64_t j = 0; j < padded; j++) total += exponentials[j] = exp_of(others[j] - highest);                   \
        double above = (double)own - highest, of_others = log((double)total);                                          \
        double u = own == INFINITY ? NAN : above - of_others;                                                          \
        *log_odds = (float)u, *top = highest, *mass = total;                                                           \
        if (uniform) {                                                                                                 \
            double sum = (weight ? weight[target] : 1.0) * above;                                                      \
            for (int64_t j = 0; j < classes; j++)                                                                      \
                if (j != target) sum += (double)(others[j] - highest) * (weight ? weight[j] : 1.0);                    \
            double all = u > 0.0 ? above + log1p(exp(-u)) : of_others + log1p(exp(u));                                 \
            *uniform = (float)(all - sum / weight_sum);                                                                \
        }                                                                                                              \
    }                                                                                                                  \
    EACH_CPU static void few_gradient_##NAME(const float *exponentials, int64_t target, const float *weight,           \
                                             double weight_sum, int64_t classes, float log_odds, float mass,           \
                                             float grad_log_odds, float grad_uniform, TYPE *gradient) {                \
        Slopes by = slopes_of(target, weight, weight_sum, log_odds, mass, grad_log_odds, grad_uniform);                \
        scale_##NAME(exponentials, weight, classes, by.of_mass, by.of_all, gradient);                                  \
        gradient[target] = as_##NAME(by.at_target);                                                                    \
    }                                                                                                                  \
    EXPORT void row_statistics_##NAME(const TYPE *logits, int64_t row_stride, const int64_t *target, const float *weight,\
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
                                uniform ? uniform + i : 0, top + i, mass + i, 0, 0);                                   \
        }                                                                                                              \
    }                                                                                                                  \
    EXPORT void write_gradient_##NAME(const TYPE *logits, int64_t row_stride, const int64_t *target, const float *weight,\
                                double weight_sum, int64_t rows, int64_t classes, int threads, const float *log_odds, const float *top,\
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
            row_gradient_##NAME(logits + i * row_stride, target[i], weight, weight_sum, classes, log_odds[i], top[i], mass[i],\
                                of_log_odds, of_uniform, row);                                                         \
        }                                                                                                              \
    }                                                                                                                  \
    EXPORT int64_t loss_##NAME(LOSS_ARGUMENTS(TYPE)) {                                                                 \
        Rows rows = {target, weight, encouragement, halted, one_encouragement, 0.0, 1.0 - label_smoothing, 1.0, 1.0};  \
        double weight_sum = label_smoothing > 0.0 ? sum_of(weight, classes) : 1.0, divisor = 0.0, total = 0.0;         \
        if (label_smoothing > 0.0) rows.smoothing = label_smoothing * weight_sum / (double)classes;                    \
        int64_t count = 0;                                                                                             \
        for (int64_t i = 0; i < num_rows; i++) {                                                                       \
            if (target[i] == ignored) continue;                                                                        \
            if (target[i] < 0 || target[i] >= classes) return i;                                                       \
            divisor += weight ? weight[target[i]] : 1.0, count++;                                                      \
        }                                                                                                              \
        if (reduction == MEAN) rows.of_term = 1.0 / divisor, rows.of_reward = 1.0 / (double)count;                     \
        float *log_odds = found, *of_log_odds = found + num_rows, *of_uniform = found + 2 * num_rows;                  \
        float *top = found + 3 * num_rows, *mass = found + 4 * num_rows;                                               \
        float *losses = reduction == NONE ? loss : found + 5 * num_rows;                                               \
        if (gradient) prefer_huge_pages(gradient, num_rows * classes * (int64_t)sizeof(TYPE));                         \
        int64_t together = classes < 4096 ? 4096 / (classes + 1) : 1;                                                  \
        _Pragma("omp parallel num_threads(threads) if (num_rows * classes >= PARALLEL_FROM)")                          \
        {                                                                                                              \
        float tops[MOST_BLOCKS + 2], *scratch = 0;                                                                     \
        int keeps = gradient && classes > FEW && classes <= (int64_t)MOST_BLOCKS * BLOCK;                              \
        if (keeps && sizeof(TYPE) != sizeof(float)) keeps = !!(scratch = malloc((size_t)classes * sizeof(float)));     \
        _Pragma("omp for schedule(dynamic, together)")                                                                 \
        for (int64_t i = 0; i < num_rows; i++) {                                                                       \
            TYPE *row = gradient ? gradient + i * classes : 0;                                                         \
            if (target[i] == ignored) {                                                                                \
                losses[i] = of_log_odds[i] = of_uniform[i] = top[i] = mass[i] = 0.0f, log_odds[i] = NAN;               \
                if (row) memset(row, 0, (size_t)classes * sizeof(TYPE));                                               \
                continue;                                                                                              \
            }                                                                                                          \
            float uniform = 0.0f, *of_all = label_smoothing > 0.0 ? &uniform : 0, exponentials[FEW];                   \
            float *kept = !keeps ? 0 : scratch ? scratch : (float *)row;                                               \
            const TYPE *from = logits + i * row_stride;                                                                \
            if (classes <= FEW)                                                                                        \
                few_log_odds_##NAME(from, target[i], weight, weight_sum, classes, log_odds + i, of_all, top + i, mass + i,\
                                    exponentials);                                                                     \
            else                                                                                                       \
                row_log_odds_##NAME(from, target[i], weight, weight_sum, classes, log_odds + i, of_all, top + i, mass + i,\
                                    kept, tops);                                                                       \
            losses[i] = (float)row_loss(form, &rows, target[i], log_odds[i], uniform, of_log_odds + i, of_uniform + i);\
            if (!row) continue;                                                                                        \
            float by_log_odds = with_plain_nan(of_log_odds[i] * incoming);                                             \
            float by_uniform = with_plain_nan(of_uniform[i] * incoming);                                               \
            if (by_log_odds == 0.0f && by_uniform == 0.0f)                                                             \
                memset(row, 0, (size_t)classes * sizeof(TYPE));                                                        \
            else if (classes <= FEW)                                                                                   \
                few_gradient_##NAME(exponentials, target[i], of_all ? weight : 0, weight_sum, classes, log_odds[i], mass[i],\
                                    by_log_odds, by_uniform, row);                                                     \
            else if (kept)                                                                                             \
                row_scaled_##NAME(kept, tops, target[i], of_all ? weight : 0, weight_sum, classes, log_odds[i], top[i],\
                                  mass[i], by_log_odds, by_uniform, row);                                              \
            else                                                                                                       \
                row_gradient_##NAME(from, target[i], of_all ? weight : 0, weight_sum, classes, log_odds[i], top[i], mass[i],\
                                    by_log_odds, by_uniform, row);                                                     \
        }                                                                                                              \
        free(scratch);                                                                                                 \
        }                                                                                                              \
        if (reduction != NONE) {                                                                                       \
            for (int64_t i = 0; i < num_rows; i++) total += losses[i];                                                 \
            *loss = (float)(reduction == MEAN && divisor == 0.0 ? NAN : total);                                        \
        }                                                                                                              \
        return -1;                                                                                                     \
    }

/* New memory is mapped page by page at its first use, which takes longer than the pass itself. */
static void prefer_huge_pages(void *memory, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (bytes < HUGE_PAGES_FROM) return;
    uintptr_t page = 4096, start = ((uintptr_t)memory + page - 1) / page * page, end = (uintptr_t)memory + bytes;
    madvise((void *)start, (end - start) / page * page, MADV_HUGEPAGE); /* only advice: it may fail */
#else
    (void)memory, (void)bytes;
#endif
}

FOR_TYPE(float32, float)
FOR_TYPE(bfloat16, uint16_t)

/* Increased with each change of a signature above, so that a library with other signatures is not called. */
EXPORT int abi_version(void) { return 2; }
