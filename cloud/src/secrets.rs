//! Secret Manager: only numbers of versions, never a value. No call here can return one.

use google_cloud_secretmanager_v1::client::SecretManagerService;
use google_cloud_secretmanager_v1::model::SecretVersion;
use google_cloud_secretmanager_v1::model::secret_version::State;
use jiff::Timestamp;
use orchestra_planner::cloud::VersionView;
use orchestra_planner::names::ProjectId;

use crate::CloudError;
use crate::call::{Calls, PAGES};

/// The Secret Manager port.
#[derive(Clone, Debug)]
pub struct Secrets {
    pub(crate) client: SecretManagerService,
    pub(crate) calls: Calls,
}

impl Secrets {
    /// The version that is there and enabled; without one asked for, the newest.
    ///
    /// # Errors
    /// When Google does not answer, refuses, or gives a list without an end.
    pub async fn resolve(
        &self,
        project: &ProjectId,
        secret: &str,
        version: Option<i64>,
    ) -> Result<Option<VersionView>, CloudError> {
        let secret = format!("projects/{project}/secrets/{secret}");
        let found = match version {
            Some(number) => {
                let read = self.client.get_secret_version().set_name(format!("{secret}/versions/{number}")).send();
                self.calls.find("get secret version", read).await?.filter(|v| v.state == State::Enabled)
            }
            None => self.newest(&secret).await?,
        };
        Ok(found.as_ref().and_then(view))
    }

    /// The newest enabled version. A page may be empty and still not be the last.
    async fn newest(&self, secret: &str) -> Result<Option<SecretVersion>, CloudError> {
        let mut token = String::new();
        for _ in 0..PAGES {
            let list = self.client.list_secret_versions().set_parent(secret).set_filter("state:ENABLED");
            let page =
                self.calls.find("list secret versions", list.set_page_size(1).set_page_token(token).send()).await?;
            let Some(page) = page else { return Ok(None) };
            token = page.next_page_token;
            let first = page.versions.into_iter().next();
            if first.is_some() || token.is_empty() {
                return Ok(first);
            }
        }
        Err(CloudError::endless("list secret versions"))
    }
}

fn view(version: &SecretVersion) -> Option<VersionView> {
    let number = version.name.rsplit('/').next()?.parse().ok()?;
    let created_at = version.create_time.as_ref().and_then(|t| Timestamp::new(t.seconds(), t.nanos()).ok());
    Some(VersionView { number, created_at })
}
