//! Addresses and the sockets behind them, and the limits that every server of ours has.
//!
//! A program listens on loopback or on a Unix socket that its user can open, and its group if the umask says
//! so. Anything else is refused until it is asked for by name, since there is no TLS yet.

mod connection;

use crate::room::{self, Room};
use crate::statuses;
use connection::Connection;
use std::fmt;
use std::fs::{DirBuilder, Permissions};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::body::Body;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tower::layer::util::{Identity, Stack};

/// What stands between the transport and our services.
pub type Layers = Stack<room::Layer, Stack<statuses::Layer<Body>, Identity>>;
/// Our services, ready to be served.
pub type Services = Router<Layers>;

/// The largest request of a user, in bytes.
pub const MESSAGE_MAX: usize = 4 * 1024 * 1024;
/// The largest message of a session, in bytes: all the timers of a node that comes back.
pub const SESSION_MESSAGE_MAX: usize = 64 * 1024 * 1024;
/// After this silence a connection is tried, so that a dead one is noticed.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// A connection that does not answer such a try for this long is dead.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Concurrent calls on one connection. How many of them may have a large answer is the room's affair.
const STREAMS_MAX: u32 = 256;
/// Streams that were reset by the client before they were looked at; one more ends its connection. A client that
/// behaves has hardly one.
const RESETS_MAX: usize = 20;
/// The headers of a call, in bytes.
const HEADERS_MAX: u32 = 16 * 1024;
/// Who may ever connect to a Unix socket, before the umask takes away: its user and its group.
const SOCKET_MODE: u32 = 0o660;
/// After an error of accepting, such as no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address; write HOST:PORT such as 127.0.0.1:7400 or [::1]:7400, or unix:PATH"
)]
pub struct BadAddress(String);

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can be reached from elsewhere.
    #[error(
        "{0} can be reached by other machines, and there is no TLS yet: listen on 127.0.0.1, [::1] or unix:PATH, \
         or say --insecure if the network is yours alone"
    )]
    NotLoopback(SocketAddr),
    /// Another process listens there.
    #[error("{0} is in use by another process; stop it, or listen elsewhere")]
    InUse(Address),
    /// There is something else at the path of a Unix socket.
    #[error("{0} exists and is not a socket; remove it, or listen elsewhere")]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {address}: {error}")]
    Io {
        /// Where.
        address: Address,
        /// Why.
        error: io::Error,
    },
}

impl Error {
    /// Whether a person has to change something first; otherwise the next start may succeed.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::NotLoopback(_) | Self::NotASocket(_) => true,
            Self::InUse(_) | Self::Io { .. } => false,
        }
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.chars().take(200).collect());
        if let Some(path) = text.strip_prefix("unix:") {
            let plain = !path.is_empty() && !path.contains('\0');
            return if plain {
                Ok(Self::Unix(path.into()))
            } else {
                Err(bad())
            };
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| bad())?;
            return Ok(Self::Tcp(SocketAddr::new(
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                port,
            )));
        }
        text.parse().map(Self::Tcp).map_err(|_| bad())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listening {
    address: Address,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Whether it is allowed to listen on `address`: with `insecure` anywhere, else only where no other machine can
/// reach it. For those who have something to do before they listen.
///
/// # Errors
/// [`Error::NotLoopback`].
pub fn check(address: &Address, insecure: bool) -> Result<(), Error> {
    match address {
        Address::Tcp(addr) if !addr.ip().is_loopback() && !insecure => {
            Err(Error::NotLoopback(*addr))
        }
        Address::Tcp(_) | Address::Unix(_) => Ok(()),
    }
}

/// Listens on `address`; with port 0 on any free port. Only with `insecure` where other machines can reach it.
///
/// # Errors
/// [`Error`] says what to do.
pub async fn listen(address: &Address, insecure: bool) -> Result<Listening, Error> {
    check(address, insecure)?;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => Error::InUse(address.clone()),
        _ => Error::Io {
            address: address.clone(),
            error,
        },
    };
    match address {
        Address::Tcp(addr) => {
            let socket = TcpListener::bind(addr).await.map_err(failed)?;
            let address = Address::Tcp(socket.local_addr().map_err(failed)?);
            Ok(Listening {
                address,
                socket: Socket::Tcp(socket),
            })
        }
        Address::Unix(path) => {
            make_room(address, path).await?;
            let socket = bind_unix(path).map_err(failed)?;
            Ok(Listening {
                address: address.clone(),
                socket: Socket::Unix(socket),
            })
        }
    }
}

/// The file of a socket outlives its process; it is replaced only if nobody answers on it.
async fn make_room(address: &Address, path: &Path) -> Result<(), Error> {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(Error::NotASocket(path.into()));
    }
    if UnixStream::connect(path).await.is_ok() {
        return Err(Error::InUse(address.clone()));
    }
    std::fs::remove_file(path).map_err(|error| Error::Io {
        address: address.clone(),
        error,
    })
}

