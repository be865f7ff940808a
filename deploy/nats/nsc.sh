#!/bin/sh
# Prints the commands of `nsc` that make users of an account, each with what its role needs and no more: the same as
# users.sh prints for a configuration file. Look at them, then run them: ./nsc.sh ACME bastion:site-1 | sh -e
#
#   nsc.sh ACCOUNT [--prefix PREFIX] ROLE:NAME …
#
# ROLE and NAME are those of users.sh. Operator, system account and the account itself come first, once:
#
#   nsc add operator --generate-signing-key --sys --name watchpost
#   nsc add account --name ACME
#   nsc edit account --name ACME --js-disk-storage 8G --js-mem-storage 64M --js-streams 8 --js-consumer 500
set -eu
folder=$(dirname -- "$0")
account=${1-}
case $account in
    '' | *[!A-Za-z0-9_-]*)
        echo "nsc.sh: \`$account\` is not an account: expected nsc.sh ACCOUNT ROLE:NAME …" >&2
        exit 2
        ;;
esac
shift
prefix=watchpost
if [ "${1-}" = --prefix ]; then
    prefix=${2-}
    shift 2
fi
for user in "$@"; do
    name=${user#*:}
    name=${name%%,*}
    name=${name#*/}
    # The key is one that nsc makes.
    permissions=$("$folder/users.sh" --prefix "$prefix" "$user=U")
    echo "nsc add user --account $account --name $name \\"
    echo "$permissions" | awk -v quote="'" '
        /^ *#/ { next }
        /publish:/ { flag = "--allow-pub" }
        /subscribe:/ { flag = "--allow-sub" }
        /allow_responses:/ {
            max = $0; sub(/.*max: /, "", max); sub(/,.*/, "", max)
            ttl = $0; sub(/.*expires: "/, "", ttl); sub(/".*/, "", ttl)
            print "  --allow-pub-response=" max " --response-ttl " ttl " \\"
            next
        }
        { while (match($0, /"[^"]*"/)) {
            print "  " flag " " quote substr($0, RSTART + 1, RLENGTH - 2) quote " \\"
            $0 = substr($0, RSTART + RLENGTH)
        } }'
    echo "  --tag watchpost"
    echo "nsc generate creds --account $account --name $name > $name.creds"
done
