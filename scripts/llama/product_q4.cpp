// Products of Q4_0 weights, as ggml repacks them, with tokens in 8 bits, on x86 with AVX2 and without AVX-512 or VNNI.
//
// ggml keeps the weights as signed numbers, and AVX2 multiplies unsigned by signed ones: each pair costs it four instructions. Here a
// weight is 0 to 15 and eight times the sum of the tokens is taken off afterwards, which is one. The sums of integers are the same; so are
// the results, but for the order of a few additions. ggml asks the two functions at the end, whose originals build.cmake renames.

#include "ggml-impl.h"
#include "ggml-cpu-impl.h"

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"
#include "repack.h"

#if defined(__x86_64__) || defined(__i386__)

extern "C" void stock_ggml_gemm_q4_0_8x8_q8_0(int, float *, size_t, const void *, const void *, int, int);
extern "C" void stock_ggml_gemv_q4_0_8x8_q8_0(int, float *, size_t, const void *, const void *, int, int);

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__) && defined(__GNUC__) && !defined(__AVX512F__) && !defined(__AVXVNNI__)

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int COLUMNS = 8;                   // of the weights, interleaved by eights of k
constexpr int TOKENS = 4;                    // likewise, where there are as many
constexpr int PARTS = 4;                     // eights of a block of 32

// A block of eight columns.
struct alignas(32) Weights {
    __m256i columns[PARTS][2];               // 0 to 15; the first four columns and the others
    __m256  scales;                          // of columns 0 1 4 5 2 3 6 7, the order in which horizontal additions leave them
};

// What a block of some tokens has beside its numbers.
template <int COUNT> struct Tokens {
    float   scales[COUNT];
    int32_t eights[COUNT];                   // eight times the sum of its numbers
};

struct Scratch {
    std::vector<Weights> weights;
    std::vector<Tokens<TOKENS>> tokens;
    std::vector<Tokens<1>> token;
};
thread_local Scratch scratch;

inline __m256 reordered(__m256 columns) {  // both ways
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(columns), _MM_SHUFFLE(3, 1, 2, 0)));
}

inline Weights widened(const block_q4_0x8 & block) {
    const __m256i nibble = _mm256_set1_epi8(15), signs = _mm256_set1_epi8(static_cast<char>(0x88));
    Weights weights;
#pragma GCC unroll 2
    for (int part = 0; part < 2; ++part) {
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
            const auto * raw = reinterpret_cast<const __m256i *>(block.qs + part * 64 + half * 32);
            const __m256i both = _mm256_xor_si256(_mm256_loadu_si256(raw), signs);
            weights.columns[part][half] = _mm256_and_si256(both, nibble);
            weights.columns[2 + part][half] = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
        }
    }
    weights.scales = reordered(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(block.d))));
    return weights;
}

inline Tokens<TOKENS> summed(const block_q8_0x4 & block) {
    const __m256i bytes = _mm256_set1_epi8(1), words = _mm256_set1_epi16(8);
    __m256i sum = _mm256_setzero_si256();
    for (int part = 0; part < PARTS; ++part) {
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(bytes, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(block.qs) + part)));
    }
    sum = _mm256_madd_epi16(sum, words);
    sum = _mm256_hadd_epi32(sum, sum);
    Tokens<TOKENS> tokens;
    _mm_storel_epi64(reinterpret_cast<__m128i *>(tokens.eights), _mm256_castsi256_si128(sum));
    _mm_storel_epi64(reinterpret_cast<__m128i *>(tokens.eights + 2), _mm256_extracti128_si256(sum, 1));
    _mm_storeu_ps(tokens.scales, _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(block.d))));
    return tokens;
}

inline Tokens<1> summed(const block_q8_0 & block) {
    int32_t sum = 0;
    for (const int8_t number : block.qs) sum += number;
    return {{_cvtsh_ss(block.d)}, {8 * sum}};
}

