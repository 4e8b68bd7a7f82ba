//! The status: the story of a release, readable from `kubectl get` and `describe` alone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orchestra_crds::{Outcome, PromotedStatus, RegionStatus, ReleaseRecord, RolloutPhase, RolloutStatus};

use super::decision::Decision;
use super::memory::{Memory, RegionMemory, StepMemory};
use super::pass::Pass;
use super::place::{Ownership, Place};
use super::progress::{Placement, Progress};
use super::{deadline, events, keep, past, reach, requests, tags};
use crate::conditions::{self, Overall};
use crate::marks::Position;
use crate::names::RevisionName;
use crate::plan::{Effect, Finalizer, POLL, Plan, Urgency, hold_back, with_way_out};
use crate::reason::Reason;
use crate::traffic::{CANDIDATE, has_address, weight_of};
use crate::words::short_image;

/// How the message of a region begins that can't be read.
pub(super) const NOT_READABLE: &str = "not readable";

/// The plan of a decision.
pub(super) fn plan(pass: &Pass<'_>, mut memory: Memory, mut decision: Decision) -> Plan<RolloutStatus> {
    let (seen, old) = (pass.seen, pass.seen.rollout.status.clone().unwrap_or_default());
    tags::take_addresses_off(pass, &mut decision);
    hold_back_effects(pass, &mut decision);
    let mut status =
        RolloutStatus { observed_generation: seen.rollout.metadata.generation, ..RolloutStatus::default() };
    status.phase = Some(decision.phase);
    status.message = Some(decision.overall.note().message.clone());
    let subject = subject(&memory);
    let regions: Vec<RegionStatus> = match seen.environment {
        Some(_) => pass
            .places
            .iter()
            .filter(|place| !memory.departed.contains(place.region()))
            .map(|place| region_status(pass, &memory, place, subject.as_ref(), is_moved(&decision, place)))
            .collect(),
        None => old.regions.iter().map(not_looked_at).collect(),
    };
    let shown = shown_region(&decision, &regions).cloned();
    let named = decision.region.is_some() || decision.phase == RolloutPhase::RollingBack;
    status.region = shown.as_ref().filter(|_| named).map(|region| region.region.clone());
    status.weight = shown.as_ref().and_then(|r| r.weight);
    let steps = memory.candidate.as_ref().map_or(0, |c| c.steps().len());
    let step = shown.as_ref().and_then(|r| r.step.as_ref());
    status.step = step.filter(|_| memory.candidate.is_some()).map(|step| format!("{}/{steps}", step.number));
    status.image = shown_image(&memory);
    if let Some(image) = &decision.waits {
        (status.image, status.weight) = (Some(short_image(image)), Some(0));
    }
    status.regions = regions;
    let token = promote_token(&memory, &decision, &status);
    memory.regions.clear();
    let last = pass.next_release(&memory).saturating_sub(1);
    let warm: Vec<_> =
        memory.promoted.iter().map(|promoted| tags::warm_until(pass, &memory, &promoted.revision)).collect();
    memory.write(&mut status);
    for (promoted, warm) in status.promoted.iter_mut().zip(warm) {
        promoted.kept_warm_until = warm.map(Time);
        promoted.undo_token = Some(format!("{}.{last}", promoted.revision));
        tell_of_promotion(promoted, &status.history, &old.promoted);
    }
    if let Some(candidate) = status.candidate.as_mut() {
        candidate.promote_token = token;
    }
    let generation = seen.rollout.metadata.generation;
    status.conditions = conditions::update(&old.conditions, decision.overall.conditions(), generation, seen.now);
    let events = events::between(pass, &old, &status, &decision);
    let Decision { effects, next, urgency, .. } = decision;
    Plan { finalizer: Finalizer::Keep, status, effects, events, next, urgency }
}

/// How many characters are kept of what was known of a promoted revision.
const VERDICT_KEPT: usize = 200;

