#!/bin/sh
# Prints users for a configuration of nats-server, each with what its role needs and no more.
#
#   users.sh [--prefix PREFIX] ROLE:NAME=KEY …
#
# ROLE  bastion, checker, runner, operator, viewer, jobs or company; what each may do stands in roles/
# NAME  the user. Of the first three and of jobs, the bastion's id, or BASTION/USER where a bastion has several users,
#       and behind it, with commas, the further bastion groups whose checks it runs: site-1,eu or site-1/site-1-checker,eu
# KEY   the public key of an nkey, U…; or the name of a variable, $NAME, that holds a password, as the configuration or
#       the server's environment has it
#
# The user's inboxes begin with _INBOX_USER, so no two may have the same name: set `bus.inbox_prefix` (or --inbox-prefix) to that.
#
#   ./users.sh bastion:site-1=UABC… operator:ann='$ANN_PASSWORD' > users.conf
set -eu
prefix=watchpost
roles=$(dirname -- "$0")/roles
wrong() {
    echo "users.sh: $1" >&2
    exit 2
}
permitted() {
    case $2 in
        '' | *[!A-Za-z0-9_-]*) wrong "$1 \`$2\` is not one: expected characters A-Z a-z 0-9 _ -" ;;
    esac
}
if [ "${1-}" = --prefix ]; then
    prefix=${2-}
    case $prefix in
        '' | .* | *. | *..* | *[!A-Za-z0-9_.-]*) wrong "the prefix \`$prefix\` is not one: expected for example watchpost" ;;
    esac
    shift 2
fi
[ $# -gt 0 ] || wrong "no user is named: expected ROLE:NAME=KEY, for example bastion:site-1=U…"

names=" "
echo "users = ["
for user in "$@"; do
    case $user in
        *:*=*) ;;
        *) wrong "\`$user\` is not a user: expected ROLE:NAME=KEY" ;;
    esac
    role=${user%%:*}
    named=${user#*:}
    key=${named#*=}
    named=${named%%=*}
    [ -f "$roles/$role.conf" ] || wrong "there is no role \`$role\`: expected bastion, checker, runner, operator, viewer, jobs or company"
    name=${named%%,*}
    groups=${named#"$name"}
    bastion=${name%%/*}
    name=${name#*/}
    permitted "the bastion" "$bastion"
    permitted "the user" "$name"
    case $names in
        *" $name "*) wrong "two users are called \`$name\`, and would hear each other's inboxes: expected BASTION/USER, for example $bastion/$bastion-$role" ;;
    esac
    names="$names$name "
    case $key in
        '$'?*)
            permitted "the variable" "${key#?}"
            who="user: \"$name\", password: $key"
            ;;
        U*)
            permitted "the key" "$key"
            who="nkey: $key"
            ;;
        *) wrong "\`$name\` has no key: expected the public key of an nkey, U…, or \$NAME for a password" ;;
    esac
    echo "  # $role $name"
    echo "  { $who, permissions: {"
    sed -e '/^#/d' -e "s/@PREFIX@/$prefix/g" -e "s/@BASTION@/$bastion/g" -e "s/@INBOX@/_INBOX_$name/g" "$roles/$role.conf" |
        while IFS= read -r line; do
            case $line in
                *@GROUP@*)
                    # its own group, and those that are named
                    for group in $(echo "$bastion$groups" | tr ',' ' '); do
                        permitted "the group" "$group"
                        printf '    %s\n' "$line" | sed "s/@GROUP@/$group/"
                    done
                    ;;
                *) printf '    %s\n' "$line" ;;
            esac
        done
    echo "  } }"
done
echo "]"
