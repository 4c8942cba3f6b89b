// Products of Q8_0 weights with F32 activations, for batches of tokens, on x86 with AVX2 and FMA.
//
// ggml multiplies such matrices block by block in 8-bit arithmetic, after it has quantised the activations. Without VNNI (many
// processors, and more virtual ones) that is slower than floating point; with it, ggml's own product is used. Here twelve rows of weights at a time are widened
// into the first-level cache and multiplied with all tokens, which were packed so that a vector holds eight of them.
// ggml calls `llamafile_sgemm` before its own code; everything that is not Q8_0 x F32 goes on to its original, renamed by
// build.cmake. A product is summed in the order of k whatever the number of tokens: batching does not change a result.

#include "ggml-impl.h"
#include "ggml-cpu-impl.h"
#include "llamafile/sgemm.h"

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"

extern "C" bool stock_llamafile_sgemm(const struct ggml_compute_params *, int64_t, int64_t, int64_t, const void *, int64_t,
                                      const void *, int64_t, void *, int64_t, int, int, int);

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__) && defined(__GNUC__) && !defined(__AVX512VNNI__) && !defined(__AVXVNNI__)

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

namespace {

constexpr int64_t LANES = 8;                 // floats of a vector
constexpr int64_t ROWS = 12;                 // of weights, widened together: a multiple of every tile's height
constexpr int64_t PACKED = 96 * 1024;        // floats of packed activations: less than a core's second-level cache
constexpr int64_t FEWEST = 6;                // tokens from which widening the weights pays

// Memory of one thread, aligned for vectors, kept for the next product.
class Scratch {
  public:
    float * of(int64_t floats) {
        if (floats > size_) {
            raw_.reset(new char[floats * sizeof(float) + 64]);
            size_ = floats;
        }
        return reinterpret_cast<float *>((reinterpret_cast<uintptr_t>(raw_.get()) + 63) & ~uintptr_t(63));
    }

  private:
    std::unique_ptr<char[]> raw_;
    int64_t size_ = 0;
};

thread_local Scratch weights_scratch, packed_scratch;

inline void widen(const block_q8_0 * row, int64_t blocks, float * out) {
    for (int64_t b = 0; b < blocks; ++b) {
        const __m256 scale = _mm256_set1_ps(_cvtsh_ss(row[b].d));
        for (int i = 0; i < QK8_0; i += LANES) {
            const __m256i whole = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(row[b].qs + i)));
            _mm256_store_ps(out + b * QK8_0 + i, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(whole)));
        }
    }
}

inline void transpose(__m256 (&r)[8]) {
    __m256 a[8], s[8];
    for (int t = 0; t < 4; ++t) {
        a[2 * t] = _mm256_unpacklo_ps(r[2 * t], r[2 * t + 1]);
        a[2 * t + 1] = _mm256_unpackhi_ps(r[2 * t], r[2 * t + 1]);
    }
    for (int h = 0; h < 8; h += 4) {
        s[h] = _mm256_shuffle_ps(a[h], a[h + 2], 0x44);
        s[h + 1] = _mm256_shuffle_ps(a[h], a[h + 2], 0xEE);
        s[h + 2] = _mm256_shuffle_ps(a[h + 1], a[h + 3], 0x44);
        s[h + 3] = _mm256_shuffle_ps(a[h + 1], a[h + 3], 0xEE);
    }
    for (int t = 0; t < 4; ++t) {
        r[t] = _mm256_permute2f128_ps(s[t], s[t + 4], 0x20);
        r[t + 4] = _mm256_permute2f128_ps(s[t], s[t + 4], 0x31);
    }
}

// Packs `count` tokens of k floats as k rows of `width` tokens; those beyond `count` are zero.
void pack(const float * tokens, int64_t stride, int64_t k, int64_t count, int64_t width, float * out) {
    for (int64_t j = 0; j < width; j += LANES) {
        for (int64_t l = 0; l < k; l += LANES) {
            __m256 r[8];
            for (int t = 0; t < 8; ++t) {
                r[t] = j + t < count ? _mm256_loadu_ps(tokens + (j + t) * stride + l) : _mm256_setzero_ps();
            }
            transpose(r);
            for (int t = 0; t < 8; ++t) {
                _mm256_store_ps(out + (l + t) * width + j, r[t]);
            }
        }
    }
}

