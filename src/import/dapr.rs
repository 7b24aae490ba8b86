//! Jobs of Dapr as timers.
//!
//! Two forms are read: what its Jobs API takes and answers (`name`, `schedule`, `dueTime`, `repeats`, `ttl`, `data`,
//! `overwrite`, `failurePolicy`), and what `dapr scheduler list -o json` or `-o yaml` prints, which has no data and no
//! failure policy, but tells when a job began and how often it was triggered. `dapr/times` reads schedule and times.

#[cfg(test)]
mod tests;
mod times;

use super::document::{Documents, Node};
use super::foreign::{Entry, Found, Settings, timer_id};
use super::periods;
use crate::names;
use crate::source::{Place, Remark};
use dormouse_client::wire;
use prost::Message as _;
use std::time::Duration;

/// Retries of a job that does not say how many.
const RETRIES: u64 = 3;
/// The wait between them.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The most attempts that a timer may have.
const ATTEMPTS_MAX: u64 = 100;
/// The shortest wait that a retry policy can have.
const BACKOFF_MIN: Duration = Duration::from_millis(1);
/// What a value of a label has at most, in characters.
const LABEL_LENGTH_MAX: usize = 63;
/// What `dapr scheduler export` begins its file with, somewhere in the first bytes.
const EXPORT_MARK: &[u8] = b"ExportFile";

/// Reads jobs.
pub(super) fn read(bytes: &[u8], settings: &Settings<'_>) -> Found {
    let mut found = Found::default();
    let start = Place { line: 1, column: 1 };
    let refuse = |why: &str| Remark {
        place: start,
        text: why.to_owned(),
    };
    let head = &bytes[..bytes.len().min(256)];
    if head.windows(EXPORT_MARK.len()).any(|it| it == EXPORT_MARK) {
        let why = "it is of `dapr scheduler export`, which only `dapr scheduler import` reads; \
                   write the jobs with `dapr scheduler list --filter app -o json`";
        found.problems.push(refuse(why));
        return found;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        found.problems.push(refuse("it is not UTF-8"));
        return found;
    };
    match Documents::read(text) {
        Ok(documents) => documents
            .roots()
            .for_each(|root| found.take_job(&root, settings)),
        Err(problem) => found.problems.push(problem),
    }
    if found.entries.is_empty() && found.problems.is_empty() && found.notes.is_empty() {
        found.problems.push(refuse("there is no job in it"));
    }
    found
}

impl Found {
    /// Takes a job, a list of jobs, or an object that has such a list.
    fn take_job(&mut self, node: &Node<'_>, settings: &Settings<'_>) {
        let inner = node.get("jobs").filter(Node::is_list);
        let list = if node.is_list() {
            Some(node)
        } else {
            inner.as_ref()
        };
        if let Some(list) = list {
            for item in list.items().unwrap_or_default() {
                self.take_job(&item, settings);
            }
            return;
        }
        if !node.is_mapping() {
            return self.problems.push(node.remark("must be a job"));
        }
        match Job::read(node, settings) {
            Ok(Some(entry)) => self.entries.push(entry),
            Ok(None) => {}
            Err(Refused::Left(note)) => self.notes.push(note),
            Err(Refused::Wrong(problems)) => self.problems.extend(problems),
        }
    }
}

/// Why a job does not become a timer.
enum Refused {
    /// It is nothing that a timer is for.
    Left(Remark),
    /// It is wrong.
    Wrong(Vec<Remark>),
}

/// Whose job it is.
struct Name<'a> {
    app: Option<&'a str>,
    namespace: Option<&'a str>,
    job: &'a str,
}

/// A job on its way to a timer; all that is wrong with it is gathered.
struct Job {
    timer: wire::Timer,
    notes: Vec<Remark>,
    problems: Vec<Remark>,
}

