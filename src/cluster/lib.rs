//! A whole cluster on one machine: a coordinator, its agents and workers, as child processes of this one.
//!
//! For `dormouse dev`, `dormouse demo` and the tests. A member is started, killed, frozen, thawed, ended and started
//! again by its name, always with the same address and data directory. What happens then, and whether it is right,
//! is for the caller to see, through a [`Client`].

mod error;
mod ports;
mod process;
mod readiness;

pub use error::Error;

use dormouse_client::Client;
use futures_util::future::{join_all, select_all};
use process::{Process, Recipe};
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::sync::mpsc;

/// The name of the coordinator among the members.
pub const COORDINATOR: &str = "coordinator";
/// How long a member that is asked to end may take: the agents' five seconds, and one more.
pub const END_GRACE: Duration = Duration::from_secs(6);

/// What a cluster is made with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The `dormouse` binary.
    pub program: PathBuf,
    /// Each member has a directory of its own in this one.
    pub data: PathBuf,
    /// The coordinator's `--lease`, if not its default.
    pub lease: Option<Duration>,
    /// The coordinator's `--wake-grace`, if not its default.
    pub wake_grace: Option<Duration>,
    /// What every agent is given besides its name, its place and its addresses.
    pub agent_flags: Vec<OsString>,
    /// What becomes of what the members log.
    pub logs: Logs,
}

/// What becomes of what the members log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    /// The last lines are kept, for the case that a member ends unexpectedly.
    Quiet,
    /// Also written to standard error, with the member's name in front.
    Forward,
}

/// A coordinator, its agents and workers. Dropping it kills them all.
#[derive(Debug)]
pub struct Cluster {
    settings: Settings,
    ports: ports::Ports,
    members: BTreeMap<String, Member>,
}

#[derive(Debug)]
struct Member {
    role: Role,
    recipe: Recipe,
    /// None before it was started and after it was ended on purpose.
    process: Option<Process>,
}

#[derive(Debug, Clone)]
enum Role {
    Coordinator { address: SocketAddr },
    Agent { address: SocketAddr },
    Worker { node: String, handlers: Vec<String> },
}

