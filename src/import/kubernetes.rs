//! CronJob manifests of Kubernetes as timers.
//!
//! Here is the walk over documents and lists, and the CronJob itself; `kubernetes/schedule` reads its schedule,
//! `kubernetes/pod` what it runs. What a field means there is told in the API reference of `batch/v1`.

mod pod;
mod schedule;
#[cfg(test)]
mod tests;

use super::document::{Documents, Node};
use super::foreign::{Entry, Found, Settings, timer_id};
use super::periods;
use crate::source::{Place, Remark};
use dormouse_client::wire;
use prost::Message as _;
use std::time::Duration;

/// Retries of a Job that does not say how many.
const BACKOFF_LIMIT: u64 = 6;
/// A Job waits this long before its first retry, doubled with each further one.
const BACKOFF_MIN: Duration = Duration::from_secs(10);
/// The longest of these waits.
const BACKOFF_MAX: Duration = Duration::from_secs(360);
/// The longest time that an attempt may be silent.
const ATTEMPT_SECONDS_MAX: u64 = 24 * 3600;
/// The most attempts that a timer may have.
const ATTEMPTS_MAX: u64 = 100;
/// A shorter catch-up window is none.
const WINDOW_MIN_SECONDS: u64 = 60;
/// Without a deadline the latest missed occurrence begins however late it is; no period is longer than the horizon.
const WINDOW_MAX_SECONDS: u64 = 10 * 365 * 24 * 3600;
/// The handler of imported CronJobs, unless told otherwise.
const HANDLER: &str = "cronjob";
/// What a key or value of a label has at most, in characters.
const LABEL_LENGTH_MAX: usize = 63;
/// Labels that are taken over; a few places are left for those of the import.
const LABELS_MAX: usize = 60;

/// Reads manifests.
pub(super) fn read(bytes: &[u8], settings: &Settings<'_>) -> Found {
    let mut found = Found::default();
    let Ok(text) = std::str::from_utf8(bytes) else {
        found.problems.push(at_the_start("it is not UTF-8"));
        return found;
    };
    match Documents::read(text) {
        Ok(documents) => documents
            .roots()
            .for_each(|root| found.take_manifest(&root, "", settings)),
        Err(problem) => found.problems.push(problem),
    }
    if found.entries.is_empty() && found.problems.is_empty() {
        found
            .problems
            .push(at_the_start("there is no CronJob in it"));
    }
    found
}

fn at_the_start(why: &str) -> Remark {
    let place = Place { line: 1, column: 1 };
    let text = why.to_owned();
    Remark { place, text }
}

impl Found {
    /// Takes a document, or an item of a list whose kind says what its items are.
    fn take_manifest(&mut self, object: &Node<'_>, item_kind: &str, settings: &Settings<'_>) {
        let kind = object.get("kind");
        let kind = kind.as_ref().and_then(|it| it.text().ok());
        match kind.unwrap_or(item_kind) {
            "CronJob" => match CronJob::read(object, settings) {
                Ok(entry) => self.entries.push(entry),
                Err(problems) => self.problems.extend(problems),
            },
            list if list.ends_with("List") => self.take_list(object, list, settings),
            "" => self.problems.push(object.remark("kind: is missing")),
            other => {
                let note = format!("a {other} is left out; only CronJobs become timers");
                self.notes.push(object.remark(note));
            }
        }
    }

    fn take_list(&mut self, list: &Node<'_>, kind: &str, settings: &Settings<'_>) {
        let items = list.get("items").map(|items| items.items());
        match items.transpose() {
            Ok(items) => {
                for item in items.unwrap_or_default() {
                    self.take_manifest(&item, kind.trim_end_matches("List"), settings);
                }
            }
            Err(problem) => self.problems.push(problem),
        }
    }
}

/// A CronJob on its way to a timer; all that is wrong with it is gathered.
struct CronJob {
    timer: wire::Timer,
    notes: Vec<Remark>,
    problems: Vec<Remark>,
}

