// Products of Q8_0 weights with tokens in 8 bits, on x86 with AVX2 and without AVX-512 or VNNI.
//
// AVX2 multiplies unsigned by signed bytes, and a sum of two such products is too large for its 16 bits; ggml goes round that with four
// instructions for each pair of vectors. Here sixteen rows of weights at a time are widened to 16 bits, pairs of k side by side, and
// multiplied with all tokens: two instructions a pair. The sums of integers are ggml's, whatever the number of tokens.
// ggml calls `llamafile_sgemm` before its own code; everything else goes on to the original, which build.cmake renames.

#include "ggml-impl.h"
#include "ggml-cpu-impl.h"
#include "llamafile/sgemm.h"

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"

extern "C" bool stock_llamafile_sgemm(const struct ggml_compute_params *, int64_t, int64_t, int64_t, const void *, int64_t,
                                      const void *, int64_t, void *, int64_t, int, int, int);

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__) && defined(__GNUC__) && !defined(__AVX512F__) && !defined(__AVXVNNI__)

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t LANES = 8;                 // rows of weights of a vector
constexpr int64_t ROWS = 2 * LANES;          // that are widened together
constexpr int64_t TOKENS = 4;                // that are multiplied with them together
constexpr int64_t PAIRS = QK8_0 / 2;         // of a block
constexpr int64_t FEWEST = 8;                // tokens from which widening the weights pays

// A block of sixteen rows.
struct alignas(32) Weights {
    __m256i pairs[PAIRS][2];                 // of the first eight rows and of the others
    __m256  scales[2];
};

// A block of one token.
struct Token {
    int16_t numbers[QK8_0];
    float   scale;
};

struct Scratch {
    std::vector<Weights> weights;
    std::vector<Token> tokens;
};
thread_local Scratch scratch;

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

// Rows beyond `rows` are zero.
void widen(const block_q8_0 * first, int64_t stride, int64_t rows, int64_t blocks, Weights * out) {
    for (int64_t b = 0; b < blocks; ++b) {
        for (int64_t half = 0; half < 2; ++half) {
            alignas(32) float scales[LANES];
            for (int64_t r = 0; r < LANES; ++r) {
                const int64_t row = half * LANES + r;
                scales[r] = row < rows ? _cvtsh_ss(first[row * stride + b].d) : 0.0f;
            }
            out[b].scales[half] = _mm256_load_ps(scales);
            for (int64_t part = 0; part < 2; ++part) {
                __m256i pairs[LANES];
                for (int64_t r = 0; r < LANES; ++r) {
                    const int64_t row = std::min(half * LANES + r, rows - 1);
                    const auto * bytes = reinterpret_cast<const __m128i *>(first[row * stride + b].qs) + part;
                    pairs[r] = _mm256_cvtepi8_epi16(_mm_loadu_si128(bytes));
                }
                transpose(pairs);
                for (int64_t p = 0; p < LANES; ++p) out[b].pairs[part * LANES + p][half] = pairs[p];
            }
        }
    }
}

void widen(const block_q8_0 * token, int64_t blocks, Token * out) {
    for (int64_t b = 0; b < blocks; ++b) {
        for (int64_t part = 0; part < 2; ++part) {
            const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(token[b].qs) + part);
            _mm256_storeu_si256(reinterpret_cast<__m256i *>(out[b].numbers) + part, _mm256_cvtepi8_epi16(bytes));
        }
        out[b].scale = _cvtsh_ss(token[b].d);
    }
}