impl Cluster {
    /// A cluster without members.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ports: ports::Ports::default(),
            members: BTreeMap::new(),
        }
    }

    /// Starts the coordinator, on this port of loopback if it is free, else on any.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Port`], or [`Error::Exists`].
    pub fn start_coordinator(&mut self, port: Option<u16>) -> Result<(), Error> {
        let address = self.ports.take(port)?;
        let mut arguments = arguments(&["server", "--listen", &address.to_string()]);
        arguments.extend(["--data".into(), self.settings.data.join(COORDINATOR).into()]);
        let times = [
            ("--lease", self.settings.lease),
            ("--wake-grace", self.settings.wake_grace),
        ];
        for (flag, time) in times {
            if let Some(time) = time {
                arguments.extend([flag.into(), format!("{}ms", time.as_millis()).into()]);
            }
        }
        self.join(COORDINATOR, Role::Coordinator { address }, arguments, None)
    }

    /// Starts an agent of the pool `default`, on this port of loopback if it is free, else on any. Its name as a
    /// member is its node's.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Port`], [`Error::Exists`], or [`Error::Unknown`] without a coordinator.
    pub fn start_agent(&mut self, node: &str, rack: &str, port: Option<u16>) -> Result<(), Error> {
        let coordinator = self.address(COORDINATOR)?;
        let address = self.ports.take(port)?;
        let listen = address.to_string();
        let words = [
            "agent",
            "--node",
            node,
            "--rack",
            rack,
            "--listen",
            &listen,
            "--coordinator",
            &coordinator,
        ];
        let mut arguments = arguments(&words);
        arguments.extend(["--data".into(), self.settings.data.join(node).into()]);
        arguments.extend(self.settings.agent_flags.iter().cloned());
        self.join(node, Role::Agent { address }, arguments, None)
    }

    /// Starts a worker at a node's agent, and gives the lines that it prints: one of JSON for each run, or what
    /// `command` prints if there is one. Its name as a member is [`worker_of`] the node; a restart goes on in the
    /// same channel.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Exists`], or [`Error::Unknown`] without the agent.
    pub fn start_worker(
        &mut self,
        node: &str,
        handlers: &[&str],
        command: &[&str],
    ) -> Result<mpsc::UnboundedReceiver<String>, Error> {
        let address = self.address(node)?;
        let mut words = vec!["worker", "--addr", &address];
        words.extend(handlers.iter().flat_map(|handler| ["--handler", handler]));
        if !command.is_empty() {
            words.push("--");
            words.extend(command);
        }
        let role = Role::Worker {
            node: node.to_owned(),
            handlers: handlers.iter().map(|&handler| handler.to_owned()).collect(),
        };
        let (sender, lines) = mpsc::unbounded_channel();
        self.join(&worker_of(node), role, arguments(&words), Some(sender))?;
        Ok(lines)
    }

    fn join(
        &mut self,
        name: &str,
        role: Role,
        arguments: Vec<OsString>,
        lines: Option<mpsc::UnboundedSender<String>>,
    ) -> Result<(), Error> {
        if self.members.contains_key(name) {
            return Err(Error::Exists(name.to_owned()));
        }
        let recipe = Recipe {
            name: name.to_owned(),
            arguments,
            lines,
        };
        let member = Member {
            role,
            recipe,
            process: None,
        };
        self.members.insert(name.to_owned(), member);
        self.start(name)
    }

    /// Starts a member again that has ended or was killed.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Unknown`], or [`Error::Exists`] if it is running.
    pub fn start(&mut self, name: &str) -> Result<(), Error> {
        let (program, logs) = (self.settings.program.clone(), self.settings.logs);
        let member = self.member_mut(name)?;
        if member
            .process
            .as_ref()
            .is_some_and(|it| it.status().is_none())
        {
            return Err(Error::Exists(name.to_owned()));
        }
        member.process = Some(Process::start(&program, &member.recipe, logs)?);
        Ok(())
    }

    /// Kills a member as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn kill(&mut self, name: &str) -> Result<(), Error> {
        if let Some(process) = self.member_mut(name)?.process.take() {
            process.kill().await;
        }
        Ok(())
    }

    /// Asks a member to end, as SIGTERM does, and kills it if it has not after [`END_GRACE`]. Says how it ended;
    /// none if it did not run.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn end(&mut self, name: &str) -> Result<Option<ExitStatus>, Error> {
        match self.member_mut(name)?.process.take() {
            Some(process) => Ok(Some(process.end(END_GRACE).await)),
            None => Ok(None),
        }
    }

    /// Stops a member in its tracks, as SIGSTOP does.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn freeze(&self, name: &str) -> Result<(), Error> {
        self.signal(name, Signal::STOP)
    }

    /// Lets a frozen member go on, as SIGCONT does.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn thaw(&self, name: &str) -> Result<(), Error> {
        self.signal(name, Signal::CONT)
    }

    fn signal(&self, name: &str, signal: Signal) -> Result<(), Error> {
        let process = self.member(name)?.process.as_ref();
        process
            .ok_or_else(|| Error::Unknown(name.to_owned()))?
            .signal(signal);
        Ok(())
    }

    /// Ends everything in order: workers, then agents, then the coordinator.
    pub async fn shutdown(&mut self) {
        for rank in 0..=2 {
            let of_rank = self
                .members
                .values_mut()
                .filter(|member| member.role.rank() == rank);
            let processes: Vec<Process> = of_rank.filter_map(|it| it.process.take()).collect();
            join_all(processes.iter().map(|process| process.end(END_GRACE))).await;
        }
    }

    /// Waits until every member that was started is there for the others: the coordinator answers, agents have a
    /// session, workers are attached.
    ///
    /// # Errors
    /// [`Error::Ended`] if one ends meanwhile, [`Error::NotReady`] if it takes longer than `limit`.
    pub async fn ready(&self, limit: Duration) -> Result<(), Error> {
        tokio::select! {
            error = self.first_end() => Err(error),
            ready = readiness::all(self, limit) => ready,
        }
    }

    /// Waits until a member ends that nobody asked to, and says so: [`Error::Ended`]. For ever if there is none.
    pub async fn first_end(&self) -> Error {
        let ends = self.running().map(|(name, process)| {
            Box::pin(async move {
                let status = process.ended().await;
                (name.to_owned(), status, process.last_words())
            })
        });
        let ends: Vec<_> = ends.collect();
        if ends.is_empty() {
            return std::future::pending().await;
        }
        let ((name, status, last_words), _, _) = select_all(ends).await;
        Error::Ended {
            name,
            status,
            last_words,
        }
    }

    /// The address of the coordinator or of an agent, `http://HOST:PORT`.
    ///
    /// # Errors
    /// [`Error::Unknown`], also for a worker.
    pub fn address(&self, name: &str) -> Result<String, Error> {
        match &self.member(name)?.role {
            Role::Coordinator { address } | Role::Agent { address } => {
                Ok(format!("http://{address}"))
            }
            Role::Worker { .. } => Err(Error::Unknown(name.to_owned())),
        }
    }

    /// A client of the coordinator or of an agent.
    ///
    /// # Errors
    /// [`Error::Unknown`], also for a worker.
    pub async fn client(&self, name: &str) -> Result<Client, Error> {
        let address = self.address(name)?;
        let client = Client::connect(&address).await;
        Ok(client.expect("an address of loopback is well-formed"))
    }

    /// The id of a member's process; none while it does not run.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn pid(&self, name: &str) -> Result<Option<u32>, Error> {
        Ok(self.member(name)?.process.as_ref().map(Process::pid))
    }

    /// Those that were started and not ended on purpose, by name.
    fn running(&self) -> impl Iterator<Item = (&str, &Process)> {
        self.members
            .iter()
            .filter_map(|(name, member)| Some((name.as_str(), member.process.as_ref()?)))
    }

    fn member(&self, name: &str) -> Result<&Member, Error> {
        self.members
            .get(name)
            .ok_or_else(|| Error::Unknown(name.to_owned()))
    }

    fn member_mut(&mut self, name: &str) -> Result<&mut Member, Error> {
        self.members
            .get_mut(name)
            .ok_or_else(|| Error::Unknown(name.to_owned()))
    }
}

impl Role {
    /// Who ends first.
    fn rank(&self) -> u8 {
        match self {
            Self::Worker { .. } => 0,
            Self::Agent { .. } => 1,
            Self::Coordinator { .. } => 2,
        }
    }
}

/// The name as a member of the worker at a node.
#[must_use]
pub fn worker_of(node: &str) -> String {
    format!("{node}/worker")
}

fn arguments(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// What a child calls first: it is asked to end, as by SIGTERM, when its parent dies, however that dies. False if
/// that is dead already.
#[must_use]
pub fn end_with(parent: u32) -> bool {
    // Without it children of a killed parent go on, which is untidy and no more.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
    let parent = i32::try_from(parent).ok().and_then(Pid::from_raw);
    rustix::process::getppid() == parent
}
