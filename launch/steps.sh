# For bash scripts that source it: commands as steps that are done once, and again only when something they depend on
# has changed. The caller sets `stamps`, the folder that remembers. Paths must have no spaces.

interrupted=
trap 'interrupted=yes' INT
started=$SECONDS

say() { printf '%s %2d:%02d  %s\n' "${0##*/}" $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)) "$*"; }

# run WHAT COMMAND...: ends the script when the command fails, or after the command when there was a Ctrl-C.
run() {
  local code=0
  "${@:2}" || code=$?
  if [ -n "$interrupted" ] || [ "$code" -eq 130 ]; then
    say "stopped; ${0##*/} goes on from here" >&2
    exit 130
  elif [ "$code" -ne 0 ]; then
    say "error: $1 failed with exit code $code" >&2
    exit "$code"
  fi
}

# digest WORDS PATH...: of some words, and of all files at the paths; a path may be missing.
digest() {
  {
    echo "$1"
    { find "${@:2}" -type f ! -name '*.pyc' -print0 2>/dev/null || true; } | sort -z | xargs -0r sha256sum
  } | sha256sum
}

# step NAME "INPUT..." "OUTPUT..." COMMAND...: runs the command unless its stamp tells that the same command made these
# outputs of these inputs. A training run that was stopped goes on from its checkpoint; any other leftover is removed.
step() {
  local name=$1 stamp=$stamps/$1 task known
  local -a inputs outputs
  read -ra inputs <<<"$2"
  read -ra outputs <<<"$3"
  shift 3
  task=$(digest "$*" "${inputs[@]}")
  known=$(cat "$stamp" 2>/dev/null) || known=
  if [ "$known" = "$task$(digest results "${outputs[@]}")" ]; then
    say "$name: done already"
    return
  fi
  say "$name"
  [[ $known = "$task" && -d ${outputs[0]}/checkpoints ]] || rm -rf "${outputs[@]}"
  printf %s "$task" >"$stamp"
  run "$name" "$@"
  printf %s "$task$(digest results "${outputs[@]}")" >"$stamp"
}
