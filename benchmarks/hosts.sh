#!/usr/bin/env bash
# Hosts that are real enough: network namespaces on one machine, each with its own address, delay
# and loss, and Redis in one of them. `loco-redis bench` runs across them; one host is cut off and
# let back. docs/benchmarks.md says what is judged; --help says how to run it.
#
# Everything is made inside namespaces named after a random id, the bridge too, so nothing of the
# machine's own network changes; what does not carry the id is never touched.
set -euo pipefail
export LC_ALL=C
unset LOCO_REDIS_URL REDIS_URL

readonly FAILED=1 REFUSED=2 SKIPPED=77
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT

HOSTS=${HOSTS:-3} WORKERS=${WORKERS:-2} TASKS=${TASKS:-50} CAPACITY=${CAPACITY:-8}
HOLD=${HOLD:-20} LOAD=${LOAD:-0.6} LEASE=${LEASE:-5} WARMUP=${WARMUP:-3} DURATION=${DURATION:-60}
CUT=${CUT:-15} DELAY=${DELAY:-2} JITTER=${JITTER:-0.5} LOSS=${LOSS:-0.1}
OUT=${OUT:-} RUN_ID=${RUN_ID:-} PYTHON=${PYTHON:-}

MADE=()       # namespaces that we have made
STARTED=()    # processes that we have started
ADDRESSES=()  # by number: 0 is Redis, then the hosts
DELAYS=()     # of these, in ms
HOST_PIDS=()  # of these, the hosts
BEGAN=${EPOCHREALTIME/./}

