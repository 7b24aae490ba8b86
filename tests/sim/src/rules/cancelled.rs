//! What was cancelled or moved, and acknowledged, stays so: no run of it starts under a later token.

use super::known::{Known, floor_at};
use super::{Rule, Violation, broken};
use crate::clock::Moment;
use crate::fact::Fact;
use crate::process::Who;
use dormouse_engine::id::{Token, Uid};
use dormouse_engine::op::{Answer, Cancelled, Change, Op};
use std::collections::BTreeMap;

/// From here on nothing older than `generation` starts.
#[derive(Debug, Clone, Copy)]
struct Word {
    generation: u64,
    floor: Token,
    /// The node that gave the word, if it is the home itself.
    home: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Final {
    words: BTreeMap<Uid, Word>,
    /// The newest run of a timer that a home has begun: what comes after that leaves it alone.
    begun: BTreeMap<Uid, Token>,
}

const RULE: &str = "an acknowledged change is final";

impl Rule for Final {
    fn see(&mut self, known: &Known, _: Moment, fact: &Fact) -> Result<(), Violation> {
        match fact {
            Fact::Answered {
                request,
                answer,
                index,
            } => {
                self.answered(known, *request, answer, floor_at(*index));
                Ok(())
            }
            Fact::Decided {
                node,
                uid,
                token,
                own: true,
                ..
            } => match self.note_begun(*uid, *token) {
                Some(word)
                    if word.generation == u64::MAX
                        && word.home == Some(*node)
                        && !excused(known, *uid) =>
                {
                    Err(broken(
                        RULE,
                        *uid,
                        format!("n{node} cancelled it and launches token {token} all the same"),
                    ))
                }
                _ => Ok(()),
            },
            Fact::Launched { node, run, .. } => match self.words.get(&run.uid) {
                Some(word)
                    if run.generation < word.generation
                        && run.token > word.floor
                        && !excused(known, run.uid) =>
                {
                    let what = format!(
                        "n{node} launched token {} of generation {}; the word was given below {}",
                        run.token, run.generation, word.floor
                    );
                    Err(broken(RULE, run.uid, what))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

fn excused(known: &Known, uid: Uid) -> bool {
    known
        .subjects
        .get(&uid)
        .is_some_and(|subject| subject.excused)
}

impl Final {
    fn note_begun(&mut self, uid: Uid, token: Token) -> Option<&Word> {
        let newest = self.begun.entry(uid).or_default();
        *newest = token.max(*newest);
        self.words.get(&uid)
    }

    fn answered(&mut self, known: &Known, request: u64, answer: &Answer, floor: Token) {
        let Some(asked) = known.requests.get(&request) else {
            return;
        };
        let Some(uid) = asked.uid else { return };
        let generation = match (&asked.op, answer) {
            (
                Op::Change {
                    change: Change::Cancel,
                    ..
                },
                Answer::Cancelled(Cancelled::Cancelled | Cancelled::Running(_)),
            ) => u64::MAX,
            (
                Op::Change {
                    change: Change::Rearm { .. } | Change::Update { .. },
                    ..
                },
                Answer::Timer(timer),
            ) => timer.generation,
            _ => return,
        };
        let floor = floor.max(self.begun.get(&uid).copied().unwrap_or_default());
        let home = known
            .subjects
            .get(&uid)
            .and_then(|subject| known.home_of(subject));
        let home = home.filter(|home| asked.at == Who::Node(*home));
        let before = self.words.get(&uid).map_or(0, |word| word.generation);
        if generation > before {
            self.words.insert(
                uid,
                Word {
                    generation,
                    floor,
                    home,
                },
            );
        }
    }
}
