# The body of a job script: launch/submit puts the job's own values in front of it. It runs the step, and decides what its exit
# code means: 0 done; 75 stopped by a signal, with a checkpoint: the job goes back into the queue; killed: likewise, if there is
# a checkpoint; anything else: the end.

# Everything that the step's environment is made of. sbatch has brought that of whoever submitted; a site's own file comes on top.
export OMP_NUM_THREADS=$cpus_per_task
# With the default (mixed) a rank has got a message before it had finished MPI_Init, and crashed: 2 of some 110 starts of 4 nodes, and
# none of 110 with this one.
export SLURM_PMIX_FENCE=${SLURM_PMIX_FENCE:-tree}
[ -z "$environment" ] || . "$environment"

readonly most_restarts=3   # in a row, without a new checkpoint
readonly record=$folder/${chain:-$SLURM_JOB_ID}
readonly rank_logs=$folder/$SLURM_JOB_NAME-$SLURM_JOB_ID.ranks
output=${outputs[${SLURM_ARRAY_TASK_ID:-0}]}
store=${stores[${SLURM_ARRAY_TASK_ID:-0}]}
config=${config//%a/${SLURM_ARRAY_TASK_ID:-}}

say() { echo "job $SLURM_JOB_ID: $*"; }

# end CODE: the end of the run; later jobs of a chain find it.
end() {
  [ -z "$chain" ] || echo "$1" >"$record.ended"
  exit "$1"
}

# What is durable of the run, on one line: the newest committed checkpoint, and how many blocks of reference scores there are.
progress() {
  local checkpoint num_blocks=0
  checkpoint=$(compgen -G "$output/checkpoints/step_????????/manifest.json" | sort | tail -n 1)
  [ -z "$store" ] || num_blocks=$(compgen -G "$store.parts/*.h5" | wc -l)
  checkpoint=${checkpoint#"$output/checkpoints/"}
  echo "${checkpoint:+ ${checkpoint%/*}}$([ "$num_blocks" -eq 0 ] || echo " $num_blocks blocks")"
}

# Counts the restarts before this one that have made nothing new; those that were Slurm's own doing (preemption, a lost node) are
# among them. The first start is no restart.
count_idle_restarts() {
  local previous
  idle_restarts=-1
  if { read -r idle_restarts && IFS= read -r previous; } 2>/dev/null <"$record.restarts"; then
    if [ "$previous" = "$before" ]; then idle_restarts=$((idle_restarts + 1)); else idle_restarts=0; fi
  fi
  printf '%s\n%s\n' "$idle_restarts" "$before" >"$record.restarts"
}

# stop_if_stuck COUNT: when there are that many idle restarts.
stop_if_stuck() {
  if [ "$1" -ge "$most_restarts" ]; then
    say "error: $most_restarts restarts in a row have made no new checkpoint: not started again" >&2
    end 1
  fi
}

# go_on WHY: the run goes on in another start of this job, or in the next job of the chain.
go_on() {
  [ "$(progress)" != "$before" ] || stop_if_stuck $((idle_restarts + 1))
  if [ -n "$chain" ]; then
    say "$1; the next job of the chain goes on"
    exit 75
  fi
  say "$1; back into the queue"
  # Slurm takes a job that ends inside its grace time with a code other than 0 for failed, and does not requeue it by itself.
  trap - TERM
  if scontrol requeue "$SLURM_JOB_ID"; then sleep 300; fi   # which ends this script
  say "error: this job cannot be requeued here; submit it again to go on, or use --chain" >&2
  exit 75
}

# Rank 0 writes into the job's log. The other ranks say nothing unless something is wrong, so each has a file of its own, kept when the
# step fails. Without PMIx every rank would take itself for the only one, and all would write the same files.
readonly rank='
  [ "$SLURM_PROCID" = 0 ] || exec >>"$0/rank-$SLURM_PROCID.log" 2>&1
  [ -n "$PMIX_RANK" ] || { echo "error: srun --mpi=pmix gave rank $SLURM_PROCID no PMIx" >&2; exit 2; }
  exec "$@"'

start_step() {
  mkdir -p "$rank_logs"
  # --wait: a rank that is gone takes the others along after a minute. --kill-on-bad-exit would do so at once, and the ranks that
  # are about to exit with 75 like the first one would be killed.
  srun --mpi=pmix --ntasks="$num_ranks" --cpus-per-task="$cpus_per_task" --kill-on-bad-exit=0 --wait=60 \
    bash -c "$rank" "$rank_logs" "${command[@]}" "$verb" "$config" "${settings[@]}" &
}

clean_rank_logs() {
  case $code in
    0 | 75) rm -rf "$rank_logs" ;;
    *)
      find "$rank_logs" -type f -empty -delete
      rmdir "$rank_logs" 2>/dev/null || say "what other ranks than 0 said is in $rank_logs" >&2
      ;;
  esac
}

if [ -n "$chain" ] && [ -e "$record.ended" ]; then
  say "the run has ended with exit code $(cat "$record.ended") in an earlier job of the chain: nothing to do"
  exit "$(cat "$record.ended")"
fi
before=$(progress)
count_idle_restarts
say "start $((${SLURM_RESTART_COUNT:-0} + 1)) on $SLURM_JOB_NODELIST, $num_ranks ranks, after:${before:- nothing}"
stop_if_stuck "$idle_restarts"

past_time_limit() { [ -n "$time_limit" ] && [ "$(date +%s)" -ge "$time_limit" ]; }

# SIGTERM comes to this shell only with the end of the whole job; at the start of a grace time it goes to the ranks alone. At the time
# limit what is left may be too short for the ranks, and all is killed at once: so the job goes back now, if it is worth it.
on_term() {
  signalled=yes job_is_ending=yes
  if past_time_limit && [ -z "$chain" ] && [ "$(progress)" != "$before" ]; then
    say "the time limit came before the step's end, but there is a newer checkpoint; back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
  fi
}

# The shell must outlive what ends the step, to see how it ended: traps, since an ignored signal would be ignored by srun, too.
job_is_ending= signalled=yes
trap on_term TERM
trap signalled=yes USR1 USR2
time_limit=$(date --date "$(SLURM_TIME_FORMAT=standard squeue --noheader --jobs "$SLURM_JOB_ID" --format %e)" +%s 2>/dev/null)
start_step
# A trap ends wait early, with a code of its own.
while [ -n "$signalled" ]; do
  signalled=
  wait "$!"
  code=$?
done
sleep 1   # Slurm tells steps and shell one after the other
if [ -n "$job_is_ending" ] && [ "$code" -eq 0 ]; then code=143; fi   # srun says 0 of a step that it was made to give up
clean_rank_logs
if [ -n "$job_is_ending" ]; then
  [ -z "$chain" ] || go_on "ended from outside"
  if ! past_time_limit; then
    say "ended from outside, ahead of the time limit: cancelled, or taken away by Slurm, which then starts it again itself"
    exit "$code"
  fi
fi
case $code in
  0) end 0 ;;
  75) go_on "stopped with a checkpoint" ;;
  130) say "interrupted: not started again" && end 130 ;;
  *)
    # Also when the kill came before anything new: Open MPI may crash in its own start. Idle restarts are counted.
    if [ "$code" -gt 128 ] && [ -n "$(progress)" ]; then
      go_on "the step was killed (exit code $code), but there is a checkpoint"
    fi
    say "error: the step ended with exit code $code" >&2
    end "$code"
    ;;
esac
