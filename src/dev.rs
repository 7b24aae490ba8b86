//! `dormouse dev`: a coordinator and agents on this machine, to try things out.
//!
//! They are processes of this same program on loopback; how they are started and ended is the cluster's. Here is what
//! a person sees: that they are up, where they are, what to do next, and that they are gone.

use crate::agent::Targets;
use crate::cli::Peer;
use crate::failure::Failure;
use crate::output::{self, Output, Row};
use crate::shutdown;
use clap::Args;
use dormouse_cluster::{COORDINATOR, Cluster, Logs, Settings};
use serde::Serialize;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// The ports by convention, taken if they are free: the coordinator's, and the first agent's.
const PORTS: [u16; 2] = [7400, 7401];
/// How long the start may take.
const READY_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    nodes: u16,

    /// How many racks the nodes are in.
    #[arg(long, default_value_t = 2, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    racks: u16,

    /// Where to keep everything; if not given, in a temporary directory that is removed at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    #[command(flatten)]
    targets: Targets,

    /// Show what the processes log; DORMOUSE_LOG=info shows more.
    #[arg(long, short)]
    verbose: bool,
}

/// One of the processes.
#[derive(Debug, Serialize)]
struct Shown {
    role: &'static str,
    name: String,
    rack: Option<String>,
    address: String,
    pid: Option<u32>,
}

impl Row for Shown {
    const HEADER: &'static [&'static str] = &["role", "name", "rack", "address", "pid"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.role.into(),
            self.name.clone(),
            self.rack.clone().unwrap_or_default(),
            self.address.clone(),
            self.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        ]
    }
}

pub(crate) async fn run(arguments: Arguments, peer: &Peer) -> Result<(), Failure> {
    let asked = shutdown::asked()?;
    let data = Data::open(arguments.data.as_deref())?;
    let mut cluster = Cluster::new(Settings {
        program: std::env::current_exe()?,
        data: data.path().to_owned(),
        lease: None,
        wake_grace: None,
        agent_flags: arguments.targets.flags(),
        logs: if arguments.verbose {
            Logs::Forward
        } else {
            Logs::Quiet
        },
    });
    let result = tokio::select! {
        result = live(&mut cluster, &arguments, peer) => result,
        () = asked => Ok(()),
    };
    if result.is_err() {
        eprintln!("ending the others");
    } else if io::stderr().is_terminal() {
        eprintln!("\nending");
    }
    cluster.shutdown().await;
    result
}

/// Starts everything, tells about it, and goes on until one of them ends.
async fn live(cluster: &mut Cluster, arguments: &Arguments, peer: &Peer) -> Result<(), Failure> {
    let nodes = layout(arguments.nodes, arguments.racks);
    if io::stderr().is_terminal() {
        eprintln!("starting a coordinator and {} agents ...", nodes.len());
    }
    cluster
        .start_coordinator(Some(PORTS[0]))
        .map_err(Failure::failed)?;
    for (place, (node, rack)) in (0..).zip(&nodes) {
        let port = Some(PORTS[1] + place);
        cluster
            .start_agent(node, rack, port)
            .map_err(Failure::failed)?;
    }
    cluster.ready(READY_LIMIT).await.map_err(Failure::failed)?;
    tell(cluster, &nodes, peer)?;
    let end = cluster.first_end().await;
    Err(Failure::failed(end))
}

/// Node and rack of each agent; neighbours share a rack.
fn layout(nodes: u16, racks: u16) -> Vec<(String, String)> {
    let racks = u32::from(racks.min(nodes));
    let nodes = u32::from(nodes);
    let rack_of = |place: u32| place * racks / nodes + 1;
    (0..nodes)
        .map(|place| (format!("n{}", place + 1), format!("r{}", rack_of(place))))
        .collect()
}

fn tell(cluster: &Cluster, nodes: &[(String, String)], peer: &Peer) -> Result<(), Failure> {
    let shown = |role, name: &str, rack: Option<&String>| -> Result<Shown, Failure> {
        Ok(Shown {
            role,
            name: name.to_owned(),
            rack: rack.cloned(),
            address: cluster.address(name).map_err(Failure::failed)?,
            pid: cluster.pid(name).map_err(Failure::failed)?,
        })
    };
    let mut rows = vec![shown("coordinator", COORDINATOR, None)?];
    for (node, rack) in nodes {
        rows.push(shown("agent", node, Some(rack))?);
    }
    peer.output.rows(&rows)?;
    if peer.output == Output::Table {
        output::text(&next_steps(&rows[0].address, &rows[1].address))?;
    }
    Ok(())
}

fn next_steps(coordinator: &str, agent: &str) -> String {
    format!(
        "
In other terminals:
  dormouse worker --addr {agent} --handler hello
  dormouse timer create --addr {agent} --every 2s --handler hello --payload 'Good morning'
  dormouse node idle n1 --addr {coordinator}
  dormouse topology --addr {coordinator}

Ctrl-C ends everything."
    )
}

/// Where the processes keep their data.
enum Data {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Data {
    fn open(wanted: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = wanted else {
            let dir = tempfile::Builder::new().prefix("dormouse-").tempdir()?;
            return Ok(Self::Temporary(dir));
        };
        std::fs::create_dir_all(path)
            .map_err(|error| Failure::failed(format!("cannot make {}: {error}", path.display())))?;
        Ok(Self::Kept(path.to_owned()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn racks(nodes: u16, racks: u16) -> Vec<String> {
        let rows = layout(nodes, racks).into_iter();
        rows.map(|(node, rack)| format!("{node}@{rack}")).collect()
    }

    #[test]
    fn neighbours_share_a_rack_and_every_rack_has_a_node() {
        assert_eq!(racks(3, 2), ["n1@r1", "n2@r1", "n3@r2"]);
        assert_eq!(racks(2, 5), ["n1@r1", "n2@r2"]);
        assert_eq!(racks(4, 1), ["n1@r1", "n2@r1", "n3@r1", "n4@r1"]);
    }
}
