//! What the answer to a request means for the run.
//!
//! The status decides. Every status that is not a success is a failure, also one of 400 to 499: whether it is tried
//! again is the timer's retry policy's affair, and a status may be right tomorrow that is wrong today.

use super::reason::{Part, reason};
use crate::local::Failure;
use crate::wire::RETRY_AFTER_MAX;
use dormouse_engine::timer::HttpTarget;
use http::{HeaderMap, StatusCode, header};
use std::time::{Duration, SystemTime};

/// What success is, unless the timer says otherwise.
const SUCCESS: (u16, u16) = (200, 299);

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// Whether a status is what the timer calls a success.
pub(super) fn is_success(target: &HttpTarget, status: StatusCode) -> bool {
    let status = status.as_u16();
    let is_in = |(first, last): (u16, u16)| (first..=last).contains(&status);
    match &target.success[..] {
        [] => is_in(SUCCESS),
        ranges => ranges.iter().copied().any(is_in),
    }
}

/// The failure that an answer tells of.
pub(super) fn failure(head: &Head, body: &[u8], now: SystemTime) -> Failure {
    let redirects = match head.status.is_redirection() {
        true => ", and redirects are not followed",
        false => "",
    };
    let summary = format!("HTTP {}{redirects}", head.status);
    Failure {
        reason: reason(&summary, body, Part::First),
        retry_after: retry_after(&head.headers, now),
    }
}

/// The wait that a target asks for, in seconds or until a date; what is neither is ignored.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if is_number {
        // A number that is too large for that is also too large.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn head(status: u16, retry_after: &'static str) -> Head {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, retry_after.parse().unwrap());
        Head {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
        }
    }

    fn target(success: &[(u16, u16)]) -> HttpTarget {
        HttpTarget {
            url: String::new(),
            method: String::new(),
            headers: [].into(),
            timeout: None,
            success: success.to_vec(),
            signing_key: String::new(),
        }
    }

    #[test]
    fn success_is_what_the_timer_says() {
        let is =
            |success, status| is_success(&target(success), StatusCode::from_u16(status).unwrap());
        assert!(is(&[], 200) && is(&[], 299) && !is(&[], 300) && !is(&[], 404));
        let odd = &[(404, 404), (500, 503)];
        assert!(is(odd, 404) && is(odd, 502) && !is(odd, 504) && !is(odd, 200));
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_or_ignored() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let wait = |text| failure(&head(503, text), b"", now).retry_after;
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(wait("120"), seconds(120));
        assert_eq!(wait("0"), seconds(0));
        assert_eq!(wait("Sun, 09 Sep 2001 01:47:40 GMT"), seconds(60));
        assert_eq!(wait("Sun, 09 Sep 2001 01:40:00 GMT"), seconds(0));
        assert_eq!(wait("99999999999999999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(wait("Fri, 31 Dec 9999 23:59:59 GMT"), Some(RETRY_AFTER_MAX));
        for ignored in ["", "-1", "1.5", "soon", "2001-09-09"] {
            assert_eq!(wait(ignored), None, "{ignored}");
        }
    }

    #[test]
    fn a_failure_says_its_status_and_what_the_target_said() {
        let why = |status, body: &[u8]| failure(&head(status, "x"), body, UNIX_EPOCH).reason;
        assert_eq!(
            why(500, b"sorry\n"),
            "HTTP 500 Internal Server Error: sorry"
        );
        assert!(why(302, b"").contains("302 Found, and redirects are not followed"));
        assert_eq!(why(599, &[b'x'; 5_000]).len(), 1_024);
    }
}