impl Job {
    fn read(node: &Node<'_>, settings: &Settings<'_>) -> Result<Option<Entry>, Refused> {
        let wrong = |problem| Refused::Wrong(vec![problem]);
        let name = Name::read(node)?;
        let handler = settings.handler.unwrap_or(name.job);
        names::handler(handler)
            .map_err(|why| wrong(node.remark(format!("name: {why}; name one by --handler"))))?;
        let mut job = Self {
            timer: periods::timer_for(handler, periods::every(Duration::ZERO, None)),
            notes: Vec::new(),
            problems: Vec::new(),
        };
        job.labels(&name);
        job.data(node);
        job.failure_policy(node);
        job.rest(node);
        let what = name.shown();
        let identity = job.timer.encode_to_vec();
        let scheduled = match times::read(node, settings) {
            Ok(scheduled) => scheduled,
            Err(problem) => {
                job.problems.push(problem);
                None
            }
        };
        if !job.problems.is_empty() {
            let prefixed = job.problems.into_iter().map(|problem| Remark {
                text: format!("{what}: {}", problem.text),
                ..problem
            });
            return Err(Refused::Wrong(prefixed.collect()));
        }
        let Some(scheduled) = scheduled else {
            let note = node.remark(format!("{what} has been triggered as often as it should"));
            return Err(Refused::Left(note));
        };
        job.notes.extend(scheduled.notes);
        job.timer.schedule = Some(wire::Schedule {
            kind: Some(scheduled.kind),
        });
        job.timer.start_time = scheduled.start.map(periods::timestamp);
        job.timer.end_time = scheduled.end.map(periods::timestamp);
        job.timer.expire_time = scheduled.expire.map(periods::timestamp);
        job.timer.max_occurrences = scheduled.occurrences;
        job.notes.sort_by_key(|note| note.place);
        Ok(Some(Entry {
            what,
            place: node.place(),
            timer_id: name.id(),
            schedule: scheduled.shown,
            identity: [identity, scheduled.identity.into_bytes()].concat(),
            timer: job.timer,
            notes: job.notes,
        }))
    }

