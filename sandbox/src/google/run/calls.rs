//! The calls of Cloud Run v2.

use http::Method;
use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::entry::Entry;
use super::service::Service;
use super::{Place, Run, document};
use crate::google::Context;
use crate::google::mask::Mask;
use crate::google::operations::{Mishap, name_of};
use crate::google::page::{page, page_text};
use crate::google::problem::Problem;
use crate::google::secrets::Secrets;
use crate::google::users::ROUND_SECONDS;

/// Largest page of services or revisions.
const PAGE: usize = 1000;

impl Place {
    fn service(&self, id: &str) -> String {
        format!("{}/services/{id}", self.parent())
    }
}

impl Run {
    pub(in crate::google) fn handle(
        &mut self,
        context: Context<'_>,
        place: &Place,
        rest: &[&str],
        verb: &str,
        secrets: &Secrets,
    ) -> Result<Value, Problem> {
        if place.region == "-" {
            return Err(Problem::field("parent", "the location must be a region, '-' is not supported"));
        }
        match (rest, &context.request.method, verb) {
            (["services"], &Method::GET, "") => {
                let copied = self.own(place).map(|(name, entry)| (name.clone(), entry.document().clone()));
                page(context.request, "services", copied.collect(), PAGE)
            }
            (["services"], &Method::POST, "") => {
                let id = context.request.either("serviceId", "service_id");
                self.create(context, place, id, secrets)
            }
            (["services", id], &Method::GET, "") => {
                let entry = self.entry(&place.service(id))?;
                Ok(entry.document().clone())
            }
            (["services", id], &Method::PATCH, "") => self.update(context, place, id, secrets),
            (["services", id], &Method::DELETE, "") => self.delete(context, &place.service(id)),
            (["services", id], _, verb) if !verb.is_empty() => {
                self.entry(&place.service(id))?.policy.handle(context, verb)
            }
            (["services", id, "revisions"], &Method::GET, "") => self.revisions(context, place, id),
            (["services", id, "revisions", revision], &Method::GET, "") => {
                let entry = self.entry(&place.service(id))?;
                let full = format!("{}/revisions/{revision}", place.service(id));
                let found = entry.service().revisions.get(*revision).ok_or_else(|| Problem::not_found(&full))?;
                Ok(document::of_revision(entry, found))
            }
            (["services", id, "revisions", revision], &Method::DELETE, "") => {
                self.delete_revision(context, &place.service(id), revision)
            }
            (["operations", rest @ ..], ..) => self.operations.handle(context, &place.parent(), rest, verb),
            (["jobs" | "workerPools" | "instances" | "builds", ..], ..) => {
                Err(Problem::unimplemented(&format!("{} of Cloud Run", rest[0])))
            }
            _ => Err(Problem::unknown_path(&context.request.path)),
        }
    }

    /// The services of a place, with their names.
    fn own(&self, place: &Place) -> impl Iterator<Item = (&String, &Entry)> {
        self.services.iter().filter(move |(_, entry)| entry.place == *place)
    }

    /// A list of services as text, enums by name: of a thousand services, documents would take ten times as long.
    pub(in crate::google) fn list_as_text(&self, context: Context<'_>, place: &Place) -> Result<String, Problem> {
        let texts = self.own(place).map(|(name, entry)| (name.clone(), entry.text()));
        page_text(context.request, "services", texts.collect(), PAGE)
    }

    fn entry(&mut self, name: &str) -> Result<&mut Entry, Problem> {
        self.services.get_mut(name).ok_or_else(|| Problem::not_found(name))
    }

    /// Of one service, or with `-` of all in the region; newest first.
    fn revisions(&self, context: Context<'_>, place: &Place, id: &str) -> Result<Value, Problem> {
        let name = place.service(id);
        if id != "-" && !self.services.contains_key(&name) {
            return Err(Problem::not_found(&name));
        }
        let own = self.services.values().filter(|e| e.place == *place && (id == "-" || e.service().id == id));
        let mut all: Vec<(Timestamp, String, Value)> = own
            .flat_map(|e| e.service().revisions.values().map(move |r| (e, r)))
            .map(|(e, r)| (r.created, format!("{}/{}", e.service().id, r.name), document::of_revision(e, r)))
            .collect();
        all.sort_by(|(a, one, _), (b, other, _)| b.cmp(a).then_with(|| one.cmp(other)));
        page(context.request, "revisions", all.into_iter().map(|(_, name, item)| (name, item)).collect(), PAGE)
    }

