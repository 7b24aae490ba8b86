//! Facts read from what a process has committed, by its own records.

use crate::fact::Fact;
use crate::process::Who;
use dormouse_engine::ledger;
use dormouse_engine::record::{Key, Record, decode};
use dormouse_engine::timer::{RunRecord, Timer};

/// What a base keeps of a timer, as far as it concerns the rules.
#[derive(serde::Deserialize)]
struct Kept {
    timer: Timer,
}

/// What ledger and base keep of a run.
#[derive(serde::Deserialize)]
struct Past {
    run: RunRecord,
}

/// The fact that a committed record is, if it concerns a rule.
pub(crate) fn read(who: Who, record: &Record) -> Option<Fact> {
    let key = Key::decode(&record.key).expect("a machine writes keys that it knows");
    let value = record.value.as_deref();
    match (who, key) {
        (Who::Coordinator, Key::Timer(uid)) => Some(Fact::Ledger {
            uid,
            timer: value.map(|value| Box::new(read_as::<ledger::Entry>(record, value).timer)),
        }),
        (Who::Coordinator, Key::Node(node)) => Some(Fact::Standing {
            node,
            stance: value.map(|value| read_as::<ledger::Node>(record, value).stance),
        }),
        (Who::Node(_), Key::Timer(uid)) => Some(Fact::Kept {
            uid,
            timer: value.map(|value| Box::new(read_as::<Kept>(record, value).timer)),
        }),
        (_, Key::Run(uid, _)) => Some(Fact::Noted {
            uid,
            run: Box::new(read_as::<Past>(record, value?).run),
        }),
        _ => None,
    }
}

fn read_as<T: serde::de::DeserializeOwned>(record: &Record, value: &[u8]) -> T {
    decode(&record.key, value).expect("a machine writes values that it can read")
}