/// What is on record of a promoted revision, also once its release is not on record any more.
fn tell_of_promotion(promoted: &mut PromotedStatus, history: &[ReleaseRecord], before: &[PromotedStatus]) {
    let got_all = |record: &&ReleaseRecord| matches!(record.outcome, Outcome::Promoted | Outcome::Adopted);
    let of = |record: &&ReleaseRecord| record.revision == promoted.revision;
    match history.iter().filter(got_all).find(of) {
        Some(record) => {
            promoted.image = Some(record.image.clone()).filter(|image| !image.is_empty());
            promoted.promoted_at = Some(record.finished_at.clone());
            promoted.verdict = Some(record.message.chars().take(VERDICT_KEPT).collect());
        }
        None => {
            let Some(known) = before.iter().find(|known| known.revision == promoted.revision) else { return };
            promoted.image.clone_from(&known.image);
            promoted.promoted_at.clone_from(&known.promoted_at);
            promoted.verdict.clone_from(&known.verdict);
        }
    }
}

/// Takes writes out that failed a short while ago, and says why.
fn hold_back_effects(pass: &Pass<'_>, decision: &mut Decision) {
    let failed = &pass.seen.failed_writes;
    let urgent = decision.urgency == Urgency::Rollback;
    if let Some(write) = decision.effects.iter().find_map(|effect| failed.get(&effect.resource())) {
        let before = decision.overall.note().message.clone();
        decision.overall = match Overall::of_fault(&write.fault, format!("{}. {before}", write.fault.message)) {
            Overall::Reconciling(mut note) => {
                note.reason = if urgent { Reason::RollingBack.into() } else { Reason::Retrying.into() };
                note.message = format!("trying again after: {}", note.message);
                Overall::Reconciling(note)
            }
            Overall::Stalled(mut note) if decision.phase == RolloutPhase::Deleting => {
                note.message = with_way_out(&note.message);
                Overall::Stalled(note)
            }
            refused => refused,
        };
    }
    if let Some(write) = decision.extras.iter().find_map(|effect| failed.get(&effect.resource())) {
        let fault = &write.fault;
        decision.overall = match decision.overall.clone() {
            Overall::Ready(note) => Overall::of_fault(fault, format!("{}. {}", fault.message, note.message)),
            other => other.followed_by(&fault.message),
        };
    }
    let own = hold_back(&mut decision.effects, failed, pass.seen.now, urgent).map(|(_, left)| left);
    let beside = hold_back(&mut decision.extras, failed, pass.seen.now, false).map(|(_, left)| left);
    decision.effects.append(&mut decision.extras);
    if let Some(left) = own {
        decision.next = if decision.effects.is_empty() && !urgent { left } else { left.min(decision.next.max(POLL)) };
    }
    // What is beside the release makes it no later.
    decision.next = beside.map_or(decision.next, |left| left.min(decision.next));
}

/// The region whose weight is shown: that of the release; while it is taken back, the one with most of it.
fn shown_region<'r>(decision: &Decision, regions: &'r [RegionStatus]) -> Option<&'r RegionStatus> {
    match &decision.region {
        Some(region) => regions.iter().find(|known| known.region == region.as_str()),
        None if decision.phase == RolloutPhase::RollingBack => {
            // Where it can't be read and may be, it may be most.
            let unknown = |known: &RegionStatus| known.unreadable_since.is_some() && known.untouched_by.is_none();
            let most = |known: &RegionStatus| if unknown(known) { i32::MAX } else { 0 };
            regions.iter().rev().max_by_key(|known| known.weight.unwrap_or_else(|| most(known)))
        }
        None => regions.first(),
    }
}

/// The revision whose weight is shown: the candidate, or the one that is failing, or stable.
fn subject(memory: &Memory) -> Option<RevisionName> {
    let candidate = memory.candidate.as_ref().map(|c| &c.release.revision);
    // Once a failure is over, what runs is told.
    let failing = memory.failure.as_ref().filter(|f| !f.rolled_back).map(|f| &f.release.revision);
    let stable = memory.stable.as_ref().map(|s| &s.revision);
    candidate.or(failing).or(stable).cloned()
}

