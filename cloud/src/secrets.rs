//! Secret Manager: only numbers of versions, never a value. No call here can return one.

use google_cloud_secretmanager_v1::client::SecretManagerService;
use google_cloud_secretmanager_v1::model::secret_version::State;
use orchestra_planner::names::ProjectId;

use crate::CloudError;
use crate::call::find;

/// The Secret Manager port.
#[derive(Clone, Debug)]
pub struct Secrets {
    pub(crate) client: SecretManagerService,
}

impl Secrets {
    /// The number of a version that is there and enabled; without one asked for, the newest.
    ///
    /// # Errors
    /// When Google does not answer, or refuses.
    pub async fn resolve(
        &self,
        project: &ProjectId,
        secret: &str,
        version: Option<i64>,
    ) -> Result<Option<i64>, CloudError> {
        let secret = format!("projects/{project}/secrets/{secret}");
        let found = match version {
            Some(number) => {
                let read = self.client.get_secret_version().set_name(format!("{secret}/versions/{number}")).send();
                find("get secret version", read).await?.filter(|v| v.state == State::Enabled)
            }
            None => {
                let list = self.client.list_secret_versions().set_parent(secret).set_filter("state:ENABLED");
                let newest = find("list secret versions", list.set_page_size(1).send()).await?;
                newest.and_then(|list| list.versions.into_iter().next())
            }
        };
        Ok(found.and_then(|v| v.name.rsplit('/').next()?.parse().ok()))
    }
}
