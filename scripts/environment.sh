# Sourced by run, test and bench. Makes what they stand on: the Python environment `.venv` in the
# checkout, from the lock with hashes, and the Debian packages that are missing.
#
# Once made it costs a few milliseconds and no network. A stamp, written last, says for which lock
# and which Python it was made; `.unfinished` says that somebody was interrupted half-way; a lock on
# the lock file lets two starts at once wait for each other.
#
#   prepare run     what fencewire needs
#   prepare test    that, and what its tests and benches need
#   prepare vm      that, and what boots images
#   prepare voice   what tests need, and what the bench of speech compares with
#
# Afterwards $python is the environment's Python and ${missing_packages[@]} what could not be had.
# shellcheck shell=bash

root=$(readlink -f "${BASH_SOURCE[0]}")
root=${root%/scripts/*}
venv=$root/.venv
python=$venv/bin/python
missing_packages=()

# Debian's tools live there, and an ordinary user's PATH leaves it out.
export PATH=$PATH:/usr/sbin:/sbin

# One line a package: its name, and the command or file that shows it is there.
run_packages="
    babeld                  babeld
    iproute2                ip
    libportaudio2           /usr/lib*/*/libportaudio.so.2
    libspeexdsp1            /usr/lib*/*/libspeexdsp.so.1
"
# For the network helper, which root alone starts.
root_packages="
    iw                      iw
    nftables                nft
"
test_packages="
    console-setup-linux     /usr/share/consolefonts/Uni2-VGA16.psf.gz
    dbus-daemon             dbus-daemon
    gcc                     gcc
    nftables                nft
    pipewire                pipewire
    pipewire-alsa           /usr/lib*/*/alsa-lib/libasound_module_pcm_pipewire.so
    pipewire-bin            pw-cat
    pocketsphinx-testdata   /usr/share/pocketsphinx/test/data
    python3-dev             /usr/include/python3*/Python.h
    strace                  strace
    tmux                    tmux
    wireplumber             wireplumber
"
vm_packages="
    e2fsprogs               e2fsck
    mtools                  mcopy
    ovmf                    /usr/share/OVMF/OVMF_CODE_4M.fd
    qemu-system-arm         qemu-system-aarch64
    qemu-system-x86         qemu-system-x86_64
    qemu-utils              qemu-img
"
voice_packages="
    asterisk-core-sounds-en-g722    /usr/share/asterisk/sounds/en_US_f_Allison
    baresip-core                    baresip
    libspandsp2                     /usr/lib*/*/libspandsp.so.2
"
# Has no wheels; tests that need it are skipped where it cannot be built.
source_only=pesq

say() { printf 'fencewire: %s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

is_there() {
    case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

find_missing_packages() { # run|test|vm|voice
    local package proof list=$run_packages
    [[ $1 == run ]] || list+=$test_packages
    [[ $1 == vm ]] && list+=$vm_packages
    [[ $1 == voice ]] && list+=$voice_packages
    ((EUID)) || list+=$root_packages
    missing_packages=()
    while read -r package proof; do
        [[ -z $package ]] || is_there "$proof" || missing_packages+=("$package")
    done <<<"$list"
}

# The first try works on most machines; the second helps where the lists are old or absent or a
# mirror stumbled, the third where one package of the list does not exist in this release.
apt_install() {
    local package log
    log=$(mktemp)
    apt() {
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
            -o DPkg::Lock::Timeout=120 "$@" </dev/null >"$log" 2>&1 9<&-
    }
    say "Installing Debian packages: $*"
    if ! apt install "$@" && ! { apt update && apt install "$@"; }; then
        for package in "$@"; do
            apt install "$package" || say "$package: $(grep -m1 '^E:' "$log" || echo 'not installed')"
        done
    fi
    rm -f "$log"
}

# A failed try is remembered, so that a machine without network starts at once the next time.
install_missing_packages() { # run|test|vm|voice
    local tried=$venv/.packages-tried
    find_missing_packages "$1"
    ((${#missing_packages[@]})) || return 0
    if ((EUID == 0)) && command -v apt-get >/dev/null &&
        [[ ! -f $tried || $(<"$tried") != "${missing_packages[*]}" ]]; then
        apt_install "${missing_packages[@]}"
        find_missing_packages "$1"
        printf '%s\n' "${missing_packages[*]}" >"$tried"
    fi
}

report_missing_packages() {
    ((${#missing_packages[@]})) || return 0
    say "Going on without ${missing_packages[*]}. To have all of it:"
    say "    sudo apt-get install ${missing_packages[*]}"
}

# What the environment was made for. The run-time lock is a part of both, since the other one's
# versions must be the same.
stamp_for() { # run|test
    local locks=("$root/requirements.lock")
    [[ $1 == test ]] && locks+=("$root/requirements-dev.lock")
    printf '%s %s %s\n' "$1" "$(cat "${locks[@]}" | sha256sum)" "$(readlink -f "$python")"
}

is_ready() { # run|test
    [[ -x $python && -f $venv/.stamp && ! -e $venv/.unfinished ]] || return 1
    local stamp
    stamp=$(<"$venv/.stamp")
    [[ $stamp == "$(stamp_for "$1")" ]] || [[ $1 == run && $stamp == "$(stamp_for test)" ]]
}

suits() { # PYTHON [MODULE]
    "$1" -c "
import sys, ctypes, sqlite3, ssl, ${2:-venv}
sys.exit(sys.version_info < (3, 11) or sys.maxsize < 2**32)" 2>/dev/null
}

# Sets host_python. The system's own `python3` goes first, because its venv module is what apt can
# complete; one that is complete goes before one that is not.
find_python() {
    local name needs
    for needs in ensurepip venv; do
        for name in python3 python3.14 python3.13 python3.12 python3.11; do
            if suits "$name" "$needs"; then
                host_python=$("$name" -c 'import sys; print(sys._base_executable)')
                return
            fi
        done
    done
    return 1
}

find_or_install_python() { # run|test
    local package=python3-venv
    if ! find_python && ((EUID == 0)) && command -v apt-get >/dev/null; then
        apt_install python3 python3-venv
    fi
    find_python || die "Fencewire needs a 64-bit Python 3.11 or newer, and found $(
        python3 -VV 2>/dev/null || echo none
    ). On Debian 12 or newer: sudo apt-get install python3 python3-venv"
    suits "$host_python" ensurepip && return
    # A Python beside the system's own has a package of its own: python3.13-venv.
    [[ $host_python == */python3.* ]] && package=${host_python##*/}-venv
    ((EUID == 0)) && command -v apt-get >/dev/null && apt_install "$package"
    suits "$host_python" ensurepip && return
    find_missing_packages "$1"
    die "$host_python cannot make environments. First:" \
        "sudo apt-get install $package ${missing_packages[*]}"
}

