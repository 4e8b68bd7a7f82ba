//! A candidate on its way: region after region, step after step.

use jiff::{SignedDuration, Timestamp};
use orchestra_crds::{EvidenceStatus, Metric, Request, RolloutPhase};

use super::deadline;
use super::decision::Decision;
use super::desire::Desire;
use super::memory::{Candidate, Course, Memory, StepMemory};
use super::pass::Pass;
use super::place::{Ownership, Place};
use super::progress::{Placement, Progress, Standing};
use super::steps::{Move, Ruling, StepContext, Steps, analysis_of, strategy_hash};
use super::{Turn, adopt, failure, fast_lane, hold, judge, keep, past, promoted, reach, requests, supersede};
use crate::conditions::{Note, Overall, note};
use crate::marks::Position;
use crate::names::Region;
use crate::plan::{Effect, NOW, POLL, ServiceChange};
use crate::reason::Reason;
use crate::resource::ResourceId;
use crate::traffic::weight_of;

/// Takes the candidate on, in the first region where it is not done.
pub(super) fn turn(pass: &Pass<'_>, memory: &mut Memory, desire: &Desire) -> Turn {
    let Some(candidate) = memory.candidate.clone() else { return Turn::Again };
    if let Some(aborted) = judge::aborted(pass, memory, &candidate) {
        return aborted;
    }
    let states = judge::states(pass, memory, &candidate);
    if let Some(failed) = judge::failing(pass, memory, &candidate, &states) {
        return failed;
    }
    if let Some(overdue) = judge::overdue(pass, memory, &candidate, &states) {
        return overdue;
    }
    if states.is_empty() {
        return supersede::nowhere(pass, memory, &candidate);
    }
    if let Some(turn) = mark_again(pass, memory) {
        return turn;
    }
    if candidate.course.is_none() {
        return strategy_lost(pass, memory, &candidate);
    }
    let Some((place, state)) = next_region(memory, &candidate, &states) else {
        return promoted::promoted(pass, memory, desire, candidate);
    };
    let (place, state) = (*place, state.clone());
    let users = states.iter().any(|(place, state)| {
        let known = memory.region(place.region());
        judge::subjects(&candidate, (&[Metric::ERRORS], judge::analysis(pass, &candidate)), state, &known)
            .next()
            .is_some()
    });
    match act(pass, memory, desire, &candidate, place, &state) {
        Turn::Again => Turn::Again,
        Turn::Do(decision) => {
            if decision.writes(&ResourceId::Service(place.seen.id.clone())) {
                reach::comes_to(memory, place.region());
            }
            let decision = beside(pass, memory, &candidate, place, *decision);
            // What its users meet is asked each minute, whatever it waits for.
            let decision = if users { decision.by(to_next_minute(pass.seen.now)) } else { decision };
            match fast_lane::next_look(pass, memory, &candidate, &states) {
                Some(next) => decision.by(next).into(),
                None => decision.into(),
            }
        }
    }
}

/// What is told and done of the regions beside the one that the release is in: traffic that somebody changed where the
/// candidate is still to come goes back to stable, and what can't be read is named.
fn beside(
    pass: &Pass<'_>,
    memory: &Memory,
    candidate: &Candidate,
    place: &Place<'_>,
    mut decision: Decision,
) -> Decision {
    let others = keep::moved_ahead(pass, memory, candidate).filter(|(other, _)| other.region() != place.region());
    let (moved, effects): (Vec<&Region>, Vec<Effect>) = others.map(|(other, effect)| (other.region(), effect)).unzip();
    if let Some(first) = moved.first() {
        let why = format!(
            "{first}: somebody changed the traffic past Orchestra where the release is still to come; it goes back to stable \
             (to keep a change made by hand, set spec.paused)"
        );
        decision.overall = decision.overall.led_by(note(Reason::TrafficCorrected, why));
        decision.extras.extend(effects);
        decision = decision.by(POLL);
    }
    let unread = keep::unread_for_long(pass, memory).filter(|(other, _)| other.region() != place.region());
    let unread: Vec<String> = unread.map(|(other, fault)| reach::unread_words(other.region(), fault)).collect();
    if !unread.is_empty() {
        decision.overall = decision.overall.followed_by(&format!("not known: {}", unread.join(", ")));
    }
    decision
}

/// The first region that is not done. A way back passes by one that can't be read, or whose service is another's: users
/// elsewhere don't wait for it.
fn next_region<'s, 'p, 'a>(
    memory: &Memory,
    candidate: &Candidate,
    states: &'s [(&'p Place<'a>, Progress)],
) -> Option<&'s (&'p Place<'a>, Progress)> {
    let is_open = |state: &Progress| !matches!(state, Progress::Done | Progress::Unreadable(_) | Progress::Foreign);
    let open = states.iter().find(|(_, state)| is_open(state)).filter(|_| goes_back(memory, candidate));
    open.or_else(|| states.iter().find(|(_, state)| *state != Progress::Done))
}

