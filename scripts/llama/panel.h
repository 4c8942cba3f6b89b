// The heart of both products: panels of sixteen rows of weights against tokens in 8 bits.
//
// A panel's weights are brought beside each other once, for all tokens, and as many blocks of them as fit into the first cache. The sums
// of integers are exact and the blocks are added in their order: a token's result is the same whatever stands beside it.

#pragma once

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"

#include "avx2.h"

#if defined(SMALLMESH_AVX2)

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t TOKENS = 4;                  // that are multiplied together
constexpr int64_t FOURS = QK8_0 / 4;           // of numbers along k, in a block
constexpr int64_t CHUNK = 32;                  // blocks whose weights, 18 KiB, stay in the first cache beside some tokens

// A block of two vectors of rows: four numbers of each row stand together.
struct alignas(32) Weights {
    __m256i fours[FOURS][2];
    __m256  scales[2];
};

// A block of a few tokens.
struct alignas(32) Tokens {
    int32_t fours[FOURS][TOKENS];
    float   scales[TOKENS];
    int32_t offsets[TOKENS];                   // to be taken off a row's sum, where a kind of weights needs that
};

// Adds what some blocks come to. `Kind` says how numbers are multiplied:
//   Factor(weights)               what is made of a vector of weights once for all tokens
//   Kind::add(sum, factor, four)  adds the products with a token's four numbers, repeated
//   Kind::whole(sum, offset)      the sum of a block as integers of 32 bits
template <class Kind, int COUNT>
inline void multiply(const Weights * weights, const Tokens * tokens, int64_t blocks, __m256 (&sums)[TOKENS][2]) {
    const __m256i zero = _mm256_setzero_si256();
    for (int64_t b = 0; b < blocks; ++b) {
        // Not arrays: GCC leaves them in memory when the barrier below names them.
        __m256i a0 = zero, a1 = zero, b0 = zero, b1 = zero, c0 = zero, c1 = zero, d0 = zero, d1 = zero;
#pragma GCC unroll 8
        for (int64_t four = 0; four < FOURS; ++four) {
            const typename Kind::Factor first(weights[b].fours[four][0]), second(weights[b].fours[four][1]);
            const auto add = [&](__m256i & x, __m256i & y, int64_t t) {
                const __m256i repeated = _mm256_set1_epi32(tokens[b].fours[four][t]);
                x = Kind::add(x, first, repeated);
                y = Kind::add(y, second, repeated);
                asm("" : "+x"(x), "+x"(y));    // or GCC makes all products before it adds any, which takes more registers than there are
            };
            add(a0, a1, 0);
            if (COUNT > 1) add(b0, b1, 1);
            if (COUNT > 2) add(c0, c1, 2);
            if (COUNT > 3) add(d0, d1, 3);
        }
        const auto scale = [&](__m256i x, __m256i y, int64_t t) {
            const __m256i offset = _mm256_set1_epi32(tokens[b].offsets[t]);
            const __m256 scale = _mm256_set1_ps(tokens[b].scales[t]);
            const __m256 first = _mm256_cvtepi32_ps(Kind::whole(x, offset)), second = _mm256_cvtepi32_ps(Kind::whole(y, offset));
            sums[t][0] = _mm256_fmadd_ps(first, _mm256_mul_ps(weights[b].scales[0], scale), sums[t][0]);
            sums[t][1] = _mm256_fmadd_ps(second, _mm256_mul_ps(weights[b].scales[1], scale), sums[t][1]);
        };
        scale(a0, a1, 0);
        if (COUNT > 1) scale(b0, b1, 1);
        if (COUNT > 2) scale(c0, c1, 2);
        if (COUNT > 3) scale(d0, d1, 3);
    }
}

// Multiplies a panel with `count` tokens, which stand in fours of `blocks` each. `pack(b, weights)` writes a block of the panel;
// `store(t, half, sums)` takes what a token and eight of the rows come to.
template <class Kind, class Pack, class Store>
void panel(int64_t blocks, int64_t count, const Tokens * tokens, const Pack & pack, const Store & store) {
    struct Sums { __m256 of[TOKENS][2]; };
    thread_local std::vector<Sums> kept;       // from chunk to chunk
    Weights weights[CHUNK];
    const int64_t fours = (count + TOKENS - 1) / TOKENS;
    kept.assign(fours, Sums());
    for (int64_t from = 0; from < blocks; from += CHUNK) {
        const int64_t some = std::min(CHUNK, blocks - from);
        for (int64_t b = 0; b < some; ++b) pack(from + b, weights[b]);
        for (int64_t y = 0; y < fours; ++y) {
            const Tokens * beside = tokens + y * blocks + from;
            switch (std::min(TOKENS, count - y * TOKENS)) {
                case 1: multiply<Kind, 1>(weights, beside, some, kept[y].of); break;
                case 2: multiply<Kind, 2>(weights, beside, some, kept[y].of); break;
                case 3: multiply<Kind, 3>(weights, beside, some, kept[y].of); break;
                default: multiply<Kind, 4>(weights, beside, some, kept[y].of); break;
            }
        }
    }
    for (int64_t t = 0; t < count; ++t) {
        for (int64_t half = 0; half < 2; ++half) store(t, half, kept[t / TOKENS].of[t % TOKENS][half]);
    }
}

} // namespace

#endif
