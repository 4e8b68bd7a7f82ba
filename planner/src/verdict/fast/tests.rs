use super::*;
use crate::cloud::FailedRequest;
use crate::names::ReleaseId;
use crate::verdict::Kind;
use orchestra_crds::Analysis;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn release() -> ReleaseId {
    ReleaseId { revision: RevisionName::new("api-2").unwrap(), number: 1 }
}

/// The first step of a release.
fn subject(release: &ReleaseId) -> Subject<'_> {
    Subject { metric: Metric::ERRORS, release, step: 1, written_at: at(BEGAN), since: at(BEGAN), has_all: false }
}

/// A lane with errors' evidence beside it.
struct Lane {
    settings: Analysis,
    release: ReleaseId,
    stable: RevisionName,
    share: i32,
    fast: Option<FastStatus>,
    errors: EvidenceStatus,
    ids: u32,
}

const BEGAN: i64 = 1_000_000 * 60;

impl Lane {
    /// Beside a stable that answers so many requests in a minute.
    fn new(per_minute: i64) -> Self {
        let (settings, release) = (Analysis::default(), release());
        let subject = subject(&release);
        let terms = Terms { settings: &settings, planned_minutes: 20, regions: 1 };
        let minutes = (1..=60).map(|n| (at(BEGAN - n * 60), crate::cloud::Tally::of_errors(per_minute, 1)));
        let history = crate::cloud::History { minutes: minutes.collect(), ..Default::default() };
        let measured = Measured { minutes: vec![], history: Some(history), delay_seconds: None };
        let errors =
            crate::verdict::count(None, &subject, &terms, &measured, Window { from: at(BEGAN), to: at(BEGAN) });
        let stable = RevisionName::new("api-1").unwrap();
        Self { settings, release: release.clone(), stable, share: 10, fast: None, errors, ids: 0 }
    }

    /// Counts a minute's failed requests, from its beginning.
    fn minute(&mut self, number: i64, requests: Vec<FailedRequest>) -> &FastStatus {
        let window = Window { from: at(BEGAN + number * 60), to: at(BEGAN + number * 60 + 60) };
        let subject = subject(&self.release);
        let terms = Terms { settings: &self.settings, planned_minutes: 20, regions: 1 };
        let share = Percent::clamped(self.share);
        let look =
            Look { subject: &subject, share, is_short: false, candidate: &self.release.revision, stable: &self.stable };
        let failures = Failures { requests, is_cut: false };
        let counted = count_failures(self.fast.as_ref(), &look, &terms, (&failures, window), Some(&self.errors));
        self.fast.insert(counted)
    }

    /// Begins with what is told of the hour before; metrics count one failure a minute in it.
    fn begin(&mut self, requests: Vec<FailedRequest>, is_cut: bool) -> &FastStatus {
        let subject = subject(&self.release);
        let share = Percent::clamped(self.share);
        let look =
            Look { subject: &subject, share, is_short: false, candidate: &self.release.revision, stable: &self.stable };
        let told = (&Failures { requests, is_cut }, history_window(&subject));
        let begun = begin(&look, &self.settings, told, Some(&self.errors));
        self.fast.insert(begun)
    }

    /// An hour of stable's failures before the release, so many in each minute.
    fn hour_before(&mut self, many: i64) -> Vec<FailedRequest> {
        (-60..0).flat_map(|number| self.failed(number, "api-1", many)).collect()
    }

    /// Requests of a revision that failed in a minute, evenly, each of another client.
    fn failed(&mut self, number: i64, revision: &str, many: i64) -> Vec<FailedRequest> {
        let request = |n: i64| {
            self.ids += 1;
            FailedRequest {
                id: format!("i{}", self.ids),
                at: at(BEGAN + number * 60 + n * 60 / many.max(1)),
                took: SignedDuration::from_millis(40),
                revision: revision.into(),
                host: "api-abc.a.run.app".into(),
                status: 500,
                client: self.ids,
                platform: String::new(),
            }
        };
        (0..many).map(request).collect()
    }

    fn both(&mut self, number: i64, candidate: i64, stable: i64) -> Vec<FailedRequest> {
        let mut all = self.failed(number, "api-2", candidate);
        all.extend(self.failed(number, "api-1", stable));
        all
    }
}

#[test]
fn a_candidate_that_fails_half_its_requests_is_found_in_the_first_minute() {
    let mut lane = Lane::new(5_400);
    let requests = lane.both(1, 300, 5);
    let found = lane.minute(1, requests);
    assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
}

