#!/usr/bin/env bash
# Installs the Debian packages that the tests drive, where it may. Elsewhere it changes nothing: the tests that need
# a missing package are left out and named at the end (with CI=true they fail).
set -u

packages=()
# The names that tests/servers/browser.py looks for.
[ -n "${CHROMIUM:-}" ] ||
  [ -n "$(command -v chromium chromium-browser google-chrome google-chrome-stable chrome msedge | head -1)" ] ||
  packages+=(chromium fonts-liberation)
[ -x /usr/sbin/dovecot ] || packages+=(dovecot-imapd)
[ -x /usr/sbin/postfix ] || packages+=(postfix)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)
[ -x /usr/sbin/nginx ] || packages+=(nginx-light)
[ ${#packages[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "left out, no apt-get here: ${packages[*]}"
  exit 0
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true 2>/dev/null || { echo "left out, may not install: ${packages[*]}"; exit 0; }
  sudo="sudo -n"
fi
echo "installing: ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq >/dev/null && $sudo env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null || echo "could not install: ${packages[*]}"
exit 0
