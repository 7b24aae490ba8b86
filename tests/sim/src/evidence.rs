//! Facts read from what a process has committed, by its own records.

use crate::fact::Fact;
use crate::node::pool;
use crate::process::Who;
use dormouse_engine::record::{Key, Reader, Record};
use dormouse_engine::{base, ledger};

/// The fact that a committed record is, if it concerns a rule.
pub(crate) fn read(who: Who, record: &Record) -> Option<Fact> {
    let key = Key::decode(&record.key).expect("a machine writes keys that it knows");
    match (who, &key) {
        (_, Key::Timer(_) | Key::Run(..)) | (Who::Coordinator, Key::Node(_)) => {}
        _ => return None,
    }
    let value = record.value.as_deref();
    let (timer, run, node) = value.map_or((None, None, None), |value| {
        let mut reader = Reader::new(pool());
        let broken = "a machine writes values that it can read";
        match who {
            Who::Coordinator => {
                let fact = ledger::Stored::decode(&record.key, value, &mut reader).expect(broken);
                let stance = fact.node().map(|node| node.stance);
                (fact.timer().cloned(), fact.run().cloned(), stance)
            }
            Who::Node(_) => {
                let fact = base::Stored::decode(&record.key, value, &mut reader).expect(broken);
                (fact.timer().cloned(), fact.run().cloned(), None)
            }
        }
    });
    let timer = timer.map(Box::new);
    match (who, key) {
        (Who::Coordinator, Key::Timer(uid)) => Some(Fact::Ledger { uid, timer }),
        (Who::Coordinator, Key::Node(name)) => Some(Fact::Standing {
            node: name,
            stance: node,
        }),
        (Who::Node(_), Key::Timer(uid)) => Some(Fact::Kept { uid, timer }),
        (_, Key::Run(uid, _)) => Some(Fact::Noted {
            uid,
            run: Box::new(run?),
        }),
        _ => None,
    }
}