#[test]
fn an_incident_that_hits_both_is_no_failure() {
    let mut lane = Lane::new(5_400);
    for number in 1..30 {
        let requests = lane.both(number, 30, 270);
        assert_eq!(lane.minute(number, requests).verdict, Verdict::Undecided);
    }
}

#[test]
fn what_is_not_of_users_by_the_split_does_not_count() {
    let spoil: [fn(&mut FailedRequest); 4] = [
        |request| request.host = "candidate---api-abc.a.run.app".into(),
        |request| request.platform = "The request was aborted because there was no available instance.".into(),
        |request| request.took = SignedDuration::from_secs(300),
        |request| request.client = 7,
    ];
    for spoil in spoil {
        let mut lane = Lane::new(5_400);
        for number in 1..30 {
            let mut requests = lane.failed(number, "api-2", 200);
            requests.iter_mut().for_each(spoil);
            requests.extend(lane.failed(number, "api-1", 2));
            let found = lane.minute(number, requests).clone();
            assert_ne!(found.verdict, Verdict::Fail, "{found:?}");
        }
    }
}

#[test]
fn an_entry_that_is_told_twice_counts_once() {
    let mut lane = Lane::new(5_400);
    let requests = lane.both(1, 3, 5);
    let twice: Vec<FailedRequest> = requests.iter().chain(&requests).chain(&requests).cloned().collect();
    let found = lane.minute(1, twice);
    assert_eq!((found.candidate_failed, found.stable_failed), (3, 5));
}

#[test]
fn windows_are_closed_once_and_begin_when_the_split_has_settled() {
    let release = release();
    let subject = subject(&release);
    assert_eq!(open_windows(None, (&subject, false), &Analysis::default(), at(BEGAN + 45)), None);
    let short = open_windows(None, (&subject, true), &Analysis::default(), at(BEGAN + 45)).unwrap();
    assert!(short.from < at(BEGAN + 30), "what meets no instance right after the write is known");
    assert_eq!(
        open_windows(None, (&subject, false), &Analysis::default(), at(BEGAN + 46)),
        Some(Window { from: at(BEGAN + 30), to: at(BEGAN + 40) })
    );
    let mut lane = Lane::new(600);
    let known = lane.minute(1, vec![]).clone();
    assert_eq!(open_windows(Some(&known), (&subject, false), &Analysis::default(), at(BEGAN + 135)), None);
    assert_eq!(
        open_windows(Some(&known), (&subject, false), &Analysis::default(), at(BEGAN + 136)).unwrap().from,
        at(BEGAN + 120)
    );
}

#[test]
fn logs_that_lack_what_metrics_count_turn_the_lane_off() {
    let mut lane = Lane::new(5_400);
    let requests = lane.both(1, 30, 0);
    lane.minute(1, requests);
    let minute = crate::cloud::Minute {
        start: at(BEGAN + 60),
        candidate: crate::cloud::Tally::of_errors(600, 30),
        stable: crate::cloud::Tally::of_errors(5_400, 270),
    };
    let measured = Measured { minutes: vec![minute], history: None, delay_seconds: None };
    let subject = subject(&lane.release);
    let mut memory = Memory::read(&lane.fast.as_ref().unwrap().state).unwrap();
    assert!(!memory.is_complete());
    memory.compare(&measured, &subject);
    assert!(memory.incomplete(at(BEGAN + 180)).is_some_and(|why| why.contains("lack failed requests")));
    assert_eq!(memory.incomplete(at(BEGAN + 7_200)), None);
}

#[test]
fn a_split_that_is_not_as_written_is_told() {
    let mut errors = Lane::new(600).errors;
    (errors.step_candidate, errors.step_stable) = (1_000, 9_000);
    let ten = Percent::clamped(10);
    assert_eq!(distrusted(false, ten, Some(&errors)), None);
    (errors.step_candidate, errors.step_stable) = (2_000, 8_000);
    assert!(distrusted(false, ten, Some(&errors)).is_some_and(|why| why.contains("20.0 %")));
    assert!(distrusted(true, ten, None).is_some());
}

#[test]
fn a_memory_is_read_back_as_written() {
    let mut lane = Lane::new(5_400);
    for number in 1..5 {
        let requests = lane.both(number, 3, 20);
        let state = lane.minute(number, requests).state.clone();
        assert_eq!(Memory::read(&state).map(|memory| memory.write()), Some(state));
    }
    assert_eq!(Memory::read("0;1"), None);
}

