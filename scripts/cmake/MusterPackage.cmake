# A package for Debian and Ubuntu, of what `cmake --install` installs: `cd build && cpack`.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME muster)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "Muster developers <muster@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "trains language models on MPI ranks that may die")
set(CPACK_PACKAGE_DESCRIPTION "Muster trains GPT-like models with MPI. The bits of the result do not
depend on how many ranks computed it, nor on which of them died.
It also sweeps over sizes of models, and fits scaling laws.")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS gnuplot-nox)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_STRIP_FILES ON) # programs of ours only: libraries of wheels may not survive it
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR})
# The file to source names the prefix: it must be the one where the package is installed.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
# What it depends on is found out by dpkg-shlibdeps. What comes along is nobody else's, and CUDA is no package of Debian's.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR})
if(MUSTER_MPI_OWN)
    list(APPEND CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${MUSTER_MPI_OWN}/lib ${MUSTER_MPI_OWN}/lib/openmpi)
elseif(MUSTER_MPI_BIN MATCHES "^(/usr)?/bin$")
    set(CPACK_DEBIAN_PACKAGE_DEPENDS openmpi-bin)
endif()
if(TARGET muster-cuda)
    get_target_property(folders muster-cuda INSTALL_RPATH)
    list(APPEND CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${folders})
endif()
# Plugins of networks whose libraries this machine lacks would not load: dpkg-shlibdeps could not name what they need.
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/scripts/cmake/package_plugins.cmake)
include(CPack)
