#!/usr/bin/env bash
# Brings the servers and programs that check types are tried against: from the distribution's packages, and some from
# Python's. Does nothing where they are there already. The tests start them themselves, each in a folder of its own.
set -euo pipefail

# A program, and the package that brings it.
wanted=(
    check_dummy:monitoring-plugins-basic
    check_ssh:monitoring-plugins-basic
    chronyd:chrony
    nginx:nginx-light
    initdb:postgresql
    mariadbd:mariadb-server
    redis-server:redis-server
    unbound:unbound
    openssl:openssl
    aiosmtpd:python3-aiosmtpd
    imap-login:dovecot-imapd
    pop3-login:dovecot-pop3d
    sshd:openssh-server
    ssh-keygen:openssh-client
)

say() { printf '%s\n' "fetch-test-servers: $*" >&2; }

is_there() {
    local folder
    for folder in /usr/bin /usr/sbin /usr/local/bin /usr/lib/nagios/plugins /usr/lib/dovecot; do
        [[ -x $folder/$1 ]] && return 0
    done
    compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

# Servers that are Python packages stay in .tools/ (ignored by git). Another set of versions wants another
# number, here and in tests/src/python_server.rs.
packages=(grpcio==1.85.1 grpcio-health-checking==1.85.1 websockets==17.4 nats-py==2.16.0 msgpack==1.2.4)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.tools/python-2
if [[ ! -d $python ]]; then
    say "fetching ${packages[*]}"
    mkdir -p "$root/.tools"
    # Whoever else runs this, or a test, sees all of it or nothing.
    scratch=$(mktemp -d "$root/.tools/python.XXXXXX")
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$scratch" "${packages[@]}" >&2
    chmod 0755 "$scratch"
    mv -T "$scratch" "$python" || rm -rf "$scratch"
fi

missing=()
for each in "${wanted[@]}"; do
    is_there "${each%%:*}" || missing+=("${each##*:}")
done
if [[ ${#missing[@]} -eq 0 ]]; then
    say "every server is there already"
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    say "these are missing, and there is no apt-get to install them with: ${missing[*]}"
    exit 1
fi
as_root=()
[[ $(id -u) -eq 0 ]] || as_root=(sudo)
say "installing ${missing[*]}"
# The packages would start their servers as services, which nobody here needs: invoke-rc.d asks this first.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 0755 /dev/stdin "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
install=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}")
"${as_root[@]}" "${install[@]}" >&2 ||
    { "${as_root[@]}" apt-get -qq update >&2 && "${as_root[@]}" "${install[@]}" >&2; }
