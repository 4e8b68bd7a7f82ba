//! A service that others had made is taken over, because the spec names it. One write claims it: our marks, and the traffic pinned
//! to the revision that serves, which becomes stable as it is. No revision is made, and no request goes elsewhere. What the
//! template says otherwise is the first release.

use orchestra_crds::{ADOPT_UID, Outcome, RolloutPhase};
use std::collections::BTreeSet;

use super::decision::Decision;
use super::memory::Memory;
use super::pass::Pass;
use super::place::{Ownership, Place};
use super::{Turn, settings};
use crate::cloud::{Readiness, RevisionView, ServiceView};
use crate::marks::{Marks, PromotedMark};
use crate::names::{ReleaseId, RevisionName};
use crate::plan::{Effect, POLL, ServiceChange};
use crate::reason::Reason;
use crate::template::{EffectiveTemplate, Wanted};
use crate::traffic::{all_to, only_revision, revisions};

/// Claims what the spec names, and puts on record what was claimed. None: there is nothing to do about it.
pub(super) fn turn(pass: &Pass<'_>, memory: &mut Memory) -> Option<Turn> {
    if is_replaced(pass, memory) {
        memory.forget_services(pass.seen.now);
        return Some(Turn::Again);
    }
    let missing = || missing(pass, memory).map(Turn::from);
    missing().or_else(|| claim(pass, memory).map(Turn::from)).or_else(|| note(pass, memory))
}

/// Whether others have made every service anew that was taken over: what is known is about services that are no more.
fn is_replaced(pass: &Pass<'_>, memory: &Memory) -> bool {
    // One that is known by Cloud Run's own identity is no other, whatever its marks are.
    let is_new = |place: &Place<'_>| place.ownership == Ownership::Adoptable;
    memory.stable.is_some() && pass.waves().next().is_some() && pass.waves().all(is_new) && !serve_stable(pass, memory)
}

/// Whether what serves in any of them is stable still: marks were lost with the status of where it is.
fn serve_stable(pass: &Pass<'_>, memory: &Memory) -> bool {
    let serves = |place: &Place<'_>| {
        place.view().is_some_and(|view| only_revision(&view.serving).is_some_and(|name| memory.is_stable(name)))
    };
    pass.waves().any(serves)
}

/// A region in which there is nothing to take over: a service is not made where the spec names one that is there.
fn missing(pass: &Pass<'_>, memory: &Memory) -> Option<Decision> {
    let is_first = memory.stable.is_none() && memory.candidate.is_none() && memory.failure.is_none();
    let is_known = |place: &Place<'_>| place.ours().is_some() || memory.region(place.region()).service_uid.is_some();
    if !is_first || pass.seen.rollout.spec.adopt.is_none() || pass.places.iter().any(is_known) {
        return None;
    }
    let place = pass.waves().find(|place| matches!(place.seen.service, Ok(None)))?;
    let (region, name) = (place.region(), &place.seen.id.name);
    Some(blocked(format!(
        "{region}: there is no Cloud Run service `{name}` to take over, as spec.adopt says: is it the right region and project? To \
         have it made, take adopt out; a region without it can be added to the environment afterwards"
    )))
}

/// The revisions that may become stable.
pub(super) fn revisions_to_read<'p>(pass: &'p Pass<'_>) -> impl Iterator<Item = RevisionName> + use<'p> {
    adoptable(pass).filter_map(|place| only_revision(&place.view()?.serving).cloned())
}

fn adoptable<'p, 'a>(pass: &'p Pass<'a>) -> impl Iterator<Item = &'p Place<'a>> {
    pass.waves().filter(|place| place.ownership == Ownership::Adoptable)
}

/// Whether nothing that is known stands beside it: no release, and no stable revision but the one that serves there. Else it is
/// another's service, as any.
fn may_be_claimed(memory: &Memory, place: &Place<'_>) -> bool {
    let is_quiet = memory.candidate.is_none() && memory.failure.as_ref().is_none_or(|failure| failure.rolled_back);
    let serves = |stable: &RevisionName| place.view().is_some_and(|view| only_revision(&view.serving) == Some(stable));
    is_quiet && memory.stable.as_ref().is_none_or(|stable| serves(&stable.revision))
}

fn blocked(message: String) -> Decision {
    // What changes the service wakes it.
    Decision::stalled(RolloutPhase::Pending, Reason::AdoptionBlocked, message)
}

fn waits(message: String) -> Decision {
    Decision::working(RolloutPhase::Pending, Reason::Adopting, message).look_again_in(POLL)
}

