#!/bin/sh
# Looks through the files that git knows for keys and tokens: find-secrets.sh DETECT-SECRETS-HOOK
# The argument is the program of the package detect-secrets 1.5.0. Exit 1 when something was found.
set -eu
cd "$(dirname "$0")/.."

# Keys of Relay's own clients, which no general tool knows.
if git grep -nE 'relay_[0-9a-f]{8}_[A-Za-z0-9_-]{43}' -- .; then
    echo "A client's key is in the files above." >&2
    exit 1
fi

# Guessing by entropy and by names of variables finds only the made-up keys of the tests; the other detectors know formats.
# The one key that is excused is the storage emulator's, which Microsoft publishes.
git ls-files -z -- . ':!:*lock*' | xargs -0 "$1" \
    --disable-plugin Base64HighEntropyString \
    --disable-plugin HexHighEntropyString \
    --disable-plugin KeywordDetector \
    --disable-plugin IPPublicDetector \
    --disable-plugin ArtifactoryDetector \
    --exclude-secrets 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq'
