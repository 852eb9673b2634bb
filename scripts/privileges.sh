# Sourced by run, when root starts it. Root makes users and folders, starts the network helper and
# hands over: no program of fencewire's runs as root.
#
#   daemon, voice process, screen, commands    who called sudo, else the system user `fencewire`
#   network helper                             the system user `fencewire-net`, with CAP_NET_ADMIN
#
# The helper is there for the daemon: without one for $linger_s it ends and puts everything back.
# `village` stays root's: its stations live in namespaces, and root is who may make those everywhere.
# shellcheck shell=bash
# shellcheck disable=SC2154  # $root and $python are environment.sh's

net_user=fencewire-net
net_dir=/run/$net_user
linger_s=20
CAP_NET_ADMIN=12
stage=/run/fencewire-mounts

# The first word that is no option, or asks for help; nothing where the screen is wanted.
command_of() { # ARGUMENTS...
    while (($#)); do
        case $1 in
        --api) shift ;;
        -[!h-]* | --json | --api=*) ;;
        *)
            echo "$1"
            return
            ;;
        esac
        shift $(($# > 0))
    done
}

home_of() { # USER
    getent passwd "$1" | cut -d: -f6
}

make_user() { # NAME HOME [GROUP]
    id -u "$1" &>/dev/null || useradd --system --user-group --shell /usr/sbin/nologin \
        --home-dir "$2" --no-create-home ${3:+--groups "$3"} "$1" ||
        die "The system user $1 can't be made."
}

# Sets user and state, and the environment that this user has after a login.
choose_user() {
    local uid=${SUDO_UID:-0}
    if ((uid)); then
        user=$(id -nu "$uid") || die "There is no user $uid any more."
    else
        user=fencewire
        make_user "$user" /var/lib/fencewire "$(getent group audio | cut -d: -f1)"
    fi
    unset XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR XDG_STATE_HOME
    if ((uid)); then
        [[ ! -d /run/user/$uid ]] || export XDG_RUNTIME_DIR=/run/user/$uid
    else
        export FENCEWIRE_STATE=${FENCEWIRE_STATE:-/var/lib/fencewire}
    fi
    HOME=$(home_of "$user")
    export HOME USER=$user LOGNAME=$user
    state=${FENCEWIRE_STATE:-$HOME/.local/state/fencewire}
    as_station=(setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups
        --inh-caps=-all --bounding-set=-all --no-new-privs)
}

is_roots() { # FILE
    [[ -f $1 && $(stat --format %u "$1") == 0 ]]
}

# Whether a process has the lock's file open. Trying the lock would hold it for a moment, and so look
# like a station to whoever else tries then: `run` beside `status`, or the daemon itself.
is_run_by_root() {
    local file=$former/station.db.lock opened
    is_roots "$file" || return
    for opened in /proc/[0-9]*/fd/*; do
        [[ ! $opened -ef $file ]] || return 0
    done
    return 1
}

# What a station has kept that was root's becomes its user's.
take_over() {
    if [[ $former != "$state" ]] && is_roots "$former/station.key"; then
        if [[ -e $state/station.key ]]; then
            say "There is another station in $former. It stays there, and is not started."
        else
            "${as_station[@]}" mkdir -p "$(dirname "$state")"
            rm -rf "$state.new"
            cp -a "$former" "$state.new" || die "$former can't be copied to $state.new."
            chown -R "$user:" "$state.new"
            sync --file-system "$state.new"
            rmdir "$state" 2>/dev/null || true
            mv -T --backup=numbered "$state.new" "$state"
            mv -T "$former" "$former.before"
            say "The station no longer runs as root. What it keeps is now in $state;" \
                "$former.before is a copy that you may remove."
        fi
    fi
    [[ ! -d $state || -z $(find "$state" -user root -print -quit) ]] || chown -R "$user:" "$state"
    [[ $user != fencewire || -d $state ]] || install -d -m 0700 -o "$user" -g "$user" "$state"
}

can_start() { # WORDS...
    "$@" test -x "$python" -a -r "$root/appliance/__main__.py"
}

# Prints the first folder on the way to a path that those of the words may not enter.
closed_folder() { # PATH WORDS...
    local folder='' part
    while read -rd / part; do
        folder+=/$part
        if ! "${@:2}" test -x "$folder"; then
            echo "$folder"
            return
        fi
    done <<<"${1#/}/"
}

# Sets `program`: the words, and what starts fencewire's Python. Where the checkout or the Python is in
# a closed folder, such as root's home, it runs in a mount namespace of its own, in which that folder
# is open and holds nothing else. Fails where there can be none.
choose_program() { # WORDS...
    local folder closed binds='' covers='' moves='' n=0
    program=("$@" "$python" -P -m)
    ! can_start "$@" || return 0
    unshare --mount true 2>/dev/null || return
    for folder in "$root" "$(sed -n 's|^home *= *\(.*\)/bin$|\1|p' "$venv/pyvenv.cfg")" \
        "$(dirname "$(dirname "$(readlink -f "$python")")")"; do
        closed=$(closed_folder "$folder" "$@")
        [[ -n $closed ]] || continue
        n=$((n + 1))
        binds+=$(printf 'mkdir %q; mount --rbind %q %q; ' "$stage/$n" "$folder" "$stage/$n")
        covers+=$(printf 'mount -t tmpfs -o mode=0755 fencewire %q; ' "$closed")
        moves+=$(printf 'mkdir -p %q; mount --move %q %q; ' "$folder" "$stage/$n" "$folder")
    done
    mkdir -p "$stage"
    set -- unshare --mount --propagation slave bash -euc \
        "mount -t tmpfs fencewire $stage; $binds$covers$moves"'exec "$@"' bash "$@"
    can_start "$@" || die "The user $user may not read $root, or the Python that it was prepared with," \
        "$(readlink -f "$python"). Put the checkout where everybody may read it, such as /opt."
    program=("$@" "$python" -P -m)
}

start_helper() {
    local held
    [[ -z ${FENCEWIRE_NET:-} ]] || return 0
    held=$(sed -n 's/^CapEff:\s*/0x/p' /proc/self/status)
    if ((!(held >> CAP_NET_ADMIN & 1))); then
        say "Root may not change networks here (no CAP_NET_ADMIN: a container?)," \
            "so only neighbours are reached."
        return
    fi
    make_user "$net_user" "$net_dir"
    install -d -m 0755 -o "$net_user" -g "$net_user" "$net_dir"
    if ! choose_program setpriv --reuid "$net_user" --regid "$net_user" --clear-groups \
        --inh-caps=-all,+net_admin --ambient-caps=-all,+net_admin \
        --bounding-set=-all,+net_admin --no-new-privs; then
        say "The network helper may not read the checkout, so only neighbours are reached."
        return
    fi
    # It is in memory; a helper that is there already goes on at the new beginning.
    if (($(stat -c %s "$net_dir.log" 2>/dev/null || echo 0) > 1 << 20)); then : >"$net_dir.log"; fi
    # The lock is held by the helper itself for as long as it lives.
    env -i PATH="$PATH" setsid --fork flock --nonblock --no-fork "$net_dir.lock" \
        "${program[@]}" appliance.net --socket "$net_dir/net.sock" --run-dir "$net_dir" \
        --owner "$(id -u "$user")" --linger "$linger_s" </dev/null >>"$net_dir.log" 2>&1
}

drop_root() { # ARGUMENTS...
    local command
    command=$(command_of "$@")
    [[ $command != village ]] || return 0
    # Where a station of root's own is, from the time before there was this file.
    former=${FENCEWIRE_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/fencewire}
    if is_run_by_root; then
        [[ $command != "" && $command != run ]] ||
            say "The station runs as root until scripts/run stop; started again it does not."
        return
    fi
    choose_user
    case $command in
    "" | run)
        take_over
        # Who may not write there would translate it at every start.
        [[ $(stat --format %u "$root") != 0 ]] || "$python" -m compileall -q "$root/appliance" || true
        start_helper
        # The voice process may be in time, as on an image.
        ulimit -r 20 -l unlimited 2>/dev/null || true
        ;;
    esac
    if ! choose_program "${as_station[@]}"; then
        say "This stays root's, since nobody else may read $root or $(readlink -f "$python")." \
            "Put them where everybody may, such as /opt."
        program=("$python" -P -m)
    fi
    exec "${program[@]}" appliance "$@"
}
