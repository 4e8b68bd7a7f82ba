//! Which addresses that a user names may be called: those that the platform team lists.
//!
//! Whoever may write a Rollout must not reach with it what only the controller can reach: other services of the cluster, the
//! metadata server that hands out its tokens, anything on its own machine.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

const HTTPS: u16 = 443;
const HTTP: u16 = 80;

/// A host that may be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedHost {
    /// Its name or address, in lowercase.
    host: String,
    port: u16,
    /// Whether it may be at an address of a private network, or of this machine.
    private: bool,
    /// Whether it may be called without TLS.
    http: bool,
}

/// Why a text names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHost {
    /// The host is missing, or is none.
    #[error("`{0}` names no host: write HOST[:PORT][,private][,http]")]
    Host(String),
    /// The port is none.
    #[error("`{0}` is no port: it is a number from 1 to 65535")]
    Port(String),
    /// A word is none of those that are known.
    #[error("`{0}` is not known after a host: write private, http, or both")]
    Word(String),
}

impl FromStr for AllowedHost {
    type Err = NoHost;

    fn from_str(text: &str) -> Result<Self, NoHost> {
        let mut words = text.split(',').map(str::trim);
        let place = words.next().unwrap_or_default();
        let (mut private, mut http) = (false, false);
        for word in words {
            match word {
                "private" => private = true,
                "http" => http = true,
                other => return Err(NoHost::Word(other.to_string())),
            }
        }
        // An address of IPv6 has colons, too: it stands in brackets.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let number = port.parse().ok().filter(|number| *number > 0);
                (host, number.ok_or_else(|| NoHost::Port(port.to_string()))?)
            }
            _ => (place, if http { HTTP } else { HTTPS }),
        };
        let host = normal(host);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-.:_".contains(c);
        if host.is_empty() || !host.chars().all(is_plain) {
            return Err(NoHost::Host(text.to_string()));
        }
        Ok(Self { host, port, private, http })
    }
}

/// A host in lowercase, without brackets, and without the dot that ends a full name.
fn normal(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

/// What somebody wants to call.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Whether with TLS.
    pub tls: bool,
    /// Name or address.
    pub host: &'a str,
    /// Port.
    pub port: u16,
}

/// Why an address may not be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not listed.
    #[error(
        "{host}:{port} may not be called: the platform team lists it with the controller's --allowed-host (the chart's allowedHosts)"
    )]
    NotListed {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// It is listed for calls with TLS only.
    #[error("{0} may be called with https only: write https, or list it with http")]
    Plain(String),
    /// It is at an address that may not be called.
    #[error("{host} is at {address}, which is an address of a private network: list it with private")]
    Private {
        /// The host.
        host: String,
        /// Where it is.
        address: IpAddr,
    },
    /// It is at an address that is never called.
    #[error("{host} is at {address}, which is never called")]
    Never {
        /// The host.
        host: String,
        /// Where it is.
        address: IpAddr,
    },
}

/// The host that is called, if it is listed.
///
/// # Errors
/// Where it is not, or not that way.
pub fn listed(hosts: &[AllowedHost], call: &Call<'_>) -> Result<AllowedHost, Refused> {
    let host = normal(call.host);
    let fitting = |allowed: &&AllowedHost| allowed.host == host && allowed.port == call.port;
    // One that is listed twice may be called in either way.
    let both = |one: AllowedHost, other: AllowedHost| AllowedHost {
        private: one.private || other.private,
        http: one.http || other.http,
        ..one
    };
    match hosts.iter().filter(fitting).cloned().reduce(both) {
        None => Err(Refused::NotListed { host, port: call.port }),
        Some(allowed) if call.tls || allowed.http => Ok(allowed),
        Some(_) => Err(Refused::Plain(host)),
    }
}

impl AllowedHost {
    /// Whether it may be called at that address.
    ///
    /// # Errors
    /// Where it may not.
    pub fn at(&self, address: IpAddr) -> Result<(), Refused> {
        let host = self.host.clone();
        match reach(address) {
            Reach::Public => Ok(()),
            Reach::Private if self.private => Ok(()),
            Reach::Private => Err(Refused::Private { host, address }),
            Reach::Never => Err(Refused::Never { host, address }),
        }
    }
}