/// The image of that revision, cut short.
fn shown_image(memory: &Memory) -> Option<String> {
    let candidate = memory.candidate.as_ref().map(|c| c.image.clone());
    let failing = memory.failure.as_ref().filter(|f| !f.rolled_back).map(|f| f.image.clone());
    let stable = || memory.stable.as_ref().and_then(|s| s.image.clone());
    candidate.or(failing).or_else(stable).map(|image| short_image(&image))
}

/// The value of the promote annotation that lets the release go on from where it is.
fn promote_token(memory: &Memory, decision: &Decision, status: &RolloutStatus) -> Option<String> {
    let candidate = memory.candidate.as_ref()?;
    if candidate.course.is_none() {
        return Some(requests::strategy_token(&candidate.release));
    }
    let region = decision.region.as_ref()?;
    let known = status.regions.iter().find(|r| r.region == region.as_str())?;
    let number = u32::try_from(known.step.as_ref()?.number).ok()?;
    Some(requests::step_token(&candidate.release, region, number))
}

/// A region of a Rollout whose environment isn't there: nothing is asked then, and what is known is kept.
fn not_looked_at(known: &RegionStatus) -> RegionStatus {
    RegionStatus { weight: None, message: "not looked at".into(), ..known.clone() }
}

/// Whether this pass writes the traffic of a region.
fn is_moved(decision: &Decision, place: &Place<'_>) -> bool {
    decision.effects.iter().any(|effect| match effect {
        Effect::UpdateService { service, change, .. } => *service == place.seen.id && change.traffic.is_some(),
        _ => false,
    })
}

fn region_status(
    pass: &Pass<'_>,
    memory: &Memory,
    place: &Place<'_>,
    subject: Option<&RevisionName>,
    moved: bool,
) -> RegionStatus {
    let known = memory.region(place.region());
    let known = RegionMemory { untouched_by: reach::record(memory, place, &known), ..known };
    let before = pass.seen.rollout.status.iter().flat_map(|s| &s.regions).find(|r| r.region == place.region().as_str());
    match (&place.seen.service, place.view()) {
        (Err(fault), _) => {
            let since = known.unreadable_since.unwrap_or(pass.seen.now);
            let brief = keep::is_brief(pass, memory, place, fault);
            let known = RegionMemory { unreadable_since: Some(since), ..known };
            // What is not seen is not claimed, but for a moment, and then only of the revision that it was seen of.
            let same = self::subject(&Memory::of(&pass.seen.rollout)).as_ref() == subject;
            let weight = before.filter(|_| brief && same).and_then(|before| before.weight);
            let message = match before.filter(|_| brief) {
                Some(before) => before.message.clone(),
                None => format!("{NOT_READABLE}: {}", fault.message),
            };
            RegionStatus { weight, message, ..known.write(place.region()) }
        }
        (Ok(_), None) => {
            let message = if place.leaves { "left the environment" } else { "no service yet" };
            let candidate = memory.candidate.as_ref();
            let overdue_since = candidate
                .and_then(|candidate| deadline::overdue_since(pass, memory, place, candidate, &Progress::Missing));
            // That there was a service is known until there is one again.
            let service_uid = known.service_uid.clone().filter(|_| !place.leaves);
            let message = if service_uid.is_some() { "the service is gone" } else { message };
            let known = match service_uid.is_some() {
                // One read may be wrong: what is known is kept until there is a service again.
                true => RegionMemory { overdue_since, service_uid, ..known },
                false => RegionMemory { overdue_since, ..unseen(known) },
            };
            RegionStatus { message: message.into(), ..known.write(place.region()) }
        }
        (Ok(_), Some(_)) if place.is_others() => {
            let marked = place.view().filter(|view| view.marks.owner.is_some());
            let others_service_uid = marked.and_then(|view| view.uid.clone());
            let others_service_uid = others_service_uid.or_else(|| known.others_service_uid.clone());
            let known = RegionMemory { others_service_uid, ..unseen(known) };
            RegionStatus { message: "a service that is not ours".into(), ..known.write(place.region()) }
        }
        (Ok(_), Some(view)) => {
            let (known, starting) = seen_region(pass, memory, place, known);
            // From the write on it is not known which step is in effect, until that is seen.
            let moving_since = if moved { known.moving_since.or(Some(pass.seen.now)) } else { known.moving_since };
            let deployed_by_others = past::deployed_words(pass, memory, place);
            let known = RegionMemory { moving_since, deployed_by_others, ..known };
            let weight = subject.map(|revision| weight_of(revision, &view.serving).get());
            let untouched = memory.candidate.as_ref().is_some_and(|c| known.untouched_by.as_ref() == Some(&c.release));
            let earlier = pass.waves().take_while(|earlier| earlier.region() != place.region()).last();
            let earlier = earlier.filter(|_| untouched);
            let message = match subject {
                _ if place.leaves => "left the environment: its service is let go".to_string(),
                Some(_) if let Some(earlier) = earlier => format!("waits for {}", earlier.region()),
                Some(revision) if starting => format!("`{revision}` is starting"),
                Some(revision) => format!("`{revision}` gets {} % of the requests", weight.unwrap_or_default()),
                None => "no revision of ours".to_string(),
            };
            RegionStatus { weight, message, ..known.write(place.region()) }
        }
    }
}