    /// The value of what was read; what is wrong with it is noted.
    fn kept<T>(&mut self, read: Option<Result<T, Remark>>) -> Option<T> {
        match read? {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    fn labels(&mut self, name: &Name<'_>) {
        let labels = [
            ("dapr.app", name.app),
            ("dapr.namespace", name.namespace),
            ("dapr.job", Some(name.job)),
        ];
        for (key, value) in labels {
            if let Some(value) = value.filter(|it| it.chars().count() <= LABEL_LENGTH_MAX) {
                self.timer.labels.insert(key.into(), value.into());
            }
        }
    }

    /// The data as JSON; of a typed value the value.
    fn data(&mut self, node: &Node<'_>) {
        let Some(data) = node.get("data") else {
            if node.get("begin").is_some() {
                self.notes
                    .push(node.remark("the list does not tell its data; the payload is empty"));
            }
            return;
        };
        let value = match (data.get("@type"), data.get("value")) {
            (Some(kind), Some(value)) => {
                self.notes
                    .push(kind.remark("is left out; the payload is the value"));
                value.json()
            }
            _ => data.json(),
        };
        self.timer.payload = value.to_string().into();
        self.timer.content_type = "application/json".into();
    }

    fn failure_policy(&mut self, node: &Node<'_>) {
        let policy = node
            .get("failurePolicy")
            .or_else(|| node.get("failure_policy"));
        let (mut retries, mut interval) = (RETRIES, RETRY_INTERVAL);
        match &policy {
            None if node.get("begin").is_some() => {
                self.notes.push(node.remark(
                    "the list does not tell its failure policy; it gets the default, 3 retries 1 s apart",
                ));
            }
            None => {}
            Some(policy) => match Self::kind(policy).as_deref() {
                Some("drop") => retries = 0,
                Some("constant") => (retries, interval) = self.constant(policy),
                _ => {
                    let why = policy.remark("must be drop or constant");
                    self.problems.push(why);
                }
            },
        }
        let attempts = retries.saturating_add(1);
        let wait = periods::duration(interval.max(BACKOFF_MIN));
        self.timer.retry = Some(wire::RetryPolicy {
            max_attempts: u32::try_from(attempts.min(ATTEMPTS_MAX)).unwrap_or(u32::MAX),
            backoff_min: Some(wait),
            backoff_max: Some(wait),
            backoff_factor: 1.0,
            attempt_timeout: None,
        });
    }

    /// `{"constant": {...}}`, or `{"type": "constant", ...}` as some of its libraries write it.
    fn kind(policy: &Node<'_>) -> Option<String> {
        if let Some(kind) = policy.get("type") {
            return kind.text().ok().map(str::to_ascii_lowercase);
        }
        // An empty `drop` has a value all the same: an empty mapping.
        ["drop", "constant"]
            .into_iter()
            .find(|kind| policy.get(kind).is_some())
            .map(str::to_owned)
    }

    fn constant(&mut self, policy: &Node<'_>) -> (u64, Duration) {
        let constant = policy.get("constant");
        let constant = constant.as_ref().unwrap_or(policy);
        let retries = constant
            .get("maxRetries")
            .or_else(|| constant.get("max_retries"));
        let retries = match retries {
            None => {
                let note = "has no bound on retries; a timer has at most 100 attempts";
                self.notes.push(constant.remark(note));
                ATTEMPTS_MAX
            }
            Some(node) => {
                let retries = self.kept(Some(node.number())).unwrap_or_default();
                if retries >= ATTEMPTS_MAX {
                    self.notes
                        .push(node.remark("a timer has at most 100 attempts"));
                }
                retries
            }
        };
        let interval = constant.get("interval").map(|node| {
            let interval = periods::go(node.text()?);
            interval.ok_or_else(|| node.remark("is no duration; write it like 200ms, 15s or 2m"))
        });
        (retries, self.kept(interval).unwrap_or_default())
    }

    fn rest(&mut self, node: &Node<'_>) {
        for (key, node) in node.entries() {
            match key.as_str() {
                "name" | "namespace" | "schedule" | "dueTime" | "due_time" | "repeats" | "ttl"
                | "data" | "failurePolicy" | "failure_policy" | "begin" | "expiration"
                | "count" | "lastTrigger" => {}
                "overwrite" => {
                    if self.kept(Some(node.flag())) == Some(true) {
                        let why = "a timer that exists and is another one is not replaced";
                        self.notes.push(node.remark(why));
                    }
                }
                _ if node.is_empty() => {}
                _ => self.notes.push(node.remark("is not known here")),
            }
        }
    }
}

impl<'a> Name<'a> {
    fn read(node: &Node<'a>) -> Result<Self, Refused> {
        let wrong = |problem| Refused::Wrong(vec![problem]);
        let name = node
            .get("name")
            .ok_or_else(|| wrong(node.remark("name: is missing")))?;
        let whole = name.text().map_err(wrong)?;
        let namespace = node.get("namespace");
        let namespace = namespace.map(|it| it.text()).transpose().map_err(wrong)?;
        // The list tells the kind of each in front of its name; only that form tells when it began.
        let listed = node.get("begin").is_some();
        let mut parts = whole.splitn(3, '/');
        match (listed, parts.next(), parts.next(), parts.next()) {
            (true, Some("app"), Some(app), Some(job)) => Ok(Self {
                app: Some(app),
                namespace,
                job,
            }),
            (true, Some(kind @ ("actor" | "workflow" | "activity")), Some(_), _) => {
                let why = format!("{whole} is left out; what belongs to an {kind} stays with Dapr");
                Err(Refused::Left(
                    node.remark(why.replace("an workflow", "a workflow")),
                ))
            }
            _ => Ok(Self {
                app: None,
                namespace,
                job: whole,
            }),
        }
    }

    fn shown(&self) -> String {
        match self.app {
            Some(app) => format!("job {app}/{}", self.job),
            None => format!("job {}", self.job),
        }
    }

    fn id(&self) -> String {
        match self.app {
            Some(app) => timer_id(&format!("{app}.{}", self.job)),
            None => timer_id(self.job),
        }
    }
}