pip() {
    "$python" -m pip --disable-pip-version-check --no-input --quiet install --require-hashes "$@" 9<&-
}

# Prints the lock without the packages that have no wheels, or only those.
lock_part() { # wheels|source LOCK
    awk -v only="$1" -v name="^$source_only==" '
        /^[a-zA-Z0-9]/ { source = $0 ~ name }
        (only == "source") == source
    ' "$2"
}

install_wheels() { # LOCK
    local attempt log
    log=$(mktemp)
    for attempt in first second; do
        if pip --retries 2 --only-binary :all: --requirement <(lock_part wheels "$1") >"$log" 2>&1; then
            rm -f "$log"
            return
        fi
        [[ $attempt == second ]] || say "That failed; trying once more."
    done
    grep -m3 '^ERROR' "$log" >&2 || tail -n 5 "$log" >&2
    rm -f "$log"
    return 1
}

has_source_only() {
    compgen -G "$venv/lib/python3*/site-packages/$source_only" >/dev/null
}

build_source_only() {
    local log
    has_source_only && return
    log=$(mktemp)
    exec 9<"$root/requirements.lock"
    flock 9
    if ! has_source_only && ! { is_there gcc && pip --no-deps --no-build-isolation \
        --no-binary "$source_only" \
        --requirement <(lock_part source "$root/requirements-dev.lock") >"$log" 2>&1; }; then
        say "$source_only could not be built (it needs gcc and python3-dev)," \
            "so tests of speech quality are skipped."
    fi
    exec 9<&-
    rm -f "$log"
}

# The checkout is used as it is; both ways in keep working when it is moved.
link_checkout() {
    local site
    site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo ../../../.. >"$site/fencewire.pth"
    cat >"$venv/bin/fencewire" <<'END'
#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/python" -P -m appliance "$@"
END
    chmod +x "$venv/bin/fencewire"
}

make_environment() { # run|test
    local lock=$root/requirements.lock
    [[ $1 == test ]] && lock=$root/requirements-dev.lock
    if [[ -e $venv/.unfinished ]] || ! suits "$python"; then
        rm -rf "$venv"
        find_or_install_python "$1"
    else
        host_python=$("$python" -c 'import sys; print(sys._base_executable)')
    fi
    say "Preparing the Python environment (once; takes a minute or two)."
    if ! { mkdir -p "$venv" && touch "$venv/.unfinished"; } 2>/dev/null; then
        die "Cannot write to $venv. Run this once as the owner of the checkout."
    fi
    "$host_python" -m venv "$venv" || die "Cannot make an environment with $host_python."
    if ! install_wheels "$lock"; then
        # pip changes nothing before it has everything, so an environment from before still works.
        [[ $1 == run && -f $venv/.stamp ]] || die "The Python packages could not be had." \
            "Connect to the internet once and start again. (This is $(uname -m); wheels are there" \
            "for x86_64 and aarch64.)"
        rm "$venv/.unfinished"
        say "Going on with the Python packages from before."
        return
    fi
    link_checkout
    stamp_for "$1" >"$venv/.stamp"
    rm "$venv/.unfinished"
}

prepare() { # run|test|vm|voice
    local environment=$1
    [[ $1 == vm || $1 == voice ]] && environment=test
    if ! is_ready "$environment"; then
        exec 9<"$root/requirements.lock"
        flock --nonblock 9 || { say "Waiting for another start to finish preparing." && flock 9; }
        is_ready "$environment" || make_environment "$environment"
        if ((EUID == 0)); then chown -R --reference="$root" "$venv"; fi
        exec 9<&-
    fi
    install_missing_packages "$1"
    [[ $1 == run ]] || build_source_only
    report_missing_packages
}
