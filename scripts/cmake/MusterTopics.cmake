# The topics of `muster help`, orchestrator/help/*.md, into the program: cmake -P with FOLDER and OUT makes a C file of them. A
# file's name is the topic's, its first line the title.
if(CMAKE_SCRIPT_MODE_FILE)
    file(GLOB topics ${FOLDER}/*.md)
    set(texts "")
    set(rows "")
    foreach(topic ${topics})
        get_filename_component(name ${topic} NAME_WE)
        file(STRINGS ${topic} title LIMIT_COUNT 1)
        string(REGEX REPLACE "^# " "" title "${title}")
        file(READ ${topic} bytes HEX)
        string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
        string(APPEND texts "static const char text_${name}[] = {${bytes}0};\n")
        string(APPEND rows "    {\"${name}\", \"${title}\", text_${name}},\n")
    endforeach()
    file(WRITE ${OUT} "#include \"orchestrator/help/topics.h\"\n\n${texts}\nconst struct mu_topic mu_topics[] = {\n${rows}    {0},\n};\n")
    return()
endif()
file(GLOB topics CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/orchestrator/help/*.md)
set(script ${CMAKE_SOURCE_DIR}/scripts/cmake/MusterTopics.cmake)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/generated/topics.c
    COMMAND ${CMAKE_COMMAND} -DFOLDER=${CMAKE_SOURCE_DIR}/orchestrator/help -DOUT=${CMAKE_BINARY_DIR}/generated/topics.c -P ${script}
    DEPENDS ${topics} ${script} VERBATIM)
target_sources(mu_orchestrator PRIVATE ${CMAKE_BINARY_DIR}/generated/topics.c)
