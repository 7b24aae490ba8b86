//! A proxy on loopback that passes everything on and keeps what passed: what is on the wire, without any privilege.
//!
//! It knows how HTTP/2 divides a stream into frames, and nothing of what is in them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// The length of a frame's head: three bytes of length, one of kind, one of flags, four of stream.
const HEAD: usize = 9;
/// The kind of the frames that only ask whether somebody is there, or answer that.
pub(crate) const PING: u8 = 6;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    tape: Tape,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug, Clone, Default)]
struct Tape {
    up: Arc<Mutex<Vec<u8>>>,
    down: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    /// A proxy for everybody who wants to speak to `target`.
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tape = Tape::default();
        let kept = tape.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(target).await else {
                    continue;
                };
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(pass(near_read, far_write, Arc::clone(&kept.up)));
                tokio::spawn(pass(far_read, near_write, Arc::clone(&kept.down)));
            }
        });
        Self {
            address,
            tape,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// What has passed so far one way.
    fn kept(&self, way: Way) -> Vec<u8> {
        let kept = match way {
            Way::Up => &self.tape.up,
            Way::Down => &self.tape.down,
        };
        kept.lock().unwrap().clone()
    }

    /// How many bytes have passed one way.
    pub(crate) fn passed(&self, way: Way) -> usize {
        self.kept(way).len()
    }

    /// The kinds of the frames that passed one way behind the first `from` bytes, where one must have ended.
    pub(crate) fn frames(&self, way: Way, from: usize) -> Vec<u8> {
        let kept = self.kept(way);
        let mut rest = &kept[from..];
        let mut kinds = Vec::new();
        while let Some((head, behind)) = rest.split_at_checked(HEAD) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            kinds.push(head[3]);
            rest = behind
                .get(usize::try_from(length).unwrap()..)
                .unwrap_or_default();
        }
        kinds
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, kept: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        kept.lock().unwrap().extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
