# shellcheck shell=bash
# Machines and cases: what the groups of cases are written in. It is sourced by scripts that `run` starts in namespaces of
# their own, so nothing here is taken down: it ends with the script, and `run` sweeps away what is not in a namespace.
#
#   machine NAME ADDRESS     a new machine, not yet booted
#   put NAME FILE            writes standard input to a file of it; `root NAME` is where to read them
#   boot NAME, shut NAME     to the end of booting; orderly to its end
#   on NAME COMMAND…         runs a command in a machine
#   case_of WORDS…           begins a case; what fails from here on is its failure
#   eventually S COMMAND…    until the command succeeds, S seconds at most

declare -A leaders=()
work=$(mktemp -d "$MACHINES/acme-ca-run.XXXXXX")
controllers=()
case_name=""

machines_begin() {
    trap finish EXIT
    trap 'exit 1' INT TERM HUP
    # Upper layers live in memory: an overlay cannot lie above every file system, and nothing is left of them.
    mount -t tmpfs -o mode=755,size=2g machines "$work"
    mkdir -p /run/netns
    mount -t tmpfs machines /run/netns
    ip link set lo up
    ip link add machines type bridge
    ip link set machines up
    local hierarchy
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ ! -e "$hierarchy/cgroup.procs" ] || controllers+=("$hierarchy")
    done
}

machine() {
    local name=$1 address=$2 home=$work/$1
    mkdir -p "$home"/{upper,layer,root}
    mount -t overlay -o "lowerdir=$IMAGE,upperdir=$home/upper,workdir=$home/layer" machine "$home/root"
    echo "$name" | put "$name" /etc/hostname
    echo "127.0.0.1 localhost" | put "$name" /etc/hosts
    ip netns add "$name"
    ip link add "to-$name" type veth peer name host0 netns "$name"
    ip link set "to-$name" master machines up
    ip -n "$name" link set lo up
    ip -n "$name" address add "$address/24" dev host0
    ip -n "$name" link set host0 up
}

root() { printf %s "$work/$1/root"; }

# By chroot, because links in a machine lead to files of the machine, and not of the host.
put() { chroot "$(root "$1")" sh -euc 'mkdir -p "${1%/*}"; cat >"$1"' - "$2"; }

# The same at the end of a file.
append() { chroot "$(root "$1")" sh -euc 'cat >>"$1"' - "$2"; }

boot() {
    local name=$1 hierarchy
    (
        # Each systemd needs control groups of its own.
        for hierarchy in "${controllers[@]}"; do
            mkdir -p "$hierarchy/${work##*/}-$name"
            echo "$BASHPID" >"$hierarchy/${work##*/}-$name/cgroup.procs"
        done
        exec systemd-nspawn --quiet --directory="$work/$name/root" --machine="$name" --register=no --keep-unit \
            --console=pipe --network-namespace-path="/run/netns/$name" --link-journal=no --resolv-conf=off \
            --timezone=off --boot </dev/null >"$work/$name/console" 2>&1
    ) &
    leaders[$name]=$!
    eventually 30 is_up "$name"
}

# Whatever failed meanwhile: that may be the very thing that a case is about.
is_up() { on "$1" systemctl is-active --quiet multi-user.target 2>/dev/null; }

shut() {
    on "$1" systemctl --no-block poweroff 2>/dev/null
    eventually 30 is_gone "${leaders[$1]}"
    unset "leaders[$1]"
}

# Whoever ended and was not yet waited for has no program any more.
is_gone() { ! readlink "/proc/$1/exe" >/dev/null 2>&1; }

on() {
    local first name=$1
    shift
    first=$(pgrep --parent "${leaders[$name]}" --oldest) || return 1
    nsenter --target "$first" --all env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 HOME=/root "$@"
}

# One property of a unit.
of_unit() { on "$1" systemctl show --value --property "$3" "$2"; }

case_of() {
    case_ends
    case_name="$*" case_began=$(date +%s%N)
}

case_ends() {
    [ -z "$case_name" ] || printf 'case %s: ok (%s)\n' "$case_name" "$(since "$case_began")"
    case_name=""
}

since() {
    local tenths=$((($(date +%s%N) - $1) / 100000000))
    printf '%d.%d s' $((tenths / 10)) $((tenths % 10))
}

eventually() {
    local deadline=$((SECONDS + $1 + 1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "it does not come: $*"
        sleep 0.1
    done
}

fail() {
    printf 'machines: %s\n' "$*" >&2
    exit 1
}

# same WHAT EXPECTED FOUND
same() { [ "$2" = "$3" ] || fail "$1 is '$3' instead of '$2'"; }

# holds WHAT PART TEXT
holds() { case $3 in *"$2"*) ;; *) fail "$1 has no '$2': $3" ;; esac; }

# refused COMMAND…: it must not succeed.
refused() { ! "$@" >/dev/null 2>&1 || fail "it should not succeed: $*"; }

finish() {
    local status=$? name
    set +e
    if [ "$status" = 0 ]; then
        case_ends
    else
        printf 'case %s: FAILED (%s)\n' "${case_name:-before the first}" "$(since "${case_began:-0}")"
        for name in "${!leaders[@]}"; do
            printf -- '--- the last of %s\n' "$name"
            on "$name" journalctl --no-pager --quiet --lines=60 2>&1 || tail -n 30 "$work/$name/console"
        done
    fi
    exit "$status"
}

machines_begin
