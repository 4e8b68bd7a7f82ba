//! Writes to the model: each takes effect at once.

use super::World;
use crate::cloud::{ServiceSettings, ServiceView, Target};
use crate::marks::Marks;
use crate::names::{Etag, Percent, RevisionName};
use crate::plan::Effect;
use crate::traffic::weight_of;

impl World {
    pub(super) fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::CreateService { service, new } => {
                let region = service.region.to_string();
                let mut view = ServiceView {
                    etag: Etag("1".into()),
                    uid: Some(format!("{region}-{}", self.now.as_second())),
                    settled: true,
                    marks: Marks::default(),
                    template_revision: None,
                    newest: None,
                    traffic: vec![],
                    serving: vec![],
                    settings: new.settings,
                    url: None,
                    trouble: None,
                    settled_at: Some(self.now),
                    written_at: Some(self.now),
                    modified_by: None,
                    health_check_disabled: false,
                };
                assert!(!self.cloud.contains_key(&region), "created twice");
                self.put(
                    &region,
                    &mut view,
                    Some((new.revision, new.template.image().to_string())),
                    Some(new.traffic),
                    Some(new.marks),
                );
                self.writes.push(format!("{region} create, {}", self.shares(&view)));
                self.cloud.insert(region, view);
            }
            Effect::UpdateService { service, etag, change } => {
                let region = service.region.to_string();
                let mut view = self.cloud[&region].clone();
                assert_eq!(etag, view.etag);
                let deploys = change.template.is_some();
                let only_settings = change.traffic.is_none() && change.marks.is_none();
                view.settings = change.settings.into_iter().fold(view.settings, ServiceSettings::with);
                let template = change.template.map(|(name, template)| (name, template.image().to_string()));
                self.put(&region, &mut view, template, change.traffic, change.marks);
                self.writes.push(match (only_settings, deploys) {
                    (true, _) => format!("{region} settings"),
                    (_, true) => format!("{region} deploy, {}", self.shares(&view)),
                    _ => format!("{region} {}", self.shares(&view)),
                });
                self.cloud.insert(region, view);
            }
            Effect::SetPolicy { service, policy } => {
                if self.policies.insert(service.region.to_string(), policy).is_some() {
                    self.writes.push(format!("{} policy", service.region));
                }
            }
            Effect::DeleteService { service, .. } => self.delete_service(service.region.as_str()),
            Effect::DeleteRevision { service, revision } => {
                self.delete_revision(service.region.as_str(), &revision);
            }
            other => panic!("{other:?}"),
        }
    }

    fn delete_service(&mut self, region: &str) {
        self.cloud.remove(region);
        self.writes.push(format!("{region} delete"));
    }

    fn delete_revision(&mut self, region: &str, revision: &RevisionName) {
        self.deployed.remove(&(region.to_string(), revision.to_string()));
        self.writes.push(format!("{region} delete {}", self.revisions[revision.as_str()]));
    }

    fn put(
        &mut self,
        region: &str,
        view: &mut ServiceView,
        template: Option<(RevisionName, String)>,
        traffic: Option<Vec<crate::cloud::TrafficTarget>>,
        marks: Option<Marks>,
    ) {
        if let Some((name, image)) = template {
            let known = self.revisions.insert(name.to_string(), image.clone());
            assert!(known.is_none_or(|k| k == image), "a revision name with another template");
            self.deployed.insert((region.to_string(), name.to_string()));
            view.newest = Some(name.clone());
            view.template_revision = Some(name);
        }
        let before = view.marks.clone();
        view.marks = marks.unwrap_or(before);
        if let Some(traffic) = traffic {
            assert_eq!(traffic.iter().map(|t| t.percent.get()).sum::<i32>(), 100);
            for target in &traffic {
                let Target::Revision(name) = &target.to else { panic!("LATEST") };
                assert!(target.percent == Percent::NONE || self.revisions.contains_key(name.as_str()));
                let failed_again = view.marks.has_failed(name) && target.percent > weight_of(name, &view.traffic);
                assert!(!failed_again, "a failed revision got traffic again");
            }
            view.traffic = traffic;
            view.serving = view.traffic.clone();
        }
        view.settled = true;
        view.settled_at = Some(self.now);
        view.written_at = Some(self.now);
        view.etag = Etag(format!("{}x", view.etag.0));
    }
}
