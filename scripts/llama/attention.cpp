// Attention of tokens, few or many, with 64 keys at a time.
//
// ggml takes keys one by one for up to 63 tokens, with an exponential of the C library for each, and another way from 64 on. Here the
// heads that share keys, of tokens beside each other, are multiplied together, however many there are. A token's sums are made in the same
// order whatever stands beside it. ggml asks `ggml_compute_forward_flash_attn_ext`, whose original build.cmake renames; what is not
// said in `ours` goes on to it.

#include "avx2.h"

#include "ggml-impl.h"
#include "ggml-cpu-impl.h"
#include "ops.h"
#include "vec.h"

extern "C" void stock_ggml_compute_forward_flash_attn_ext(const struct ggml_compute_params * params, struct ggml_tensor * dst);

#if defined(SMALLMESH_AVX2)

#include "simd-gemm.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t KEYS = 64;                   // that are multiplied together
constexpr int64_t MOST_ROWS = 64;              // queries of one head each, likewise

float parameter(const ggml_tensor * dst, int i) {
    float value;
    std::memcpy(&value, dst->op_params + i, sizeof value);
    return value;
}

bool ours(const ggml_compute_params * params, const ggml_tensor * dst) {
    const ggml_tensor * q = dst->src[0], * k = dst->src[1], * v = dst->src[2], * mask = dst->src[3], * sinks = dst->src[4];
    const bool types = q->type == GGML_TYPE_F32 && k->type == v->type && (k->type == GGML_TYPE_F16 || k->type == GGML_TYPE_F32);
    const bool plain = !sinks && parameter(dst, 1) == 0.0f && parameter(dst, 2) == 0.0f; // no slopes, no soft cap
    const bool one = q->ne[3] == 1 && k->ne[3] == 1 && v->ne[3] == 1 && (!mask || (mask->ne[2] == 1 && mask->ne[3] == 1));
    const bool even = k->ne[2] == v->ne[2] && k->ne[0] % LANES == 0 && v->ne[0] % LANES == 0;
    const bool shared_out = q->ne[1] * k->ne[2] >= params->nth;  // to all threads; ggml has another way for one token and many of them
    return types && plain && one && even && shared_out && !params->use_ref;
}

__m256 eight(const char * from, bool half) {
    return half ? _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)))
                : _mm256_loadu_ps(reinterpret_cast<const float *>(from));
}

// Keys `first` up to `last` of a head as columns: [DK][KEYS]; those beyond are zero.
void pack_keys(const ggml_tensor * k, int64_t head, int64_t first, int64_t last, float * to) {
    const bool half = k->type == GGML_TYPE_F16;
    const auto * data = static_cast<const char *>(k->data) + head * k->nb[2];
    for (int64_t key = 0; key < KEYS; key += LANES) {
        for (int64_t d = 0; d < k->ne[0]; d += LANES) {
            __m256i lanes[LANES];
            for (int64_t i = 0; i < LANES; ++i) {
                const int64_t at = first + key + i;
                lanes[i] = at < last ? _mm256_castps_si256(eight(data + at * k->nb[1] + d * k->nb[0], half)) : _mm256_setzero_si256();
            }
            transpose(lanes);
            for (int64_t i = 0; i < LANES; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i *>(to + (d + i) * KEYS + key), lanes[i]);
        }
    }
}

// Likewise values, as they are: [KEYS][DV].
void pack_values(const ggml_tensor * v, int64_t head, int64_t first, int64_t last, float * to) {
    const bool half = v->type == GGML_TYPE_F16;
    const auto * data = static_cast<const char *>(v->data) + head * v->nb[2];
    for (int64_t i = 0; i < KEYS; ++i, to += v->ne[0]) {
        for (int64_t d = 0; d < v->ne[0]; d += LANES) {
            const bool there = first + i < last;
            _mm256_storeu_ps(to + d, there ? eight(data + (first + i) * v->nb[1] + d * v->nb[0], half) : _mm256_setzero_ps());
        }
    }
}

// Writes what is added to a token's scores; says whether the token sees any of the keys.
bool seen(const ggml_tensor * mask, int64_t token, int64_t first, int64_t last, float * to) {
    const int64_t there = std::min(KEYS, last - first);
    std::fill(to, to + there, 0.0f);
    std::fill(to + there, to + KEYS, -INFINITY);
    if (!mask) return true;
    const auto * row = reinterpret_cast<const ggml_fp16_t *>(static_cast<const char *>(mask->data) + token * mask->nb[1]) + first;
    __m256 most = _mm256_set1_ps(-INFINITY);
    int64_t i = 0;
    for (; i + LANES <= there; i += LANES) {
        const __m256 lanes = eight(reinterpret_cast<const char *>(row + i), true);
        _mm256_storeu_ps(to + i, lanes);
        most = _mm256_max_ps(most, lanes);
    }
    bool any = _mm256_movemask_ps(_mm256_cmp_ps(most, _mm256_set1_ps(-INFINITY), _CMP_NEQ_OQ));
    for (; i < there; ++i) any = (to[i] = GGML_CPU_FP16_TO_FP32(row[i])) != -INFINITY || any;
    return any;
}

