#!/usr/bin/env bash
# scripts/setup --user: in a checkout of its own, without network. apt-get is a stand-in that "downloads" packages made here; that
# these are unpacked and mended rightly is looked at, and that nothing is written where something is refused.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh"
command -v dpkg-deb >/dev/null || { echo "skipped: dpkg-deb is missing" && exit 77; }

checkout=$folder/checkout
mkdir -p "$checkout/.openmpi/bin" tools
cp -r "$MUSTER_SOURCE/scripts" "$MUSTER_SOURCE/CMakeLists.txt" "$checkout/"
printf '#!/bin/sh\necho "Open MPI v5.0.11"\necho "FT MPI support: yes"\n' >"$checkout/.openmpi/bin/ompi_info"
chmod +x "$checkout/.openmpi/bin/ompi_info"
# A machine like this one, but without gnuplot, apt and another Open MPI.
ln -s /usr/bin/* tools/ 2>/dev/null
for tool in cmake ninja pkg-config protoc-c cc; do ln -sf "$(command -v "$tool")" "tools/$tool"; done
rm -f tools/gnuplot* tools/apt-get tools/ompi_info tools/sudo
setup() { env -u CONDA_PREFIX PATH="${path:-$folder/tools}" bash "$checkout/scripts/setup" "$@"; }
# denies TEXT WORD...: one line that ends with it, before anything was written.
denies() {
    local text=$1
    shift
    expect 1 setup "$@"
    grep -qF -- "$text" err || fail "setup $*: no '$text'"
    [ ! -e "$checkout/.prefix" ] && [ ! -e "$checkout/.deps" ] || fail "setup $* wrote something"
}

denies "unknown word '--nonsense'; usage: scripts/setup [--tests] [--user [FOLDER]]" --user --nonsense
denies "unknown word 'more'" --user "$folder/p" more
denies "--user got an empty folder" --user ''
denies "is not a folder: name another one" --user "$checkout/CMakeLists.txt"
denies "cannot write to '/proc/here': name a folder of yours" --user /proc/here
denies "cannot be a prefix" --user "$folder/a:b"

# Without apt: what is missing, and who has it.
denies "what is missing has to come from modules or conda" --user "$folder/p"
grep -qE '^ +gnuplot +\(conda-forge: gnuplot; Debian: gnuplot-nox\)$' err || fail "gnuplot is not named"
[ "$(grep -c 'Debian:' err)" = 1 ] || fail "more is missing than gnuplot"
# A module's is taken; nothing is fetched, and the folder is remembered.
mkdir module
printf '#!/bin/sh\n' >module/gnuplot
chmod +x module/gnuplot
path=$folder/module:$folder/tools expect 0 setup --user "$folder/p"
has out "   nothing is missing that would have to go into $folder/p"
[ "$(cat "$checkout/.prefix")" = "$folder/p" ] || fail "not remembered: $(cat "$checkout/.prefix")"
path=$folder/module:$folder/tools expect 0 setup
has out "   nothing is missing that would have to go into $folder/p"
rm -r "$checkout/.prefix" p

# A package as Debian's are, with all that has to be mended.
mkdir -p made/DEBIAN made/usr/bin "made/usr/lib/$(uname -m)-linux-gnu/pkgconfig" made/lib made/usr/share/doc/x debs
lib=usr/lib/$(uname -m)-linux-gnu
printf '#!/bin/sh\necho gnuplot of the package\n' >made/usr/bin/gnuplot-nox
chmod +x made/usr/bin/gnuplot-nox
printf 'prefix=/usr\nlibdir=${prefix}/lib\nCflags: -I/usr/include/hdf5/serial -I/usrlocal\n' >"made/$lib/pkgconfig/thing.pc"
ln -s /usr/bin/gnuplot-nox made/usr/bin/absolute
ln -s "$(basename "$(realpath "/$lib/libxxhash.so")")" "made/$lib/libmuster-test.so" # the machine has what it points to
printf '/* GNU ld script */\nGROUP ( /lib/libc.so.6 /usr/lib/libc_nonshared.a )\n' >"made/$lib/libscript.so"
touch made/lib/in-lib made/usr/share/doc/x/y
printf 'Package: gnuplot-nox\nVersion: 1\nArchitecture: all\nMaintainer: a <a@localhost>\nDescription: a\n' >made/DEBIAN/control
expect 0 dpkg-deb --root-owner-group -b made debs/gnuplot-nox_1_all.deb
sed -i 's/^Package: .*/Package: libc6/' made/DEBIAN/control
printf 'never\n' >made/lib/in-libc6
expect 0 dpkg-deb --root-owner-group -b made debs/libc6_1_all.deb
cat >tools/apt-get <<END
#!/bin/sh
echo "\$*" >>"$folder/asked"
case "\$*" in
*update*) exit "\${APT_UPDATE:-0}" ;;
*"-s install"*) [ -z "\${APT_BROKEN:-}" ] || { echo 'E: Unable to locate package'; exit 100; }
    printf 'Inst gnuplot-nox (1 x [all])\nInst libc6 [1] (2 x [all])\nInst libc6 (1 x [all])\n' ;;
*download*) cp "$folder"/debs/*.deb . ;;
esac
END
chmod +x tools/apt-get

# Packages that apt does not find.
APT_BROKEN=1 expect 1 setup --user "$folder/p"
grep -q 'error: apt-get finds no way to get gnuplot-nox patchelf' err || fail "a broken apt is not told"
[ ! -e "$checkout/.prefix" ] || fail "remembered although nothing was unpacked"
# Found, even though some list could not be updated.
APT_UPDATE=100 expect 0 setup --user "$folder/a prefix"
p="$folder/a prefix"
grep -q 'going on with what it got' out || fail "a failed update is not told"
grep -q -- "Dir::State::Lists=$p/.apt/lists" asked || fail "apt's own lists are used"
grep -q 'download.* gnuplot-nox libc6 patchelf$' asked || fail "fetched: $(grep download asked)"
[ "$("$p/tools/gnuplot")" = "gnuplot of the package" ] || fail "tools/gnuplot does not run"
[ "$(readlink "$p/usr/bin/absolute")" = "$p/usr/bin/gnuplot-nox" ] || fail "an absolute link points out of the prefix"
[ -e "$p/$lib/libmuster-test.so" ] || fail "a link to a library of the machine dangles"
[ "$(cat "$p/$lib/pkgconfig/thing.pc")" = "prefix=$p/usr
libdir=\${prefix}/lib
Cflags: -I$p/usr/include/hdf5/serial -I/usrlocal" ] || fail "pkg-config file: $(cat "$p/$lib/pkgconfig/thing.pc")"
grep -qF "GROUP ( /lib/libc.so.6 $p/usr/lib/libc_nonshared.a )" "$p/$lib/libscript.so" || fail "$(cat "$p/$lib/libscript.so")"
[ -f "$p/usr/lib/in-lib" ] || fail "/lib is not /usr/lib"
[ ! -e "$p/lib/in-libc6" ] || fail "a second C library was unpacked"
[ ! -e "$p/usr/share/doc/x" ] || fail "documentation was unpacked"
# Then nothing is missing, and nothing is asked for.
: >asked
expect 0 setup
has out "   nothing is missing that would have to go into $p"
[ ! -s asked ] || fail "apt was asked: $(cat asked)"
finish
