//! Service accounts.

use serde::{Deserialize, Serialize};

/// A service account as last read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Whether it is switched off: nothing can run as it then.
    pub disabled: bool,
}
