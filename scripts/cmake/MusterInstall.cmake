# The target `programs`, which is what users run: what scripts/build makes without --tests. And what is installed: bin/muster,
# lib/muster, share/muster, share/doc/muster, and nothing else, so that these four are all to be removed. It may be moved: programs find
# Open MPI and one another from where they lie themselves (orchestrator/launch/mpi_place.c).
add_custom_target(programs DEPENDS muster muster-rank)
if(TARGET muster-cuda)
    add_dependencies(programs muster-cuda)
endif()

install(TARGETS muster RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS muster-rank RUNTIME DESTINATION lib/muster)
install(FILES orchestrator/report/fit.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/muster)
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/muster)
set(documents ${CMAKE_INSTALL_DATADIR}/doc/muster)
install(FILES README.md LICENSE scripts/cmake/copyright DESTINATION ${documents})
install(PROGRAMS scripts/wandb-sync DESTINATION ${CMAKE_INSTALL_DATADIR}/muster)

# The Open MPI in .openmpi goes along, without what compiles MPI programs; another one stays where it is.
set(rpath ${CMAKE_INSTALL_RPATH})
if(MUSTER_MPI_OWN)
    install(DIRECTORY ${MUSTER_MPI_OWN}/bin ${MUSTER_MPI_OWN}/etc ${MUSTER_MPI_OWN}/lib ${MUSTER_MPI_OWN}/share
        DESTINATION lib/muster/openmpi USE_SOURCE_PERMISSIONS
        PATTERN "mpi[cC]*" EXCLUDE PATTERN mpic++ EXCLUDE PATTERN "opal_wrapper" EXCLUDE PATTERN "python*" EXCLUDE
        PATTERN "*-wrapper-data.txt" EXCLUDE)
    file(GLOB licenses ${MUSTER_MPI_OWN}/lib/python*/site-packages/openmpi-*.dist-info/licenses/LICENSE*)
    install(FILES ${licenses} DESTINATION ${documents}/openmpi)
    set(rpath "")
endif()
# Libraries of modules, conda or scripts/setup --user stay where they are as well.
list(APPEND rpath ${MUSTER_FOREIGN})
if(MUSTER_PREFIX)
    list(APPEND rpath ${MUSTER_PREFIX}/usr/lib/${CMAKE_SYSTEM_PROCESSOR}-linux-gnu)
endif()
list(REMOVE_DUPLICATES rpath)
if(MUSTER_MPI_OWN)
    set_target_properties(muster PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/muster/openmpi/lib;${rpath}")
    set_target_properties(muster-rank PROPERTIES INSTALL_RPATH "$ORIGIN/openmpi/lib;${rpath}")
else()
    set_target_properties(muster muster-rank PROPERTIES INSTALL_RPATH "${rpath}")
endif()