impl CronJob {
    fn read(object: &Node<'_>, settings: &Settings<'_>) -> Result<Entry, Vec<Remark>> {
        let handler = settings.handler.unwrap_or(HANDLER);
        let mut job = Self {
            timer: periods::timer_for(handler, periods::every(Duration::ZERO, None)),
            notes: Vec::new(),
            problems: Vec::new(),
        };
        job.version(object);
        let (id, what) = job.metadata(object);
        let mut schedule = String::new();
        match object.get("spec") {
            Some(spec) => schedule = job.spec(&spec, settings),
            None => job.problems.push(object.remark("spec: is missing")),
        }
        if !job.problems.is_empty() {
            let prefixed = job.problems.into_iter().map(|problem| Remark {
                text: format!("{what}: {}", problem.text),
                ..problem
            });
            return Err(prefixed.collect());
        }
        job.notes.sort_by_key(|note| note.place);
        Ok(Entry {
            what,
            place: object.place(),
            timer_id: id,
            schedule,
            identity: job.timer.encode_to_vec(),
            timer: job.timer,
            notes: job.notes,
        })
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

    fn note(&mut self, node: &Node<'_>, why: &str) {
        self.notes.push(node.remark(why));
    }

    fn version(&mut self, object: &Node<'_>) {
        let Some(version) = object.get("apiVersion") else {
            // The items of a typed list do not repeat it.
            return;
        };
        if !matches!(version.text(), Ok("batch/v1" | "batch/v1beta1")) {
            let why = "must be batch/v1 or batch/v1beta1";
            self.problems.push(version.remark(why));
        }
    }

    /// The timer's id, and what to call the CronJob.
    fn metadata(&mut self, object: &Node<'_>) -> (String, String) {
        let Some(metadata) = object.get("metadata") else {
            self.problems.push(object.remark("metadata: is missing"));
            return (String::new(), "CronJob".into());
        };
        let namespace = metadata.get("namespace");
        let namespace = self.kept(namespace.map(|it| it.text())).unwrap_or("");
        let Some(name) = metadata.get("name") else {
            let why = "must have a name; one that is generated would be another with each import";
            self.problems.push(metadata.remark(why));
            return (String::new(), "CronJob".into());
        };
        let name = self.kept(Some(name.text())).unwrap_or_default();
        let (id, what) = match namespace {
            "" => (name.to_owned(), format!("CronJob {name}")),
            namespace => (
                format!("{namespace}.{name}"),
                format!("CronJob {namespace}/{name}"),
            ),
        };
        self.labels(&metadata, namespace, name);
        for (key, node) in metadata.entries() {
            if matches!(key.as_str(), "annotations" | "finalizers") && !node.is_empty() {
                self.note(&node, "a timer has labels only");
            }
        }
        (timer_id(&id), what)
    }

    fn labels(&mut self, metadata: &Node<'_>, namespace: &str, name: &str) {
        let labels = metadata.get("labels");
        for (key, node) in labels.iter().flat_map(|labels| labels.entries()) {
            let Some(value) = self.kept(Some(node.text())) else {
                continue;
            };
            if key.chars().count() > LABEL_LENGTH_MAX {
                self.note(&node, "its key has more than 63 characters");
            } else if self.timer.labels.len() >= LABELS_MAX {
                self.note(&node, "a timer has at most 64 labels");
            } else {
                self.timer.labels.insert(key, value.into());
            }
        }
        for (key, value) in [
            ("kubernetes.namespace", namespace),
            ("kubernetes.name", name),
        ] {
            if (1..=LABEL_LENGTH_MAX).contains(&value.len()) {
                self.timer.labels.insert(key.into(), value.into());
            }
        }
    }

    /// Everything of `spec`; the schedule in words.
    fn spec(&mut self, spec: &Node<'_>, settings: &Settings<'_>) -> String {
        let shown = match schedule::read(spec, settings.zone) {
            Ok((kind, shown)) => {
                self.timer.schedule = Some(wire::Schedule { kind: Some(kind) });
                shown
            }
            Err(problem) => {
                self.problems.push(problem);
                String::new()
            }
        };
        self.concurrency(spec);
        self.deadline(spec);
        let mut template = None;
        for (key, node) in spec.entries() {
            match key.as_str() {
                "schedule" | "timeZone" | "concurrencyPolicy" | "startingDeadlineSeconds" => {}
                "suspend" => self.timer.paused = self.kept(Some(node.flag())).unwrap_or(false),
                "successfulJobsHistoryLimit" | "failedJobsHistoryLimit" => {
                    self.note(&node, "the history of runs has its own bounds");
                }
                "jobTemplate" => template = Some(node),
                _ => self.note(&node, "is not known here"),
            }
        }
        match template
            .as_ref()
            .map(|template| (template, template.get("spec")))
        {
            Some((template, Some(job))) => {
                self.template_metadata(template);
                self.job(&job);
            }
            Some((template, None)) => self.problems.push(template.remark("spec is missing")),
            None => self.problems.push(spec.remark("jobTemplate is missing")),
        }
        shown
    }

    fn concurrency(&mut self, spec: &Node<'_>) {
        let policy = spec.get("concurrencyPolicy");
        let overlap = match policy.as_ref().map(|policy| (policy, policy.text())) {
            None | Some((_, Ok("Allow"))) => wire::Overlap::Allow,
            Some((_, Ok("Forbid"))) => wire::Overlap::Skip,
            Some((_, Ok("Replace"))) => wire::Overlap::Replace,
            Some((policy, _)) => {
                let why = policy.remark("must be Allow, Forbid or Replace");
                return self.problems.push(why);
            }
        };
        self.timer.overlap = overlap.into();
    }

    /// How late a missed Job may begin: of those that were missed only the latest does.
    fn deadline(&mut self, spec: &Node<'_>) {
        let deadline = spec.get("startingDeadlineSeconds");
        let seconds = self.kept(deadline.as_ref().map(Node::number));
        match seconds {
            Some(short) if short < WINDOW_MIN_SECONDS => {
                self.timer.misfire = wire::Misfire::Skip.into();
                self.timer.misfire_grace = Some(periods::seconds(short.max(1)));
                if short == 0 {
                    let node = deadline.as_ref().unwrap_or(spec);
                    self.note(node, "0 would begin nothing; it is taken as 1 s");
                }
            }
            window => {
                let window = window.unwrap_or(WINDOW_MAX_SECONDS).min(WINDOW_MAX_SECONDS);
                self.timer.misfire = wire::Misfire::Once.into();
                self.timer.catchup_window = Some(periods::seconds(window));
            }
        }
    }

    fn template_metadata(&mut self, template: &Node<'_>) {
        let metadata = template.get("metadata");
        for (_, node) in metadata.iter().flat_map(|metadata| metadata.entries()) {
            if !node.is_empty() {
                self.note(&node, "no Job is made");
            }
        }
    }

    /// What a Job says of its attempts, and what it runs.
    fn job(&mut self, job: &Node<'_>) {
        let limit = job.get("backoffLimit");
        let limit_number = self.kept(limit.as_ref().map(Node::number));
        let attempts = limit_number.unwrap_or(BACKOFF_LIMIT).saturating_add(1);
        if let Some(limit) = limit.filter(|_| attempts > ATTEMPTS_MAX) {
            self.note(&limit, "an occurrence has at most 100 attempts");
        }
        let deadline = job.get("activeDeadlineSeconds");
        let seconds = self.kept(deadline.as_ref().map(Node::number));
        if let Some(deadline) = deadline.as_ref() {
            if seconds == Some(0) {
                self.problems.push(deadline.remark("must be at least 1"));
            }
            self.note(
                deadline,
                match seconds {
                    Some(long) if long > ATTEMPT_SECONDS_MAX => {
                        "counts for each attempt, from its last sign of life, and is at most a day"
                    }
                    _ => "counts for each attempt, not for all together, and from its last sign of life",
                },
            );
        }
        self.timer.retry = Some(wire::RetryPolicy {
            max_attempts: u32::try_from(attempts.min(ATTEMPTS_MAX)).unwrap_or(u32::MAX),
            backoff_min: Some(periods::duration(BACKOFF_MIN)),
            backoff_max: Some(periods::duration(BACKOFF_MAX)),
            backoff_factor: 2.0,
            attempt_timeout: seconds.map(|it| periods::seconds(it.min(ATTEMPT_SECONDS_MAX))),
        });
        for (key, node) in job.entries() {
            match (key.as_str(), node.json().as_u64()) {
                ("backoffLimit" | "activeDeadlineSeconds" | "template", _) => {}
                ("completions" | "parallelism", Some(1)) => {}
                ("completions" | "parallelism", _) => {
                    self.note(
                        &node,
                        "an occurrence is one run; the handler can divide the work",
                    );
                }
                ("ttlSecondsAfterFinished", _) => {
                    self.note(&node, "the history of runs has its own bounds");
                }
                _ if node.is_empty() => {}
                _ => self.note(&node, "no Job is made"),
            }
        }
        match job.get("template") {
            Some(template) => self.pod(&template),
            None => self.problems.push(job.remark("template is missing")),
        }
    }
}
