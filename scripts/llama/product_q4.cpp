// Products of Q4_0 weights, as ggml repacks them, with tokens in 8 bits.
// ggml asks the two functions at the end, whose originals build.cmake renames.

#include "panel.h"

#include "ggml-impl.h"
#include "ggml-cpu-impl.h"
#include "repack.h"

#if defined(__x86_64__) || defined(__i386__)

extern "C" void stock_ggml_gemm_q4_0_8x8_q8_0(int, float *, size_t, const void *, const void *, int, int);
extern "C" void stock_ggml_gemv_q4_0_8x8_q8_0(int, float *, size_t, const void *, const void *, int, int);

#if defined(SMALLMESH_AVX2)

namespace {

constexpr int64_t EIGHTS = QK8_0 / 8;
constexpr int32_t TOO_LARGE = 8;              // weights are read as 0 to 15

// Weights from 0 to 15: AVX2 multiplies unsigned by signed bytes and adds pairs in 16 bits, and a whole block fits there.
struct Nibbles {
    using Factor = __m256i;
    static __m256i add(__m256i sum, __m256i weights, __m256i numbers) {
        return _mm256_add_epi16(sum, _mm256_maddubs_epi16(weights, numbers));  // at most 8 x 2 x 15 x 127
    }
    static __m256i whole(__m256i sum, __m256i offset) { return _mm256_sub_epi32(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)), offset); }
};

// Eight columns, in the order 0 1 4 5 2 3 6 7: what shuffles within the halves of a vector make.
struct Columns {
    __m256i eights[EIGHTS][2];                // of k: those of columns 0 to 3, and of 4 to 7
    __m256  scales;
};

inline __m256 reordered(__m256 columns) {  // both ways
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(columns), _MM_SHUFFLE(3, 1, 2, 0)));
}

inline Columns widened(const block_q4_0x8 & block) {
    const __m256i nibble = _mm256_set1_epi8(15), signs = _mm256_set1_epi8(static_cast<char>(0x88));
    Columns columns;
#pragma GCC unroll 2
    for (int part = 0; part < 2; ++part) {
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
            const auto * raw = reinterpret_cast<const __m256i *>(block.qs + part * 64 + half * 32);
            const __m256i both = _mm256_xor_si256(_mm256_loadu_si256(raw), signs);
            columns.eights[part][half] = _mm256_and_si256(both, nibble);
            columns.eights[2 + part][half] = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
        }
    }
    columns.scales = reordered(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(block.d))));
    return columns;
}

inline void pack(const block_q4_0x8 & block, int group, Weights & weights) {
    const Columns columns = widened(block);
#pragma GCC unroll 4
    for (int eight = 0; eight < EIGHTS; ++eight) {
        const __m256 first = _mm256_castsi256_ps(columns.eights[eight][0]), second = _mm256_castsi256_ps(columns.eights[eight][1]);
        weights.fours[2 * eight][group] = _mm256_castps_si256(_mm256_shuffle_ps(first, second, _MM_SHUFFLE(2, 0, 2, 0)));
        weights.fours[2 * eight + 1][group] = _mm256_castps_si256(_mm256_shuffle_ps(first, second, _MM_SHUFFLE(3, 1, 3, 1)));
    }
    weights.scales[group] = columns.scales;
}

inline void arrange(const block_q8_0x4 & block, Tokens & tokens) {
    const __m256i bytes = _mm256_set1_epi8(1), words = _mm256_set1_epi16(TOO_LARGE);
    __m256i sum = _mm256_setzero_si256();
    for (int eight = 0; eight < EIGHTS; ++eight) {
        const __m256i numbers = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(block.qs) + eight);
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(bytes, numbers));
        const __m256i fours = _mm256_permutevar8x32_epi32(numbers, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
        _mm256_store_si256(reinterpret_cast<__m256i *>(tokens.fours[2 * eight]), fours);
    }
    sum = _mm256_madd_epi16(sum, words);
    sum = _mm256_hadd_epi32(sum, sum);
    _mm_storel_epi64(reinterpret_cast<__m128i *>(tokens.offsets), _mm256_castsi256_si128(sum));
    _mm_storel_epi64(reinterpret_cast<__m128i *>(tokens.offsets + 2), _mm256_extracti128_si256(sum, 1));
    _mm_storeu_ps(tokens.scales, _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(block.d))));
}

} // namespace

