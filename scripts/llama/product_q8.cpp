// Products of Q8_0 weights with tokens in 8 bits.
// ggml calls `llamafile_sgemm` before its own code; everything else goes on to the original, which build.cmake renames.

#include "panel.h"

#include "ggml-impl.h"
#include "ggml-cpu-impl.h"
#include "llamafile/sgemm.h"

extern "C" bool stock_llamafile_sgemm(const struct ggml_compute_params *, int64_t, int64_t, int64_t, const void *, int64_t,
                                      const void *, int64_t, void *, int64_t, int, int, int);

#if defined(SMALLMESH_AVX2)

namespace {

constexpr int64_t FEWEST = 4;                  // tokens from which bringing the weights beside each other pays

// AVX2 multiplies unsigned by signed bytes: what is negative in the weights is turned over to the tokens. Two products fit into 16 bits.
struct Signed {
    struct Factor {
        __m256i weights, absolute;
        explicit Factor(__m256i weights) : weights(weights), absolute(_mm256_abs_epi8(weights)) {}
    };
    static __m256i add(__m256i sum, const Factor & factor, __m256i numbers) {
        const __m256i pairs = _mm256_maddubs_epi16(factor.absolute, _mm256_sign_epi8(numbers, factor.weights));
        return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    static __m256i whole(__m256i sum, __m256i) { return sum; }
};

// Eight rows that stand `stride` blocks apart; those beyond `rows` repeat the last.
inline void pack(const block_q8_0 * first, int64_t stride, int64_t rows, int64_t half, Weights & weights) {
    __m256i fours[LANES];
    alignas(16) ggml_half scales[LANES];
    for (int64_t r = 0; r < LANES; ++r) {
        const block_q8_0 & block = first[std::min(r, rows - 1) * stride];
        fours[r] = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(block.qs));
        scales[r] = block.d;
    }
    transpose(fours);
    for (int64_t four = 0; four < FOURS; ++four) weights.fours[four][half] = fours[four];
    weights.scales[half] = _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i *>(scales)));
}

// Rows [first, last) of the weights with n tokens; k and strides of A and B count blocks.
void product(int64_t first, int64_t last, int64_t n, int64_t k, const block_q8_0 * A, int64_t lda, const block_q8_0 * B, int64_t ldb,
             float * C, int64_t ldc) {
    thread_local std::vector<Tokens> arranged;
    arranged.resize((n + TOKENS - 1) / TOKENS * k);
    Tokens * tokens = arranged.data();
    for (int64_t t = 0; t < n; ++t) {
        for (int64_t b = 0; b < k; ++b) {
            const block_q8_0 & from = B[t * ldb + b];
            Tokens & to = tokens[t / TOKENS * k + b];
            for (int64_t four = 0; four < FOURS; ++four) std::memcpy(&to.fours[four][t % TOKENS], from.qs + 4 * four, 4);
            to.scales[t % TOKENS] = _cvtsh_ss(from.d);
        }
    }
    for (int64_t i = first; i < last; i += 2 * LANES) {
        const block_q8_0 * rows = A + i * lda;
        const int64_t count = std::min(2 * LANES, last - i), upper = std::min(LANES, count), lower = std::max<int64_t>(1, count - LANES);
        panel<Signed>(k, n, tokens,
            [=](int64_t b, Weights & weights) {
                for (int64_t r = 0; r < 2 * LANES; ++r) { // the next panel's, while this one is multiplied
                    _mm_prefetch(reinterpret_cast<const char *>(rows + (2 * LANES + r) * lda + b), _MM_HINT_T0);
                }
                pack(rows + b, lda, upper, 0, weights);
                pack(rows + (count > LANES ? LANES * lda : 0) + b, lda, lower, 1, weights);
            },
            [=](int64_t t, int64_t half, __m256 sums) {
                alignas(32) float all[LANES];
                _mm256_store_ps(all, sums);
                const int64_t wanted = half ? count - LANES : upper;
                if (wanted > 0) std::copy(all, all + wanted, C + t * ldc + i + half * LANES);
            });
    }
}

} // namespace

extern "C" bool llamafile_sgemm(const struct ggml_compute_params * params, int64_t m, int64_t n, int64_t k, const void * A, int64_t lda,
                                const void * B, int64_t ldb, void * C, int64_t ldc, int Atype, int Btype, int Ctype) {
    if (Atype != GGML_TYPE_Q8_0 || Btype != GGML_TYPE_Q8_0 || Ctype != GGML_TYPE_F32 || n < FEWEST) {
        return stock_llamafile_sgemm(params, m, n, k, A, lda, B, ldb, C, ldc, Atype, Btype, Ctype);
    }
    const int64_t each = (m + params->nth * 2 * LANES - 1) / (params->nth * 2 * LANES) * 2 * LANES; // each thread has whole groups of rows
    const int64_t first = std::min<int64_t>(m, each * params->ith), last = std::min<int64_t>(m, first + each);
    product(first, last, n, k, static_cast<const block_q8_0 *>(A), lda, static_cast<const block_q8_0 *>(B), ldb, static_cast<float *>(C), ldc);
    return true;
}

#else

extern "C" bool llamafile_sgemm(const struct ggml_compute_params * params, int64_t m, int64_t n, int64_t k, const void * A, int64_t lda,
                                const void * B, int64_t ldb, void * C, int64_t ldc, int Atype, int Btype, int Ctype) {
    return stock_llamafile_sgemm(params, m, n, k, A, lda, B, ldb, C, ldc, Atype, Btype, Ctype);
}

#endif
