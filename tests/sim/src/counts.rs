//! How often things have happened in a history: whether it was about anything.

use dormouse_engine::timer::Fate;

/// How often what a history is about has happened, so that nobody simulates nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events of any kind.
    pub events: u64,
    /// Runs that were launched.
    pub launches: u64,
    /// Runs of timers that the node did not own.
    pub pulled: u64,
    /// Hand-overs that were answered.
    pub parks: u64,
    /// Nodes that got their timers back.
    pub resumes: u64,
    /// Nodes whose lease ran out.
    pub lost: u64,
    /// Nodes that left in order.
    pub leaves: u64,
    /// Machines that were woken by the base's own alarm, or by somebody.
    pub wakes: u64,
    /// Sentries that were believed dead.
    pub silent_sentries: u64,
    /// Outcomes that came too late to count.
    pub stale_outcomes: u64,
    /// Crashes of the coordinator.
    pub coordinator_crashes: u64,
    /// Requests that were answered.
    pub answers: u64,
    /// Requests that were answered with a refusal.
    pub refusals: u64,
    /// Timers of which the coordinator acknowledged a cancellation.
    pub cancels: u64,
    /// Changes that were stored for a sleeping node.
    pub pendings: u64,
    /// Requests that were asked again with the same id.
    pub repeats: u64,
    /// Runs that somebody asked for, and was told of.
    pub asked_runs: u64,
    /// Occurrences that were noted as lost.
    pub lost_runs: u64,
    /// Occurrences that were noted as dead.
    pub dead_runs: u64,
    /// Notes of occurrences that were skipped.
    pub skips: u64,
    /// Messages to nodes that found no room, and were said again later.
    pub dropped: u64,
}

impl Counts {
    /// Adds what happened in another history.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.events, other.events),
            (&mut self.launches, other.launches),
            (&mut self.pulled, other.pulled),
            (&mut self.parks, other.parks),
            (&mut self.resumes, other.resumes),
            (&mut self.lost, other.lost),
            (&mut self.leaves, other.leaves),
            (&mut self.wakes, other.wakes),
            (&mut self.silent_sentries, other.silent_sentries),
            (&mut self.stale_outcomes, other.stale_outcomes),
            (&mut self.coordinator_crashes, other.coordinator_crashes),
            (&mut self.answers, other.answers),
            (&mut self.refusals, other.refusals),
            (&mut self.cancels, other.cancels),
            (&mut self.pendings, other.pendings),
            (&mut self.repeats, other.repeats),
            (&mut self.asked_runs, other.asked_runs),
            (&mut self.lost_runs, other.lost_runs),
            (&mut self.dead_runs, other.dead_runs),
            (&mut self.skips, other.skips),
            (&mut self.dropped, other.dropped),
        ];
        for (mine, more) in pairs {
            *mine += more;
        }
    }

    /// Counts what has become of a run.
    pub(crate) fn note(&mut self, fate: Fate) {
        match fate {
            Fate::Lost => self.lost_runs += 1,
            Fate::Dead => self.dead_runs += 1,
            Fate::Skipped(_) => self.skips += 1,
            _ => {}
        }
    }
}
