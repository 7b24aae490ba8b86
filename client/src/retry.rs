//! When to try again: only if the answer said that this helps, a bounded number of times, never in step with others.

use crate::error::Error;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The first wait of a growing series.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait of a growing series.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A token is what one more attempt costs. A client begins with so many, and never has more.
const TOKENS_MAX: u32 = 100;
/// So many calls earn a token: when most calls are refused, more attempts than a tenth would keep it so.
const CALLS_PER_TOKEN: u32 = 10;

/// What the attempts after the first may cost all calls of a client together.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Tenths of tokens.
    left: AtomicU32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: AtomicU32::new(TOKENS_MAX * CALLS_PER_TOKEN),
        }
    }
}

impl Budget {
    /// A call is made.
    pub(crate) fn earn(&self) {
        let full = TOKENS_MAX * CALLS_PER_TOKEN;
        let earned = |left: u32| (left < full).then_some(left + 1);
        // It fails when there is nothing to earn.
        let _ = self.left.fetch_update(Relaxed, Relaxed, earned);
    }

    /// Whether another attempt may be made; then it is paid for.
    pub(crate) fn spend(&self) -> bool {
        let spent = |left: u32| left.checked_sub(CALLS_PER_TOKEN);
        self.left.fetch_update(Relaxed, Relaxed, spent).is_ok()
    }
}

/// How often a refused call is tried again, and how long it may wait for that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    /// Attempts in all, the first one included.
    pub(crate) attempts_max: u32,
    /// An answer that says "later than this" is given to the caller instead.
    pub(crate) wait_max: Duration,
}

impl Retry {
    /// How long to wait before the next attempt; none if `error` is the caller's. `attempt` counts from 1.
    pub(crate) fn wait(&self, attempt: u32, error: &Error) -> Option<Duration> {
        let told = error.retry_after()?;
        (attempt < self.attempts_max && told <= self.wait_max).then(|| told + full_jitter(attempt))
    }
}

/// A random wait between nothing and a bound that doubles with each attempt, so that many callers that failed
/// together do not return together.
pub(crate) fn full_jitter(attempt: u32) -> Duration {
    let doubled = BACKOFF_MIN.saturating_mul(
        1_u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    let bound = doubled.min(BACKOFF_MAX).as_micros();
    Duration::from_micros(rand::random_range(
        0..=u64::try_from(bound).unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        attempts_max: 3,
        wait_max: Duration::from_secs(10),
    };

    fn unavailable(seconds: Option<u64>) -> Error {
        Error::Unavailable {
            message: String::new(),
            retry_after: seconds.map(Duration::from_secs),
        }
    }

    #[test]
    fn it_never_returns_before_it_was_told() {
        let wait = RETRY
            .wait(1, &unavailable(Some(2)))
            .expect("it was told when");
        assert!(
            wait >= Duration::from_secs(2) && wait <= Duration::from_millis(2100),
            "{wait:?}"
        );
    }

    #[test]
    fn it_gives_up_untold_or_after_the_last_attempt_or_if_told_to_wait_too_long() {
        assert_eq!(RETRY.wait(1, &unavailable(None)), None);
        assert_eq!(RETRY.wait(3, &unavailable(Some(1))), None);
        assert_eq!(RETRY.wait(1, &unavailable(Some(11))), None);
    }

    #[test]
    fn attempts_after_the_first_are_a_tenth_of_the_calls_once_the_reserve_is_used_up() {
        let budget = Budget::default();
        let reserve = (0..).take_while(|_| budget.spend()).count();
        assert_eq!(reserve, 100);
        let mut more = 0;
        for _ in 0..1_000 {
            budget.earn();
            more += u32::from(budget.spend());
        }
        assert_eq!(more, 100);
    }

    #[test]
    fn a_budget_does_not_grow_without_bound() {
        let budget = Budget::default();
        (0..100_000).for_each(|_| budget.earn());
        assert_eq!((0..).take_while(|_| budget.spend()).count(), 100);
    }

    #[test]
    fn jitter_stays_within_its_bound_for_any_number_of_attempts() {
        for attempt in [1, 2, 7, 33, u32::MAX] {
            assert!(full_jitter(attempt) <= BACKOFF_MAX);
        }
        assert!(full_jitter(1) <= BACKOFF_MIN);
    }
}