/// A service whose marks somebody took off is marked again before anything else is done to it.
pub(super) fn mark_again(pass: &Pass<'_>, memory: &Memory) -> Option<Turn> {
    // One service may go, and the status with it: what failed must be known by each of the others.
    let lacks = |place: &&Place<'_>| {
        place.ownership == Ownership::Stripped || (place.ours().is_some() && !place.knows_failures(memory))
    };
    let unmarked: Vec<&Place<'_>> = pass.waves().filter(lacks).collect();
    let first = unmarked.first()?;
    let (reason, why) = match first.ownership {
        Ownership::Stripped => {
            (Reason::MarksRestored, "somebody took Orchestra's marks off the service; they are put back")
        }
        _ => (Reason::Correcting, "the marks on the service are brought up to date with what failed"),
    };
    let effects = unmarked.iter().filter_map(|place| {
        let change = ServiceChange { marks: Some(place.owned_marks(pass.seen, memory)), ..ServiceChange::default() };
        let (service, etag) = (place.seen.id.clone(), place.view()?.etag.clone());
        Some(Effect::UpdateService { service, etag, change: Box::new(change) })
    });
    let message = format!("{}: {why}", first.region());
    let decision = Decision::working(RolloutPhase::Progressing, reason, message);
    Some(decision.with_effects(effects.collect()).in_region(first.region()).into())
}

/// The status is lost and the spec's strategy is another: the release stays on its weight until a person says.
fn strategy_lost(pass: &Pass<'_>, memory: &mut Memory, candidate: &Candidate) -> Turn {
    let token = requests::strategy_token(&candidate.release);
    if requests::is_asked(&pass.seen.rollout, Request::Promote, &token) {
        let by = requests::written_by(&pass.seen.rollout, Request::Promote);
        memory.note_request(Request::Promote, &token, by, pass.seen.now);
        let spec = &pass.seen.rollout.spec;
        let analysis = analysis_of(spec);
        let wanted = Steps::of(&spec.strategy, &analysis);
        let on_step = pass.waves().find_map(|place| {
            let mark = place.marks.candidate_named(&candidate.release.revision)?;
            let Position::At(number) = mark.position else { return None };
            Some((number, mark.weight?))
        });
        let course = Course {
            steps: on_step.map_or(wanted.clone(), |(number, share)| wanted.going_on_from(number, share)),
            analysis: analysis.into_owned(),
            regions: pass.waves().map(|place| place.region().clone()).collect(),
        };
        if let Some(candidate) = memory.candidate.as_mut() {
            candidate.course = Some(course);
        }
        return Turn::Again;
    }
    let message = format!(
        "how `{}` takes over was lost with the status, and the spec's strategy is another by now: it stays on its weight. \
         Promote to go on by the spec's strategy, or abort",
        candidate.release.revision
    );
    Decision::ask_person(note(Reason::StrategyLost, message)).into()
}

/// The next thing to do in one region.
fn act(
    pass: &Pass<'_>,
    memory: &mut Memory,
    desire: &Desire,
    candidate: &Candidate,
    place: &Place<'_>,
    state: &Progress,
) -> Turn {
    let region = place.region();
    // Going back to what was promoted before is no move forward.
    let paused = pass.paused(Some(&candidate.release)).filter(|_| !goes_back(memory, candidate));
    // Whether the candidate is still wanted is not known for sure: it goes nowhere until it is.
    if let (true, Err(gate)) = (needs_all(memory, candidate, state), &desire.built) {
        return Decision::closed(RolloutPhase::Pending, gate).in_region(region).into();
    }
    let decision = match (state, paused) {
        (Progress::Unreadable(fault), _) => {
            Decision::unreadable(RolloutPhase::Progressing, &format!("the service in {region}"), fault)
        }
        (Progress::Foreign, _) => adopt::foreign(place),
        (Progress::StableMissing, _) => stable_missing(memory, region),
        (Progress::On(standing), _) => return on_step(pass, memory, candidate, place, standing, paused),
        (Progress::Starting(_), _) => {
            let message = format!("{region}: `{}` is starting", candidate.release.revision);
            Decision::working(RolloutPhase::Deploying, Reason::Starting, message)
        }
        (Progress::Moving(_), _) => {
            Decision::working(RolloutPhase::Progressing, Reason::Moving, format!("{region}: traffic is moving"))
        }
        (Progress::Drifted(_), Some(how)) => {
            let share = place.view().map_or(0, |view| weight_of(&candidate.release.revision, &view.serving).get());
            let message = format!(
                "{region}: the traffic was changed past Orchestra{}: `{}` gets {share} %, and stays there: held, {how}",
                past::last_written(place),
                candidate.release.revision
            );
            let held = Decision::held(message.clone());
            Decision { overall: Overall::Reconciling(note(Reason::TrafficChanged, message)), ..held }
        }
        (_, Some(how)) => Decision::held(format!("{region}: held, {how}")),
        (state, None) => forward_write(Placement { pass, memory, place, candidate }, desire, state),
    };
    decision.in_region(region).into()
}