/// Whether a candidate was given traffic in a region: it was ready then.
fn has_had_traffic(place: &Place<'_>, revision: &RevisionName) -> bool {
    place.marks.candidate_named(revision).is_some_and(|mark| mark.position != Position::Deployed)
}

/// What is remembered of a region in which nothing of ours is.
fn unseen(known: RegionMemory) -> RegionMemory {
    let RegionMemory { absent_since, untouched_by, .. } = known;
    RegionMemory { absent_since, untouched_by, ..RegionMemory::default() }
}

/// The candidate's own address, once it is in effect.
fn candidate_url(memory: &Memory, place: &Place<'_>) -> Option<String> {
    let (candidate, view) = (memory.candidate.as_ref()?, place.ours()?);
    let is_there = has_address(&candidate.release.revision, &view.serving);
    let url = view.url.as_ref().filter(|_| is_there)?;
    Some(url.replacen("https://", &format!("https://{CANDIDATE}---"), 1))
}

/// What is remembered of a region that was read, and whether the candidate is starting there.
fn seen_region(pass: &Pass<'_>, memory: &Memory, place: &Place<'_>, known: RegionMemory) -> (RegionMemory, bool) {
    let mine = matches!(place.ownership, Ownership::Ours | Ownership::Stripped);
    let view = place.view();
    let mut new = RegionMemory {
        url: view.and_then(|view| view.url.clone()),
        candidate_url: candidate_url(memory, place),
        service_uid: view.filter(|_| mine).and_then(|view| view.uid.clone()),
        step: None,
        unreadable_since: None,
        overdue_since: None,
        waiting_since: None,
        moving_since: None,
        absent_since: known.absent_since.filter(|_| place.leaves),
        ..known.clone()
    };
    let Some(candidate) = &memory.candidate else { return (new, false) };
    let progress = Placement { pass, memory, place, candidate }.progress();
    new.overdue_since = deadline::overdue_since(pass, memory, place, candidate, &progress);
    let waits = match progress {
        Progress::Ready => view.is_some_and(|view| !view.settled),
        Progress::Starting(_) => has_had_traffic(place, &candidate.release.revision),
        _ => false,
    };
    new.waiting_since = waits.then(|| known.waiting_since.unwrap_or(pass.seen.now));
    let same_release = known.step.clone().filter(|step| step.release == candidate.release);
    match &progress {
        Progress::On(standing) => {
            let kind = candidate.steps().at(standing.step).map(super::steps::Step::kind);
            new.step = kind.map(|kind| StepMemory {
                release: candidate.release.clone(),
                number: standing.step,
                kind,
                started_at: standing.since,
            });
        }
        // Between two steps the one before is still shown.
        Progress::Moving(_) | Progress::Unreadable(_) => new.step = same_release,
        // What it was is judged on.
        Progress::Drifted(_) | Progress::Starting(_) => new.step = same_release,
        _ => {}
    }
    let is_seen = !matches!(progress, Progress::Moving(_) | Progress::Unreadable(_));
    new.moving_since = known.moving_since.filter(|_| !is_seen);
    (new, matches!(progress, Progress::Starting(_)))
}
