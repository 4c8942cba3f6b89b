// Given to the compiler before every file of llama.cpp (see build.cmake). ggml's processor code converts single half floats by a
// table of 256 KiB, and back by bit arithmetic, where these two are not defined; on x86 only its vector code has the instructions.
#if defined(__F16C__) && !defined(_MSC_VER)
#include <immintrin.h>
#define GGML_CPU_FP16_TO_FP32(x) _cvtsh_ss(x)
#define GGML_CPU_FP32_TO_FP16(x) _cvtss_sh(x, 0)
#endif
