// Where our own code stands in for ggml's: x86 with AVX2, and without AVX-512 or VNNI, for which ggml has good code of its own.

#pragma once

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__) && defined(__GNUC__) && !defined(__AVX512F__) && !defined(__AVXVNNI__)
#define SMALLMESH_AVX2

#include <immintrin.h>

namespace {

constexpr int64_t LANES = 8;                   // of 32 bits

inline void transpose(__m256i (&r)[LANES]) {
    __m256i a[LANES], s[LANES];
    for (int t = 0; t < 4; ++t) {
        a[2 * t] = _mm256_unpacklo_epi32(r[2 * t], r[2 * t + 1]);
        a[2 * t + 1] = _mm256_unpackhi_epi32(r[2 * t], r[2 * t + 1]);
    }
    for (int h = 0; h < 8; h += 4) {
        s[h] = _mm256_unpacklo_epi64(a[h], a[h + 2]);
        s[h + 1] = _mm256_unpackhi_epi64(a[h], a[h + 2]);
        s[h + 2] = _mm256_unpacklo_epi64(a[h + 1], a[h + 3]);
        s[h + 3] = _mm256_unpackhi_epi64(a[h + 1], a[h + 3]);
    }
    for (int t = 0; t < 4; ++t) {
        r[t] = _mm256_permute2x128_si256(s[t], s[t + 4], 0x20);
        r[t + 4] = _mm256_permute2x128_si256(s[t], s[t + 4], 0x31);
    }
}

} // namespace

#endif
