//! One request while it is answered.

use super::auth::User;
use super::managed::Writer;
use super::route::Target;
use super::store::Store;
use crate::exchange::Request;

/// A request, and what its caller is warned of.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    pub(super) user: User,
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

    /// Warns of fields that were not understood; gives them back when they are to be refused.
    pub(super) fn misread(&mut self, mistakes: Vec<String>) -> Result<(), Vec<String>> {
        match self.validation() {
            Validation::Strict if !mistakes.is_empty() => Err(mistakes),
            Validation::Warn => {
                self.warnings.extend(mistakes);
                Ok(())
            }
            Validation::Ignore | Validation::Strict => Ok(()),
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
}
