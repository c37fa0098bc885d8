#!/bin/sh
# run.sh [apt] <SCRIPT: runs SCRIPT as one build step that leaves the same bytes every time it is run.
#
# hubstack puts this file into the build context. /tmp is a tmpfs while a step runs: nothing below it reaches the image.
set -eu

# What is newer than this was written by this step. BuildKit has mounted /tmp just now, and may have made /etc/hosts or
# another mount's place with it, which changes a folder's date; the second is for that and for the clock's tick.
touch -d "@$(($(stat -c %Y /tmp) - 1))" /tmp/.begin
cat >/tmp/.script
export HOME=/tmp             # the image's home is the user's, and a volume will cover it
export FORCE_SOURCE_DATE=1   # TeX's formats hold the date; this makes it SOURCE_DATE_EPOCH
export PERL_HASH_SEED=0      # TeX's lists of languages, and what is made of them, are in the order of a hash (perlrun(1))

ca=/run/secrets/hubstack-ca
if [ -s $ca ]; then
    for name in SSL_CERT_FILE CURL_CA_BUNDLE REQUESTS_CA_BUNDLE GIT_SSL_CAINFO NODE_EXTRA_CA_CERTS PIP_CERT \
        CONDA_SSL_VERIFY MAMBA_SSL_VERIFY; do
        export $name=$ca
    done
fi

# Users and groups get the ids that hubstack.lock gives them.
if [ -e /tmp/.hubstack/ids ]; then
    /tmp/.hubstack/account.sh
    PATH=/tmp/.bin:$PATH
fi
cat /etc/passwd /etc/group 2>/dev/null | cut -d: -f1 >/tmp/.accounts

policy=
if [ "${1:-}" = apt ]; then
    export DEBIAN_FRONTEND=noninteractive APT_CONFIG=/tmp/.apt.conf
    # Debian's own images empty the archive cache after each install; here it is a mount, and serves other builds.
    cp -r /etc/apt/apt.conf.d /tmp/.apt.conf.d
    rm -f /tmp/.apt.conf.d/docker-clean
    echo 'Dir::Etc::Parts "/tmp/.apt.conf.d"; Acquire::Retries "3"; Dpkg::Use-Pty "false";
        APT::Update::Error-Mode "any";' >$APT_CONFIG
    if [ -e /tmp/.hubstack/ids ]; then
        mkdir /tmp/.dpkg
        ln -s /tmp/.hubstack/account.sh /tmp/.dpkg/dpkg
        echo 'Dir::Bin::dpkg "/tmp/.dpkg/dpkg";' >>$APT_CONFIG
    fi
    [ ! -s $ca ] || echo "Acquire::https::CAInfo \"$ca\";" >>$APT_CONFIG
    # Without it packages start their services.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
    fi
    apt-get update
fi

if [ "$(head -c 2 /tmp/.script)" = '#!' ]; then
    chmod +x /tmp/.script
    /tmp/.script </dev/null
else
    sh -eu /tmp/.script </dev/null
fi
[ -z "$policy" ] || rm $policy

# Of dynamic ids (adduser.conf(5), login.defs(5)) those that the ledger has not given.
unlisted=$(cat /etc/passwd /etc/group 2>/dev/null | awk -F: -v accounts=/tmp/.accounts '
    BEGIN { while ((getline name < accounts) > 0) known[name] = 1 }
    !($1 in known) && $3 >= 100 && $3 < 700 || !($1 in known) && $3 >= 900 && $3 < 1000 { known[$1] = 1; print $1 }' |
    LC_ALL=C sort | tr '\n' ' ')
[ -z "$unlisted" ] || echo "hubstack: no id in hubstack.lock: ${unlisted% }. Once this is built: hubstack update --only ids"

# What the lock expects and the archive no longer has.
if [ -e /tmp/.hubstack/debs ] && command -v dpkg-query >/dev/null; then
    dpkg-query -W -f '${Package} ${Version}\n' | awk '
        NR == FNR { there[$1] = $2; next }
        ($1 in there) && there[$1] != $2 {
            print "hubstack: " $1 " is " there[$1] ", and " $2 " in hubstack.lock: hubstack update --only debian"
        }' - /tmp/.hubstack/debs
fi

# Octave's list of packages begins with who made it when.
octave=/usr/share/octave/octave_packages
[ ! $octave -nt /tmp/.begin ] || sed -i '/^# Created by/d' $octave

# TeX's list of files, in the order in which the disk holds them.
[ ! /var/lib/texmf/ls-R -nt /tmp/.begin ] || ! command -v mktexlsr >/dev/null || LC_ALL=C mktexlsr /var/lib/texmf

# Java's key store says of each certificate when it came in, and is sealed with a sum over that and its password.
cacerts=/etc/ssl/certs/java/cacerts
if [ $cacerts -nt /tmp/.begin ]; then
    perl -0777 -ne '
        $at = 12;
        for my $n (1 .. unpack "x8N") {
            $at += 6 + unpack "x4n", substr $_, $at;
            substr($_, $at, 8) = pack "Q>", 1000 * $ENV{SOURCE_DATE_EPOCH};
            $at += 10 + unpack "x8n", substr $_, $at;
            $at += 4 + unpack "N", substr $_, $at;
        }
        print substr $_, 0, $at' $cacerts >/tmp/.cacerts
    seal=$( (printf '\0c\0h\0a\0n\0g\0e\0i\0tMighty Aphrodite' && cat /tmp/.cacerts) | sha1sum)
    (cat /tmp/.cacerts && perl -e 'print pack "H40", $ARGV[0]' "$seal") >$cacerts
fi

# Out with backups (they keep the date of what they were made from), with what differs from build to build, and with
# identities that no two machines should share. Of the latter only what this step wrote: what a layer below put there on
# purpose stays.
find / -xdev ! -type d \( \
    -path '/var/cache/debconf/*-old' -o -path '/var/lib/dpkg/*-old' -o -path '/var/lib/ucf/*.[0-9]' \
    -o -regex '/etc/\(passwd\|shadow\|group\|gshadow\|subuid\|subgid\)-' \
    -o -path '/etc/xml/*.old' -o -path '/etc/sgml/*.old' -o -path '/var/lib/sgml-base/*.old' -o -path /usr/share/info/dir.old \
    -o -newer /tmp/.begin \( -path '/var/log/*' -o -path '/var/cache/ldconfig/*' -o -path '/var/cache/man/*' \
    -o -path '/var/cache/fontconfig/*' -o -path '/var/lib/texmf/*.log' -o -path '/etc/ssh/ssh_host_*' \
    -o -path '/etc/ssl/*/ssl-cert-snakeoil.*' -o -path /etc/machine-id -o -path /var/lib/dbus/machine-id \
    -o -path '/etc/ssl/certs/*' -lname '*ssl-cert-snakeoil.pem' -o -path /etc/munge/munge.key -o -path /etc/bind/rndc.key \
    -o -path /var/lib/systemd/random-seed -o -path /var/lib/systemd/credential.secret \
    -o -path /var/lib/NetworkManager/secret_key -o -path /etc/iscsi/initiatorname.iscsi -o -path '/etc/nvme/host*' \) \) \
    -delete

# Mounts such as /etc/hosts and /proc can't be touched, and aren't in the image.
find / -xdev -newer /tmp/.begin -exec touch -hd "@$SOURCE_DATE_EPOCH" {} + 2>/dev/null || :