// Sixteen rows, of which `rows` are wanted, with a few tokens that stand `stride` blocks apart.
template <int COUNT>
void multiply(const Weights * weights, const Token * tokens, int64_t stride, int64_t blocks, int64_t rows, float * out, int64_t apart) {
    __m256 sums[COUNT][2];
    for (int t = 0; t < COUNT; ++t) sums[t][0] = sums[t][1] = _mm256_setzero_ps();
    for (int64_t b = 0; b < blocks; ++b, ++weights, ++tokens) {
        __m256i whole[COUNT][2];
        for (int t = 0; t < COUNT; ++t) whole[t][0] = whole[t][1] = _mm256_setzero_si256();
#pragma GCC unroll 1
        for (int64_t p = 0; p < PAIRS; ++p) {
            const __m256i first = weights->pairs[p][0], second = weights->pairs[p][1];
#pragma GCC unroll 4
            for (int t = 0; t < COUNT; ++t) {
                int32_t pair;
                std::memcpy(&pair, tokens[t * stride].numbers + 2 * p, sizeof pair);
                const __m256i repeated = _mm256_set1_epi32(pair);
                const __m256i x = _mm256_madd_epi16(first, repeated), y = _mm256_madd_epi16(second, repeated);
                whole[t][0] = _mm256_add_epi32(whole[t][0], x);
                whole[t][1] = _mm256_add_epi32(whole[t][1], y);
            }
        }
#pragma GCC unroll 4
        for (int t = 0; t < COUNT; ++t) {
            const __m256 scale = _mm256_set1_ps(tokens[t * stride].scale);
            for (int half = 0; half < 2; ++half) {
                const __m256 scales = _mm256_mul_ps(weights->scales[half], scale);
                sums[t][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole[t][half]), scales, sums[t][half]);
            }
        }
    }
    alignas(32) float row[ROWS];
    for (int t = 0; t < COUNT; ++t) {
        float * to = rows == ROWS ? out + t * apart : row;
        _mm256_storeu_ps(to, sums[t][0]);
        _mm256_storeu_ps(to + LANES, sums[t][1]);
        if (to == row) std::copy(row, row + rows, out + t * apart);
    }
}

// Rows [first, last) of the weights with n tokens; k and strides of A and B count blocks.
void multiply(int64_t first, int64_t last, int64_t n, int64_t k, const block_q8_0 * A, int64_t lda, const block_q8_0 * B, int64_t ldb,
              float * C, int64_t ldc) {
    scratch.weights.resize(k);
    scratch.tokens.resize(n * k);
    for (int64_t j = 0; j < n; ++j) widen(B + j * ldb, k, scratch.tokens.data() + j * k);
    for (int64_t i = first; i < last; i += ROWS) {
        const int64_t rows = std::min(ROWS, last - i);
        widen(A + i * lda, lda, rows, k, scratch.weights.data());
        for (int64_t j = 0; j < n; j += TOKENS) {
            const Token * tokens = scratch.tokens.data() + j * k;
            float * out = C + j * ldc + i;
            switch (std::min(TOKENS, n - j)) {
                case 1: multiply<1>(scratch.weights.data(), tokens, k, k, rows, out, ldc); break;
                case 2: multiply<2>(scratch.weights.data(), tokens, k, k, rows, out, ldc); break;
                case 3: multiply<3>(scratch.weights.data(), tokens, k, k, rows, out, ldc); break;
                default: multiply<4>(scratch.weights.data(), tokens, k, k, rows, out, ldc); break;
            }
        }
    }
}

} // namespace

extern "C" bool llamafile_sgemm(const struct ggml_compute_params * params, int64_t m, int64_t n, int64_t k, const void * A, int64_t lda,
                                const void * B, int64_t ldb, void * C, int64_t ldc, int Atype, int Btype, int Ctype) {
    if (Atype != GGML_TYPE_Q8_0 || Btype != GGML_TYPE_Q8_0 || Ctype != GGML_TYPE_F32 || n < FEWEST) {
        return stock_llamafile_sgemm(params, m, n, k, A, lda, B, ldb, C, ldc, Atype, Btype, Ctype);
    }
    const int64_t each = (m + params->nth * ROWS - 1) / (params->nth * ROWS) * ROWS; // each thread has whole groups of rows
    const int64_t first = std::min<int64_t>(m, each * params->ith), last = std::min<int64_t>(m, first + each);
    multiply(first, last, n, k, static_cast<const block_q8_0 *>(A), lda, static_cast<const block_q8_0 *>(B), ldb, static_cast<float *>(C), ldc);
    return true;
}

#else

extern "C" bool llamafile_sgemm(const struct ggml_compute_params * params, int64_t m, int64_t n, int64_t k, const void * A, int64_t lda,
                                const void * B, int64_t ldb, void * C, int64_t ldc, int Atype, int Btype, int Ctype) {
    return stock_llamafile_sgemm(params, m, n, k, A, lda, B, ldb, C, ldc, Atype, Btype, Ctype);
}

#endif
