# The parts of a run: each is announced, timed, and held against the file `budget`. Sourced by
# .ci/run, which sets `kind` to one of the runs in that file.
#
# A busy machine must not turn a good run red by a hair, and an absolute time is no gate: a part
# beyond its minutes is only marked. Beyond FAIL_AT times as many, something has changed that
# somebody must look at; the other parts still run, and then the run fails.

budget_file=${BASH_SOURCE[0]%/*}/budget
readonly FAIL_AT=3
rows=() too_slow=() current='' started=0 sum=0 done_what=''

part() { # part NAME COMMAND...: runs it; a failure of any command in it ends the run
    current=$1 started=$SECONDS
    shift
    minutes=$(minutes_of "$current")
    printf '\n=== %s (may take %d min)\n' "$current" "$minutes"
    "$@"
    note
    current=''
}

minutes_of() { # what the budget says of a part of this run
    local run number name
    while read -r run number name; do
        [ "$run $name" = "$kind $1" ] && echo "$number" && return
    done <"$budget_file"
    echo "$budget_file has no row for the part '$1' of the run '$kind'" >&2
    return 1
}

note() { # note [REMARK]: a row of the table
    local took=$((SECONDS - started)) allowed=$((minutes * 60)) remark=${1:-}
    if ((took > FAIL_AT * allowed)); then
        too_slow+=("$current")
        remark+="${remark:+, }more than $FAIL_AT times its budget"
    elif ((took > allowed)); then
        remark+="${remark:+, }over its budget"
    fi
    rows+=("$(row "$current" "$took" "$allowed")${remark:+  $remark}")
    sum=$((sum + allowed))
}

row() { # row NAME TOOK ALLOWED, in seconds
    printf '%-16s %8s %9s' "$1" "$(clock "$2")" "$(clock "$3")"
}

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

tell() { # the table, whatever ended the run, and what it came to
    local status=$? failed=$current
    trap - EXIT
    [ -z "$failed" ] || note FAILED
    printf '\n=== %-16s %8s %9s\n' part took 'may take'
    [ ${#rows[@]} = 0 ] || printf '    %s\n' "${rows[@]}" "$(row together $SECONDS $sum)"
    if [ "$status" != 0 ]; then
        printf '\n=== CI FAILED in %s: %s\n' "$(clock $SECONDS)" "${failed:-no part of it}"
    elif [ ${#too_slow[@]} != 0 ]; then
        status=1
        printf '\n=== CI FAILED in %s: all is right, but too slow: %s\n' \
            "$(clock $SECONDS)" "$(printf '%s; ' "${too_slow[@]}")"
    else
        printf '\n=== CI PASSED in %s: %s\n' "$(clock $SECONDS)" "$done_what"
    fi
    exit "$status"
}

trap tell EXIT
