# The file to source, once for the build folder (`. build/env`) and once for an installed Muster
# (`. PREFIX/share/muster/env`). The same settings are the environment of the tests.
list(JOIN MUSTER_ENVIRONMENT "\" \"" MUSTER_EXPORTS)
set(MUSTER_ENV_MPI ${MUSTER_MPI_BIN})
if(MUSTER_MPI_BIN MATCHES "^(/usr)?/bin$") # on PATH already, and not to be moved to its front
    set(MUSTER_ENV_MPI "")
endif()
set(MUSTER_ENV_BIN ${CMAKE_BINARY_DIR})
set(MUSTER_ENV_ROOT "")
set(MUSTER_ENV_TOOLS "")
if(EXISTS ${MUSTER_PREFIX}/tools) # gnuplot, cmake
    set(MUSTER_ENV_TOOLS ${MUSTER_PREFIX}/tools)
endif()
configure_file(${CMAKE_SOURCE_DIR}/scripts/cmake/env.in ${CMAKE_BINARY_DIR}/env @ONLY)

# The same for `muster launch`, which works without it.
list(JOIN MUSTER_ENVIRONMENT "\",\n    \"" MUSTER_SETTINGS)
configure_file(${CMAKE_SOURCE_DIR}/scripts/cmake/mpi_settings.c.in ${CMAKE_BINARY_DIR}/mpi_settings.c @ONLY)
target_sources(mu_orchestrator PRIVATE ${CMAKE_BINARY_DIR}/mpi_settings.c)

# The prefix is known only at installation: one field stays open until then. bash finds it by itself, also when all was moved.
set(MUSTER_ENV_ROOT "muster_root=\"@CMAKE_INSTALL_PREFIX@\"
if [ -n \"\${BASH_SOURCE-}\" ]; then muster_root=\$(cd \"\$(dirname \"\$BASH_SOURCE\")/../..\" && pwd); fi
")
set(MUSTER_ENV_BIN "\$muster_root/${CMAKE_INSTALL_BINDIR}")
if(MUSTER_MPI_OWN) # it is installed as well
    set(MUSTER_ENV_MPI "\$muster_root/lib/muster/openmpi/bin")
    string(REPLACE "OPAL_PREFIX=${MUSTER_MPI_OWN}" "OPAL_PREFIX=\$muster_root/lib/muster/openmpi" MUSTER_EXPORTS "${MUSTER_EXPORTS}")
endif()
configure_file(${CMAKE_SOURCE_DIR}/scripts/cmake/env.in ${CMAKE_BINARY_DIR}/env-installed.in @ONLY)
install(CODE "
    set(env \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/muster/env\")
    configure_file(\"${CMAKE_BINARY_DIR}/env-installed.in\" \"\$ENV{DESTDIR}\${env}\" @ONLY)
    list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"\${env}\")
    message(STATUS \"To use it: . \${env}\")")
