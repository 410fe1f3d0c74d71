# Run by CPack on what it is about to pack: leaves out plugins of Open MPI (InfiniBand, Omni-Path) that cannot be loaded here. Where
# their libraries are installed, they are packed, and the package depends on them.
file(GLOB plugins ${CPACK_TEMPORARY_DIRECTORY}/usr/lib/muster/openmpi/lib/openmpi/*/*.so*)
foreach(plugin ${plugins})
    execute_process(COMMAND ldd ${plugin} OUTPUT_VARIABLE libraries ERROR_QUIET)
    if(libraries MATCHES "([^ \t\n]+) => not found")
        get_filename_component(name ${plugin} NAME)
        message(STATUS "left out of the package: ${name} (${CMAKE_MATCH_1} is not here)")
        file(REMOVE ${plugin})
    endif()
endforeach()
