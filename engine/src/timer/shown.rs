//! Timers as they are shown in traces: flat, whatever shares or boxes their parts.

use super::{Phase, Spec, Timer};
use std::fmt;

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("uid", &self.uid)
            .field("name", &self.name)
            .field("spec", &self.spec)
            .field("home", &self.home)
            .field("generation", &self.generation)
            .field("revision", &self.revision)
            .field("request", &self.request)
            .field("created", &self.created)
            .field("updated", &self.updated())
            .field("phase", &self.phase)
            .field("beside", &self.beside)
            .field("paused", &self.paused)
            .field("begun", &self.begun)
            .field("token", &self.token)
            .field("last", &self.last)
            .field("skipped", &self.skipped)
            .field("awaits", &self.awaits)
            .field("requests", &self.requests)
            .field("noted", &self.noted)
            .finish()
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("schedule", &self.schedule)
            .field("placement", &self.placement)
            .field("handler", &self.handler)
            .field("target", &self.target)
            .field("payload", &self.payload)
            .field("content_type", &self.content_type)
            .field("policy", &self.policy)
            .field("durability", &self.durability)
            .field("labels", &self.labels)
            .finish()
    }
}

impl fmt::Debug for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { occurrence, due } => f
                .debug_struct("Waiting")
                .field("occurrence", occurrence)
                .field("due", due)
                .finish(),
            Self::Running { occurrence, run } => f
                .debug_struct("Running")
                .field("occurrence", occurrence)
                .field("by", &run.by)
                .field("started", &run.started)
                .field("token", &run.token)
                .finish(),
            Self::Over { ending, at } => f
                .debug_struct("Over")
                .field("ending", ending)
                .field("at", at)
                .finish(),
        }
    }
}