/// One client that meets both as the split sends it stays split so, however much of it counts.
#[test]
fn one_client_in_a_shared_incident_is_no_failure() {
    let mut lane = Lane::new(5_400);
    for number in 1..20 {
        let mut requests = lane.failed(number, "api-1", 600);
        // A tenth of them, in no order.
        let is_candidate = |n: i64| (n * n + n * 7 + number * 31) % 97 % 10 == 3;
        for (request, n) in requests.iter_mut().zip(0..) {
            request.client = 7;
            request.revision = if is_candidate(n) { "api-2".into() } else { "api-1".into() };
        }
        let found = lane.minute(number, requests);
        assert_ne!(found.verdict, Verdict::Fail, "{found:?}");
    }
}

/// Stable's failures take long and are in no window: the candidate, that fails as often and faster, is no worse.
#[test]
fn a_candidate_that_fails_as_often_and_faster_is_no_failure() {
    let mut lane = Lane::new(5_400);
    let known = |n: i64| (at(BEGAN - n * 60), crate::cloud::Tally::of_errors(5_400, 108));
    let history = crate::cloud::History { minutes: (1..=60).map(known).collect(), ..Default::default() };
    let mut judgement = Judgement::default();
    judgement.begin(Kind::Errors, &history);
    lane.errors.state = judgement.write();
    for number in 1..20 {
        let mut requests = lane.failed(number, "api-2", 12);
        let mut slow = lane.failed(number, "api-1", 108);
        slow.iter_mut().for_each(|request| request.took = SignedDuration::from_secs(30));
        requests.extend(slow);
        let found = lane.minute(number, requests);
        assert_ne!(found.verdict, Verdict::Fail, "{found:?}");
    }
}

#[test]
fn what_logs_said_that_lacked_entries_is_forgotten() {
    let mut lane = Lane::new(5_400);
    let requests = lane.both(1, 30, 0);
    lane.minute(1, requests);
    let minute = crate::cloud::Minute {
        start: at(BEGAN + 60),
        candidate: crate::cloud::Tally::of_errors(600, 30),
        stable: crate::cloud::Tally::of_errors(5_400, 270),
    };
    let release = release();
    let subject = subject(&release);
    let known = lane.fast.clone().unwrap();
    let after = compared(&known, &subject, &Measured { minutes: vec![minute], history: None, delay_seconds: None });
    let memory = Memory::read(&after.state).unwrap();
    assert_eq!((memory.informative, memory.leads), (0, Default::default()));
}

#[test]
fn a_lane_that_is_suspended_stays_as_it_is_and_resumes_later() {
    let mut lane = Lane::new(600);
    let known = lane.minute(1, vec![]).clone();
    let off = suspended(Some(&known), &lane.release, at(BEGAN + 150), "drift".into());
    assert_eq!(suspended(Some(&off), &lane.release, at(BEGAN + 300), "drift".into()), off);
    let on = resumed(&off, at(BEGAN + 300));
    assert_eq!((on.through.0, on.suspended), (at(BEGAN + 360), false));
}

#[test]
fn stables_hour_before_the_release_says_whether_the_logs_are_complete_and_how_failures_are_spread() {
    let memory = |lane: &FastStatus| Memory::read(&lane.state).unwrap();
    let mut lane = Lane::new(5_400);
    let before = lane.hour_before(1);
    let begun = lane.begin(before, false).clone();
    assert!(begun.off_because.is_none() && memory(&begun).is_complete(), "{begun:?}");
    assert!(memory(&begun).stable.last.is_some(), "{begun:?}");
    let begins = window_after(at(BEGAN + SETTLES.as_secs()));
    assert_eq!(begun.through.0, begins, "nothing of the release is counted before the split has settled");
    let some = lane.hour_before(1).into_iter().step_by(3).collect();
    let begun = lane.begin(some, false).clone();
    assert!(begun.off_because.as_ref().is_some_and(|off| off.contains("lack failed requests")), "{begun:?}");
    let few = lane.hour_before(1).into_iter().take(20).collect();
    let begun = lane.begin(few, true).clone();
    assert!(begun.off_because.is_none() && !memory(&begun).is_complete(), "what was not read lacks nothing: {begun:?}");
}

#[test]
fn another_revision_in_the_hour_before_is_not_stable() {
    let mut lane = Lane::new(5_400);
    let mut before = lane.failed(-40, "api-0", 3);
    before.extend(lane.failed(-10, "api-1", 30));
    let begun = lane.begin(before, false).clone();
    let memory = Memory::read(&begun.state).unwrap();
    assert_eq!(memory.strange, (0, 0), "they are none of the release's");
    assert!(memory.stable.weight > 0.0);
}