// Adds what a block of weights and a block of tokens, interleaved by eights, come to.
template <int COUNT>
inline void multiply(const Weights & weights, const int8_t * numbers, const Tokens<COUNT> & tokens, __m256 (&sum)[COUNT]) {
    const __m256i words = _mm256_set1_epi16(1);
    __m256i first[COUNT], second[COUNT];
#pragma GCC unroll 4
    for (int part = 0; part < PARTS; ++part) {
        const __m256i low = weights.columns[part][0], high = weights.columns[part][1];
#pragma GCC unroll 4
        for (int t = 0; t < COUNT; ++t, numbers += 8) {
            int64_t eight;
            std::memcpy(&eight, numbers, sizeof eight);
            const __m256i repeated = _mm256_set1_epi64x(eight);
            const __m256i a = _mm256_maddubs_epi16(low, repeated), b = _mm256_maddubs_epi16(high, repeated);
            first[t] = part ? _mm256_add_epi16(first[t], a) : a;  // at most 4 x 2 x 15 x 127: it fits
            second[t] = part ? _mm256_add_epi16(second[t], b) : b;
        }
    }
#pragma GCC unroll 4
    for (int t = 0; t < COUNT; ++t) {
        __m256i whole = _mm256_hadd_epi32(_mm256_madd_epi16(first[t], words), _mm256_madd_epi16(second[t], words));
        whole = _mm256_sub_epi32(whole, _mm256_set1_epi32(tokens.eights[t]));
        sum[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), _mm256_mul_ps(weights.scales, _mm256_set1_ps(tokens.scales[t])), sum[t]);
    }
}

} // namespace

// Tokens in fours.
extern "C" void ggml_gemm_q4_0_8x8_q8_0(int n, float * s, size_t bs, const void * vx, const void * vy, int nr, int nc) {
    const int64_t blocks = n / QK8_0, fours = nr / TOKENS;
    const auto * columns = static_cast<const block_q4_0x8 *>(vx);
    const auto * tokens = static_cast<const block_q8_0x4 *>(vy);
    scratch.weights.resize(blocks);
    scratch.tokens.resize(blocks * fours);
    for (int64_t b = 0; b < blocks * fours; ++b) scratch.tokens[b] = summed(tokens[b]);
    for (int64_t x = 0; x < nc / COLUMNS; ++x) {
        for (int64_t b = 0; b < blocks; ++b) scratch.weights[b] = widened(columns[x * blocks + b]);
        for (int64_t y = 0; y < fours; ++y) {
            const Weights * weights = scratch.weights.data();
            const auto * sums = scratch.tokens.data() + y * blocks;
            __m256 sum[TOKENS] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
            for (int64_t b = 0; b < blocks; ++b) multiply(weights[b], tokens[y * blocks + b].qs, sums[b], sum);
            for (int t = 0; t < TOKENS; ++t) _mm256_storeu_ps(s + (y * TOKENS + t) * bs + x * COLUMNS, reordered(sum[t]));
        }
    }
}

// One token.
extern "C" void ggml_gemv_q4_0_8x8_q8_0(int n, float * s, size_t, const void * vx, const void * vy, int, int nc) {
    const int64_t blocks = n / QK8_0;
    const auto * columns = static_cast<const block_q4_0x8 *>(vx);
    const auto * token = static_cast<const block_q8_0 *>(vy);
    scratch.token.resize(blocks);
    for (int64_t b = 0; b < blocks; ++b) scratch.token[b] = summed(token[b]);
    for (int64_t x = 0; x < nc / COLUMNS; ++x, columns += blocks) {
        __m256 sum[1] = {_mm256_setzero_ps()};
        for (int64_t b = 0; b < blocks; ++b) multiply(widened(columns[b]), token[b].qs, scratch.token[b], sum);
        _mm256_storeu_ps(s + x * COLUMNS, reordered(sum[0]));
    }
}

#else

extern "C" void ggml_gemm_q4_0_8x8_q8_0(int n, float * s, size_t bs, const void * vx, const void * vy, int nr, int nc) {
    stock_ggml_gemm_q4_0_8x8_q8_0(n, s, bs, vx, vy, nr, nc);
}

extern "C" void ggml_gemv_q4_0_8x8_q8_0(int n, float * s, size_t bs, const void * vx, const void * vy, int nr, int nc) {
    stock_ggml_gemv_q4_0_8x8_q8_0(n, s, bs, vx, vy, nr, nc);
}

#endif
#endif
