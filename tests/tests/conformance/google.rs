//! The services that the controller hardly calls, by value: states, refusals, and what becomes of operations.

mod connectors;
mod redis;
mod run;
mod secrets;
mod service_accounts;
mod storage;

use http::Method;
use jiff::Timestamp;
use orchestra_controller::clock::{Clock, ClockReading};
use orchestra_sandbox::exchange::{Reply, Request};
use orchestra_sandbox::google::{Google, Mishap};
use serde_json::Value;
use std::time::Duration;

const PLACE: &str = "/v1/projects/shop/locations/us-central1";

/// An empty cloud under the virtual clock.
struct Cloud(Google);

impl Cloud {
    fn new() -> Self {
        let now = "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap();
        Self(Google::new(Clock::starting_at(ClockReading { now, speed: 1 }), 7))
    }

    fn send(&self, method: Method, target: &str, body: &Value) -> Reply {
        self.0.handle(&request(method, target, body))
    }

    /// The answer to a call that is not refused.
    fn call(&self, method: Method, target: &str, body: &Value) -> Value {
        let reply = self.send(method, target, body);
        assert!((200..300).contains(&reply.status), "{target}: {:?}", reply.content);
        document(&reply)
    }

    fn get(&self, target: &str) -> Value {
        self.call(Method::GET, target, &Value::Null)
    }

    /// How a call is refused: status and message.
    fn refusal(&self, method: Method, target: &str, body: &Value) -> (u16, String) {
        let reply = self.send(method, target, body);
        (reply.status, document(&reply)["error"]["message"].as_str().unwrap_or_default().to_string())
    }

    /// Starts an operation that goes wrong; gives its path.
    fn start_badly(&self, mishap: Mishap, method: Method, target: &str, body: &Value) -> String {
        let reply = self.0.handle_badly(&request(method, target, body), mishap);
        assert_eq!(reply.status, 200, "{target}: {:?}", reply.content);
        path_of(&document(&reply))
    }
}

fn request(method: Method, target: &str, body: &Value) -> Request {
    let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
    Request::new(method, target, body.into())
}

fn document(reply: &Reply) -> Value {
    reply.document().map(std::borrow::Cow::into_owned).unwrap_or_default()
}

/// Where something is read again by its name.
fn path_of(named: &Value) -> String {
    format!("/v1/{}", named["name"].as_str().unwrap())
}

async fn minutes(count: u64) {
    tokio::time::advance(Duration::from_secs(60 * count)).await;
}
