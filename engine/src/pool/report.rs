//! A node's report: applied once and in order, answered as often as it is asked.

use super::orders::OrderKey;
use super::{Effect, Link, Note, Pool};
use crate::hierarchy::Report as Standing;
use crate::id::{NodeId, Token, Uid};
use crate::ledger::{Stance, Tail};
use crate::message::{
    Act, Active, CoordinatorMessage, Goodbye, Items, Reply, Report, ReportAnswer,
};
use crate::op::Refusal;
use crate::planted::{self, Fault};
use crate::time::{LogIndex, Now};
use crate::timer::Outcome;

/// Changes that were not applied, and why.
type Refused = Vec<(Uid, Refusal)>;

impl Pool {
    pub(super) fn hear_report(&mut self, now: Now, link: Link, report: Report) {
        let Some(node) = self.speaker(link, report.session) else {
            return;
        };
        let newest = self.live.get(&node).map_or(0, |live| live.seq);
        if report.seq < newest && !planted::is(Fault::AcceptStaleReport) {
            return;
        }
        self.extend_lease(&node, now);
        if report.seq == newest {
            return self.answer_again(now, link, &node);
        }
        let answer = self.apply(now, &node, report);
        self.answer(link, &node, answer);
    }

    fn answer(&mut self, link: Link, node: &NodeId, answer: ReportAnswer) {
        let gone = answer.reply == Reply::Gone;
        if let Some(live) = self.live.get_mut(node) {
            live.seq = answer.seq;
            live.answer = Some(answer.clone());
        }
        self.send(link, CoordinatorMessage::Answer(answer));
        if gone {
            self.live.remove(node);
            self.orders.drop_all(node);
            self.returning.forget(node);
            self.changed.insert(node.clone());
            self.links.remove(&link);
            self.effects.push(Effect::Close { link });
        }
    }

    /// A repeated report is not applied again; whether the node may sleep is looked at afresh.
    fn answer_again(&mut self, now: Now, link: Link, node: &NodeId) {
        let answered = self.live.get(node).and_then(|live| live.answer.clone());
        let Some(mut answer) = answered else { return };
        answer.clock = now.wall;
        if matches!(answer.reply, Reply::Parked { .. }) {
            answer.reply = self.cover_again(node);
        }
        self.answer(link, node, answer);
    }

    fn apply(&mut self, now: Now, node: &NodeId, report: Report) -> ReportAnswer {
        let Report {
            session,
            seq,
            epoch,
            act,
            items,
        } = report;
        self.hear_items(now, node, &items);
        let stance = self
            .ledger
            .node(node)
            .filter(|n| n.epoch == epoch)
            .map(|n| n.stance);
        self.note_spoken(node, epoch);
        let (refused, reply) = self.apply_act(now, node, (&act, stance), &items);
        let known = self.ledger.index();
        ReportAnswer {
            session,
            seq,
            known,
            clock: now.wall,
            reply,
            refused,
        }
    }

    fn apply_act(
        &mut self,
        now: Now,
        node: &NodeId,
        (act, stance): (&Act, Option<Stance>),
        items: &Items,
    ) -> (Refused, Reply) {
        let owner = tail_of(node, LogIndex(0), true);
        match (act, stance) {
            (Act::Active(active), _) => self.apply_active(now, node, (active, stance), items),
            (Act::Goodbye(goodbye), _) => self.apply_goodbye(now, node, (goodbye, stance), items),
            (Act::Tail { known }, _) => {
                let tail = tail_of(node, *known, stance == Some(Stance::Active));
                (self.judge(now, &tail, items), Reply::Noted)
            }
            (Act::Stay, Some(Stance::Active)) => {
                let refused = self.judge(now, &owner, items);
                self.ledger.keep_only_heavy(node, items);
                (refused, Reply::Noted)
            }
            (Act::Stay, Some(Stance::Parked)) => {
                let refused = self.judge(now, &tail_of(node, LogIndex(0), false), items);
                (refused, self.cover_of_parked(now, node))
            }
            (Act::Stage { attempt }, Some(Stance::Active)) => {
                let refused = self.judge_piece(now, owner, *attempt, items);
                (refused, Reply::Noted)
            }
            (Act::Idle(idle), Some(Stance::Active)) => {
                let refused = self.judge_piece(now, owner, idle.attempt, items);
                (refused, self.park(now, node, idle))
            }
            (Act::Stay | Act::Stage { .. } | Act::Idle(_), _) => {
                self.settle_told_along(now, node, items);
                self.sync(now);
                (Refused::new(), Reply::NotOwner)
            }
        }
    }

    fn judge(&mut self, now: Now, tail: &Tail, items: &Items) -> Refused {
        let refused = self.ledger.judge(tail, items, now.wall);
        self.settle_told_along(now, &tail.node, items);
        self.sync(now);
        refused
    }

    /// A piece of an attempt that is over moves nothing; what it tells of replicated timers counts all the same.
    fn judge_piece(&mut self, now: Now, owner: Tail, attempt: u64, items: &Items) -> Refused {
        let goes_on = self.ledger.open_stage(&owner.node, attempt);
        let stage = goes_on.then_some(attempt);
        let owner = Tail { stage, ..owner };
        let refused = self.judge(now, &owner, items);
        if !goes_on {
            self.ledger.keep_only_heavy(&owner.node, items);
        }
        refused
    }