// All heads of one head of keys, for tokens from..until.
void attend(const ggml_tensor * dst, int64_t head, int64_t from, int64_t until) {
    const ggml_tensor * q = dst->src[0], * k = dst->src[1], * v = dst->src[2], * mask = dst->src[3];
    const int64_t DK = k->ne[0], DV = v->ne[0], n = k->ne[1], heads = q->ne[2] / k->ne[2], tokens = until - from;
    const int64_t rows = tokens * heads, padded = (rows + GEMM_RM - 1) / GEMM_RM * GEMM_RM;
    const float scale = parameter(dst, 0);

    thread_local std::vector<float> scratch;
    scratch.assign(padded * (DK + KEYS + DV + 2) + KEYS * (DK + DV + tokens), 0.0f);
    float * queries = scratch.data(), * scores = queries + padded * DK, * sums = scores + padded * KEYS, * largest = sums + padded * DV;
    float * weights = largest + padded, * keys = weights + padded, * values = keys + KEYS * DK, * added = values + KEYS * DV;

    for (int64_t r = 0; r < rows; ++r) {
        const auto * query = static_cast<const char *>(q->data) + (from + r / heads) * q->nb[1] + (head * heads + r % heads) * q->nb[2];
        std::memcpy(queries + r * DK, query, DK * sizeof(float));
        largest[r] = -INFINITY;
    }
    ggml_vec_scale_f32(rows * DK, queries, scale);

    for (int64_t first = 0; first < n; first += KEYS) {
        bool any = false;
        for (int64_t t = 0; t < tokens; ++t) any = seen(mask, from + t, first, n, added + t * KEYS) || any;
        if (!any) continue;
        pack_keys(k, head, first, n, keys);
        std::fill(scores, scores + padded * KEYS, 0.0f);
        simd_gemm(scores, queries, keys, padded, DK, KEYS);
        for (int64_t r = 0; r < rows; ++r) {
            float * row = scores + r * KEYS, most;
            ggml_vec_add_f32(KEYS, row, row, added + r / heads * KEYS);
            ggml_vec_max_f32(KEYS, &most, row);
            if (most == -INFINITY) {
                std::fill(row, row + KEYS, 0.0f);
                continue;
            }
            if (most > largest[r]) {
                const float less = std::exp(largest[r] - most);
                ggml_vec_scale_f32(DV, sums + r * DV, less);
                weights[r] *= less;
                largest[r] = most;
            }
            weights[r] += ggml_vec_soft_max_f32(KEYS, row, row, largest[r]);
        }
        pack_values(v, head, first, n, values);
        simd_gemm(sums, scores, values, padded, KEYS, DV);
    }

    for (int64_t r = 0; r < rows; ++r) {
        ggml_vec_scale_f32(DV, sums + r * DV, weights[r] == 0.0f ? 0.0f : 1.0f / weights[r]);
        auto * out = static_cast<char *>(dst->data) + (head * heads + r % heads) * dst->nb[1] + (from + r / heads) * dst->nb[2];
        std::memcpy(out, sums + r * DV, DV * sizeof(float));
    }
}

} // namespace

extern "C" void ggml_compute_forward_flash_attn_ext(const struct ggml_compute_params * params, struct ggml_tensor * dst) {
    if (!ours(params, dst)) return stock_ggml_compute_forward_flash_attn_ext(params, dst);
    const int64_t tokens = dst->src[0]->ne[1], heads = dst->src[1]->ne[2], shared = dst->src[0]->ne[2] / heads;
    const int64_t fair = std::max<int64_t>(1, tokens * heads / (2 * params->nth));     // at least two turns for each thread, where there are
    const int64_t together = std::min(std::max<int64_t>(1, MOST_ROWS / shared), fair);
    const int64_t turns = (tokens + together - 1) / together;
    for (int64_t turn = params->ith; turn < turns * heads; turn += params->nth) {
        const int64_t from = turn / heads * together;
        attend(dst, turn % heads, from, std::min(tokens, from + together));
    }
}

#else

extern "C" void ggml_compute_forward_flash_attn_ext(const struct ggml_compute_params * params, struct ggml_tensor * dst) {
    stock_ggml_compute_forward_flash_attn_ext(params, dst);
}

#endif
