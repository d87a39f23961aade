#!/bin/sh
# What git runs before a commit once `make hooks` was called: seconds, and only what needs no database and no browser.
set -eu
exec make --no-print-directory check
