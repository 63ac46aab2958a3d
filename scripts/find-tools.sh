#!/bin/sh
# Print the path of a recent enough program: find-tools.sh python | node
# If there is none, print one sentence to stderr and exit 1.
set -eu

# Exactly 3.13, the runtime of the app in Azure (infra/app.bicep): the tests must run what is deployed. Functions offers 3.14 too;
# changing means this file, .python-version, the Bicep and `make requirements` together.
is_python_313() {
    "$1" -c 'import sys; raise SystemExit(sys.version_info[:2] != (3, 13))' 2>/dev/null
}

is_node_20() {
    "$1" -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' 2>/dev/null
}

first_that() {
    check=$1
    shift
    for candidate in "$@"; do
        path=$(command -v "$candidate" 2>/dev/null) || continue
        if "$check" "$path"; then
            echo "$path"
            return 0
        fi
    done
    return 1
}

case "${1-}" in
python)
    # pyenv's builds first: its shims on the path need a selected version, which may be missing in this folder.
    # shellcheck disable=SC2086  # the pattern must expand to several words
    first_that is_python_313 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python python3.13 python3 || {
        echo "Python 3.13 was not found: install it with \`pyenv install 3.13\` or put python3.13 on the path." >&2
        exit 1
    }
    ;;
node)
    first_that is_node_20 node || {
        echo "Node.js 20 or newer was not found: install it from https://nodejs.org and put node on the path." >&2
        exit 1
    }
    command -v npm >/dev/null || {
        echo "npm was not found: it comes with Node.js from https://nodejs.org; put it on the path beside node." >&2
        exit 1
    }
    ;;
*)
    echo "usage: find-tools.sh python | node" >&2
    exit 2
    ;;
esac
