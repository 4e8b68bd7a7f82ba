//! IAM: the service accounts that containers run as.

use google_cloud_iam_admin_v1::client::Iam;
use orchestra_planner::cloud::AccountView;

use crate::CloudError;
use crate::call::Calls;

/// The IAM port.
#[derive(Clone, Debug)]
pub struct Accounts {
    pub(crate) client: Iam,
    pub(crate) calls: Calls,
}

impl Accounts {
    /// A service account by its e-mail address, whichever project it is in; none: there is none.
    ///
    /// # Errors
    /// When Google does not answer, or refuses.
    pub async fn account(&self, email: &str) -> Result<Option<AccountView>, CloudError> {
        let name = format!("projects/-/serviceAccounts/{email}");
        let read = self.client.get_service_account().set_name(name).send();
        let found = self.calls.find("get service account", read).await?;
        Ok(found.map(|account| AccountView { disabled: account.disabled }))
    }
}