/// Whether a candidate is a change of traffic back to what was promoted before.
pub(super) fn goes_back(memory: &Memory, candidate: &Candidate) -> bool {
    let no_steps = candidate.course.as_ref().is_some_and(|course| course.steps == Steps::default());
    no_steps && memory.promoted.iter().any(|p| p.revision == candidate.release.revision)
}

/// Whether a candidate in this state goes on only when all of what should run is known: a change of traffic back to what
/// was promoted before needs nothing of it.
fn needs_all(memory: &Memory, candidate: &Candidate, state: &Progress) -> bool {
    let returns = memory.promoted.iter().any(|p| p.revision == candidate.release.revision);
    match state {
        Progress::Missing | Progress::NotDeployed => true,
        Progress::Ready | Progress::Drifted(_) | Progress::On(_) => !returns,
        _ => false,
    }
}

/// The write that takes the candidate on where no step is in effect.
fn forward_write(placed: Placement<'_, '_>, desire: &Desire, state: &Progress) -> Decision {
    let (region, revision) = (placed.place.region(), &placed.candidate.release.revision);
    if placed.pass.seen.rollout.spec.traffic_only && matches!(state, Progress::Missing | Progress::NotDeployed) {
        let message = format!("{region}: `{revision}` is not there yet: deploy it under that name, without traffic");
        return Decision::working(RolloutPhase::Deploying, Reason::WaitsForRevision, message).look_again_in(POLL);
    }
    if let (Progress::NotDeployed, Some(view)) = (state, placed.place.view())
        && let Some(decision) = placed.blocked_by(view)
    {
        return decision;
    }
    let effect = match (state, placed.place.view()) {
        (Progress::Missing, _) => placed.create(desire),
        (Progress::NotDeployed, Some(view)) => placed.add(view, desire),
        (Progress::Ready, Some(view)) if view.settled => match placed.candidate.steps().after(0) {
            Move::Traffic(position) => Some(placed.put_at(view, position)),
            Move::Begin(_) => Some(placed.put_at(view, Position::Deployed)),
        },
        // A write of long ago that never took effect is in the way: another, which moves nothing forward, ends it.
        (Progress::Ready, Some(view)) if is_stuck(placed.pass, view) => Some(placed.put_at(view, Position::Deployed)),
        (Progress::Drifted(position), Some(view)) => Some(placed.put_at(view, *position)),
        _ => None,
    };
    let (phase, reason, message) = match state {
        Progress::Missing | Progress::NotDeployed => (
            RolloutPhase::Deploying,
            Reason::Deploying,
            format!("{region}: `{revision}` is being created without traffic"),
        ),
        Progress::Drifted(_) => {
            let message = format!(
                "{region}: the traffic was changed past Orchestra{}; it is put back to the current step (to keep a change made \
                 by hand, set spec.paused)",
                past::last_written(placed.place)
            );
            (RolloutPhase::Progressing, Reason::TrafficCorrected, message)
        }
        _ => (RolloutPhase::Progressing, Reason::Moving, format!("{region}: traffic is moving")),
    };
    Decision::working(phase, reason, message).with_effects(effect.into_iter().collect())
}

