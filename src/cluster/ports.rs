//! Free ports of loopback, outside the range from which the kernel takes ports for outgoing connections.
//!
//! A port of that range could be taken by a neighbour's connection while its owner is being restarted; an agent that
//! tries again and again to reach it could even connect to itself. A port is claimed as long as its cluster lives, so
//! that another cluster of this machine does not choose it before the member listens.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::UnixListener;

/// Below Linux's range of ephemeral ports (32768 and up), above the ports of well-known services.
const RANGE: Range<u16> = 18_000..32_000;
/// So many ports in use, one after the other, are no coincidence.
const TRIES: usize = 200;

/// Gives out ports, each once on this machine.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    claims: BTreeMap<u16, Claim>,
}

/// Whoever listens under the name of a port has claimed it; the kernel lets go of the name with the process.
type Claim = UnixListener;

impl Ports {
    /// The address with the `wanted` port if that is free, else with any.
    pub(crate) fn take(&mut self, wanted: Option<u16>) -> io::Result<SocketAddr> {
        let others = (0..TRIES).map(|_| rand::random_range(RANGE));
        let mut ports = wanted.into_iter().chain(others);
        let (port, claim) = ports
            .find_map(|port| Some((port, claim(port).ok()?)).filter(|_| is_free(port)))
            .ok_or_else(|| io::Error::other("no free port was found on 127.0.0.1"))?;
        self.claims.insert(port, claim);
        Ok(address(port))
    }
}

fn claim(port: u16) -> io::Result<Claim> {
    let name = format!("dormouse-port-{port}");
    UnixListener::bind_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(address(port)).is_ok()
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_replaced_by_another_and_none_is_given_twice() {
        let mut ports = Ports::default();
        let first = ports.take(None).unwrap();
        assert_ne!(ports.take(Some(first.port())).unwrap(), first);
        let elsewhere = Ports::default().take(Some(first.port())).unwrap();
        assert_ne!(elsewhere, first, "another cluster does not choose it");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap();
        assert_ne!(ports.take(Some(taken.port())).unwrap(), taken);
        drop(ports);
        let again = Ports::default().take(Some(first.port())).unwrap();
        assert_eq!(again, first, "it is free again with its cluster");
    }
}
