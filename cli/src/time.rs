//! The world's time: a sandbox's runs ahead of this machine's.

use orchestra_controller::clock::Clock;

/// The time of the sandbox whose Google Cloud is at a URL; none: there is no URL, or no sandbox.
pub async fn of_sandbox(google_endpoint: Option<&str>) -> Option<Clock> {
    let url = format!("{}/sandbox/clock", google_endpoint?.trim_end_matches('/'));
    Clock::of_sandbox(&url).await.ok()
}
