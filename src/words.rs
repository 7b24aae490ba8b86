//! How durations, times and payloads are written on a command line.
//!
//! Errors say what would be right; the flag that was wrong is named by who parses the command line.

use dormouse_client::NewTime;
use jiff::Timestamp;
use std::io::{self, Read as _};
use std::time::{Duration, SystemTime};

/// The units of a duration, longest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// No coordinator accepts a payload of more than 1 MiB, so no more of a file is read.
const PAYLOAD_BYTES_MAX: u64 = 1 << 20;

/// Reads `90s`, `15m`, `2h30m`, `500ms`: whole numbers with units from days to milliseconds, the longest first.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let why = || format!("{text:?} is no duration; write it like 90s, 15m, 2h30m or 500ms");
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut millis: u64 = 0;
    while !rest.is_empty() || text.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(why)?;
        let (number, tail) = rest.split_at(unit_at);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (_, size) = units.find(|(name, _)| *name == unit).ok_or_else(why)?;
        let number: u64 = number.parse().map_err(|_| why())?;
        millis = number
            .checked_mul(*size)
            .and_then(|more| millis.checked_add(more))
            .ok_or_else(|| format!("{text:?} is longer than any duration can be"))?;
        rest = tail;
    }
    Ok(Duration::from_millis(millis))
}

/// Reads an instant of RFC 3339, such as `2030-01-01T08:00:00+01:00`, or `+15m` for as long from now.
pub(crate) fn time(text: &str) -> Result<NewTime, String> {
    if let Some(wait) = text.strip_prefix('+') {
        return duration(wait).map(NewTime::After);
    }
    let instant: Timestamp = text.parse().map_err(|_| {
        format!(
            "{text:?} is no time; write it like 2030-01-01T08:00:00Z, 2030-01-01T09:00:00+01:00, or +15m from now"
        )
    })?;
    Ok(NewTime::At(SystemTime::from(instant)))
}

/// Reads a payload: the text itself, the content of a file for `@FILE`, standard input for `@-`.
pub(crate) fn payload(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix('@') {
        None => Ok(text.as_bytes().to_vec()),
        Some("-") => read(io::stdin(), "standard input"),
        Some(path) => {
            let file = std::fs::File::open(path)
                .map_err(|error| format!("cannot read the payload from {path}: {error}"))?;
            read(file, path)
        }
    }
}

fn read(from: impl io::Read, name: &str) -> Result<Vec<u8>, String> {
    let mut payload = Vec::new();
    from.take(PAYLOAD_BYTES_MAX + 1)
        .read_to_end(&mut payload)
        .map_err(|error| format!("cannot read the payload from {name}: {error}"))?;
    if payload.len() as u64 > PAYLOAD_BYTES_MAX {
        return Err(format!(
            "the payload from {name} is above 1 MiB; keep it elsewhere and let the timer carry its address"
        ));
    }
    Ok(payload)
}

/// A length of time as [`duration`] reads it, such as `2h30m`.
pub(crate) fn in_units(length: Duration) -> String {
    let mut rest = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, size) in UNITS {
        if rest >= size {
            text = format!("{text}{}{unit}", rest / size);
            rest %= size;
        }
    }
    match text.is_empty() {
        true => "0s".into(),
        false => text,
    }
}

/// Reads statuses of HTTP: `204`, or `200-299`.
pub(crate) fn statuses(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.filter(|number| (100..=599).contains(number))
    };
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(format!(
            "{text:?} is no range of statuses; write it like 204 or 200-299"
        )),
    }
}

/// Reads `KEY=VALUE`.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is no label; write KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, millis) in [
            ("90s", 90_000),
            ("15m", 900_000),
            ("2h30m", 9_000_000),
            ("500ms", 500),
            ("1d", 86_400_000),
            ("1m5ms", 60_005),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_duration_is_shown_as_it_is_read() {
        for text in ["0s", "500ms", "90m", "2h30m", "1d", "1m5ms"] {
            let length = duration(text).unwrap();
            assert_eq!(duration(&in_units(length)), Ok(length), "{text}");
        }
        assert_eq!(in_units(Duration::from_secs(90)), "1m30s");
    }

    #[test]
    fn statuses_are_one_or_a_range() {
        assert_eq!(statuses("204"), Ok(204..=204));
        assert_eq!(statuses("200-299"), Ok(200..=299));
        for text in ["", "99", "600", "299-200", "200-", "-200", "+20", "2xx"] {
            assert!(statuses(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in [
            "", "5", "s", "-5s", "+5s", "5 s", "1.5s", "5s5", "5s5m", "5s5s", "5x", "NaN", "٣s",
        ] {
            let why = duration(text).expect_err(text);
            assert!(why.contains("2h30m"), "{why}");
        }
        assert!(duration("99999999999999999999s").is_err());
        assert!(duration("18446744073709551615d").is_err());
    }

    #[test]
    fn a_time_is_an_instant_or_a_wait() {
        assert_eq!(
            time("1970-01-01T01:00:01.5+01:00"),
            Ok(NewTime::At(
                SystemTime::UNIX_EPOCH + Duration::from_millis(1500)
            ))
        );
        assert_eq!(time("+15m"), Ok(NewTime::After(Duration::from_secs(900))));
        for text in [
            "",
            "tomorrow",
            "2030-01-01",
            "2030-01-01T08:00:00",
            "2030-13-01T08:00:00Z",
            "10000-01-01T00:00:00Z",
            "+",
            "+-5s",
            "1700000000",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_payload_is_text_or_a_file() {
        assert_eq!(payload("text"), Ok(b"text".to_vec()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        std::fs::write(&path, [0, 255]).unwrap();
        let named = format!("@{}", path.display());
        assert_eq!(payload(&named), Ok(vec![0, 255]));
        std::fs::write(&path, vec![0; (1 << 20) + 1]).unwrap();
        assert!(payload(&named).unwrap_err().contains("1 MiB"));
        assert!(
            payload("@/nowhere/at/all")
                .unwrap_err()
                .contains("/nowhere")
        );
    }
}