/// The socket appears at its path with its mode, [`SOCKET_MODE`] less the umask, and never had a wider one in reach
/// of others: it is made in a directory that only this user can enter.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let nest = Nest::beside(path)?;
    let hidden = nest.socket();
    let socket = std::os::unix::net::UnixListener::bind(&hidden)?;
    // The system has applied the umask. To ask for it is to set it, for every thread, so this asks the result.
    let made = std::fs::metadata(&hidden)?.permissions().mode();
    std::fs::set_permissions(&hidden, Permissions::from_mode(made & SOCKET_MODE))?;
    std::fs::rename(&hidden, path)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket)
}

/// A directory beside the path of a socket that nobody else can enter; it goes with this value.
struct Nest(PathBuf);

impl Nest {
    fn beside(path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let nest = Self(name.into());
        // Of a process with this number that died at this point.
        nest.remove();
        DirBuilder::new().mode(0o700).create(&nest.0)?;
        Ok(nest)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }

    fn remove(&self) {
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_dir(&self.0);
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Listening {
    /// Where it listens, with the port that was given.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Serves calls until `shutdown`, then finishes those that are in flight, without a limit: that is the
    /// caller's. The file of a Unix socket is removed.
    ///
    /// # Errors
    /// If the transport fails as a whole.
    pub async fn serve(
        self,
        router: Services,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        let room = Room::new();
        match self.socket {
            Socket::Tcp(socket) => {
                let incoming = TcpListenerStream::new(socket).then(settled_tcp);
                let incoming = incoming.map(move |it| Connection::accepted(it, &room));
                router
                    .serve_with_incoming_shutdown(incoming, shutdown)
                    .await
            }
            Socket::Unix(socket) => {
                let incoming = UnixListenerStream::new(socket).then(settled);
                let incoming = incoming.map(move |it| Connection::accepted(it, &room));
                let served = router
                    .serve_with_incoming_shutdown(incoming, shutdown)
                    .await;
                if let Address::Unix(path) = &self.address {
                    let _ = std::fs::remove_file(path);
                }
                served
            }
        }
    }
}

async fn settled_tcp(
    accepted: io::Result<tokio::net::TcpStream>,
) -> io::Result<tokio::net::TcpStream> {
    let stream = settled(accepted).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An error of accepting comes again at once; a pause keeps it from eating a core.
async fn settled<T>(accepted: io::Result<T>) -> io::Result<T> {
    if accepted.is_err() {
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    accepted
}

/// A server with our limits, to add services to.
#[must_use]
pub fn builder() -> Server<Layers> {
    Server::builder()
        .layer(statuses::layer())
        .layer(room::layer())
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
        .http2_max_header_list_size(HEADERS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_alike() {
        for text in [
            "127.0.0.1:7400",
            "[::1]:7400",
            "0.0.0.0:0",
            "unix:/run/dormouse.sock",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!(
            "localhost:1".parse::<Address>().unwrap().to_string(),
            "127.0.0.1:1"
        );
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for text in [
            "",
            "7400",
            ":7400",
            "host",
            "127.0.0.1:70000",
            "unix:",
            "http://127.0.0.1:1",
            "unix:a\0b",
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("127.0.0.1:7400"), "{error}");
        }
    }

    #[tokio::test]
    async fn other_machines_are_let_in_only_on_request() {
        let open: Address = "0.0.0.0:0".parse().unwrap();
        let error = listen(&open, false).await.unwrap_err();
        assert!(matches!(error, Error::NotLoopback(_)) && error.to_string().contains("--insecure"));
        assert!(error.needs_a_person());
        assert!(listen(&open, true).await.is_ok());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = listen(&"127.0.0.1:0".parse().unwrap(), false)
            .await
            .unwrap();
        let error = listen(first.address(), false).await.unwrap_err();
        assert!(
            matches!(error, Error::InUse(_)) && !error.needs_a_person(),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_socket_is_replaced_only_if_nobody_answers_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let address = Address::Unix(path.clone());
        let first = listen(&address, false).await.unwrap();
        let beside: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(beside.len(), 1, "nothing but the socket stays: {beside:?}");
        assert!(matches!(
            listen(&address, false).await,
            Err(Error::InUse(_))
        ));
        drop(first);
        assert!(path.exists(), "the file of a dead socket stays");
        assert!(listen(&address, false).await.is_ok());
    }

    #[tokio::test]
    async fn a_file_in_place_of_a_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        let error = listen(&Address::Unix(path.clone()), false)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NotASocket(_)));
        assert_eq!(std::fs::read(&path).unwrap(), b"data");
    }
}
