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

# As Debian has it: libraries are read, not started.
file(GLOB_RECURSE libraries ${CPACK_TEMPORARY_DIRECTORY}/usr/lib/muster/openmpi/lib/*.so*)
foreach(library ${libraries})
    if(NOT IS_SYMLINK ${library})
        file(CHMOD ${library} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
    endif()
endforeach()