fn claim(pass: &Pass<'_>, memory: &Memory) -> Option<Decision> {
    let places: Vec<&Place<'_>> = adoptable(pass).filter(|place| may_be_claimed(memory, place)).collect();
    places.first()?;
    if let Some((place, fault)) = pass.unread_waves().next() {
        return Some(Decision::unreadable(RolloutPhase::Pending, &format!("the service in {}", place.region()), fault));
    }
    let wanted = match &pass.built {
        Ok(wanted) => wanted,
        Err(gate) => return Some(Decision::closed(RolloutPhase::Pending, gate)),
    };
    let (mut names, mut others, mut said) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut effects = vec![];
    for place in places {
        let Some(view) = place.view() else { continue };
        let read = match serving(place, view) {
            Ok(read) => read,
            Err(decision) => return Some(*decision),
        };
        names.insert(read.name.clone());
        others.extend(said_otherwise(wanted, (view, read)));
        said.insert(is_said(wanted, (view, read)));
        effects.push(taken_over(pass, memory, (place, view), read, wanted));
    }
    let told: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.len() > 1 {
        return Some(blocked(format!(
            "{} serve in the regions of the environment: stable has one name everywhere. Take each region over by an environment and \
             a Rollout of its own",
            told.join(" and ")
        )));
    }
    if said.len() > 1 {
        return Some(blocked(format!(
            "{} runs other things in other regions: {}. Take each region over by an environment and a Rollout of its own",
            told.concat(),
            others.into_iter().collect::<Vec<_>>().join(", ")
        )));
    }
    let message = match others.is_empty() {
        true => format!("{} is taken over as it runs", told.concat()),
        false => format!(
            "{} is taken over as it runs; what the template says otherwise is released after it: {}",
            told.concat(),
            others.into_iter().collect::<Vec<_>>().join(", ")
        ),
    };
    Some(waits(message).with_effects(effects))
}

/// Whether what should run is what a revision runs.
fn is_said(wanted: &Wanted, (view, read): (&ServiceView, &RevisionView)) -> bool {
    match &wanted.made {
        Some(made) => *made == read.name,
        // Of a revision that others made, a tag tells nothing of a digest.
        None => wanted.template.is_run_by(&read.template) && left_unsaid(wanted, (view, read)).is_empty(),
    }
}

/// What others have chosen, and the template does not say: with a revision of ours it would be gone.
fn left_unsaid(wanted: &Wanted, (view, read): (&ServiceView, &RevisionView)) -> Vec<String> {
    let (wanted, read) = (&wanted.template, &read.template);
    let unchecked = view.health_check_disabled && !wanted.health_check_disabled;
    let is_own = |account: &String| !account.ends_with("-compute@developer.gserviceaccount.com");
    let account = wanted.service_account.is_none() && read.service_account.as_ref().is_some_and(is_own);
    let most = wanted.max_instances.is_none() && read.max_instances.is_some();
    let sandbox = wanted.execution_environment.is_none() && read.execution_environment.is_some();
    let image = images(wanted) != images(read);
    let unsaid = [
        (image, "image, by a tag or a digest"),
        (account, "service account"),
        (most, "most instances of the revision"),
        (sandbox, "execution environment"),
        (unchecked, "no health check"),
    ];
    unsaid.into_iter().filter(|(is, _)| *is).map(|(_, what)| what.to_string()).collect()
}

fn images(template: &EffectiveTemplate) -> Vec<&str> {
    template.containers.iter().map(|container| container.image.as_str()).collect()
}

/// Of what the template says something else than runs.
fn said_otherwise(wanted: &Wanted, found: (&ServiceView, &RevisionView)) -> Vec<String> {
    let (_, read) = found;
    match (is_said(wanted, found), &wanted.made) {
        (true, _) => vec![],
        (false, Some(made)) => vec![format!("`{made}`, which was deployed since")],
        (false, None) if wanted.template.is_run_by(&read.template) => left_unsaid(wanted, found),
        (false, None) => crate::difference::names_of(&wanted.template, &read.template),
    }
}

/// The revision that has all requests, if it can be stable.
fn serving<'a>(place: &Place<'a>, view: &ServiceView) -> Result<&'a RevisionView, Box<Decision>> {
    let region = place.region();
    let Some(name) = only_revision(&view.serving) else {
        if view.serving.is_empty() {
            let why = view.trouble.as_ref().map(|trouble| format!(" ({}: {})", trouble.reason, trouble.message));
            let message = format!("{region}: no revision serves yet{}", why.unwrap_or_default());
            return Err(Box::new(waits(message)));
        }
        let among: BTreeSet<String> = revisions(&view.serving).map(|name| format!("`{name}`")).collect();
        let among: Vec<String> = among.into_iter().collect();
        return Err(Box::new(waits(format!(
            "{region}: the requests are split between {}: it is taken over once one of them has all",
            among.join(" and ")
        ))));
    };
    if !view.settled {
        return Err(Box::new(waits(format!("{region}: it is taken over once Cloud Run has finished a change of it"))));
    }
    match place.seen.revisions.get(name) {
        Some(Ok(Some(read))) => match &read.readiness {
            Readiness::Ready => Ok(read),
            Readiness::Pending => Err(Box::new(waits(format!("{region}: `{name}` is not ready yet")))),
            Readiness::Failed(trouble) => Err(Box::new(blocked(format!(
                "{region}: `{name}` serves, and is not ready, says Cloud Run ({}): {}",
                trouble.reason, trouble.message
            )))),
        },
        Some(Ok(None)) => Err(Box::new(blocked(format!("{region}: `{name}` serves, and there is no such revision")))),
        Some(Err(fault)) => {
            let what = format!("`{name}` in {region}");
            Err(Box::new(Decision::unreadable(RolloutPhase::Pending, &what, fault)))
        }
        None => Err(Box::new(waits(format!("{region}: `{name}` is read")))),
    }
}

