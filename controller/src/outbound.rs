//! Requests to addresses that users name: only to hosts that the platform team lists, at addresses that those may have.

use orchestra_planner::cloud::{Fault, FaultClass};
use orchestra_planner::hosts::{AllowedHost, Call, Refused, listed};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Longest that a request may take.
const LIMIT: Duration = Duration::from_secs(15);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 8 * 1024 * 1024;
/// How a proxy refuses a POST that is none of its own.
const READ_ONLY: [u16; 3] = [403, 405, 501];
/// How much of an answer that refuses is told.
const TOLD: usize = 200;

/// The way out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbound {
    hosts: Arc<[AllowedHost]>,
}

impl Outbound {
    /// To these hosts only.
    pub(crate) fn to(hosts: &[AllowedHost]) -> Self {
        Self { hosts: hosts.into() }
    }

    /// Posts a form. Answers with what comes back.
    ///
    /// # Errors
    /// Where the address may not be called, does not answer in time, answers with too much, or refuses.
    pub(crate) async fn post_form(&self, url: &str, form: &[(&str, String)]) -> Result<Vec<u8>, Fault> {
        let url = Url::parse(url).map_err(|e| permanent(format!("{url} is no URL: {e}")))?;
        let client = self.client(&url)?;
        // Not the whole URL, in which somebody may have put a password.
        let place = url.host_str().unwrap_or_default().to_string();
        let request = client.post(url.clone()).form(form);
        let mut response = request.send().await.map_err(|error| lost(&place, &error))?;
        // What lets people read only may take a POST for a write.
        if READ_ONLY.contains(&response.status().as_u16()) {
            let read = client.get(url).query(form).send().await.map_err(|error| lost(&place, &error))?;
            // Where that is refused in the same way, the first refusal tells more.
            response = if READ_ONLY.contains(&read.status().as_u16()) { response } else { read };
        }
        let status = response.status();
        let body = read(&place, response).await?;
        match status.as_u16() {
            200..300 => Ok(body),
            code => {
                let followed = if (300..400).contains(&code) { ": redirects are not followed" } else { "" };
                let class = match code {
                    401 | 403 => FaultClass::Denied,
                    408 | 429 | 500.. => FaultClass::Retryable,
                    _ => FaultClass::Permanent,
                };
                Err(Fault { class, message: format!("{place} answers {code}{followed}{}", told(&body)) })
            }
        }
    }

    /// A client that reaches nothing else: names lead to the addresses that were checked, and nowhere else on the way.
    fn client(&self, url: &Url) -> Result<Client, Fault> {
        let host = url.host_str().unwrap_or_default();
        let call = Call { tls: url.scheme() == "https", host, port: url.port_or_known_default().unwrap_or_default() };
        let allowed = listed(&self.hosts, &call).map_err(|refused| denied(&refused))?;
        // An address is not resolved, so it is checked here.
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            allowed.at(address).map_err(|refused| denied(&refused))?;
        }
        let builder = Client::builder().timeout(LIMIT).redirect(Policy::none()).no_proxy().pool_max_idle_per_host(0);
        let client = builder.dns_resolver(Arc::new(Checked(allowed))).build();
        client.map_err(|e| permanent(format!("no client could be made: {e}")))
    }
}

/// Resolves a name to the addresses that it may have.
struct Checked(AllowedHost);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One that may not be called is no mistake of the others.
            let checked: Vec<Result<SocketAddr, Refused>> =
                found.into_iter().map(|at| allowed.at(at.ip()).map(|()| at)).collect();
            let fitting: Vec<SocketAddr> = checked.iter().filter_map(|at| at.as_ref().ok().copied()).collect();
            match checked.into_iter().find_map(Result::err) {
                Some(refused) if fitting.is_empty() => Err(refused.into()),
                _ => Ok(Box::new(fitting.into_iter()) as Addrs),
            }
        })
    }
}

async fn read(place: &str, mut response: reqwest::Response) -> Result<Vec<u8>, Fault> {
    let mut body = vec![];
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(place, &error))? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            let most = LARGEST / 1024 / 1024;
            return Err(permanent(format!(
                "{place} answers with more than {most} MiB: aggregate more, with sum(…) or sum by (le) (…)"
            )));
        }
    }
    Ok(body)
}

/// The beginning of an answer, as one line.
fn told(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(TOLD).collect();
    if text.trim().is_empty() { String::new() } else { format!(": {text}") }
}

fn lost(place: &str, error: &reqwest::Error) -> Fault {
    let (mut refused, mut tls) = (false, false);
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return denied(refused);
        }
        let io = inner.downcast_ref::<io::Error>();
        refused |= io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused);
        tls |=
            inner.is::<rustls::Error>() || io.is_some_and(|io| io.get_ref().is_some_and(|e| e.is::<rustls::Error>()));
        cause = inner.source();
    }
    let why = match error {
        error if error.is_timeout() => "does not answer in time",
        _ if tls => "has no certificate that is trusted here",
        _ if refused => "refuses the connection",
        error if error.is_connect() => "can't be reached, or there is no such name",
        _ => "broke the connection",
    };
    Fault { class: FaultClass::Retryable, message: format!("{place} {why}") }
}

fn denied(refused: &Refused) -> Fault {
    Fault { class: FaultClass::Denied, message: refused.to_string() }
}

fn permanent(message: String) -> Fault {
    Fault { class: FaultClass::Permanent, message }
}

#[cfg(test)]
mod tests;
