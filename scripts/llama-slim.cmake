# Read by llama.cpp's own project() call through CMAKE_PROJECT_llama.cpp_INCLUDE (see scripts/bootstrap).
# llama-cpp-python binds libllama and ggml only; llama.cpp's `common` library, for its own command line tools,
# is more than half of the compile time and nothing here loads it.
set(LLAMA_BUILD_COMMON OFF)