/// The write that makes it ours.
fn taken_over(
    pass: &Pass<'_>,
    memory: &Memory,
    (place, view): (&Place<'_>, &ServiceView),
    read: &RevisionView,
    wanted: &Wanted,
) -> Effect {
    // A region that follows the others is none of a new release.
    let number = pass.next_release(memory) - u32::from(memory.stable.is_some());
    let promoted = PromotedMark {
        revision: read.name.clone(),
        template: match &wanted.made {
            Some(_) => Some(Wanted::made_by_others(&read.name, read.template.clone()).own),
            None => is_said(wanted, (view, read)).then(|| pass.own.clone()),
        },
        runs: (wanted.made.is_none() && is_said(wanted, (view, read))).then(|| wanted.hash.clone()),
    };
    let marks = Marks {
        owner: Some(pass.seen.owner()),
        stable: Some(read.name.clone()),
        last_release: number,
        promoted: vec![promoted],
        adopted: Some(pass.seen.now),
        regions: pass.waves().map(|place| place.region().clone()).collect(),
        others: place.marks.others.clone(),
        ..Marks::default()
    };
    let traffic = Some(all_to(&read.name, &view.traffic)).filter(|traffic| *traffic != view.traffic);
    let settings = settings::changes(pass, memory, &view.settings);
    let change = ServiceChange { traffic, marks: Some(marks), settings, ..ServiceChange::default() };
    Effect::UpdateService { service: place.seen.id.clone(), etag: view.etag.clone(), change: Box::new(change) }
}

/// A service of that name which is not ours.
pub(super) fn foreign(place: &Place<'_>) -> Decision {
    let (region, name) = (place.region(), &place.seen.id.name);
    let there = format!("{region}: a Cloud Run service named `{name}` exists");
    let message = match &place.marks.owner {
        None if place.ownership == Ownership::Adoptable => format!(
            "{there} that others had made. It is taken over when no release is under way, and where no other revision is stable in the \
             other regions: else take the region out of the environment"
        ),
        None => format!(
            "{there} and belongs to no Rollout: it is left alone. To take it over as it runs, set spec.adopt.service: {name} \
             (`kubectl orchestra adopt {name}` writes a Rollout of what it runs)"
        ),
        Some(owner) => format!(
            "{there} and belongs to the Rollout `{}`{}: it is left alone. If that one is lost with its cluster, or is this one's name \
             of before, annotate {ADOPT_UID} with its UID; else delete this Rollout and create one with another spec.serviceName",
            owner.name,
            owner.uid.as_ref().map(|uid| format!(" (UID {uid})")).unwrap_or_default()
        ),
    };
    Decision::stalled(RolloutPhase::Pending, Reason::ServiceNotOurs, message)
}

/// Puts on record what was seen to be taken over, before anything is released.
fn note(pass: &Pass<'_>, memory: &mut Memory) -> Option<Turn> {
    let (since, stable) = (memory.adopted_since?, memory.stable.clone()?);
    let number = pass.next_release(memory).saturating_sub(1);
    let is_new = memory.last_release() < number && memory.promoted.len() == 1 && memory.candidate.is_none();
    if !is_new {
        return None;
    }
    let found = pass.places.iter().find_map(|place| Some((place.view()?, place.revision(&stable.revision)?)));
    let other = match (&pass.built, found) {
        (Ok(wanted), Some(found)) => said_otherwise(wanted, found),
        _ => vec![],
    };
    let message = match other.as_slice() {
        [] => "it was taken over as it runs".to_string(),
        other => format!("it was taken over as it runs; the template says otherwise of {}", other.join(", ")),
    };
    let release = ReleaseId { revision: stable.revision.clone(), number };
    memory.note_end((&release, stable.image.unwrap_or_default()), Outcome::Adopted, message, (since, pass.seen.now));
    Some(Turn::Again)
}
