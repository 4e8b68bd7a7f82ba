//! Cloud Run: services and revisions. Writes name their mask and carry the etag of the read they follow from.

mod model;

use google_cloud_iam_v1::model::{GetPolicyOptions, Policy};
use google_cloud_run_v2::client::{Revisions, Services};
use google_cloud_run_v2::model::RevisionTemplate;
use google_cloud_wkt::FieldMask;
use orchestra_planner::cloud::{PolicyView, RevisionView, ServiceId, ServiceSettings, ServiceView};
use orchestra_planner::names::{Etag, ProjectId, Region, RevisionName};
use orchestra_planner::plan::{NewService, ServiceChange};
use std::collections::BTreeMap;

use crate::CloudError;
use crate::call::{Calls, PAGES, once};

/// Services that are listed at once.
const PAGE: i32 = 500;

/// The Cloud Run port.
#[derive(Clone, Debug)]
pub struct CloudRun {
    pub(crate) services: Services,
    /// Where writes go.
    pub(crate) writes: Services,
    pub(crate) revisions: Revisions,
    /// Where writes of them go.
    pub(crate) revision_writes: Revisions,
    pub(crate) calls: Calls,
}

fn parent(id: &ServiceId) -> String {
    format!("projects/{}/locations/{}", id.project, id.region)
}

fn path(id: &ServiceId) -> String {
    format!("{}/services/{}", parent(id), id.name)
}

impl CloudRun {
    /// Whether Cloud Run of a project can be seen in a region.
    ///
    /// # Errors
    /// When there is no such project or region, or we may not see it; or when Google does not answer.
    pub async fn look(&self, project: &ProjectId, region: &Region) -> Result<(), CloudError> {
        let parent = format!("projects/{project}/locations/{region}");
        self.calls
            .call("list services", self.services.list_services().set_parent(parent).set_page_size(1).send())
            .await?;
        Ok(())
    }

    /// Reads a service.
    ///
    /// # Errors
    /// When Google does not answer, or refuses.
    pub async fn service(&self, id: &ServiceId) -> Result<Option<ServiceView>, CloudError> {
        let read = self.services.get_service().set_name(path(id)).send();
        Ok(self.calls.find("get service", read).await?.map(model::service_view))
    }

    /// The services of a project in a region, with their etags: whether any has changed.
    ///
    /// # Errors
    /// When Google does not answer, or refuses.
    pub async fn etags(&self, project: &ProjectId, region: &Region) -> Result<BTreeMap<ServiceId, Etag>, CloudError> {
        const WHAT: &str = "list services";
        let (parent, mut etags, mut token) =
            (format!("projects/{project}/locations/{region}"), BTreeMap::new(), String::new());
        for _ in 0..PAGES {
            let list =
                self.services.list_services().set_parent(parent.as_str()).set_page_size(PAGE).set_page_token(token);
            let page = self.calls.call(WHAT, list.send()).await?;
            etags.extend(page.services.iter().filter_map(|service| model::etag(project, region, service)));
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(etags);
            }
        }
        Err(CloudError::endless(WHAT))
    }

    /// Reads a revision.
    ///
    /// # Errors
    /// When Google does not answer, or refuses.
    pub async fn revision(&self, id: &ServiceId, name: &RevisionName) -> Result<Option<RevisionView>, CloudError> {
        let read = self.revisions.get_revision().set_name(format!("{}/revisions/{name}", path(id))).send();
        let found = self.calls.find("get revision", read).await?;
        // One that is being deleted is told of for a while.
        let found = found.filter(|revision| revision.delete_time.is_none());
        Ok(found.map(|revision| model::revision_view(id, name, &revision)))
    }

    /// Creates a service; gives the name of the operation.
    ///
    /// # Errors
    /// Conflict when there is one of that name.
    pub async fn create(&self, id: &ServiceId, new: &NewService) -> Result<String, CloudError> {
        let change = ServiceChange {
            template: Some((new.revision.clone(), new.template.clone())),
            traffic: Some(new.traffic.clone()),
            marks: Some(new.marks.clone()),
            settings: ServiceSettings::default().changes_to(&new.settings),
        };
        let (service, _) = model::service(id, &change, RevisionTemplate::default());
        let create = self.writes.create_service().set_parent(parent(id)).set_service_id(id.name.as_str());
        Ok(self.calls.call("create service", once(create.set_service(service)).send()).await?.name)
    }

    /// Changes a service; gives the name of the operation.
    ///
    /// # Errors
    /// Conflict when it has changed since it was read.
    pub async fn update(&self, id: &ServiceId, etag: &Etag, change: &ServiceChange) -> Result<String, CloudError> {
        let base = match &change.template {
            Some((revision, _)) => self.base(id, revision).await?,
            None => RevisionTemplate::default(),
        };
        let (service, mask) = model::service(id, change, base);
        let service = service.set_name(path(id)).set_etag(etag.0.as_str());
        let update = self.writes.update_service().set_service(service);
        let update = update.set_update_mask(FieldMask::default().set_paths(mask));
        Ok(self.calls.call("update service", once(update).send()).await?.name)
    }

    /// What a new template is put over, read for it: what Google adds to templates later survives our writes. Whether it
    /// is still what the plan follows from, the etag of the write tells.
    async fn base(&self, id: &ServiceId, revision: &RevisionName) -> Result<RevisionTemplate, CloudError> {
        let service = self.services.get_service().set_name(path(id)).send();
        let known = self.revisions.get_revision().set_name(format!("{}/revisions/{revision}", path(id))).send();
        let (service, known) =
            (self.calls.call("get service", service).await?, self.calls.find("get revision", known).await?);
        Ok(model::base(service, known))
    }

    /// Deletes a service; gives the name of the operation.
    ///
    /// # Errors
    /// Conflict when it has changed since it was read.
    pub async fn delete(&self, id: &ServiceId, etag: &Etag) -> Result<String, CloudError> {
        let delete = self.writes.delete_service().set_name(path(id)).set_etag(etag.0.as_str());
        Ok(self.calls.call("delete service", once(delete).send()).await?.name)
    }

    /// Deletes a revision; gives the name of the operation.
    ///
    /// # Errors
    /// When Google refuses, as it does where the revision is used.
    pub async fn delete_revision(&self, id: &ServiceId, name: &RevisionName) -> Result<String, CloudError> {
        let delete = self.revision_writes.delete_revision().set_name(format!("{}/revisions/{name}", path(id)));
        Ok(self.calls.call("delete revision", once(delete).send()).await?.name)
    }

    /// Reads who may call a service.
    ///
    /// # Errors
    /// When Google does not answer, or refuses.
    pub async fn policy(&self, id: &ServiceId) -> Result<PolicyView, CloudError> {
        let options = GetPolicyOptions::new().set_requested_policy_version(3);
        let read = self.services.get_iam_policy().set_resource(path(id)).set_options(options).send();
        Ok(model::policy_view(self.calls.call("get IAM policy", read).await?))
    }

    /// Changes who may call a service.
    ///
    /// # Errors
    /// Conflict when the policy has changed since it was read.
    pub async fn set_policy(&self, id: &ServiceId, policy: &PolicyView) -> Result<(), CloudError> {
        let policy: Policy = model::policy(policy);
        let set = self.writes.set_iam_policy().set_resource(path(id)).set_policy(policy);
        self.calls.call("set IAM policy", once(set).send()).await?;
        Ok(())
    }
}
