# Read by llama.cpp's own project() call through CMAKE_PROJECT_llama.cpp_INCLUDE (see scripts/bootstrap, compose/Dockerfile).
# llama-cpp-python binds libllama and ggml only; llama.cpp's `common` library, for its own command line tools,
# is more than half of the compile time and nothing here loads it.
set(LLAMA_BUILD_COMMON OFF)

# Files of our own, which say what they are for; what they are worth is in docs/models.md, why they are here in decision 20.
if(MSVC)
    return() # they are written for GCC and Clang
endif()
set(GGML_LLAMAFILE ON) # its entry is where ggml asks for a faster product
set(SMALLMESH_LLAMA ${CMAKE_CURRENT_LIST_DIR})
add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:SHELL:-include '${SMALLMESH_LLAMA}/half.h'>")
function(smallmesh_products)
    set(sources ${CMAKE_CURRENT_SOURCE_DIR}/ggml/src)
    get_property(targets DIRECTORY ${sources} PROPERTY BUILDSYSTEM_TARGETS)
    list(FILTER targets INCLUDE REGEX "^ggml-cpu(-|$)") # in a portable build there is one for each generation of processors
    foreach(target IN LISTS targets)
        get_target_property(kind ${target} TYPE)
        if(kind MATCHES "(SHARED|STATIC|MODULE)_LIBRARY") # and not the objects that only find out which processor this is
            target_sources(${target} PRIVATE ${SMALLMESH_LLAMA}/product_q4.cpp ${SMALLMESH_LLAMA}/product_q8.cpp
                                              ${SMALLMESH_LLAMA}/attention.cpp)
        endif()
    endforeach()
    set_property(SOURCE ${sources}/ggml-cpu/llamafile/sgemm.cpp DIRECTORY ${sources}
                 APPEND PROPERTY COMPILE_DEFINITIONS llamafile_sgemm=stock_llamafile_sgemm)
    set_property(SOURCE ${sources}/ggml-cpu/ops.cpp DIRECTORY ${sources}
                 APPEND PROPERTY COMPILE_DEFINITIONS ggml_compute_forward_flash_attn_ext=stock_ggml_compute_forward_flash_attn_ext)
    set_property(SOURCE ${sources}/ggml-cpu/arch/x86/repack.cpp DIRECTORY ${sources}
                 APPEND PROPERTY COMPILE_DEFINITIONS ggml_gemm_q4_0_8x8_q8_0=stock_ggml_gemm_q4_0_8x8_q8_0
                                                     ggml_gemv_q4_0_8x8_q8_0=stock_ggml_gemv_q4_0_8x8_q8_0)
endfunction()
cmake_language(DEFER CALL smallmesh_products) # once all targets are there
