//! Which addresses a request may go to.
//!
//! Whoever creates timers must not reach through an agent what only the agent's network can reach: loopback, private
//! networks, the metadata service of a cloud, which gives away credentials. Such addresses are refused in every form
//! that leads to them, unless the node's owner allows them. Judged is the address that is connected to, not the name.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::LazyLock;

/// Addresses that are not of the public internet, by the registries of IANA for special purposes.
static SPECIAL: LazyLock<Vec<(IpNet, &str)>> = LazyLock::new(|| {
    let networks = [
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier (CGNAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "a relay of 6to4"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "a private translation of IPv4"),
        ("100::/64", "for discarding"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "for documentation"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "unique-local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    ];
    networks.map(|(net, what)| (network(net), what)).into()
});

/// Where the public addresses of IPv6 are, with the translation of public ones of IPv4.
static PUBLIC_V6: LazyLock<[IpNet; 2]> =
    LazyLock::new(|| ["2000::/3", "64:ff9b::/96"].map(network));

/// Services of clouds that hand out credentials. One is allowed only by its own address, not with a network around it.
const METADATA: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

fn network(text: &str) -> IpNet {
    text.parse()
        .expect("the networks of this file are written right")
}

/// Addresses that requests may go to although they are not public: `10.0.0.0/8`, `127.0.0.1`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.parse::<IpNet>());
        network.map(|network| Self(network.trunc())).map_err(|_| {
            format!("{text:?} is no network; write it like 10.0.0.0/8, 127.0.0.1 or fd00::/8")
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Says which addresses may be connected to.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy {
    allow: Vec<IpNet>,
}

impl Policy {
    pub(super) fn new(allow: &[Network]) -> Self {
        Self {
            allow: allow.iter().map(|network| network.0).collect(),
        }
    }

    /// Accepts an address.
    ///
    /// # Errors
    /// What kind of address it is.
    pub(super) fn judge(&self, address: IpAddr) -> Result<(), &'static str> {
        let address = address.to_canonical();
        let within = embedded(address);
        let is_metadata = |it| METADATA.contains(&it) && !self.names(it);
        if is_metadata(address) || within.is_some_and(is_metadata) {
            return Err("a metadata service");
        }
        if self.allows(address) {
            return Ok(());
        }
        if let Some(what) = special(address) {
            return Err(what);
        }
        match within {
            Some(within) if !self.allows(within) => special(within).map_or(Ok(()), Err),
            Some(_) | None => Ok(()),
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&address))
    }

    /// Whether it is allowed by itself.
    fn names(&self, address: IpAddr) -> bool {
        self.allow.contains(&IpNet::from(address))
    }
}

fn special(address: IpAddr) -> Option<&'static str> {
    let named = SPECIAL.iter().find(|(net, _)| net.contains(&address));
    let is_public = address.is_ipv4() || PUBLIC_V6.iter().any(|net| net.contains(&address));
    named
        .map(|(_, what)| *what)
        .or((!is_public && embedded(address).is_none()).then_some("reserved"))
}

/// The address of IPv4 to which a router or this machine translates one of IPv6.
fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(IpAddr::from([a, b, c, d]))
    };
    match (a, b, c, d, e, f) {
        // 6to4 has it in front.
        (0x2002, high, low, ..) => of(high, low),
        // NAT64, compatible, translated: at the end.
        (0x64, 0xff9b, 0, 0, 0, 0) | (0, 0, 0, 0, 0, 0) | (0, 0, 0, 0, 0xffff, 0) => of(g, h),
        // ISATAP, in any network.
        (_, _, _, _, 0 | 0x200, 0x5efe) => of(g, h),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(allow: &[&str], address: &str) -> Result<(), &'static str> {
        let allow: Vec<Network> = allow.iter().map(|it| it.parse().unwrap()).collect();
        Policy::new(&allow).judge(address.parse().unwrap())
    }

    #[test]
    fn what_is_not_public_is_refused_in_every_form() {
        let refused = [
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "192.88.99.1",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "2001::1",
            "2001:10::1",
            "100::1",
            "64:ff9b:1::1",
            "5f00::1",
            "4000::1",
            "1::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "::a00:1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2002:0a00:0001::1",
            "2002:c0a8:101::1",
            "2a00:1450::5efe:10.0.0.1",
            "2a00:1450::200:5efe:7f00:1",
        ];
        for address in refused {
            assert!(judge(&[], address).is_err(), "{address}");
        }
    }

    #[test]
    fn what_is_public_is_accepted() {
        let accepted = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::200e",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:4860::8888",
        ];
        for address in accepted {
            assert_eq!(judge(&[], address), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_network_that_is_allowed_is_allowed_in_every_form_and_no_other() {
        let allow = ["10.0.0.0/8", "127.0.0.1", "fd00::/8"];
        for address in [
            "10.9.9.9",
            "127.0.0.1",
            "::ffff:10.0.0.1",
            "fd00::7",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::",
        ] {
            assert_eq!(judge(&allow, address), Ok(()), "{address}");
        }
        for address in ["11.0.0.1", "127.0.0.2", "fc00::1", "192.168.0.1"] {
            assert_eq!(
                judge(&allow, address).is_ok(),
                address == "11.0.0.1",
                "{address}"
            );
        }
    }

    #[test]
    fn a_metadata_service_is_allowed_only_by_its_own_address() {
        let everything = ["0.0.0.0/0", "::/0"];
        let services = [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
        ];
        for address in services {
            assert_eq!(
                judge(&everything, address),
                Err("a metadata service"),
                "{address}"
            );
            assert_eq!(judge(&[address], address), Ok(()), "{address}");
        }
        for address in [
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "::169.254.169.254",
        ] {
            assert_eq!(
                judge(&everything, address),
                Err("a metadata service"),
                "{address}"
            );
        }
    }

    #[test]
    fn a_network_is_written_with_or_without_its_length() {
        let network = |text: &str| text.parse::<Network>().map(|it| it.to_string());
        assert_eq!(network("10.1.2.3/8"), Ok("10.0.0.0/8".into()));
        assert_eq!(network("::1"), Ok("::1/128".into()));
        for wrong in ["", "10", "10.0.0.0/33", "localhost", "10.0.0.0/", "*"] {
            assert!(
                network(wrong).unwrap_err().contains("10.0.0.0/8"),
                "{wrong}"
            );
        }
    }
}
