//! Faults that tests plant on purpose, to see that the tests find them.
//!
//! Each rule that can be taken out has a [`Fault`]; where the rule stands, the code asks
//! [`is`]. Without the feature `planted-faults` that question is the constant `false` and costs
//! nothing. Which rule of the hierarchy stops which failure
//! (those with a K or an N) is told in `docs/design/hierarchy.md`; of the others the test that plants them tells.

/// A rule that a test may take out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// K1: a group passes on the message that it was told, not what follows from its own record.
    PassTheMessageOn,
    /// K2: the root is looked at only when it becomes active or idle.
    RootOnlyWhenItTurns,
    /// K5: a report that is older than the last applied one is applied.
    AcceptStaleReport,
    /// K6: the root is not looked at when a report has no deadline.
    SkipRootOnEmptyReport,
    /// K8: the next deadline to serve is taken from the root alone.
    ForecastFromRootOnly,
    /// K9: a sentry keeps its duty when the root becomes active.
    KeepTheSentry,
    /// K9: a node is told to sleep until a deadline that has passed.
    AnswerPastDeadline,
    /// K10: a head of equal deadline but of another owner counts as unchanged.
    IgnoreTheOwner,
    /// K11: a new root starts idle and empty instead of with the old root's state.
    BlankNewRoot,
    /// K12: a new root gets the old one as member, but the old one stays the root.
    KeepTheOldRoot,
    /// K13: a group that is put between a rack and the cross-rack levels starts idle and empty.
    BlankContinuation,
    /// K16: a pass goes on when an owner's event did not move past what was pulled.
    PassWithoutProgress,
    /// K16: an owner that makes no progress stays in sight, before those behind it.
    KeepTheStuckInSight,
    /// K17: the deadline is dropped when the bit is cleared.
    DropDeadlineWithBit,
    /// K18: when a member goes, nobody looks at the root.
    LeaveWithoutSuccessor,
    /// K19: an owner without a further deadline is not reported up after a pull.
    PullStopsThere,
    /// K22: the lowest active member becomes migrator, eligible or not.
    ElectTheIneligible,
    /// N1: a lost node keeps its bit, and with it the duty.
    KeepDeadMigrator,
    /// N2: the deadline of a lost node is forgotten.
    ForgetTheLost,
    /// N3: a lost node stays the sentry.
    KeepDeadSentry,
    /// N7: a repeated report is dropped like a stale one.
    DropRepeatedReport,
    /// An outcome settles whatever its token.
    IgnoreToken,
    /// N4: the claims of a node do not end with its session.
    KeepDeadClaims,
    /// A coordinator that starts again does not remember who runs what.
    ForgetClaimsAtRestart,
    /// N1: leases never run out.
    LoseTheTakeover,
    /// A node that comes back is not told what changed.
    TellNoChanges,
    /// What was cancelled elsewhere is not remembered for its home.
    ForgetGone,
    /// A timer is given back while a run of it is in flight elsewhere.
    GiveWithoutWaiting,
    /// After a start, timers of a node that fires for itself are served by others.
    ServeTheUnheard,
    /// The deciding clock of a node is ten milliseconds ahead.
    FireEarly,
    /// What the coordinator does not have does not go along when a node hands over.
    DropTheTail,
    /// A node fires shipped timers whether it owns them or not.
    FireWithoutOwning,
    /// A node does not notice that it was stopped.
    OverlookTheGap,
    /// A home fires a timer although it was told that a run of it is in flight elsewhere.
    ForgetHeld,
    /// A REPLICATED timer is acknowledged before the coordinator has it.
    AnswerBeforeCommit,
    /// A sentry does not set its alarm.
    SleepThrough,
    /// A coordinator that starts again lets the runs of every timer overlap.
    ForgetOverlapAtRestart,
    /// What may begin once is tried again.
    RetryAtMostOnce,
    /// Who takes timers over does not know which of them are paused.
    ForgetThePause,
    /// An edit goes back to the occurrences since the timer was created.
    RunBeforeTheEdit,
    /// A request that has changed a timer is not remembered.
    ForgetTheRequest,
    /// What has expired begins all the same.
    IgnoreExpiry,
    /// Occurrences that have begun are not counted.
    MiscountOccurrences,
    /// Everything that a node has to do is said at once.
    OrderWithoutCredit,
    /// Everything that is due is looked at in one turn.
    ServeWithoutBound,
    /// What is due of an owner is looked at, and nothing is done about it.
    PullNothing,
    /// With overlap REPLACE the earlier run keeps its right.
    KeepTheReplaced,
    /// A shell performs what a turn wants done before the turn is durable.
    SpeakBeforeDurable,
    /// Timers that are due at one instant come in the order in which they were put in.
    OrderByArrival,
    /// A page leaves out what was made just before it.
    ForgetTheTail,
    /// What is handed over in pieces is in every list at once.
    ListTheStaged,
    /// A piece makes its timers the group's before the node closes.
    StageAsReal,
    /// What was staged stays when the attempt is over.
    KeepTheStage,
    /// A timer that is cancelled after it was staged stays staged.
    KeepTheStagedTombstone,
    /// A node may sleep whatever ledger and node know of its timers.
    BelieveTheSum,
    /// A node owns its timers with the first page of what it has to hear.
    ResumeWithTheFirstPage,
    /// What changes while pieces travel is not told before the close.
    ForgetTheRounds,
    /// On a new session a node goes on with an attempt of which the ledger has nothing any more.
    TrustTheOldStage,
    /// Heartbeats renew what was given to a node that may never have heard of it.
    RenewTheUnspoken,
    /// A node begins everything that is due in one turn.
    FireAllAtOnce,
    /// A node without a worker hands over to others whether they have one or not.
    HandWithoutRoom,
}

#[cfg(feature = "planted-faults")]
mod planted_in_this_thread {
    use super::Fault;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Takes the fault out again, also when the test panics.
    struct Restore(Option<Fault>);

    impl Drop for Restore {
        fn drop(&mut self) {
            PLANTED.set(self.0);
        }
    }

    /// Runs `run` in this thread with `fault` planted.
    pub fn with<T>(fault: Fault, run: impl FnOnce() -> T) -> T {
        let _restore = Restore(PLANTED.replace(Some(fault)));
        run()
    }

    pub(super) fn planted() -> Option<Fault> {
        PLANTED.get()
    }
}

#[cfg(feature = "planted-faults")]
pub use planted_in_this_thread::with;

/// Whether this fault is planted in this thread.
#[cfg(feature = "planted-faults")]
#[must_use]
pub fn is(fault: Fault) -> bool {
    planted_in_this_thread::planted() == Some(fault)
}

/// Whether this fault is planted in this thread: never, without the feature.
#[cfg(not(feature = "planted-faults"))]
#[must_use]
pub const fn is(_fault: Fault) -> bool {
    false
}

/// Whether any fault is planted in this thread.
#[must_use]
pub fn any() -> bool {
    #[cfg(feature = "planted-faults")]
    return planted_in_this_thread::planted().is_some();
    #[cfg(not(feature = "planted-faults"))]
    return false;
}