// Tokens in fours.
extern "C" void ggml_gemm_q4_0_8x8_q8_0(int n, float * s, size_t bs, const void * vx, const void * vy, int nr, int nc) {
    thread_local std::vector<Tokens> arranged;
    const int64_t blocks = n / QK8_0, fours = nr / TOKENS, eights = nc / LANES;
    const auto * columns = static_cast<const block_q4_0x8 *>(vx);
    arranged.resize(blocks * fours);
    Tokens * tokens = arranged.data();
    for (int64_t b = 0; b < blocks * fours; ++b) arrange(static_cast<const block_q8_0x4 *>(vy)[b], tokens[b]);
    for (int64_t x = 0; x < eights; x += 2) {
        const block_q4_0x8 * first = columns + x * blocks;
        const block_q4_0x8 * second = x + 1 < eights ? first + blocks : first;  // an odd one is multiplied twice
        panel<Nibbles>(blocks, nr, tokens,
            [=](int64_t b, Weights & weights) {
                for (int64_t next : {2 * blocks, 3 * blocks}) { // the next panel's, while this one is multiplied
                    const auto * line = reinterpret_cast<const char *>(first + next + b);
                    for (size_t at = 0; at < sizeof *first; at += 64) _mm_prefetch(line + at, _MM_HINT_T0);
                }
                pack(first[b], 0, weights);
                pack(second[b], 1, weights);
            },
            [=](int64_t t, int64_t group, __m256 sums) {
                if (x + group < eights) _mm256_storeu_ps(s + t * bs + (x + group) * LANES, reordered(sums));
            });
    }
}

// One token.
extern "C" void ggml_gemv_q4_0_8x8_q8_0(int n, float * s, size_t, const void * vx, const void * vy, int, int nc) {
    thread_local std::vector<int32_t> offsets;
    const int64_t blocks = n / QK8_0;
    const auto * columns = static_cast<const block_q4_0x8 *>(vx);
    const auto * token = static_cast<const block_q8_0 *>(vy);
    offsets.resize(blocks);
    int32_t * offset = offsets.data();
    for (int64_t b = 0; b < blocks; ++b) {
        int32_t sum = 0;
        for (const int8_t number : token[b].qs) sum += number;
        offset[b] = TOO_LARGE * sum;
    }
    const __m256i words = _mm256_set1_epi16(1);
    for (int64_t x = 0; x < nc / LANES; ++x, columns += blocks) {
        __m256 sums = _mm256_setzero_ps();
        for (int64_t b = 0; b < blocks; ++b) {
            const Columns weights = widened(columns[b]);
            __m256i parts[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
#pragma GCC unroll 4
            for (int eight = 0; eight < EIGHTS; ++eight) {
                int64_t numbers;
                std::memcpy(&numbers, token[b].qs + 8 * eight, sizeof numbers);
                const __m256i repeated = _mm256_set1_epi64x(numbers);
                for (int half = 0; half < 2; ++half) {
                    parts[half] = _mm256_add_epi16(parts[half], _mm256_maddubs_epi16(weights.eights[eight][half], repeated));
                }
            }
            __m256i whole = _mm256_hadd_epi32(_mm256_madd_epi16(parts[0], words), _mm256_madd_epi16(parts[1], words));
            whole = _mm256_sub_epi32(whole, _mm256_set1_epi32(offset[b]));
            const __m256 scale = _mm256_mul_ps(weights.scales, _mm256_set1_ps(_cvtsh_ss(token[b].d)));
            sums = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), scale, sums);
        }
        _mm256_storeu_ps(s + x * LANES, reordered(sums));
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