    fn create(&mut self, context: Context<'_>, place: &Place, id: &str, secrets: &Secrets) -> Result<Value, Problem> {
        let fits = id.len() < 50 && id.starts_with(|c: char| c.is_ascii_lowercase()) && !id.ends_with('-');
        if !fits || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            let rule = "only lowercase letters, digits and hyphens, fewer than 50, starting with a letter";
            return Err(Problem::field("service_id", format!("{id:?}: {rule}")));
        }
        let name = place.service(id);
        if self.services.contains_key(&name) {
            return Err(Problem::already_exists(format!("Resource '{id}' already exists.")));
        }
        let wanted = context.body()?;
        let usable = |secret: &str, version: &str| secrets.usable(&place.project, secret, version);
        if context.request.flag("validateOnly") {
            let service =
                Service::create((id, &place.region), wanted, context.now, &mut StdRng::seed_from_u64(0), &usable)?;
            return Ok(validated(place, &service));
        }
        let mut service = Service::create((id, &place.region), wanted, context.now, &mut self.random, &usable)?;
        service.note_author(context.request.author());
        let second = context.now.as_second().div_euclid(ROUND_SECONDS) * ROUND_SECONDS;
        let users_until = Timestamp::from_second(second).unwrap_or(context.now);
        self.services.insert(name.clone(), Entry::new(place.clone(), service, users_until));
        self.begin(context, &name)
    }

    /// Starts an operation about the service as it is now.
    fn begin(&mut self, context: Context<'_>, name: &str) -> Result<Value, Problem> {
        let entry = self.services.get_mut(name).ok_or_else(|| Problem::not_found(name))?;
        let mut metadata = entry.document().clone();
        metadata["@type"] = json!(document::TYPE);
        let operation = self.operations.start(context, &entry.place.parent(), metadata, &mut self.random);
        let id = name_of(&operation);
        match context.mishap {
            Some(Mishap::Fails) => entry.service_mut().fail_next(),
            Some(Mishap::Never) => entry.service_mut().stall(),
            Some(Mishap::Forgotten) => self.operations.forget(&id),
            None => {}
        }
        let generation = entry.service().generation;
        entry.waiting.push((id, generation));
        Ok(operation)
    }

    fn update(&mut self, context: Context<'_>, place: &Place, id: &str, secrets: &Secrets) -> Result<Value, Problem> {
        let name = place.service(id);
        if context.request.flag("allowMissing") && !self.services.contains_key(&name) {
            return self.create(context, place, id, secrets);
        }
        let wanted = context.body()?;
        let mask = Mask::parse(context.request.either("updateMask", "update_mask"));
        let entry = self.services.get_mut(&name).ok_or_else(|| Problem::not_found(&name))?;
        let usable = |secret: &str, version: &str| secrets.usable(&place.project, secret, version);
        check_etag(entry.service(), wanted["etag"].as_str().unwrap_or_default())?;
        if context.request.flag("validateOnly") {
            let mut service = entry.service().clone();
            service.update(&wanted, &mask, context.now, &mut StdRng::seed_from_u64(0), &usable)?;
            return Ok(validated(place, &service));
        }
        let service = entry.service_mut();
        service.update(&wanted, &mask, context.now, &mut self.random, &usable)?;
        service.note_author(context.request.author());
        self.begin(context, &name)
    }

    fn delete(&mut self, context: Context<'_>, name: &str) -> Result<Value, Problem> {
        let entry = self.entry(name)?;
        check_etag(entry.service(), context.request.param("etag").unwrap_or_default())?;
        if context.request.flag("validateOnly") {
            return Ok(validated(&entry.place, entry.service()));
        }
        entry.service_mut().delete(context.now);
        self.begin(context, name)
    }

    fn delete_revision(&mut self, context: Context<'_>, name: &str, revision: &str) -> Result<Value, Problem> {
        let full = format!("{name}/revisions/{revision}");
        let entry = self.services.get_mut(name).ok_or_else(|| Problem::not_found(name))?;
        let Some(found) = entry.service().revisions.get(revision) else { return Err(Problem::not_found(&full)) };
        let sent = context.request.param("etag").unwrap_or_default();
        if !sent.is_empty() && document::of_revision(entry, found)["etag"] != sent {
            return Err(Problem::aborted(format!("Conflict for resource '{revision}': '{sent}' is not its etag.")));
        }
        if entry.service().in_use(revision) {
            return Err(Problem::precondition(format!("Revision '{revision}' is in use and cannot be deleted.")));
        }
        let mut metadata = document::of_revision(entry, found);
        metadata["@type"] = json!("type.googleapis.com/google.cloud.run.v2.Revision");
        metadata["deleteTime"] = context.time();
        if context.request.flag("validateOnly") {
            let name = format!("{}/operations/validate", entry.place.parent());
            return Ok(json!({"name": name, "metadata": metadata, "done": true, "response": metadata}));
        }
        entry.service_mut().revisions.remove(revision);
        let operation = self.operations.start(context, &entry.place.parent(), metadata.clone(), &mut self.random);
        let id = name_of(&operation);
        self.operations.end(&id, context.now, Ok(metadata));
        self.operations.get(&id)
    }
}

/// The operation of a call that was only to be checked: it is over, and nothing has happened.
fn validated(place: &Place, service: &Service) -> Value {
    let mut document = document::of_service(place, service);
    document["@type"] = json!(document::TYPE);
    json!({"name": format!("{}/operations/validate", place.parent()), "metadata": document, "done": true, "response": document})
}

fn check_etag(service: &Service, sent: &str) -> Result<(), Problem> {
    if sent.is_empty() || sent == service.etag() {
        return Ok(());
    }
    Err(Problem::aborted(format!(
        "Conflict for resource '{}': version '{sent}' was specified but current version is '{}'.",
        service.id,
        service.etag()
    )))
}
