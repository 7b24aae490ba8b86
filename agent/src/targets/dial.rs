//! Connects to a host, at an address that was judged, with TLS if need be.
//!
//! The name is resolved once and the addresses that come of it are the ones connected to: a name that changes its
//! address between the look and the connection gains nothing. Proxies of the environment are not asked.

use super::Error;
use super::address::Policy;
use super::trusted::{self, Sight};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use url::Host;

/// Look-ups at once, also those that nobody waits for any more: each takes a thread until the resolver answers.
const LOOKUPS_MAX: usize = 16;
/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 4;
/// How long one of them may take to accept.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A connection of either kind.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connects to hosts.
pub(super) struct Dialer {
    policy: Policy,
    tls: TlsConnector,
    has_roots: bool,
    lookups: Arc<Semaphore>,
}

impl Dialer {
    /// With the certificate authorities of this machine, and those in `ca`.
    ///
    /// # Errors
    /// If `ca` cannot be trusted or has none.
    pub(super) fn new(policy: Policy, ca: Option<&Path>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        // A machine without any can still ask without TLS.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca {
            add_authorities(&mut roots, path)?;
        }
        let has_roots = !roots.is_empty();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the cipher suites of both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            policy,
            tls: TlsConnector::from(Arc::new(tls)),
            has_roots,
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        })
    }

    /// Connects to a host.
    ///
    /// # Errors
    /// Why not, for people.
    pub(super) async fn connect(
        &self,
        host: &Host<String>,
        port: u16,
        is_tls: bool,
    ) -> Result<Box<dyn Connection>, String> {
        if is_tls && !self.has_roots {
            return Err("this machine knows no certificate authority; install ca-certificates, or name a file as \
                        `ca` in the agent's configuration"
                .into());
        }
        let stream = self.reach(&self.addresses(host, port).await?).await?;
        if !is_tls {
            return Ok(Box::new(stream));
        }
        let name = match host {
            Host::Domain(name) => ServerName::try_from(name.clone())
                .map_err(|_| format!("{name} is no name that a certificate can have"))?,
            Host::Ipv4(address) => ServerName::from(IpAddr::from(*address)),
            Host::Ipv6(address) => ServerName::from(IpAddr::from(*address)),
        };
        let stream = self.tls.connect(name, stream).await;
        Ok(Box::new(
            stream.map_err(|error| format!("TLS failed: {error}"))?,
        ))
    }

    /// The addresses of a host that may be connected to; at least one.
    async fn addresses(&self, host: &Host<String>, port: u16) -> Result<Vec<SocketAddr>, String> {
        let addresses = match host {
            Host::Domain(name) => self.look_up(name.clone(), port).await?,
            Host::Ipv4(address) => vec![(*address, port).into()],
            Host::Ipv6(address) => vec![(*address, port).into()],
        };
        let judged = |address: &SocketAddr| self.policy.judge(address.ip());
        let allowed = addresses.iter().filter(|it| judged(it).is_ok());
        let allowed: Vec<_> = allowed.copied().take(ADDRESSES_MAX).collect();
        if !allowed.is_empty() {
            return Ok(allowed);
        }
        let refused = addresses.first().map(|it| (it.ip(), judged(it)));
        Err(match refused {
            Some((address, Err(what))) => format!(
                "{host} is at {address}, which is {what} and refused; the owner of the node can allow it in the agent's \
                 configuration"
            ),
            _ => format!("{host} has no address"),
        })
    }

    async fn look_up(&self, name: String, port: u16) -> Result<Vec<SocketAddr>, String> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await;
        let looking = tokio::spawn(async move {
            // The resolver goes on if nobody waits any more, and so does its permit.
            let _permit = permit;
            let found = tokio::net::lookup_host((name.as_str(), port)).await;
            let found = found.map(Iterator::collect);
            found.map_err(|error| format!("{name} is not found: {error}"))
        });
        looking.await.map_err(|error| error.to_string())?
    }

    async fn reach(&self, addresses: &[SocketAddr]) -> Result<TcpStream, String> {
        let mut why = String::new();
        for address in addresses {
            let connecting = TcpStream::connect(address);
            match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => why = format!("{address} is not reached: {error}"),
                Err(_elapsed) => why = format!("{address} does not accept a connection"),
            }
        }
        Err(why)
    }
}

fn add_authorities(roots: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    let told = |why| Error::new("the file of certificate authorities", path, why);
    let text = trusted::read(path, Sight::Open).map_err(told)?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| told(format!("is wrong: {error}")))?;
        let added = roots.add(certificate);
        added.map_err(|error| told(format!("has a wrong certificate: {error}")))?;
        count += 1;
    }
    if count == 0 {
        return Err(told("has no certificate in PEM form".into()));
    }
    Ok(())
}
