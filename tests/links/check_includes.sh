#!/usr/bin/env bash
# Reads every #include of the sources: layers include only themselves and those below them, by path from the root, and a
# foreign library's header stands only in the files named for it. Usage: check_includes.sh SOURCE-FOLDER
set -euo pipefail
cd "$1"
# shellcheck disable=SC2016 # the program is awk's
find orchestrator kernels worker -name '*.[ch]' -o -name '*.def' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' | sort | xargs awk '
function layer(path) {
    if (path ~ /^orchestrator\/base\//) return 1
    if (path ~ /^orchestrator\/core\//) return 2
    if (path ~ /^orchestrator\/config\//) return 3
    if (path ~ /^orchestrator\/fit\//) return 4
    if (path ~ /^kernels\//) return 5
    if (path ~ /^worker\//) return 6
    if (path ~ /^orchestrator\//) return 7
    return 0
}
function bad(why) { printf "%s:%d: %s\n    %s\n", FILENAME, FNR, why, $0; failed = 1 }
function only(header, names) {
    if (target == header && FILENAME !~ names) bad(header " belongs into files named like " names)
}
BEGIN { split("base core config fit kernels worker orchestrator", name, " ") }
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, part, "\"")
    if (part[2] ~ /\.pb-c\.h$/ && FILENAME !~ /_pb\.c$/) bad("messages belong into files named like _pb.c")
    if (!layer(part[2])) bad("include by path from the root, as \"orchestrator/base/log.h\"")
    else if (layer(part[2]) > layer(FILENAME))
        bad(name[layer(FILENAME)] " lies below " name[layer(part[2])] " and must not know it")
}
/^[ \t]*#[ \t]*include[ \t]*</ {
    split($0, part, /[<>]/)
    target = part[2]
    sub(/.*\//, "", target)
    only("mpi.h", "_mpi\\.[ch]$")
    only("mpi-ext.h", "_mpi\\.[ch]$")
    only("hdf5.h", "_h5\\.[ch]$")
    only("csv.h", "_csv\\.[ch]$")
    only("muParserDLL.h", "_muparser\\.[ch]$")
    only("isa-l.h", "_isal\\.c$")
    only("dnnl.h", "_onednn\\.[ch]$")
    only("cuda_runtime_api.h", "/(cuda|emulate)/")
    only("cublasLt.h", "/(cuda|emulate)/.*blas")
    only("cuda_runtime.h", "/platform\\.cuh$")
    only("cuda_bf16.h", "/platform\\.cuh$")
    if (target == "libconfig.h" && ++libconfig[FILENAME] == 1 && ++libconfig_files > 1)
        bad("libconfig.h stands in more than one file")
}
END { if (!failed) print FNR ? "layers and foreign headers are in order" : "no sources"; exit failed }'
