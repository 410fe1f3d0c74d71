# C++ is for tests alone: the CUDA kernels compiled for the host (kernels/emulate/). Muster itself is C and builds without
# a C++ compiler; then these tests are skipped.
include(CheckLanguage)

# The twin of a clang, with its version: both compilers' sanitizers must be the same library.
if(CMAKE_C_COMPILER_ID MATCHES "Clang" AND NOT CMAKE_CXX_COMPILER AND NOT DEFINED ENV{CXX})
    get_filename_component(folder ${CMAKE_C_COMPILER} DIRECTORY)
    get_filename_component(name ${CMAKE_C_COMPILER} NAME)
    string(REPLACE "clang" "clang++" name ${name})
    if(EXISTS ${folder}/${name})
        set(CMAKE_CXX_COMPILER ${folder}/${name})
    endif()
endif()
if(NOT CMAKE_CXX_COMPILER)
    unset(CMAKE_CXX_COMPILER CACHE) # it may have been installed since
endif()
check_language(CXX)
if(CMAKE_CXX_COMPILER)
    enable_language(CXX)
    set(CMAKE_CXX_STANDARD 17)
    set(CMAKE_CXX_STANDARD_REQUIRED ON)
    set(CMAKE_CXX_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
endif()
