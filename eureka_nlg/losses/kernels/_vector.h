/* What every kernel in C is written with: one compilation per instruction set, bits of floats, the exponential.
 *
 * Loops are plain and left to the compiler to vectorise, once per instruction set; the best is chosen when the library
 * is loaded.
 */
#ifndef EUREKA_VECTOR_H
#define EUREKA_VECTOR_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EACH_CPU
#endif

INLINE float float_of_bits(uint32_t bits) { float value; memcpy(&value, &bits, sizeof value); return value; }
INLINE uint32_t bits_of_float(float value) { uint32_t bits; memcpy(&bits, &value, sizeof bits); return bits; }

/* exp(x) for x <= 0, exactly 1 at 0, zero below -87, near the smallest normal number; NaN stays NaN. x = n log 2 + r
 * with |r| <= log(2) / 2, and a polynomial of degree 6 for exp(r), minimax in relative error (2e-9). The error is one
 * unit in the last place near 0 and that of x by half a unit further off: x is a difference that was rounded so too,
 * which is why log 2 needs no second constant here. */
INLINE float exp_of(float x) {
    /* 1.5 * 2^23: adding it rounds to an integer; the bias of the exponent goes along in the lowest bits. */
    const float lowest = -87.0f, to_integer = 12582912.0f + 127.0f;
    float bounded = x < lowest ? lowest : x;
    float shifted = bounded * 1.44269504088896341f + to_integer;
    float n = shifted - to_integer;
    float r = bounded - n * 0.69314718055994531f;
    float p = 1.38436067e-3f;
    p = p * r + 8.37419562e-3f;
    p = p * r + 4.16680047e-2f;
    p = p * r + 1.66664308e-1f;
    p = p * r + 4.99999942e-1f;
    p = p * r + 1.00000003f;
    p = p * r + 1.0f;
    float power = float_of_bits(bits_of_float(shifted) << 23);
    return x < lowest ? 0.0f : p * power;
}

#endif
