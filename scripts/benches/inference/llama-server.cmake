# Read by llama.cpp's own project() call through CMAKE_PROJECT_llama.cpp_INCLUDE (see server.py).
# llama-server is linked to the libraries that llama-cpp-python has installed (INSTALLED_LLAMA) instead of compiling them again:
# all contestants then run the same machine code, and half of the compile time is saved.
foreach(name ggml-base ggml llama)
    find_library(found_${name} ${name} PATHS ${INSTALLED_LLAMA} NO_DEFAULT_PATH REQUIRED)
    add_library(${name} SHARED IMPORTED GLOBAL)
    set_target_properties(${name} PROPERTIES IMPORTED_LOCATION ${found_${name}})
endforeach()
find_library(found_cpu ggml-cpu PATHS ${INSTALLED_LLAMA} NO_DEFAULT_PATH REQUIRED)
set(CMAKE_BUILD_RPATH ${INSTALLED_LLAMA})
target_include_directories(ggml INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/ggml/include)
target_include_directories(llama INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/include)
target_link_libraries(ggml INTERFACE ggml-base ${found_cpu})
target_link_libraries(llama INTERFACE ggml)

macro(add_subdirectory folder)
    if(NOT "${CMAKE_CURRENT_SOURCE_DIR}/${folder}" STREQUAL "${CMAKE_SOURCE_DIR}/src")
        _add_subdirectory(${ARGV})
    endif()
    if("${folder}" STREQUAL "mtmd")
        # Models of pictures and sound are never asked for. They are half of what is left to compile, so they are left out.
        get_target_property(sources mtmd SOURCES)
        list(FILTER sources EXCLUDE REGEX "^models/")
        set_target_properties(mtmd PROPERTIES SOURCES "${sources}")
        target_compile_options(mtmd PRIVATE -O0)
        if(APPLE)
            target_link_options(mtmd INTERFACE "LINKER:-undefined,dynamic_lookup")
        else()
            target_link_options(mtmd INTERFACE "LINKER:--unresolved-symbols=ignore-all" "LINKER:-z,now")
        endif()
    endif()
endmacro()
macro(install) # nothing is, and what is imported cannot be
endmacro()
