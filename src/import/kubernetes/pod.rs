//! What a CronJob runs: the first container of its pod becomes the payload.
//!
//! No pod is made: the handler of the timer runs the command, with what its own machine has. So the names of the
//! variables are told, never their values, which may be secret.

use super::super::document::Node;
use super::CronJob;
use serde::Serialize;

/// Fields that a cluster fills in by itself, and that say nothing about the work.
const FILLED_IN: [&str; 10] = [
    "containers",
    "dnsPolicy",
    "enableServiceLinks",
    "imagePullPolicy",
    "restartPolicy",
    "schedulerName",
    "terminationGracePeriodSeconds",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "name",
];

/// What the handler is given, as JSON.
#[derive(Debug, Default, Serialize)]
struct Payload<'a> {
    image: &'a str,
    command: Vec<&'a str>,
    args: Vec<&'a str>,
    /// Names only.
    env: Vec<&'a str>,
}

impl CronJob {
    pub(super) fn pod(&mut self, template: &Node<'_>) {
        if let Some(metadata) = template.get("metadata").filter(|it| !it.is_empty()) {
            self.note(&metadata, "no pod is made");
        }
        let Some(spec) = template.get("spec") else {
            return self.problems.push(template.remark("spec is missing"));
        };
        for (key, node) in spec.entries() {
            match key.as_str() {
                known if FILLED_IN.contains(&known) => {}
                _ if node.is_empty() => {}
                "initContainers" => self.note(&node, "the handler has to do their work"),
                "activeDeadlineSeconds" => {
                    self.note(
                        &node,
                        "is that of the pod; the Job's is the time-out of an attempt",
                    );
                }
                "nodeSelector"
                | "affinity"
                | "tolerations"
                | "nodeName"
                | "topologySpreadConstraints" => {
                    self.note(
                        &node,
                        "any node of the pool that has the handler may run it",
                    );
                }
                _ => self.note(
                    &node,
                    "no pod is made; the handler has what its machine has",
                ),
            }
        }
        let containers = spec.get("containers").map(|it| it.items());
        let containers = self.kept(containers).unwrap_or_default();
        match containers.split_first() {
            Some((first, others)) => {
                self.container(first);
                for other in others {
                    self.note(other, "only the first container becomes the payload");
                }
            }
            None => self.problems.push(spec.remark("containers are missing")),
        }
    }

    fn container(&mut self, container: &Node<'_>) {
        let mut payload = Payload::default();
        for (key, node) in container.entries() {
            match key.as_str() {
                "image" => {
                    payload.image = self.kept(Some(node.text())).unwrap_or_default();
                    self.note(&node, "is in the payload; nothing is pulled");
                }
                "command" => payload.command = self.words(&node),
                "args" => payload.args = self.words(&node),
                "env" => payload.env = self.names(&node),
                known if FILLED_IN.contains(&known) => {}
                _ if node.is_empty() => {}
                "envFrom" => self.note(&node, "set the variables where the handler runs"),
                "resources" => self.note(&node, "the concurrency of a worker bounds what runs"),
                _ => self.note(&node, "no container is made"),
            }
        }
        self.timer.payload = serde_json::to_vec(&payload)
            .expect("it has only texts")
            .into();
        self.timer.content_type = "application/json".into();
    }

    fn words<'a>(&mut self, list: &Node<'a>) -> Vec<&'a str> {
        let items = self.kept(Some(list.items())).unwrap_or_default();
        let words = items.iter().map(|item| self.kept(Some(item.text())));
        words.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn names<'a>(&mut self, list: &Node<'a>) -> Vec<&'a str> {
        let items = self.kept(Some(list.items())).unwrap_or_default();
        let mut names = Vec::new();
        for item in &items {
            match item.get("name") {
                Some(name) => names.extend(self.kept(Some(name.text()))),
                None => self.problems.push(item.remark("name is missing")),
            }
        }
        if !names.is_empty() {
            self.note(
                list,
                "only the names are in the payload; set the values where the handler runs",
            );
        }
        names
    }
}