/// A step is in effect: is the candidate good enough to go on?
fn on_step(
    pass: &Pass<'_>,
    memory: &mut Memory,
    candidate: &Candidate,
    place: &Place<'_>,
    standing: &Standing,
    paused: Option<&'static str>,
) -> Turn {
    let (now, region, steps) = (pass.seen.now, place.region(), candidate.steps());
    let Some(step) = steps.at(standing.step) else {
        let why = format!("{region}: step {} is none of {}", standing.step, steps.len());
        return Decision::stalled(RolloutPhase::Progressing, Reason::Contradiction, why).into();
    };
    let token = requests::step_token(&candidate.release, region, standing.step);
    let promoted = requests::is_asked(&pass.seen.rollout, Request::Promote, &token);
    let known = memory.region(region);
    let of_weight =
        |e: &&EvidenceStatus| standing.weight.is_some_and(|weight| u32::try_from(e.step) == Ok(weight.step));
    let evidence: Vec<&EvidenceStatus> = known.evidence_about(&candidate.release).filter(of_weight).collect();
    let context = StepContext {
        now,
        since: standing.since,
        promoted,
        evidence: &evidence,
        analysis: judge::analysis(pass, candidate),
        held_by: hold::of(pass, candidate, place, standing, &known),
        excuse: hold::excuse(pass, candidate, place, standing, &known),
    };
    let where_ = format!("{region}, step {}/{}", standing.step, steps.len());
    let edited = edited_words(pass, candidate);
    let ruling = match (step.look(&context), &context.held_by) {
        // Whatever kind of step it is, and whatever it does without data.
        (Ruling::Pass, Some(hold)) if !promoted => Ruling::asked_of(hold, &hold.message),
        (ruling, _) => ruling,
    };
    let decision = match (ruling, paused) {
        (Ruling::Fail(why), _) => {
            return failure::latch(pass, memory, note(Reason::AnalysisFailed, format!("{where_}: {why}")));
        }
        (_, Some(how)) => Decision::held(format!("{where_}: held, {how}{edited}")),
        (Ruling::Wait(note, until), None) => {
            let message = format!("{where_}: {}{edited}", note.message);
            waiting(now, Note::told(note.reason, message), until)
        }
        (Ruling::AskPerson(why), None) => {
            Decision::ask_person(Note::told(why.reason, format!("{where_}: {}{edited}", why.message)))
        }
        (Ruling::Pass, None) => {
            if promoted {
                let by = requests::written_by(&pass.seen.rollout, Request::Promote);
                memory.note_request(Request::Promote, &token, by, now);
            }
            next_step(pass, memory, candidate, place, standing.step, &where_)
        }
    };
    decision.in_region(region).into()
}

/// What waits as planned: for a time it is under way; for a person it is held.
fn waiting(now: Timestamp, note: Note, until: Option<Timestamp>) -> Decision {
    match until {
        Some(until) => {
            let left = until.duration_since(now).max(SignedDuration::from_secs(1));
            let decision = Decision::new(RolloutPhase::Progressing, Overall::Reconciling(note));
            decision.look_again_in(left.min(to_next_minute(now)))
        }
        None => {
            let held = Decision::held(note.message.clone());
            Decision { overall: Overall::Reconciling(note), ..held }
        }
    }
}

/// How long until another minute may be closed.
fn to_next_minute(now: Timestamp) -> SignedDuration {
    SignedDuration::from_secs(61 - now.as_second().rem_euclid(60))
}

/// A word about edits that apply to the next release only.
fn edited_words(pass: &Pass<'_>, candidate: &Candidate) -> &'static str {
    let spec = &pass.seen.rollout.spec;
    let Some(course) = &candidate.course else { return "" };
    let frozen = strategy_hash(&course.steps, &course.analysis);
    let analysis = analysis_of(spec);
    let mut known = Steps::known_for(&spec.strategy, &analysis).into_iter();
    let same = known.any(|steps| strategy_hash(&steps, &analysis) == frozen);
    let differs = !same && course.steps != Steps::default();
    if differs { "; strategy or analysis was edited since: that applies to the next release" } else { "" }
}

/// The step passed: the next one begins.
fn next_step(
    pass: &Pass<'_>,
    memory: &mut Memory,
    candidate: &Candidate,
    place: &Place<'_>,
    step: u32,
    where_: &str,
) -> Decision {
    let decision = Decision::working(RolloutPhase::Progressing, Reason::Moving, format!("{where_}: passed, moving on"));
    match (candidate.steps().after(step), place.view()) {
        (Move::Traffic(position), Some(view)) => {
            let placed = Placement { pass, memory, place, candidate };
            decision.with_effects(vec![placed.put_at(view, position)])
        }
        (Move::Begin(number), _) => {
            if let Some(next) = candidate.steps().at(number) {
                let (release, kind, started_at) = (candidate.release.clone(), next.kind(), pass.seen.now);
                memory.region_mut(place.region()).step = Some(StepMemory { release, number, kind, started_at });
            }
            decision.look_again_in(NOW)
        }
        (Move::Traffic(_), None) => decision,
    }
}

/// Whether a service has been changing for longer than anything may take.
pub(super) fn is_stuck(pass: &Pass<'_>, view: &crate::cloud::ServiceView) -> bool {
    !view.settled && view.written_at.is_some_and(|since| deadline::is_over(pass, since))
}

fn stable_missing(memory: &Memory, region: &Region) -> Decision {
    let stable = memory.stable.as_ref().map(|stable| stable.revision.as_str()).unwrap_or_default();
    let message = format!("{region}: the stable revision `{stable}` was not found; no traffic moves without it");
    Decision::stalled(RolloutPhase::Progressing, Reason::StableMissing, message).look_again_in(POLL)
}
