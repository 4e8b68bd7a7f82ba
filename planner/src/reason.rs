//! Every reason that conditions, latches and events can give, with what it means and what a person can do about it.
//! `docs/troubleshooting.md` is made from this table. Beside these there are Cloud Run's own, such as
//! `HealthCheckContainerError`, which are told as Cloud Run gives them.

use crate::event::Severity;

/// What a reason asks of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asks {
    /// Nothing: all is as it should be.
    Nothing,
    /// Patience: it goes on by itself.
    Patience,
    /// A person: it does not go on, or not to a good end, without one.
    Person,
}

macro_rules! reasons {
    ($($name:ident: $asks:ident, $meaning:literal, $way_out:literal;)+) => {
        /// Why, as a CamelCase word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $meaning] $name,)+
        }

        impl Reason {
            /// All of them, by name.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word that is shown.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What it asks of people.
            pub fn asks(self) -> Asks {
                match self {
                    $(Self::$name => Asks::$asks,)+
                }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)+
                }
            }

            /// What a person can do about it; empty: nothing needs to be done.
            pub fn way_out(self) -> &'static str {
                match self {
                    $(Self::$name => $way_out,)+
                }
            }
        }
    };
}

reasons! {
    Aborted: Person, "A person ended the release; requests go back to stable, where there is one.", "Change the template, or try the same again: `kubectl orchestra retry NAME`.";
    AccessDenied: Person, "Google refuses the controller something: a role is missing, or an API is not enabled.", "The message names what was refused; docs/install.md lists the roles and why each is needed. It is tried again by itself.";
    Adopted: Nothing, "A service that was there was taken over: the revision that serves is stable.", "";
    Adopting: Patience, "A service that is there, and that `spec.adopt` names, is about to be taken over as it runs.", "";
    AdoptionBlocked: Person, "A service can't be taken over as it is.", "The message says why, and what to do. docs/adoption.md has the steps.";
    AlertPolicyHolds: Person, "No step passes: an incident of an alert policy in `analysis.alertPolicies` is open that is not surely about the candidate, or a policy tells nothing.", "The message says which. Close the incident, or mend the policy; it goes on by itself then. A policy that is not there: `abort`, correct the list and `retry`; or `promote`.";
    AnalysisFailed: Person, "The candidate was worse than stable beside it, or its step ended without a verdict and the analysis says Rollback then. It is taken back in every region.", "`kubectl orchestra status NAME` has the counts. Mend the image and change the template. Was it something else: `kubectl orchestra retry NAME`.";
    CapacityLimited: Person, "Requests of the candidate meet no free instance, because Cloud Run divides the service's maximum by the share of the traffic. That is not held against the candidate, and no step passes meanwhile.", "Raise `spec.scaling`; steps are frozen with a release: begin the next one with a larger weight.";
    CloudRejected: Person, "Google refused a call for what it asked: a limit, a policy of the organisation, or a value that the API does not take.", "The message is Google's. Change the field that it names; it is tried again within minutes.";
    CloudUnavailable: Patience, "Google does not answer, or answers that it can't now.", "If it lasts: the status page of Google Cloud, and the network between cluster and Google.";
    ConfirmingAbsence: Patience, "Something that should be there was not found; one read can be old, so it is looked at once more.", "";
    ConfirmingDelay: Patience, "Something took too long by one read, which can be old; it is looked at once more.", "";
    Contradiction: Person, "What is known contradicts itself. This is a mistake in Orchestra.", "Report it with `kubectl orchestra report NAME`. Nothing moves meanwhile.";
    Correcting: Patience, "Something of the service is put back to what the spec says.", "";
    DefaultAccount: Nothing, "Services run as the default service account of the project.", "";
    Deleting: Patience, "The object was deleted; the message says whether what it made is deleted too, or kept and let go.", "";
    DeletionBlocked: Person, "The deletion takes longer than it should; the message says what is in its way.", "Mend that in Google Cloud, or give the controller access again. Is there no such place any more: remove the finalizer with `kubectl edit`.";
    DeployedByOthers: Person, "Somebody deployed a revision past Orchestra. It has no requests, and is no release.", "If it is to be released, put it into `spec.template`; where others are to deploy, see `trafficOnly` in docs/adoption.md.";
    Deploying: Patience, "The revision is being created, without traffic.", "";
    DigestRequired: Person, "The environment wants images by digest (`spec.images.digestRequired`).", "Name the image by digest: `…@sha256:…`.";
    EnvironmentDeleting: Person, "The Rollout's environment is being deleted, and waits for its Rollouts to go.", "Delete the Rollout, or move it: make one of another name in another environment.";
    EnvironmentMissing: Person, "There is no environment of the name that `spec.environmentRef` gives, in this namespace.", "Create it; or delete the Rollout and make one that names the right environment, which can't be changed afterwards.";
    EnvironmentNotReady: Patience, "The environment was not looked at yet.", "If it lasts: `kubectl describe oenv NAME`.";
    EnvironmentUnreadable: Person, "A field of the environment can't be read by this version of the controller.", "Correct the field that the message names with `kubectl edit`.";
    Extended: Patience, "The step has not been judged on enough requests yet, and goes on for a while.", "More requests make it shorter. `kubectl orchestra promote NAME` ends it.";
    Failed: Person, "The release failed, and there was nothing to go back to.", "Change the template, or `kubectl orchestra retry NAME`.";
    FailedBefore: Person, "The marks on the service say that this release failed before; the status that knew why was lost.", "Change the template, or `kubectl orchestra retry NAME`.";
    HeldByPerson: Patience, "A person went back to a revision with `kubectl orchestra undo NAME`. It stays, whatever the environment changes or Git syncs, until the template changes.", "Change the template, and that is released.";
    Holding: Patience, "The candidate stays at its weight for as long as the step says.", "`kubectl orchestra promote NAME` ends the step.";
    ImageNotAllowed: Person, "The image is outside the environment's repositories (`spec.images.repositories`).", "Push it to one of those, or add its repository to the environment.";
    InvalidResources: Person, "CPU and memory don't go together on Cloud Run; the environment's defaults count in.", "Change the field that the message names.";
    InvalidScaling: Person, "The fewest instances are more than the most, with the environment's defaults counted in.", "Change one of the two fields that the message names.";
    InvalidSpec: Person, "A name in the spec is not valid.", "Correct the field that the message names.";
    LeansToHarm: Person, "The step is over, and so far the candidate looks worse than stable, though not surely enough to take it back.", "`kubectl orchestra status NAME` has the counts. Then `promote` or `abort`.";
    LookingUp: Patience, "The service account is being looked up.", "";
    MarksNotUnderstood: Person, "The service bears a mark of Orchestra that this version of the controller can't read; nothing is touched.", "Run the version of the controller that wrote it, or a later one.";
    MarksRestored: Person, "Somebody took Orchestra's marks off the service; they are put back.", "Find out who writes the service's annotations: Terraform and scripts must leave those under `orchestra.cherry-ai.me/`.";
    MetricsUnavailable: Person, "Metrics can't be read, so the candidate can't be judged. The release passes no step on that, unless `onNoData` says `Promote`.", "The message has the cause: often `roles/monitoring.viewer` is missing, the host of a Prometheus is not listed (`--allowed-host`), or a query is wrong. Settings are frozen with a release: correct them, then `kubectl orchestra abort NAME` and `kubectl orchestra retry NAME`.";
    Moving: Patience, "Traffic is moving to the share of the step.", "";
    NoMetrics: Person, "The step is over, and there are no metrics of the candidate: did it get requests?", "`promote` or `abort`; `analysis.onNoData` says what to do by itself. Of a metric of your own: do its queries find that revision?";
    NoNameLeft: Person, "A thousand attempts at one template have failed.", "Change the template.";
    NoRedis: Person, "On a Rollout: its template asks for Redis, and the environment has none. On an environment: it has no Redis, which is fine.", "Add `spec.redis` to the environment, or set `template.redis` to false.";
    NoSecrets: Nothing, "The environment has no secrets.", "";
    OnlyObserved: Person, "The environment's `managementPolicy` is `Observe`: what would be done is told, and nothing is written; what fails is not taken back, either.", "`managementPolicy: Reconcile` on the environment, and it is done.";
    OperationOverdue: Person, "An operation at Google has not ended in time.", "Look at the operation that the message names in Google Cloud; it is still waited for.";
    PauseStep: Person, "The release is at a step that is a pause: for a time, or until somebody promotes.", "A pause with a time ends by itself; one without: `kubectl orchestra promote NAME`.";
    Paused: Person, "A person holds the release: nothing moves forward, and what fails is still taken back.", "`kubectl orchestra resume NAME`, or `spec.paused: false`.";
    ProgressDeadlineExceeded: Person, "The revision did not become ready, or traffic did not move, within `spec.progressDeadlineSeconds`.", "The message has Cloud Run's cause. Then change the template or `kubectl orchestra retry NAME`.";
    ProjectFound: Nothing, "Cloud Run of the project can be seen in all regions.", "";
    PromiseWouldBreak: Person, "What was planned would have broken one of Orchestra's promises, and was not done. This is a mistake in Orchestra.", "Report it with `kubectl orchestra report NAME`.";
    Promoted: Nothing, "What the spec asks for gets all requests, in all regions.", "";
    Ready: Nothing, "Everything is as the spec says.", "";
    RedisAdopting: Patience, "Redis bears the mark of a deleted environment of this name, and is taken over.", "";
    RedisBusy: Patience, "Google is working on the Redis instance: maintenance, or a failover.", "";
    RedisCreating: Patience, "Redis is being created. That takes minutes.", "";
    RedisDeleting: Patience, "Redis is being deleted.", "";
    RedisFailed: Person, "An operation on Redis failed; it is tried again after a while.", "The message is Google's: often a quota, or a range of addresses that is used up.";
    RedisKept: Nothing, "`spec.redis` was taken out; the instance and its data are kept.", "Delete the instance yourself if nobody needs it.";
    RedisLabelling: Patience, "The labels of Redis are being changed.", "";
    RedisNotOurs: Person, "A Redis instance of that name is there and was not made by this environment; it is left alone.", "Delete or rename that instance, or take `spec.redis` out.";
    RedisNotReady: Patience, "The environment's Redis has no address yet.", "If it lasts: the condition RedisReady of the environment.";
    RedisReady: Nothing, "Redis is ready.", "";
    RedisRecreationRefused: Person, "Another tier needs a new instance, and all data would be lost; that is not done.", "Set `spec.redis.tier` back, or make an environment of another name and move the data.";
    RedisResizing: Patience, "The memory of Redis is being changed.", "";
    RedisShrinkUnconfirmed: Person, "Less memory was asked for: what does not fit would be lost.", "Set it back, or confirm with the annotation that the message gives.";
    RedisUnread: Nothing, "The environment asks for no Redis, and Google did not answer whether one is left over.", "";
    RedisVersionDiffers: Person, "Another version of Redis is asked for than runs; it is chosen when the instance is created.", "Set `spec.redis.version` to the version that runs, or upgrade the instance in Google Cloud.";
    RegionLeaving: Patience, "A region left the environment; what runs there is let go, by the deletion policy.", "If it lasts: the message names what can't be read.";
    ReleaseFailed: Person, "The release failed, and is taken back.", "The message has the cause.";
    ReleaseStarted: Nothing, "A release started; the message has its steps and regions.", "";
    Releasing: Patience, "The object was deleted under Retain: what runs stays, and the marks name no owner any more.", "";
    RequestRefused: Nothing, "What somebody asked for was not done: the message says why.", "";
    RequestTaken: Nothing, "What somebody asked for was acted on: the message says what, for which release, and by which client.", "";
    Resolved: Nothing, "Each secret is bound to a version.", "";
    Resolving: Patience, "The versions of the secrets are being looked up.", "";
    Retrying: Patience, "A write failed in a way that may pass, and is tried again.", "If it lasts: the message has the cause.";
    Returned: Nothing, "The spec, or what the environment adds, went back to what was stable.", "";
    RollbackBlocked: Person, "A region can't be taken back: the message names it and why. It is tried all the time.", "Mend the cause. To act at once yourself: `gcloud run services update-traffic`, to the stable revision.";
    RollbackNotDone: Person, "The candidate fails, and the environment's `managementPolicy` is `Observe`: it is not taken back, and users meet it.", "`managementPolicy: Reconcile` on the environment takes it back at once.";
    RolledBack: Person, "The release failed and is back at stable in all regions.", "The event and `kubectl orchestra status NAME` have the cause. Change the template, or `kubectl orchestra retry NAME`.";
    RollingBack: Patience, "Requests are going back to stable, in all regions at once.", "";
    RolloutsRemain: Person, "The environment was deleted, and waits for its Rollouts to go.", "Delete the Rollouts that the message names.";
    SecretMissing: Person, "A secret, or the version that is asked for, is not there or not enabled in Secret Manager.", "Add or enable it there, or take it out of `spec.secrets`. Stable reads the version that the message names: new instances can't start without it.";
    SecretNotReady: Patience, "The environment has no version of a secret yet that the template uses.", "If it lasts: the condition SecretsReady of the environment.";
    ServiceAccountDisabled: Person, "The service account that services run as is disabled.", "Enable it, or name another in `spec.serviceAccount`.";
    ServiceAccountFound: Nothing, "Services run as the service account that the spec names.", "";
    ServiceAccountMissing: Person, "There is no service account of the name in `spec.serviceAccount`.", "Create it; or delete the Rollout and make one that names the right environment, which can't be changed afterwards.";
    ServiceGone: Person, "Somebody deleted the Cloud Run service past Orchestra; it is made again with stable, where that can be.", "The message says what is missing where it can't.";
    ServiceNotOurs: Person, "A Cloud Run service of that name is there and belongs to something else; it is left alone.", "Take it over, as docs/adoption.md says; or make a Rollout with another `spec.serviceName`, which can't be changed afterwards.";
    ServiceNotReady: Person, "Cloud Run says that the service, which serves, is not ready.", "The message is Cloud Run's. Its console and logs have more.";
    ServiceStuck: Person, "The last change of the service does not take effect, and the release waits for it.", "Look at the service in Cloud Run.";
    SettingsCorrected: Person, "Somebody changed settings of the service past Orchestra; they go back to what the spec says.", "To keep such a change, write it into the spec: docs/template.md. Find out who else writes the service.";
    StableMissing: Person, "The stable revision was not found; no traffic moves without it.", "Look for who deleted it. `kubectl orchestra abort NAME` ends the release.";
    Starting: Patience, "The revision is starting.", "";
    StatusRefused: Person, "The cluster refuses the status that the controller writes: the object was stored under another schema, or the CRD is older than the controller.", "Apply the CRDs of the controller's version; then correct the fields that the event names with `kubectl edit`.";
    StepInEffect: Nothing, "A step is in effect: its share of the requests goes to the candidate.", "";
    StrategyLost: Person, "How the release takes over was lost with the status, and the spec's strategy is another by now. It stays on its weight; a rollback works.", "`kubectl orchestra promote NAME` goes on by the strategy of now, `abort` goes back.";
    Superseded: Nothing, "Another template took the place of the release.", "";
    Superseding: Patience, "The spec changed: the candidate's requests go back to stable before the new one starts.", "";
    TrafficChanged: Person, "Somebody changed the traffic past Orchestra while the release is held; it stays as it is.", "`kubectl orchestra resume NAME` puts it back to the step; `abort` goes back to stable.";
    TrafficCorrected: Person, "Somebody changed the traffic past Orchestra; it goes back.", "To keep a change made by hand, set `spec.paused: true` first. Find out who else writes the service.";
    TrafficNotInEffect: Person, "Cloud Run took the traffic and does not send it there; it is asked for again each minute.", "Look at the revision in Cloud Run: can it start?";
    Undecided: Person, "The step is over, and there were too few requests for a verdict.", "`promote` or `abort`; `analysis.onInconclusive` says what to do by itself, `analysis.minimumRequests` how many it takes.";
    UnknownSecret: Person, "The template names a secret that the environment does not have.", "Add it to the environment's `spec.secrets`, or correct the name.";
    Unreadable: Person, "A field of the object can't be read by this version of the controller.", "Correct the field that the message names with `kubectl edit`.";
    WaitingForTraffic: Patience, "The revision waits for a change of traffic that is under way.", "";
    WaitsForRevision: Patience, "Others deploy (`spec.trafficOnly`), and the revision is not there yet.", "";
    Watching: Patience, "The candidate has all requests, and is watched before the release counts as promoted (`analysis.watchSeconds`).", "`kubectl orchestra promote NAME` ends the watch, `abort` goes back.";
}

