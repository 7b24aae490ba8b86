//! Free ports of loopback, outside the range from which the kernel takes ports for outgoing connections.
//!
//! A port of that range could be taken by a neighbour's connection while its owner is being restarted; an agent that
//! tries again and again to reach it could even connect to itself.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

/// Below Linux's range of ephemeral ports (32768 and up), above the ports of well-known services.
const RANGE: Range<u16> = 18_000..32_000;
/// So many ports in use, one after the other, are no coincidence.
const TRIES: usize = 200;

/// Gives out ports, each once.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    given: BTreeSet<u16>,
}

impl Ports {
    /// The address with the `wanted` port if that is free, else with any.
    pub(crate) fn take(&mut self, wanted: Option<u16>) -> io::Result<SocketAddr> {
        let others = (0..TRIES).map(|_| rand::random_range(RANGE));
        let port = wanted
            .into_iter()
            .chain(others)
            .find(|port| !self.given.contains(port) && is_free(*port))
            .ok_or_else(|| io::Error::other("no free port was found on 127.0.0.1"))?;
        self.given.insert(port);
        Ok(address(port))
    }
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap();
        assert_ne!(ports.take(Some(taken.port())).unwrap(), taken);
    }
}