usage() {
  cat <<END
usage: benchmarks/hosts.sh [--quick] [--OPTION VALUE]...

Namespaces as hosts, Redis in one of them, \`loco-redis bench\` across them; host h1 is cut off at a
third of the measured time and let back. Needs root, ip and tc (iproute2), and Linux.

  --hosts $HOSTS  --workers $WORKERS  --tasks $TASKS  --capacity $CAPACITY  --hold $HOLD (ms)
  --load $LOAD  --lease $LEASE (s)  --warmup $WARMUP (s)  --duration $DURATION (s)  --cut $CUT (s)
  --delay $DELAY  --jitter $JITTER (ms)  --loss $LOSS (%)   each way; host n has n times the delay
  --out FOLDER      keep the report and what everybody said; default: a temporary one
  --run-id ID       1 to 6 letters or digits in all names; default: random
  --python PATH     of the environment with loco-redis; default: .venv's, then python3
  --quick           one worker a host, 20 s, a cut of 8 s, a lease of 2 s; options after it count

The same by environment, in capitals (CUT=20 RUN_ID=abc); LOCO_REDIS_SERVER names the server.
Exit status: 0 all as promised, $FAILED not so, $REFUSED bad input or something of that name exists,
$SKIPPED skipped: not root, or no namespaces here.
END
}

main() {
  read_options "$@"
  check_options
  skip_where_impossible
  refuse_what_exists
  plan_network
  make_folder
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  make_network
  start_redis
  start_hosts
  start_conductor
  cut_one_host_off
  await_the_end
  judge
}

read_options() {
  while (($#)); do
    case $1 in
      -h | --help) usage; exit 0 ;;
      --quick) WORKERS=1 TASKS=30 DURATION=20 CUT=8 LEASE=2 WARMUP=1 ;;
      --hosts | --workers | --tasks | --capacity | --hold | --load | --lease | --warmup | \
        --duration | --cut | --delay | --jitter | --loss | --out | --run-id | --python)
        (($# > 1)) || refuse "$1 needs a value"
        local name=${1#--}
        name=${name//-/_}
        printf -v "${name^^}" %s "$2"
        shift
        ;;
      *) refuse "what is $1? See --help" ;;
    esac
    shift
  done
}

check_options() {
  local name
  for name in HOSTS WORKERS TASKS CAPACITY WARMUP DURATION CUT; do
    [[ ${!name} =~ ^[0-9]{1,5}$ ]] || refuse "$name=${!name} is not a whole number"
  done
  for name in HOLD LOAD LEASE DELAY JITTER LOSS; do
    [[ ${!name} =~ ^[0-9]{1,5}(\.[0-9]{1,6})?$ ]] || refuse "$name=${!name} is not a number"
  done
  ((HOSTS >= 2 && HOSTS <= 50)) || refuse "HOSTS=$HOSTS: 2 to 50, one is cut off"
  ((DURATION / 3 + CUT < DURATION)) || refuse "a cut of $CUT s is too long for $DURATION s"
  RUN_ID=${RUN_ID:-$(od -An -N3 -tx1 /dev/urandom | tr -d ' \n')}
  [[ $RUN_ID =~ ^[a-z0-9]{1,6}$ ]] || refuse "RUN_ID=$RUN_ID is not 1 to 6 letters or digits"
  readonly PREFIX=loco-$RUN_ID BRIDGE=lb$RUN_ID
  [[ -n $PYTHON ]] || PYTHON=$ROOT/.venv/bin/python
  [[ -x $PYTHON ]] || PYTHON=$(command -v python3) || refuse "no python3: give --python"
  cd "$ROOT"
  REDIS_SERVER=$("$PYTHON" -c 'from loco_redis._server import find_binary; print(find_binary())') ||
    refuse "no server, or no loco-redis in $PYTHON: make test sets up .venv"
}

skip_where_impossible() {
  ((EUID == 0)) || skip "network namespaces need root"
  command -v ip >/dev/null || skip "no ip here (Debian: iproute2)"
  unshare --net true 2>/dev/null || skip "network namespaces are not allowed here"
}

refuse_what_exists() {
  local found
  found=$(ours)
  [[ -z $found ]] || refuse "there is something named like this run already: ${found//$'\n'/, }"
}

# Nothing of ours is reachable from outside; but nobody shall wonder whose address that is.
plan_network() {
  local try n
  for try in {1..20}; do
    NET=10.$((RANDOM % 256)).$((RANDOM % 256))
    [[ -z $(routes_to "$NET.0/24") ]] && break
  done
  [[ -z $(routes_to "$NET.0/24") ]] || refuse "no free 10.x.y.0/24 in $try tries"
  for ((n = 0; n <= HOSTS; n++)); do
    ADDRESSES+=("$NET.$((n + 10))")
    DELAYS+=("$(awk "BEGIN { print $n * $DELAY }")")
  done
}

# But the default route.
routes_to() {
  ip -4 route show table all root "$1"
  ip -4 route show table all match "$1" | awk '$1 != "default"'
}

make_folder() {
  FOLDER=$OUT
  [[ -n $FOLDER ]] || FOLDER=$(mktemp -d /tmp/loco-hosts-XXXXXX)
  mkdir -p "$FOLDER"
}

# --- the network ---------------------------------------------------------------------------------

# From the first trap on no $(...) is run until everything ends: bash 5.2.15 may fail to parse a
# trap's command while it reads one.
make_network() {
  local n
  make_namespace net
  ip -n "$PREFIX-net" link add name "$BRIDGE" type bridge
  ip -n "$PREFIX-net" link set dev "$BRIDGE" up
  make_namespace redis
  join_by_veth redis 0
  has_netem && WIRE="tc netem" || WIRE="benchmarks/wire.py, as this kernel has no netem"
  [[ $WIRE == tc* ]] || start_wires
  for ((n = 1; n <= HOSTS; n++)); do
    make_namespace "h$n"
    if [[ $WIRE == tc* ]]; then join_by_netem "h$n" "$n"; else join_by_wire "h$n" "$n"; fi
  done
  say "run $RUN_ID: $HOSTS hosts on $BRIDGE, $NET.0/24; delay and loss by $WIRE"
}

make_namespace() {
  ip netns add "$PREFIX-$1"
  MADE+=("$PREFIX-$1")
  ip -n "$PREFIX-$1" link set dev lo up
}

join_by_veth() { # NAME NUMBER
  ip -n "$PREFIX-net" link add name "$BRIDGE-$2" type veth peer name eth0 netns "$PREFIX-$1"
  plug_in "$@"
}

join_by_netem() { # NAME NUMBER
  join_by_veth "$@"
  local words=(netem delay "${DELAYS[$2]}ms" "${JITTER}ms" loss "$LOSS%")
  tc -n "$PREFIX-$1" qdisc add dev eth0 root "${words[@]}"
  tc -n "$PREFIX-net" qdisc add dev "$BRIDGE-$2" root "${words[@]}"
}

join_by_wire() { # NAME NUMBER
  ip -n "$PREFIX-net" link set dev "${BRIDGE}e$2" netns "$PREFIX-$1"
  ip -n "$PREFIX-$1" link set dev "${BRIDGE}e$2" name eth0
  plug_in "$@"
}

plug_in() { # NAME NUMBER
  ip -n "$PREFIX-net" link set dev "$BRIDGE-$2" master "$BRIDGE" up
  ip -n "$PREFIX-$1" address add "${ADDRESSES[$2]}/24" dev eth0
  ip -n "$PREFIX-$1" link set dev eth0 up
}

has_netem() {
  command -v tc >/dev/null && tc -n "$PREFIX-net" qdisc add dev lo root netem delay 1ms 2>/dev/null
}

start_wires() {
  [[ -w /dev/net/tun ]] || skip "this kernel has neither netem nor /dev/net/tun"
  local n wires=()
  for ((n = 1; n <= HOSTS; n++)); do
    wires+=("$BRIDGE-$n:${BRIDGE}e$n:${DELAYS[n]}:$JITTER:$LOSS")
  done
  start wires net "$PYTHON" benchmarks/wire.py "${wires[@]}"
  until_true 10 grep -q ready "$FOLDER/wires.log"
}

# --- the run -------------------------------------------------------------------------------------

start() { # LOG NAMESPACE COMMAND...
  (exec ip netns exec "$PREFIX-$2" "${@:3}") </dev/null >"$FOLDER/$1.log" 2>&1 &
  STARTED+=($!)
}

loco_redis() { # LOG NAMESPACE ARGUMENT...
  start "$1" "$2" "$PYTHON" -m loco_redis.cli "${@:3}"
}

start_redis() {
  local where=${ADDRESSES[0]}
  URL=redis://$where:6379/0
  start redis redis "$REDIS_SERVER" --bind "$where" --port 6379 --protected-mode no \
    --save '' --appendonly no --dir "$FOLDER"
  until_true 10 ip netns exec "$PREFIX-redis" bash -c "exec 3<>/dev/tcp/$where/6379"
  say "redis: $REDIS_SERVER on $where"
}

start_hosts() {
  local n
  for ((n = 1; n <= HOSTS; n++)); do
    loco_redis "h$n" "h$n" bench worker --run "$RUN_ID" --as "h$n" --redis "$URL"
    HOST_PIDS+=("${STARTED[-1]}")
    say "h$n: ${ADDRESSES[n]}, pid ${STARTED[-1]};" \
      "each way ${DELAYS[n]} +- $JITTER ms late, $LOSS % lost"
  done
}

start_conductor() {
  loco_redis progress redis bench run --join "$HOSTS" --run "$RUN_ID" --redis "$URL" \
    --workers "$WORKERS" --tasks "$TASKS" --capacity "$CAPACITY" --hold "${HOLD}ms" --load "$LOAD" \
    --lease "${LEASE}s" --warmup "${WARMUP}s" --duration "${DURATION}s" --out "$FOLDER"
  CONDUCTOR=${STARTED[-1]}
  until_true 90 measuring
  say "measuring for $DURATION s: $CAPACITY slots, load $LOAD, lease $LEASE s"
}

measuring() {
  kill -0 "$CONDUCTOR" 2>/dev/null || fail_by progress "the conductor has ended"
  grep -q measuring "$FOLDER/progress.log"
}

# Out of the bridge: nobody is told, as on a real network. Its own device stays up.
cut_one_host_off() {
  rest $((DURATION / 3))
  ip -n "$PREFIX-net" link set dev "$BRIDGE-1" nomaster
  say "h1 is cut off"
  rest "$CUT"
  ip -n "$PREFIX-net" link set dev "$BRIDGE-1" master "$BRIDGE"
  say "h1 is let back after $CUT s"
}

await_the_end() {
  local n
  until_true $((DURATION + 120)) ended "$CONDUCTOR"
  say "the conductor has ended"
  for ((n = 0; n < HOSTS; n++)); do
    until_true 30 ended "${HOST_PIDS[n]}"
    wait "${HOST_PIDS[n]}" || fail_by "h$((n + 1))" "h$((n + 1)) ended with $?"
  done
  say "all hosts have ended, each the process that it was from the start"
}

judge() {
  [[ -s $FOLDER/report.json ]] || fail_by progress "no report"
  grep 'heard of' "$FOLDER/progress.log" || true
  "$PYTHON" -m benchmarks.partition "$FOLDER/report.json" h1 "$CUT" || exit $FAILED
  say "all as promised"
}

# --- the end -------------------------------------------------------------------------------------

# However it ends. What is left is looked for afterwards, and said.
clean_up() {
  local status=$? name found
  trap - EXIT
  trap '' INT TERM
  set +e
  end_processes
  for name in "${MADE[@]}"; do
    ip netns delete "$name"
  done
  found=$(ours)
  [[ -z $found ]] || { echo "left behind: ${found//$'\n'/, }" >&2; ((status)) || status=$FAILED; }
  [[ -n $OUT ]] || keep_or_remove "$status"
  exit "$status"
}

# First what we have started, which ends what it has started; then what else is in our namespaces.
end_processes() {
  kill_all TERM "${STARTED[@]}"
  local left
  until_true 8 nobody_inside || { mapfile -t left < <(inside) && kill_all KILL "${left[@]}"; }
  wait
}

kill_all() { # SIGNAL PID...
  local pid
  for pid in "${@:2}"; do
    kill "-$1" "$pid" 2>/dev/null
  done
}

inside() {
  local name
  for name in "${MADE[@]}"; do
    ip netns pids "$name"
  done
}

nobody_inside() {
  [[ -z $(inside) ]]
}

# All namespaces and devices that carry this run's id.
ours() {
  # A foreign namespace that is just being deleted is an error of its own, and nothing to us.
  ip netns list 2>/dev/null | awk -v prefix="$PREFIX-" 'index($1, prefix) == 1 { print $1 }'
  ip -oneline link | awk -F': ' -v prefix="$BRIDGE" 'index($2, prefix) == 1 { print $2 }'
}

keep_or_remove() { # STATUS
  case $1 in
    0 | "$SKIPPED" | 130 | 143) rm -r "$FOLDER" ;;
    *) echo "what everybody said is in $FOLDER" >&2 ;;
  esac
}

# --- words and time ------------------------------------------------------------------------------

say() {
  local now=$(((${EPOCHREALTIME/./} - BEGAN) / 100000))
  printf '%5d.%d s  %s\n' $((now / 10)) $((now % 10)) "$*"
}

fail_by() { # LOG WORDS
  say "FAILED: $2; it said at last:"
  tail -n 3 "$FOLDER/$1.log"
  exit $FAILED
}

refuse() {
  echo "hosts.sh: $*" >&2
  exit $REFUSED
}

skip() {
  echo "hosts.sh: skipped: $*"
  exit $SKIPPED
}

# A signal ends a `wait` at once, but not a `sleep`.
rest() {
  sleep "$1" &
  STARTED+=($!)
  wait $!
}

until_true() { # SECONDS COMMAND...
  local end=$((SECONDS + $1))
  until "${@:2}" 2>/dev/null; do
    ((SECONDS <= end)) || { say "not within $1 s: ${*:2}"; return 1; }
    sleep 0.1
  done
}

ended() {
  ! kill -0 "$1" 2>/dev/null
}

main "$@"