    /// What came of runs whose beginning is told in the same report: only now they are known to have begun.
    fn settle_told_along(&mut self, now: Now, node: &NodeId, items: &Items) {
        for outcome in items.outcomes.iter().filter(|it| is_told_along(items, it)) {
            self.settle(now, node, outcome);
        }
    }

    /// Tells a node what it has to hear, a piece for each time that it asks; ownership moves with the last.
    fn apply_active(
        &mut self,
        now: Now,
        node: &NodeId,
        (active, stance): (&Active, Option<Stance>),
        items: &Items,
    ) -> (Refused, Reply) {
        let tail = tail_of(node, active.known, stance == Some(Stance::Active));
        let refused = self.judge(now, &tail, items);
        // Ownership has moved without the node's knowledge: it is told everything.
        let known = if stance.is_some() {
            active.known
        } else {
            LogIndex(0)
        };
        let page = self
            .ledger
            .page(node, active.cursor.unwrap_or(known), self.config.message);
        self.sync(now);
        if page.more && !planted::is(Fault::ResumeWithTheFirstPage) {
            return (refused, Reply::Page(page));
        }
        let resumed = self.ledger.resume(node, page, now.wall);
        self.report_standing(node, Standing::Active, now);
        let over = |key| matches!(key, OrderKey::Give(_) | OrderKey::Arm);
        self.orders.drop_many(node, over);
        self.sync(now);
        (refused, Reply::Resumed(resumed))
    }

    fn apply_goodbye(
        &mut self,
        now: Now,
        node: &NodeId,
        (goodbye, stance): (&Goodbye, Option<Stance>),
        items: &Items,
    ) -> (Refused, Reply) {
        let owns = stance == Some(Stance::Active);
        let owner = tail_of(node, LogIndex(0), owns);
        let Some(attempt) = goodbye.attempt else {
            let refused = self.judge(now, &owner, items);
            self.part_with(now, node, None);
            return (refused, Reply::Gone);
        };
        if !owns {
            // Ownership has moved, and what it has staged is void: it has to own its timers once more to hand them over.
            self.settle_told_along(now, node, items);
            self.sync(now);
            return (Refused::new(), Reply::NotOwner);
        }
        let goes_on = self.ledger.open_stage(node, attempt);
        let refused = self.judge_piece(now, owner, attempt, items);
        self.part_with(now, node, goes_on.then_some(attempt));
        (refused, Reply::Gone)
    }

    /// What is true whoever owns what: runs, answers, capacity, readiness.
    fn hear_items(&mut self, now: Now, node: &NodeId, items: &Items) {
        for token in &items.accepted {
            self.orders.drop_one(node, OrderKey::Due(*token));
        }
        for outcome in items.outcomes.iter().filter(|it| !is_told_along(items, it)) {
            self.settle(now, node, outcome);
        }
        for token in &items.declined {
            self.hear_declined(now, node, *token);
        }
        for (uid, _) in &items.taken {
            self.orders.drop_one(node, OrderKey::Give(*uid));
            self.ledger.look_again(node, *uid);
        }
        for (id, answer) in &items.answers {
            self.hear_answer(node, *id, answer.clone());
        }
        if let Some(at) = items.armed {
            self.hear_armed(node, at);
        }
        if let Some(attempt) = items.abandoned {
            self.ledger.abandon_stage(node, attempt);
        }
        self.hear_fitness(now, node, items);
        self.sync(now);
    }

    fn settle(&mut self, now: Now, node: &NodeId, outcome: &(Uid, Token, Outcome)) {
        let (uid, token, outcome) = outcome;
        self.orders.drop_one(node, OrderKey::Due(*token));
        if self.ledger.settle(*uid, *token, outcome, now.wall).is_err() {
            self.note(Note::StaleOutcome(node.clone()));
        }
    }

    /// A run that its node could not begin waits for another one, or for this one to have room again.
    fn hear_declined(&mut self, now: Now, node: &NodeId, token: Token) {
        self.orders.drop_one(node, OrderKey::Due(token));
        let uid = self.ledger.claimed_under(node, token);
        let entry = uid.and_then(|uid| self.ledger.entry(uid));
        let Some((uid, handler)) = entry.map(|it| (it.timer.uid, it.timer.spec.handler.clone()))
        else {
            return;
        };
        if self.ledger.unclaim(uid, token) {
            if let Some(live) = self.live.get_mut(node) {
                live.busy.insert(handler);
            }
            self.changed.insert(node.clone());
            self.put_back(uid, now);
        }
    }

    fn hear_fitness(&mut self, now: Now, node: &NodeId, items: &Items) {
        let Some(live) = self.live.get_mut(node) else {
            return;
        };
        if let Some(willing) = items.eligible {
            live.willing = willing;
        }
        if let Some(capacity) = &items.capacity {
            live.busy.clear();
            live.capacity.clone_from(capacity);
            let handlers = capacity.keys().cloned().collect();
            self.ledger.set_handlers(node, handlers);
            self.changed.insert(node.clone());
        }
        self.judge_fitness(node, now);
    }
}

/// How far a node may be believed.
fn tail_of(node: &NodeId, known: LogIndex, owns: bool) -> Tail {
    Tail {
        node: node.clone(),
        owns,
        known,
        stage: None,
    }
}

fn is_told_along(items: &Items, (uid, ..): &(Uid, Token, Outcome)) -> bool {
    items.changed.iter().any(|timer| timer.uid == *uid)
}