impl Reason {
    /// Reasons of the events of each release: whether a person may have to act, and why.
    pub const OF_RELEASES: [(Severity, Self); 11] = [
        (Severity::Normal, Self::ReleaseStarted),
        (Severity::Normal, Self::StepInEffect),
        (Severity::Normal, Self::RequestTaken),
        (Severity::Warning, Self::RequestRefused),
        (Severity::Normal, Self::Promoted),
        (Severity::Normal, Self::Superseded),
        (Severity::Normal, Self::Returned),
        (Severity::Warning, Self::RolledBack),
        (Severity::Warning, Self::Failed),
        (Severity::Warning, Self::ReleaseFailed),
        (Severity::Warning, Self::MetricsUnavailable),
    ];
    /// What is told by a warning as soon as it holds a release, though nothing is at an end yet.
    pub const TOLD_AT_ONCE: [Self; 2] = [Self::AlertPolicyHolds, Self::RollbackNotDone];
    /// What was changed past Orchestra: each is told by a warning.
    pub const DRIFT: [Self; 5] =
        [Self::TrafficCorrected, Self::TrafficChanged, Self::MarksRestored, Self::ServiceGone, Self::SettingsCorrected];
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.word().to_string()
    }
}

impl PartialEq<Reason> for String {
    fn eq(&self, reason: &Reason) -> bool {
        self == reason.word()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_there_once_in_order_and_says_what_to_do_where_a_person_is_asked() {
        assert!(Reason::ALL.windows(2).all(|two| two[0].word() < two[1].word()), "sort the table");
        for reason in Reason::ALL {
            assert!(reason.asks() != Asks::Person || !reason.way_out().is_empty(), "{reason:?} has no way out");
            assert!(reason.meaning().ends_with(['.', '?']), "{reason:?}");
        }
    }
}