// HEIGHT rows of weights with WIDTH vectors of tokens; every sum stays in a register.
template <int HEIGHT, int WIDTH>
__attribute__((noinline)) void tile(const float * weights, int64_t k, const float * packed, float * out, int64_t stride, int64_t rows,
                                    int64_t tokens) {
    __m256 sum[HEIGHT][WIDTH];
#pragma GCC unroll 12
    for (int i = 0; i < HEIGHT; ++i)
#pragma GCC unroll 3
        for (int v = 0; v < WIDTH; ++v) sum[i][v] = _mm256_setzero_ps();
#pragma GCC unroll 1
    for (int64_t l = 0; l < k; ++l, packed += WIDTH * LANES) {
        __m256 token[WIDTH];
#pragma GCC unroll 3
        for (int v = 0; v < WIDTH; ++v) token[v] = _mm256_load_ps(packed + v * LANES);
#pragma GCC unroll 12
        for (int i = 0; i < HEIGHT; ++i) {
            const __m256 weight = _mm256_broadcast_ss(weights + i * k + l);
#pragma GCC unroll 3
            for (int v = 0; v < WIDTH; ++v) sum[i][v] = _mm256_fmadd_ps(weight, token[v], sum[i][v]);
        }
    }
    alignas(32) float sums[HEIGHT][WIDTH * LANES];
#pragma GCC unroll 12
    for (int i = 0; i < HEIGHT; ++i)
#pragma GCC unroll 3
        for (int v = 0; v < WIDTH; ++v) _mm256_store_ps(&sums[i][v * LANES], sum[i][v]);
    for (int64_t j = 0; j < tokens; ++j)
        for (int64_t i = 0; i < rows; ++i) out[j * stride + i] = sums[i][j];
}

template <int HEIGHT, int WIDTH>
void tiles(const float * weights, int64_t k, const float * packed, float * out, int64_t stride, int64_t rows, int64_t tokens) {
    for (int64_t i = 0; i < rows; i += HEIGHT) {
        tile<HEIGHT, WIDTH>(weights + i * k, k, packed, out + i, stride, std::min<int64_t>(HEIGHT, rows - i), tokens);
    }
}

// Tokens of the next panel: two vectors, or what is left where that is one or three.
int64_t panel(int64_t left) { return left == LANES || left == 3 * LANES ? left : 2 * LANES; }

// Rows [first, last) of the weights with all n tokens.
void multiply(int64_t first, int64_t last, int64_t n, int64_t k, const block_q8_0 * A, int64_t lda, const float * B, int64_t ldb,
              float * C, int64_t ldc) {
    const int64_t most = std::max<int64_t>(2 * LANES, PACKED / k / (2 * LANES) * (2 * LANES));
    float * weights = weights_scratch.of(ROWS * k);
    for (int64_t from = 0; from < n; from += most) {
        const int64_t count = std::min(most, n - from), width = (count + LANES - 1) / LANES * LANES;
        float * packed = packed_scratch.of(width * k);
        for (int64_t j = 0; j < width; j += panel(width - j)) {
            pack(B + (from + j) * ldb, ldb, k, count - j, panel(width - j), packed + j * k);
        }
        for (int64_t i = first; i < last; i += ROWS) {
            const int64_t rows = std::min(ROWS, last - i);
            for (int64_t r = 0; r < rows; ++r) widen(A + (i + r) * lda, k / QK8_0, weights + r * k);
            std::memset(weights + rows * k, 0, (ROWS - rows) * k * sizeof(float));
            for (int64_t j = 0; j < width; j += panel(width - j)) {
                const int64_t tokens = std::min(panel(width - j), count - j);
                float * out = C + (from + j) * ldc + i;
                switch (panel(width - j) / LANES) {
                    case 1: tiles<12, 1>(weights, k, packed + j * k, out, ldc, rows, tokens); break;
                    case 2: tiles<6, 2>(weights, k, packed + j * k, out, ldc, rows, tokens); break;
                    default: tiles<4, 3>(weights, k, packed + j * k, out, ldc, rows, tokens); break;
                }
            }
        }
    }
}

} // namespace

extern "C" bool llamafile_sgemm(const struct ggml_compute_params * params, int64_t m, int64_t n, int64_t k, const void * A, int64_t lda,
                                const void * B, int64_t ldb, void * C, int64_t ldc, int Atype, int Btype, int Ctype) {
    if (Atype != GGML_TYPE_Q8_0 || Btype != GGML_TYPE_F32 || Ctype != GGML_TYPE_F32 || n < FEWEST) {
        return stock_llamafile_sgemm(params, m, n, k, A, lda, B, ldb, C, ldc, Atype, Btype, Ctype);
    }
    // k and lda count blocks, ldb and ldc floats; each thread has whole groups of rows
    const int64_t each = (m + params->nth * ROWS - 1) / (params->nth * ROWS) * ROWS;
    const int64_t first = std::min<int64_t>(m, each * params->ith), last = std::min<int64_t>(m, first + each);
    multiply(first, last, n, k * QK8_0, static_cast<const block_q8_0 *>(A), lda, static_cast<const float *>(B), ldb,
             static_cast<float *>(C), ldc);
    return true;
}

#else

extern "C" bool llamafile_sgemm(const struct ggml_compute_params * params, int64_t m, int64_t n, int64_t k, const void * A, int64_t lda,
                                const void * B, int64_t ldb, void * C, int64_t ldc, int Atype, int Btype, int Ctype) {
    return stock_llamafile_sgemm(params, m, n, k, A, lda, B, ldb, C, ldc, Atype, Btype, Ctype);
}

#endif
