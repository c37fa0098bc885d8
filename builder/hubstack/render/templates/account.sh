#!/bin/sh
# Stands before adduser, addgroup, useradd, groupadd and systemd-sysusers on the PATH while a step runs, and gives those
# names their ids that have one in hubstack.lock. So nothing of the ledger is in the image, and a package that brings
# adduser itself is served as well.
#
# Called by its own name it puts itself there: only before what there is, since packages ask which of these they have. As
# dpkg, which apt calls again after each unpacking, it does so once more and is dpkg then.
set -eu
ids=/tmp/.hubstack/ids # NAME:ID
tool=${0##*/}
PATH=$(printf ':%s:' "$PATH" | sed 's#:/tmp/\.bin:#:#g; s/^://; s/:$//')

case $tool in
    account.sh | dpkg)
        mkdir -p /tmp/.bin
        for name in adduser addgroup useradd groupadd systemd-sysusers; do
            rm -f /tmp/.bin/$name
            ! command -v $name >/dev/null || ln -s /tmp/.hubstack/account.sh /tmp/.bin/$name
        done
        if [ "$tool" = dpkg ]; then
            dpkg=$(command -v dpkg)
            PATH=/tmp/.bin:$PATH
            exec "$dpkg" "$@"
        fi
        exit 0
        ;;
esac

# The id of the account that one of the arguments names, wherever options stand: useradd(8), groupadd(8). What stands
# behind an option that takes names of others ($1, a regular expression) is none.
listed() {
    others=$1
    shift
    # shellcheck disable=SC2016 # awk's own
    awk -v ids=$ids -v others="$others" 'BEGIN {
        while ((getline line < ids) > 0) { split(line, part, ":"); number[part[1]] = part[2] }
        for (i = 1; i < ARGC; i++)
            if (ARGV[i] in number && ARGV[i - 1] !~ others) { print number[ARGV[i]]; exit }
    }' "$@"
}

case $tool in
    adduser | addgroup) # adduser.conf(5), "UID_POOL"
        cat /etc/adduser.conf >/tmp/.adduser.conf
        printf '%s\n' "UID_POOL=\"$ids\"" "GID_POOL=\"$ids\"" >>/tmp/.adduser.conf
        exec "$tool" --conf /tmp/.adduser.conf "$@"
        ;;
    useradd | groupadd)
        flag=-u long=--uid others='^(-[DFlmMNorU]*[cgG]|--co[a-z]*|--g[a-z]*)$'
        [ "$tool" = useradd ] || flag=-g long=--gid others='^(-[for]*U|--u[a-z]*)$'
        for one; do
            case $one in
                "$flag" | "$flag"[0-9]* | "$long"*) exec "$tool" "$@" ;; # it has an id of its own
            esac
        done
        id=$(listed "$others" "$@")
        exec "$tool" ${id:+"$flag" "$id"} "$@"
        ;;
esac

# systemd-sysusers: a package's postinst names its file, which is looked up in these folders; here it gets a copy with ids.
mkdir -p /tmp/.sysusers
options='' files=''
for one; do
    case $one in
        - | --inline | --replace | --replace=*) exec "$tool" "$@" ;; # lines, or a file to put in another's place
        -*) options="$options $one" ;;
        *) files="$files $one" ;;
    esac
done
folders='/etc/sysusers.d /run/sysusers.d /usr/local/lib/sysusers.d /usr/lib/sysusers.d'
if [ -z "$files" ]; then # all there are
    # shellcheck disable=SC2086 # folders without spaces
    files=$(find $folders -name '*.conf' 2>/dev/null | sed 's#.*/##' | LC_ALL=C sort -u)
fi
copies=
for one in $files; do
    for folder in '' $folders; do
        [ ! -f "${folder:+$folder/}$one" ] || break
    done
    [ -f "${folder:+$folder/}$one" ] || exec "$tool" "$@" # which says what it misses
    copy=/tmp/.sysusers/${one##*/}
    # shellcheck disable=SC2016 # awk's own
    awk -v ids=$ids '
        BEGIN { while ((getline line < ids) > 0) { split(line, part, ":"); number[part[1]] = part[2] } }
        /^[ug]/ && $2 in number && $3 ~ /^(-|)(:|$)/ { sub(/^-?/, number[$2], $3) }
        { print }' "${folder:+$folder/}$one" >"$copy"
    copies="$copies $copy"
done
# shellcheck disable=SC2086 # words of ours
exec "$tool" $options $copies
