//! A service, and what goes with it.

use jiff::Timestamp;
use serde_json::Value;
use std::cell::OnceCell;

use super::service::Service;
use super::{Place, document};
use crate::google::policy::Policy;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    service: Service,
    /// The service as it is shown, once somebody looked.
    shown: OnceCell<Value>,
    /// The same as text, for lists.
    text: OnceCell<String>,
    pub(super) policy: Policy,
    /// Operations that end when the service settles, with the generation they are about.
    pub(super) waiting: Vec<(String, i64)>,
    /// Simulated users have come up to here.
    pub(super) users_until: Timestamp,
}

impl Entry {
    pub(super) fn new(place: Place, service: Service, users_until: Timestamp) -> Self {
        let (shown, text) = (OnceCell::new(), OnceCell::new());
        Self { place, service, shown, text, policy: Policy::default(), waiting: vec![], users_until }
    }

    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    /// The service, to be changed.
    pub(super) fn service_mut(&mut self) -> &mut Service {
        self.shown.take();
        self.text.take();
        &mut self.service
    }

    pub(super) fn text(&self) -> &str {
        self.text.get_or_init(|| self.document().to_string())
    }

    pub(super) fn document(&self) -> &Value {
        self.shown.get_or_init(|| document::of_service(&self.place, &self.service))
    }
}
