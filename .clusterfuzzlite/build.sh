#!/bin/bash -eu
# Builds the fuzz targets into $OUT, each with its seeds and the dictionary. Runs in the image of the Dockerfile, which sets
# SRC, OUT, SANITIZER and the flags of the compilers; `fuzz/README.md` says how to run it without the image.
cd "$SRC/exec-http"

# The image has a nightly toolchain; a stable one takes the flags of the sanitizer with this only.
export RUSTC_BOOTSTRAP=1
# Debug assertions are on: the laws and the code under them are full of them.
cargo fuzz build --release --debug-assertions

host=$(rustc -vV | sed -n 's/^host: //p')
for target in $(cargo fuzz list); do
    cp "fuzz/target/$host/release/$target" "$OUT/"
    cp fuzz/wire.dict "$OUT/$target.dict"
    printf '[libfuzzer]\nmax_len = 4096\ntimeout = 25\n' >"$OUT/$target.options"
    rm -f "$OUT/${target}_seed_corpus.zip"
    (cd "fuzz/seeds/$target" && zip -q "$OUT/${target}_seed_corpus.zip" ./*)
done
