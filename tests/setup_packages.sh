#!/usr/bin/env bash
# Installs the packages that the tests drive, where it may: Debian's, and npm's of the lock beside this file
# (axe-core, oidc-provider). Elsewhere it changes nothing: the tests that need a missing one are left out and named at
# the end (with CI=true they fail).
set -u

packages=()
# The names that tests/servers/browser.py looks for.
[ -n "${CHROMIUM:-}" ] ||
  [ -n "$(command -v chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable chrome msedge | head -1)" ] ||
  packages+=(chromium-headless-shell fonts-liberation)
[ -x /usr/sbin/dovecot ] || packages+=(dovecot-imapd)
[ -x /usr/sbin/postfix ] || packages+=(postfix)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)
[ -x /usr/sbin/nginx ] || packages+=(nginx-light)
[ -x /usr/bin/caddy ] || packages+=(caddy)
[ -x /usr/bin/systemd-analyze ] || packages+=(systemd)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)

install_debian_packages() {
  [ ${#packages[@]} -eq 0 ] && return
  if ! command -v apt-get >/dev/null; then
    echo "left out, no apt-get here: ${packages[*]}"
    return
  fi
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || { echo "left out, may not install: ${packages[*]}"; return; }
    sudo="sudo -n"
  fi
  echo "installing: ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get update -qq >/dev/null && $sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null || echo "could not install: ${packages[*]}"
}

# By the hash of the lock, without any script of a package.
install_npm_packages() {
  cd "$(dirname "$0")" || return
  cmp -s package-lock.json node_modules/.locked && return
  command -v npm >/dev/null || { echo "left out, no npm here: axe-core oidc-provider"; return; }
  if npm ci --ignore-scripts --no-audit --no-fund --silent; then
    cp package-lock.json node_modules/.locked
  else
    echo "could not install: axe-core oidc-provider"
  fi
}

install_debian_packages
install_npm_packages
exit 0
