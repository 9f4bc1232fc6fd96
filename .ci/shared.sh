# Sourced by .ci/run and .ci/all: the environment, the tools, and the summary of what ran.
# Both work as root without a terminal, from a fresh clone with an empty HOME. What they install
# goes into .cache/ci, except for the Debian packages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# If Python may not write bytecode, each start of a tool compiles its packages again: `import mlflow`
# takes 7 s instead of 2.
unset PYTHONDONTWRITEBYTECODE VIRTUAL_ENV
here=$PWD/.cache/ci
export HOME="${HOME:-$here/home}"
export UV_NO_PROGRESS=1 PIP_DISABLE_PIP_VERSION_CHECK=1 NO_COLOR=1
# The tools come last, so that their Python hides no other.
export PATH="$here/bin:$here/npm/node_modules/.bin:$PATH:/usr/sbin:/sbin:$here/tools/bin"
mkdir -p "$HOME" "$here/bin" "$here/logs"

# Two files side by side. A file is not cut: its tests share a project, a server or a cluster.
side_by_side=(--numprocesses 2 --dist loadfile)
summary=()
failed=0

say() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

# stage NAME COMMAND...: run a command, print its output, and note the outcome for the summary. After a
# failure the next stage runs too.
stage() {
  local name=$1 started=$SECONDS counts
  shift
  say "$name"
  if "$@" 2>&1 | tee "$here/logs/stage.txt"; then outcome=passed; else outcome=FAILED failed=1; fi
  # pytest ends with a line such as "3 passed, 1 skipped in 4.20s".
  counts=$(sed -nE 's/^[= ]*([0-9]+ [a-z]+.*) in [0-9.]+s.*/: \1/p' "$here/logs/stage.txt" | paste -sd' ')
  summary+=("$(printf '%-7s %5d s  %s%s' "$outcome" "$((SECONDS - started))" "$name" "$counts")")
}

# slow EXPRESSION OPTION...: run the slow tests whose markers match. No test is a failure too: pytest exits 5.
slow() { timeout 10800 uv run --quiet pytest -m "slow and ($1)" -rs -q --durations=40 "${@:2}"; }

# end NAME: print the summary, its last line last, and exit with 1 if a stage failed.
end() {
  printf '\n== what ran: seconds, and tests\n'
  printf '%s\n' "${summary[@]}"
  if [ "$failed" -eq 0 ]; then printf '%s passed in %d s\n' "$1" "$SECONDS"; exit 0; fi
  printf '%s FAILED after %d s\n' "$1" "$SECONDS"
  exit 1
}

missing_debian() {
  local package
  for package in rsync docker.io docker-cli docker-buildx docker-registry mmdebstrap \
    podman runc catatonit kustomize postgresql faketime \
    wrk prometheus prometheus-alertmanager chromium redis-server; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok' || echo "$package"
  done
}

# Tests whose tool is missing are skipped, and pytest lists them at its end.
install_debian() {
  local packages
  mapfile -t packages < <(missing_debian)
  if [ "${#packages[@]}" -eq 0 ]; then return; fi
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, for lack of root or apt-get: ${packages[*]}"
    return
  fi
  apt-get update -qq || echo "apt-get update failed"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" \
    >"$here/apt.log" 2>&1 || { tail -5 "$here/apt.log"; echo "Not installed: ${packages[*]}"; }
}

install_uv() {
  if command -v uv >/dev/null; then return; fi
  python3 -m venv "$here/uv"
  "$here/uv/bin/pip" install --quiet uv
  # Only uv goes on PATH, not the Python and pip beside it.
  ln -sf "$here/uv/bin/uv" "$here/bin/uv"
}

install_linters() {
  if [ ! -x "$here/tools/bin/python" ]; then uv venv --quiet "$here/tools"; fi
  uv pip install --quiet --python "$here/tools" --requirement .ci/tools.txt
  ln -sf "$here"/tools/lib/python*/site-packages/rotel/rotel-agent "$here/bin/" # it has no script
}

# gitlab-ci-local runs GitLab's jobs; axe-core checks pages for accessibility.
from_npm=(gitlab-ci-local@4.70.1 axe-core@4.14.1)
install_from_npm() {
  if ! command -v npm >/dev/null; then
    echo "Not installed, for lack of npm: ${from_npm[*]}"
    return
  fi
  npm install --silent --no-fund --no-audit --prefix "$here/npm" "${from_npm[@]}" ||
    echo "Not installed: ${from_npm[*]}"
}

# Each generated project has its own environment, in which Python would compile all packages again. uv
# links what is beside a source file along with it. (It refuses wheels with more in their `.data`.)
compile_once() {
  uv run python -m compileall -q -j 2 -x '/tests?/|[.]data/' "$(uv cache dir)/archive-v0" \
    >"$here/logs/compileall.txt" || true # templates of Python are not Python
}

install_tools() {
  say "tools"
  install_debian
  install_uv
  install_linters
  install_from_npm
  uv sync --quiet --locked --group machinery
}