/// Who can be reached at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Never,
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => reach_v4(address),
            None => reach_v6(address),
        },
    }
}

/// Blocks by RFC 6890 and its successors; 169.254.0.0/16 has the metadata servers.
fn reach_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, d] = address.octets();
    match (a, b, c, d) {
        // Metadata servers of Alibaba, Azure and Oracle, which are not in the block that is for them.
        (100, 100, 100, 200) | (168, 63, 129, 16) | (192, 0, 0, 192) => Reach::Never,
        (0, ..) | (169, 254, ..) | (224.., ..) => Reach::Never,
        (10 | 127, ..) | (172, 16..=31, ..) | (192, 168, ..) | (100, 64..=127, ..) => Reach::Private,
        (192, 0, 0, _) | (198, 18 | 19, ..) => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let [first, second, ..] = address.segments();
    match (first, second) {
        _ if address.is_loopback() => Reach::Private,
        _ if address.is_unspecified() || address.is_multicast() => Reach::Never,
        (0xfe80..=0xfebf, _) => Reach::Never,
        // Teredo: where it leads is not known.
        (0x2001, 0) => Reach::Never,
        // Of Amazon's and Google's metadata servers, within the private block.
        (0xfd00, 0x0ec2) | (0xfd20, 0x00ce) => Reach::Never,
        (0xfc00..=0xfdff | 0xfec0..=0xfeff, _) => Reach::Private,
        // Global unicast; what else there may be leads elsewhere.
        (0x2000..=0x3fff, _) => Reach::Public,
        _ => Reach::Never,
    }
}

/// The address of IPv4 that one of IPv6 leads to: mapped, compatible, by NAT64 or 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(of(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) > (0, 1) => Some(of(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(list: &[&str]) -> Vec<AllowedHost> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn call(tls: bool, host: &str, port: u16) -> Call<'_> {
        Call { tls, host, port }
    }

    #[test]
    fn a_host_is_called_at_the_port_and_in_the_way_that_is_listed() {
        let hosts =
            hosts(&["prometheus.example.com", "prometheus.monitoring.svc:9090,private,http", "[2001:db8::1]:8443"]);
        assert!(listed(&hosts, &call(true, "Prometheus.Example.Com.", 443)).is_ok());
        assert!(matches!(listed(&hosts, &call(false, "prometheus.example.com", 443)), Err(Refused::Plain(_))));
        for (host, port) in
            [("prometheus.example.com", 80), ("example.com", 443), ("x.prometheus.example.com", 443), ("", 443)]
        {
            assert!(matches!(listed(&hosts, &call(true, host, port)), Err(Refused::NotListed { .. })), "{host}:{port}");
        }
        assert!(listed(&hosts, &call(false, "prometheus.monitoring.svc", 9090)).is_ok());
        assert!(listed(&hosts, &call(true, "[2001:db8::1]", 8443)).is_ok());
        assert!(listed(&[], &call(true, "prometheus.example.com", 443)).is_err());
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in ["", ",private", "a b", "a/b", "user@a", "a:0", "a:99999", "a:b", "a,tls", "a?x", ":443"] {
            assert!(text.parse::<AllowedHost>().is_err(), "{text}");
        }
    }

    #[test]
    fn private_addresses_need_a_word_and_metadata_servers_are_never_called() {
        let [public, private] = [&hosts(&["a"])[0], &hosts(&["a,private"])[0]].map(Clone::clone);
        let ways = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            [public.at(address).is_ok(), private.at(address).is_ok()]
        };
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:4860:4860::8888", "64:ff9b::808:808"] {
            assert_eq!(ways(address), [true, true], "{address}");
        }
        for address in [
            "10.1.2.3",
            "127.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fd12::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(ways(address), [false, true], "{address}");
        }
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "64:ff9b:1::a00:1",
            "2001:0:1::1",
            "::ffff:0:a9fe:a9fe",
            "168.63.129.16",
            "192.0.0.192",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
            "::ffff:0.0.0.0",
        ] {
            assert_eq!(ways(address), [false, false], "{address}");
        }
    }
}
