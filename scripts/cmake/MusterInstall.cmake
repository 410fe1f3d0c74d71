# The target `programs`, which is what users run: what scripts/build makes without --tests.
add_custom_target(programs DEPENDS muster)
foreach(program muster-rank muster-cuda)
    if(TARGET ${program})
        add_dependencies(programs ${program})
    endif()
endforeach()
