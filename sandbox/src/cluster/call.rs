//! One request while it is answered.

use super::managed::Writer;
use super::refusal::{Cause, Refusal};
use super::route::Target;
use super::store::Store;
use crate::exchange::Request;

/// A request, and what its caller is warned of.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    pub(super) warnings: Vec<String>,
}

/// What happens to fields that the schema does not have, or that appear twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validation {
    Ignore,
    Warn,
    Strict,
}

impl Call<'_> {
    pub(super) fn is_dry(&self) -> bool {
        self.request.param("dryRun").is_some()
    }

    fn validation(&self) -> Validation {
        match self.request.param("fieldValidation") {
            Some("Strict") => Validation::Strict,
            Some("Ignore") => Validation::Ignore,
            _ => Validation::Warn,
        }
    }

    /// Warns of fields that were not understood, or refuses them.
    pub(super) fn misread(&mut self, target: &Target, mistakes: Vec<String>) -> Result<(), Refusal> {
        match self.validation() {
            _ if mistakes.is_empty() => Ok(()),
            Validation::Ignore => Ok(()),
            Validation::Warn => {
                self.warnings.extend(mistakes);
                Ok(())
            }
            Validation::Strict => {
                let kind = &target.kind;
                Err(Refusal::bad_request(format!(
                    "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
                    kind.kind,
                    kind.version,
                    kind.kind,
                    mistakes.join(", ")
                )))
            }
        }
    }

    /// Who writes, for managed fields.
    pub(super) fn writer(&self, store: &Store, target: &Target) -> Writer {
        let program = self.request.caller.split('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        let named = self.request.param("fieldManager").filter(|name| !name.is_empty());
        Writer {
            manager: named.unwrap_or(program).to_string(),
            subresource: target.part.map(|part| part.name()),
            time: store.timestamp(),
            force: self.request.flag("force"),
        }
    }

    /// An apply needs a name for its manager.
    pub(super) fn check_manager(&self) -> Result<(), Refusal> {
        if self.request.param("fieldManager").is_some_and(|name| !name.is_empty()) {
            return Ok(());
        }
        let cause = Cause::required("fieldManager", "is required for apply patch");
        Err(Refusal::invalid_as("meta.k8s.io", "PatchOptions", "", &[cause]))
    }
}
