# Open MPI: the one asked for with MUSTER_MPI_PREFIX, else the one that scripts/setup put into .openmpi/, else the one on
# PATH. Gives the target `mpi`, MUSTER_MPI_OWN (the one in .openmpi), MUSTER_MPIRUN, MUSTER_MPI_VERSION, MUSTER_MPI_MAJOR, MUSTER_MPI_BIN (its folder) and MUSTER_ENVIRONMENT: the NAME=VALUE settings
# with which plain `mpirun` lets ranks outlive one another and may start more ranks than there are cores.
#
# Nothing found is cached: a later scripts/setup may bring a better one.
set(MUSTER_MPI_PREFIX "" CACHE PATH "prefix of Open MPI; empty: .openmpi in the checkout, else the one on PATH")
add_library(mpi INTERFACE)

function(muster_find_mpi)
    if(MUSTER_MPI_PREFIX)
        find_program(mpicc mpicc PATHS ${MUSTER_MPI_PREFIX}/bin NO_DEFAULT_PATH NO_CACHE)
    else()
        find_program(mpicc mpicc HINTS ${CMAKE_SOURCE_DIR}/.openmpi/bin NO_CACHE)
    endif()
    if(NOT mpicc)
        set(problem "mpicc and mpirun (run scripts/setup, or apt packages libopenmpi-dev and openmpi-bin)")
        set(MUSTER_MISSING ${MUSTER_MISSING} ${problem} PARENT_SCOPE)
        return()
    endif()
    get_filename_component(bin ${mpicc} DIRECTORY)
    find_program(mpirun mpirun PATHS ${bin} NO_DEFAULT_PATH NO_CACHE)
    find_program(info ompi_info PATHS ${bin} NO_DEFAULT_PATH NO_CACHE)
    foreach(what incdirs libdirs)
        execute_process(COMMAND ${mpicc} --showme:${what} OUTPUT_VARIABLE ${what} RESULT_VARIABLE failed ERROR_QUIET
            OUTPUT_STRIP_TRAILING_WHITESPACE)
        separate_arguments(${what})
    endforeach()
    find_library(library mpi HINTS ${libdirs} NO_DEFAULT_PATH NO_CACHE)
    if(MUSTER_MPI_PREFIX AND NOT mpirun AND NOT failed AND info AND library) # sites build Open MPI without PRRTE, for Slurm alone
        message(NOTICE "warning: Open MPI in ${bin} has no mpirun: ranks can be started by srun --mpi=pmix only,\n"
            "    in Slurm jobs (muster launch does so). Tests that need mpirun fail.")
        set(mpirun ${bin}/mpirun)
    endif()
    if(failed OR NOT mpirun OR NOT info OR NOT library)
        set(problem "Open MPI: ${mpicc} belongs to another MPI, or is not whole (run scripts/setup, or give "
            "-DMUSTER_MPI_PREFIX=/where/it/is)")
        string(CONCAT problem ${problem})
        set(MUSTER_MISSING ${MUSTER_MISSING} ${problem} PARENT_SCOPE)
        return()
    endif()
    target_include_directories(mpi SYSTEM INTERFACE ${incdirs})
    target_link_libraries(mpi INTERFACE ${library})

    execute_process(COMMAND ${info} --parsable OUTPUT_VARIABLE facts ERROR_QUIET)
    string(REGEX MATCH "ompi:version:full:([0-9.]+)" ignored "${facts}")
    set(version "${CMAKE_MATCH_1}")
    set(environment OMPI_MCA_coll=^han) # han deadlocks after a second repair (ompi#11724)
    if(version VERSION_LESS 5)
        list(APPEND environment OMPI_MCA_rmaps_base_oversubscribe=1)
    else()
        # Without "slot", all ranks that --host or a host file spreads go to the first host.
        list(APPEND environment PRTE_MCA_rmaps_default_mapping_policy=slot:oversubscribe)
        # btl/ofi is for one-sided transfers, which nobody here makes; looking for its devices takes MPI_Init a second.
        list(APPEND environment OMPI_MCA_btl=^ofi)
    endif()
    if(facts MATCHES "options:ft_mpi_support:yes")
        list(APPEND environment OMPI_MCA_mpi_ft_enable=1 PRTE_MCA_state_base_recoverable=1
            PRTE_MCA_state_base_notify_errors=1)
        # Every rank gets to know all others' addresses in MPI_Init (when they are fewer than that; MU_BOARD_RANKS at most). By
        # default it asks for one's when it first sends to it, and about a dead rank PMIx_Get never answers: a rank that carries a
        # revocation on to one that has just died on another host sits there for ever, and the others in their shrink.
        list(APPEND environment OMPI_MCA_mpi_add_procs_cutoff=4097)
        message(STATUS "Open MPI ${version} with ULFM: ${bin}")
    else()
        message(NOTICE "warning: Open MPI ${version} in ${bin} lacks ULFM. With it the death of one rank ends the whole run,\n"
            "    which goes on from its newest checkpoint when started again. To get one that has it: scripts/setup, or\n"
            "    -DMUSTER_MPI_PREFIX=/where/it/is.")
    endif()
    if(bin STREQUAL "${CMAKE_SOURCE_DIR}/.openmpi/bin") # a relocated Open MPI: programs started without mpirun need this
        list(APPEND environment OPAL_PREFIX=${CMAKE_SOURCE_DIR}/.openmpi)
        set(MUSTER_MPI_OWN ${CMAKE_SOURCE_DIR}/.openmpi PARENT_SCOPE)
    endif()
    set(MUSTER_ENVIRONMENT ${environment} PARENT_SCOPE)
    string(REGEX MATCH "^[0-9]+" major "${version}")
    set(MUSTER_MPI_MAJOR ${major} PARENT_SCOPE)
    set(MUSTER_MPI_VERSION ${version} PARENT_SCOPE)
    set(MUSTER_MPIRUN ${mpirun} PARENT_SCOPE)
    set(MUSTER_MPI_BIN ${bin} PARENT_SCOPE)
    set(CMAKE_INSTALL_RPATH ${libdirs} PARENT_SCOPE)
endfunction()
muster_find_mpi()
