#!/bin/sh
# Search the files tracked by git for keys and tokens: find-secrets.sh DETECT-SECRETS-HOOK
# The argument is the program of the package detect-secrets 1.5.0. Exits 1 if it finds one.
set -eu
cd "$(dirname "$0")/.."

# Keys of Relay's clients, which general tools do not know.
if git grep -nE 'relay_[0-9a-f]{8}_[A-Za-z0-9_-]{43}' -- .; then
    echo "The files above contain a client key: remove it, and replace the key if it is real." >&2
    exit 1
fi

# Entropy and keyword detectors find only the invented keys of the tests, so they are off; the others know key formats.
# The one excluded key is the storage emulator's, which Microsoft publishes.
git ls-files -z -- . ':!:*lock*' | xargs -0 "$1" \
    --disable-plugin Base64HighEntropyString \
    --disable-plugin HexHighEntropyString \
    --disable-plugin KeywordDetector \
    --disable-plugin IPPublicDetector \
    --disable-plugin ArtifactoryDetector \
    --exclude-secrets 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq'
